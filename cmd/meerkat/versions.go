package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

// careCmds are the commands about history and undo.
func (a *app) careCmds() []*cobra.Command {
	return []*cobra.Command{
		a.versionsCmd(), a.restoreCmd(), a.conflictsCmd(), a.ignoreCmd(), a.whyCmd(),
		a.verifyCmd(), a.rewindCmd(),
	}
}

func (a *app) versionsCmd() *cobra.Command {
	c := command("versions PATH", "What stood at a path before, and who has it", `  meerkat versions ~/Sync/plan.txt
  meerkat versions photos              # of everything in the folder photos`, takes(1, 1), func(ctx context.Context, args []string) error {
		return a.running(func(b control.Backend) error {
			pool, path, err := a.place(ctx, b, args[0])
			if err != nil {
				return err
			}
			return b.Versions(ctx, pool, path, a.showVersion)
		})
	})
	c.ValidArgsFunction = a.completeDeleted
	return c
}

func (a *app) showVersion(v node.FileVersion) error {
	if a.json {
		return a.object(v)
	}
	by := v.ByName
	if by == "" {
		by = "-"
	}
	where := v.Where
	switch {
	case v.Current:
		where = "now"
	case v.Where == node.WhereMembers:
		where = "with " + strings.Join(v.Members, ", ")
	case v.Where == node.WhereNowhere:
		where = "with nobody online"
	}
	detail := ""
	if v.Kind == "file" && v.Action != "deleted" {
		detail = size(v.Size)
	}
	return a.print("%s\t%s\t%s\t%s\t%s\t%s\t%s", v.Version, a.when(v.Time), clean(by), deed(v.Action, v.Kind),
		shownPath(v.Path, v.PathB64), detail, clean(where))
}

func (a *app) restoreCmd() *cobra.Command {
	var out string
	c := command("restore PATH[@VERSION]", "Bring back what stood at a path", `  meerkat restore ~/Sync/plan.txt                  # the version before
  meerkat restore plan.txt@9f3a2c11                # this one, of "meerkat versions plan.txt"
  meerkat restore photos@2026-11-20                # the folder as it was then
  meerkat restore plan.txt@2h -o old-plan.txt      # beside it, instead of in its place`, takes(1, 1), func(ctx context.Context, args []string) error {
		return a.running(func(b control.Backend) error {
			q, err := a.versionRequest(ctx, b, args[0])
			if err != nil {
				return err
			}
			if out != "" {
				return a.saveVersion(ctx, b, q, out)
			}
			return b.Restore(ctx, q, a.showRestore)
		})
	})
	c.Long = "Bring back what stood at a path, for all members. What stands there now becomes a version itself.\n" +
		"VERSION is an id of \"meerkat versions\", a span back such as 2h, or a time. Without it the version\n" +
		"before is meant; of a folder, what was deleted in it."
	c.Flags().StringVarP(&out, "output", "o", "", "write it to this `FILE` (- is stdout) instead of to its place")
	c.ValidArgsFunction = a.completeDeleted
	return c
}

// versionRequest takes PATH@VERSION apart. An @ that no version follows is part of the path.
func (a *app) versionRequest(ctx context.Context, b control.Backend, arg string) (node.VersionRequest, error) {
	var q node.VersionRequest
	name := arg
	if i := strings.LastIndexByte(arg, '@'); i > 0 {
		id, at, ok := versionName(arg[i+1:], time.Now())
		if ok {
			name, q.Version, q.At = arg[:i], id, at
		}
	}
	var err error
	q.Pool, q.Path, err = a.place(ctx, b, name)
	if err == nil && q.Path == "" {
		err = usage("the whole pool cannot be brought back at once", `name a folder in it, or see "meerkat rewind"`)
	}
	return q, err
}

// versionName reads an id, or a moment. False: it is neither.
func versionName(s string, now time.Time) (id string, at time.Time, ok bool) {
	if s == "" {
		return "", time.Time{}, true // PATH@ is PATH, whatever PATH ends in
	}
	if len(s) >= 4 && strings.Trim(s, "0123456789abcdef") == "" {
		return s, time.Time{}, true
	}
	if stamp, _, cut := strings.Cut(s, "-"); cut {
		if _, err := time.Parse("20060102T150405Z", stamp); err == nil {
			return s, time.Time{}, true
		}
	}
	at, err := moment(s, now)
	return "", at, err == nil
}

func (a *app) showRestore(r node.RestoreInfo) error {
	if a.json {
		return a.object(r)
	}
	path := shownPath(r.Path, r.PathB64)
	switch r.State {
	case "already":
		return a.print("already so\t%s\t%s", path, r.Version)
	case "waiting":
		return a.print("waiting\t%s\t%s\t%s", path, r.Version, clean(r.Why))
	}
	return a.print("restored\t%s\t%s\t%s", path, r.Version, size(r.Size))
}

// saveVersion writes a version to a file of this process, or to stdout.
func (a *app) saveVersion(ctx context.Context, b control.Backend, q node.VersionRequest, out string) error {
	if out == "-" {
		if a.json {
			return usage("--json and -o - exclude each other", "give -o a file name")
		}
		return b.Content(ctx, q, func(p node.ContentPart) error { _, err := a.out.Write(p.Data); return err })
	}
	var done node.FileVersion
	var mode os.FileMode
	var mtime int64
	err := writeNew(out, func(w io.Writer) error {
		return b.Content(ctx, q, func(p node.ContentPart) error {
			if p.Version != nil {
				done, mode, mtime = *p.Version, os.FileMode(p.Mode).Perm(), p.MTime
			}
			if p.Target != "" {
				return &node.Error{Code: "no_version", Message: "that version is a link to " + p.Target, Hint: "restore it without -o", Exit: exitNotFound}
			}
			_, err := w.Write(p.Data)
			return err
		})
	})
	if err != nil {
		return err
	}
	t := time.Unix(0, mtime)
	if err := errors.Join(os.Chmod(out, mode|0o600), os.Chtimes(out, t, t)); err != nil {
		return err
	}
	if a.json {
		return a.object(node.RestoreInfo{Schema: node.SchemaRestore, Path: done.Path, PathB64: done.PathB64, Version: done.Version, Size: done.Size, From: done.Where, State: "done"})
	}
	a.say("wrote %s: version %s of %s", clean(out), done.Version, shownPath(done.Path, done.PathB64))
	return nil
}

// writeNew writes a file that must not be there yet, whole or not at all.
func writeNew(path string, fill func(io.Writer) error) error {
	if _, err := os.Lstat(path); err == nil {
		return &node.Error{Code: "file_exists", Message: fmt.Sprintf("%s is there already", path), Hint: "give -o another name", Exit: exitAlready}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".meerkat-*")
	if err != nil {
		if p, ok := errors.AsType[*os.PathError](err); ok {
			err = p.Err // the name in it is that of a temporary file
		}
		return &node.Error{Code: "no_file", Message: "cannot write " + path, Hint: "check the directory", Exit: exitFailed, Err: err}
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(f.Name(), path) // unlike a rename it replaces nothing
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return os.Rename(f.Name(), path)
	}
	return errors.Join(err, os.Remove(f.Name()))
}
