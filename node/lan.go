package node

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// lanName derives an mDNS service name that says nothing to those who do not
// know the id already: kind is "pool" or "node".
func lanName(kind string, id []byte) string {
	m := hmac.New(sha256.New, id)
	m.Write([]byte("meerkat mdns v1 " + kind))
	return "_mk" + hex.EncodeToString(m.Sum(nil)[:5]) + "._udp"
}

// lanShown are the names under which this node shows itself on the LAN: one for
// itself and one for each pool.
func (n *Node) lanShown() []string {
	out := []string{lanName("node", []byte(n.self))}
	for _, r := range n.known() {
		out = append(out, lanName("pool", r.id[:]))
	}
	return out
}

// lanSought are the names that this node looks for on the LAN: of pools that
// members are missed of, and of pools and nodes that it wants to join. The
// values tell who is missed.
func (n *Node) lanSought() map[string]string {
	out := map[string]string{}
	for _, r := range n.known() {
		if missed := r.missed(); missed != "" {
			out[lanName("pool", r.id[:])] = missed
		}
	}
	for _, name := range slices.Concat(n.joiner.lanNames(), n.regain.names()) {
		out[name] += "join"
	}
	return out
}

// missed names the members that this node has no link to; "": none.
func (r *replica) missed() string {
	if !r.seeks() {
		return ""
	}
	var out []string
	for _, m := range r.st.Roster().Members() {
		if m.ID != r.self && !r.links.online(m.ID) {
			out = append(out, string(m.ID))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}
