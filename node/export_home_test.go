package node

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/store"
)

// Reached by the tests of package node_test.
var (
	ReadAnswer  = readAnswer
	ParseConfig = func(path string, text []byte) ([]HomePool, error) {
		c, err := parseConfig(path, text)
		if err != nil {
			return nil, err
		}
		return c.pools, nil
	}
)

// EditConfig adds a pool to a config text, sets a key, and takes the pool out
// again; it gives the text after each step.
func EditConfig(text []byte, p HomePool, key string, values []string) ([3]string, error) {
	var out [3]string
	c, err := parseConfig("config.toml", text)
	if err == nil {
		c, err = c.withPool(p)
	}
	if err != nil {
		return out, err
	}
	out[0] = string(c.text)
	if c, err = c.with(key, values); err != nil {
		return out, err
	}
	out[1] = string(c.text)
	if c, err = c.withoutPool(p.ID); err != nil {
		return out, err
	}
	out[2] = string(c.text)
	return out, nil
}

// Codes are the codes that have an exit code and a hint.
func Codes() map[string]int {
	out := map[string]int{}
	for code, c := range codes {
		out[code] = c.exit
	}
	return out
}

// RefusalCodes are the codes that one node tells another.
func RefusalCodes() map[string]string { return refusals }

// AdmitUnseen lets a node into the only pool that has never been there.
func (h *Home) AdmitUnseen(id peer.ID, name string) error {
	_, err := h.act("", func(_ *store.Pool, ro *pool.Roster) (pool.Record, error) {
		return ro.Admit(h.key, id, name, pool.Writer, h.clock.Now())
	})
	return err
}

// SawGone hands the only pool what a scan says that found nothing at name.
func (n *Node) SawGone(name string) error {
	r, err := n.pick("")
	if err != nil {
		return err
	}
	return r.publish([]folder.Seen{{Path: event.Path(name), Gone: true}})
}
