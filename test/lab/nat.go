package lab

import (
	"fmt"
	"os/exec"
	"strings"
)

// NAT is what a router does with the ports of what it lets out.
type NAT string

// Kinds of routers. All of them drop what comes in unasked.
const (
	Cone      NAT = "masquerade"              // keeps ports: a hole can be punched
	Symmetric NAT = "masquerade fully-random" // another port for each destination
)

// Router is a box between the lab's bridge and a LAN of its own, as people
// have at home. It lets everything out and nothing in.
type Router struct {
	lab  *Lab
	NS   string
	IP   string // outside
	LAN  string // first three bytes of the inside
	next int
}

// AddPublic adds a host with a public address. (11.0.0.0/8 counts as public in
// libp2p's eyes, and does not lead out of the lab.)
func (l *Lab) AddPublic(name string) *Host {
	l.T.Helper()
	l.outside++
	h := l.bare(name, fmt.Sprintf("11.0.0.%d", l.outside))
	l.plug(h.NS, "eth0", h.IP+"/16")
	return h
}

// AddRouter adds a router with a LAN behind it.
func (l *Lab) AddRouter(kind NAT) *Router {
	l.T.Helper()
	l.routers++
	r := &Router{
		lab: l, NS: fmt.Sprintf("mk%d-r%d", l.id, l.routers),
		IP: fmt.Sprintf("11.0.%d.1", l.routers), LAN: fmt.Sprintf("192.168.%d", l.routers),
	}
	l.namespace(r.NS)
	l.plug(r.NS, "wan", r.IP+"/16")
	l.Must("ip", "-n", r.NS, "link", "add", "lan", "type", "bridge")
	l.Must("ip", "-n", r.NS, "addr", "add", r.LAN+".1/24", "dev", "lan")
	l.Must("ip", "-n", r.NS, "link", "set", "lan", "up")
	l.Must("ip", "netns", "exec", r.NS, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	r.nft(
		"add table ip nat",
		"add chain ip nat c_post { type nat hook postrouting priority 100 ; }",
		fmt.Sprintf("add rule ip nat c_post oifname wan %s", kind),
		"add table ip guard",
		"add chain ip guard c_in { type filter hook input priority 0 ; }",
		"add rule ip guard c_in iifname wan ct state established,related accept",
		"add rule ip guard c_in iifname wan drop",
		"add chain ip guard c_fwd { type filter hook forward priority 0 ; }",
		"add rule ip guard c_fwd ct state established,related accept",
		"add rule ip guard c_fwd iifname wan drop",
	)
	return r
}

// Block has the router drop a whole protocol, "udp" or "tcp", as some offices do.
func (r *Router) Block(protocol string) {
	r.lab.T.Helper()
	r.nft("insert rule ip guard c_fwd meta l4proto " + protocol + " drop")
}

func (r *Router) nft(lines ...string) {
	r.lab.T.Helper()
	cmd := exec.Command("ip", "netns", "exec", r.NS, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		r.lab.T.Fatalf("nft on %s: %v: %s", r.NS, err, out)
	}
}

// AddHost adds a host on the router's LAN.
func (r *Router) AddHost(name string) *Host {
	r.lab.T.Helper()
	h := r.lab.bare(name, "")
	r.Connect(h)
	return h
}

// Connect plugs a host into the router's LAN, where it gets an address of its
// own; whatever it was connected to before is gone.
func (r *Router) Connect(h *Host) {
	l := r.lab
	l.T.Helper()
	_ = exec.Command("ip", "-n", h.NS, "link", "del", "eth0").Run() // it may have none
	r.next++
	h.IP = fmt.Sprintf("%s.%d", r.LAN, 9+r.next)
	port := fmt.Sprintf("l%d", r.next)
	l.Must("ip", "-n", r.NS, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h.NS)
	l.Must("ip", "-n", r.NS, "link", "set", port, "master", "lan", "up")
	l.Must("ip", "-n", h.NS, "addr", "add", h.IP+"/24", "dev", "eth0")
	l.Must("ip", "-n", h.NS, "link", "set", "eth0", "up")
	l.Must("ip", "-n", h.NS, "route", "add", "default", "via", r.LAN+".1")
}

// Readdress gives a host on the lab's bridge another address, as a new lease
// does.
func (h *Host) Readdress(ip string) {
	l := h.lab
	l.T.Helper()
	l.Must("ip", "-n", h.NS, "addr", "flush", "dev", "eth0", "scope", "global")
	h.IP = ip
	l.Must("ip", "-n", h.NS, "addr", "add", ip+"/24", "dev", "eth0")
	_ = exec.Command("ip", "-n", h.NS, "route", "add", "default", "dev", "eth0").Run() // it may be there still
}
