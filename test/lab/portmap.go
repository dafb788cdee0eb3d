package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// MapPorts has the router open ports to hosts on its LAN that ask for it in a protocol, "upnp", "natpmp" or "pcp", as most routers at home
// do; what is asked in another is lost. It needs miniupnpd (of Debian's miniupnpd-nftables), and runs until the test ends.
func (r *Router) MapPorts(protocol string) {
	l := r.lab
	l.T.Helper()
	r.nft(
		"add table inet upnp",
		"add chain inet upnp miniupnpd", "add chain inet upnp prerouting_miniupnpd", "add chain inet upnp postrouting_miniupnpd",
		"add chain inet upnp c_pre { type nat hook prerouting priority -100 ; }",
		"add rule inet upnp c_pre jump prerouting_miniupnpd",
		"insert rule ip guard c_fwd ct status dnat accept",
	)
	if version, other := map[string]int{"natpmp": 2, "pcp": 0}[protocol]; other { // the first byte of what a host sends: the other's is dropped
		r.nft("add chain inet upnp c_in { type filter hook input priority 0 ; }", fmt.Sprintf("add rule inet upnp c_in udp dport 5351 @th,64,8 %d drop", version))
	}
	conf := filepath.Join(l.Dir, r.NS+".conf")
	text := fmt.Sprintf("ext_ifname=wan\nlistening_ip=lan\nenable_upnp=%s\nenable_natpmp=%s\nsecure_mode=yes\n"+
		"uuid=73a9cb68-a00b-4d4f-8412-75989f%06d\nupnp_table_name=upnp\nupnp_nat_table_name=upnp\nallow 1024-65535 0.0.0.0/0 1024-65535\n", yes(protocol == "upnp"), yes(protocol != "upnp"), l.id%1000000)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		l.T.Fatal(err)
	}
	cmd := (&Host{lab: l, NS: r.NS}).Command("miniupnpd", "-d", "-f", conf, "-P", conf+".pid") // nsenter becomes the daemon, in the foreground
	log, err := os.Create(conf + ".log")
	if err != nil {
		l.T.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		l.T.Fatalf("miniupnpd: %v (apt-get install miniupnpd-nftables)", err)
	}
	l.T.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // with the namespace goes all that it has set up
		_ = cmd.Wait()                          // ended by our signal
		_ = log.Close()                         // nothing is written any more
		if out, err := os.ReadFile(conf + ".log"); err == nil && l.T.Failed() {
			l.T.Logf("miniupnpd on %s:\n%.20000s", r.NS, out)
		}
	})
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
