package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

func (a *app) netcheckCmd() *cobra.Command {
	return command("netcheck", "What this network allows, and what would help", "  meerkat netcheck", takes(0, 0), func(ctx context.Context, _ []string) error {
		return a.running(func(b control.Backend) error {
			i, err := b.Netcheck(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.object(i)
			}
			return a.print("%s", netText(i))
		})
	})
}

// netText tells a NetInfo to a person.
func netText(i node.NetInfo) string {
	lines := []string{
		"reachable\t" + map[string]string{"public": "yes, by everybody", "private": "not from outside", "unknown": "not known yet"}[i.Reachability],
		"router\t" + map[string]string{
			"none": "none in the way", "easy": "lets direct links through", "symmetric": "gives every destination another port (symmetric NAT)",
			"unknown": "not known yet",
		}[i.NAT],
		"UDP\t" + clean(i.UDP),
		"public IPv6\t" + yes(i.IPv6),
		"port mapping\t" + yes(i.PortMapping),
		"multicast\t" + yes(i.Multicast),
		"seen as\t" + orNone(clean(strings.Join(i.SeenAs, "  "))),
		"relays\t" + orNone(relayText(i.Relays)),
		"relays for\t" + clean(i.Relaying),
		"DHT\t" + clean(i.DHT),
	}
	if i.DHT != "off" {
		lines[len(lines)-1] += fmt.Sprintf(", %s known", count(int64(i.DHTPeers), "node", "nodes"))
	}
	for _, s := range i.Advice {
		lines = append(lines, "hint: "+clean(s))
	}
	return strings.Join(lines, "\n")
}

func relayText(rs []node.RelayInfo) string {
	words := make([]string, len(rs))
	for i, r := range rs {
		words[i] = clean(r.Name)
		if r.Limited {
			words[i] += " (only to get in touch)"
		}
	}
	return strings.Join(words, ", ")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
