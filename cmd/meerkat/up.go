package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// upFlags are the flags of up that set a key of the configuration.
var upFlags = []struct{ flag, key, usage string }{
	{"listen", "network.listen", "listen on this `MULTIADDR` (repeatable; default: TCP and QUIC on port 7716)"},
	{"peer", "network.peers", "always try this `MULTIADDR` (repeatable)"},
	{"bootstrap", "network.bootstrap", "first contact of the DHT, a `MULTIADDR` (repeatable)"},
	{"dht", "network.dht", "find members by the DHT: `off|private|public`"},
	{"mdns", "network.mdns", "find members on the LAN: `on|off`"},
	{"relay", "network.relay", "reach and be reached through relays: `auto|on|off`"},
	{"name", "name", "the `NAME` that this node goes by"},
	{"ui", "ui.addr", "serve the dashboard at this `ADDR`, or off (default 127.0.0.1:7717)"},
	{"metrics", "metrics.addr", "serve metrics for Prometheus at this `ADDR` (default: off)"},
	{"log-level", "log.level", "what is logged: `debug|info|warn|error`"},
	{"log-format", "log.format", "form of the log: `text|json`"},
}

func repeatable(flag string) bool { return flag == "listen" || flag == "peer" || flag == "bootstrap" }

func (a *app) upCmd() *cobra.Command {
	var ticket, file string
	c := &cobra.Command{
		Use: "up [DIR] [--join TICKET]", Short: "Run the node until SIGINT or SIGTERM", Args: takes(0, 1), ValidArgsFunction: completeDirs,
		Long: "Run the node in the foreground until SIGINT or SIGTERM. With DIR, a pool of DIR is made first, or\njoined, if there is none. It prints \"ready ID\" on stderr once it serves.",
		Example: `  meerkat up                              # the pools that this node has
  meerkat up ~/Sync                       # make a pool of ~/Sync first, if it is none
  meerkat up ~/Sync --join mkt1…          # join one first
  meerkat up --peer /ip4/192.168.1.7/tcp/7716/p2p/12D3KooW…`,
	}
	f := c.Flags()
	f.StringVar(&ticket, "join", "", "join DIR to a pool: a `TICKET`, a node's id, or - for stdin")
	f.StringVar(&file, "ticket-file", "", "read the ticket from this `FILE`")
	for _, u := range upFlags {
		if repeatable(u.flag) {
			f.StringArray(u.flag, nil, u.usage)
		} else {
			f.String(u.flag, "", u.usage)
		}
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if a.timeout != 0 {
			return usage("up runs until it is stopped: --timeout has no meaning", "leave it out")
		}
		if ticket+file != "" && len(args) == 0 {
			return usage("up --join needs the folder to join with", "usage: meerkat up DIR --join TICKET")
		}
		return a.up(c.Context(), a.upSettings(c), wish{strings.Join(args, ""), ticket, file})
	}
	return c
}

// upSettings gives the keys that flags set.
func (a *app) upSettings(c *cobra.Command) map[string][]string {
	set := map[string][]string{}
	if a.verbose {
		set["log.level"] = []string{"debug"}
	} else if a.quiet {
		set["log.level"] = []string{"error"}
	}
	for _, u := range upFlags {
		if !c.Flags().Changed(u.flag) {
			continue
		}
		if repeatable(u.flag) {
			set[u.key], _ = c.Flags().GetStringArray(u.flag) // of this kind since upCmd
		} else {
			set[u.key] = []string{c.Flags().Lookup(u.flag).Value.String()}
		}
	}
	return set
}
