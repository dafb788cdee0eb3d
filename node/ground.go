package node

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/bwaklog/meerkat/folder"
)

// Ground is what a node stands on. The zero value is this machine: its network,
// its disks, its kernel. A simulator puts others in their place; the state's
// disk is HomeConfig.State.
type Ground struct {
	// Host makes the libp2p host, listening; the node closes it. nil: TCP and
	// QUIC on Config.Listen.
	Host func(key crypto.PrivKey) (host.Host, error)
	// Disk opens what the folder at root is read and changed through. Scans and
	// the guards read the real disk all the same. nil: the real one.
	Disk func(root string) (folder.FS, error)
	// Rescan, where it is not 0, is how often everything is looked at instead of
	// asking the kernel what changes.
	Rescan time.Duration
	// Burial says when tombstones are collected.
	Burial Burial
}

func (g Ground) host(c hostConfig) (host.Host, error) {
	if g.Host == nil {
		return newHost(c)
	}
	return g.Host(c.key)
}

func (g Ground) folder(c folder.Config) (*folder.Folder, error) {
	if g.Disk != nil {
		disk, err := g.Disk(c.Root)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", c.Root, err)
		}
		c.FS = disk
	}
	return folder.Open(c)
}
