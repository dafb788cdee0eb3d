package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bwaklog/meerkat/node"
)

// bootPartitions are where a card that was written for a small computer shows the partition that every other computer
// can write to as well.
var bootPartitions = []string{"/boot/firmware", "/boot"}

const bootTicket = "meerkat.ticket"

// foundTicket is a ticket that somebody has left for the first start: in a credential of systemd, in the file that
// MEERKAT_TICKET_FILE names, or on the boot partition. path is "" where there is none.
func (a *app) foundTicket() (path string) {
	var places []string
	if dir := a.getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		places = append(places, filepath.Join(dir, "meerkat.ticket"))
	}
	if file := a.getenv("MEERKAT_TICKET_FILE"); file != "" {
		places = append(places, file)
	}
	for _, dir := range bootPartitions {
		places = append(places, filepath.Join(a.getenv("MEERKAT_BOOT_ROOT"), dir, bootTicket))
	}
	for _, p := range places {
		if fi, err := os.Stat(p); err == nil && fi.Mode().IsRegular() {
			return p
		}
	}
	return ""
}

// firstStart does what up was asked for; on a home without any pool it takes up a ticket that was left for it. The ticket is
// removed once the home has noted it: the joining goes on from there.
func (a *app) firstStart(ctx context.Context, home *node.Home, w wish) error {
	if w.ticket+w.file != "" {
		return a.fulfil(ctx, home, w)
	}
	file := a.foundTicket()
	if file == "" {
		return a.fulfil(ctx, home, w)
	}
	all, err := home.PoolList(ctx)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		return a.fulfil(ctx, home, w)
	}
	if w.dir == "" {
		if w.dir = a.getenv("MEERKAT_DIR"); w.dir == "" {
			w.dir = filepath.Join(a.getenv("HOME"), "Sync")
		}
	}
	w.file = file
	if err := a.fulfil(ctx, home, w); err != nil {
		return err
	}
	a.say("joining with the ticket in %s", clean(file))
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.say("meerkat: the ticket in %s cannot be removed (%v); it has been used: one for a single machine is worth nothing any more", clean(file), err)
	}
	return nil
}
