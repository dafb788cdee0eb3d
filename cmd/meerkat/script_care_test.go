package main

import (
	"time"

	"github.com/bwaklog/meerkat/test/rot"
	"github.com/rogpeppe/go-internal/testscript"
)

// rotten damages a file of a node that is not running: rot HOME FOLDER NAME.
func rotten(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: rot HOME FOLDER NAME")
	}
	ts.Check(rot.File(ts.MkAbs(args[0]), ts.MkAbs(args[1]), args[2]))
}

// now puts the present time into a variable: now VAR.
func now(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: now VAR")
	}
	ts.Setenv(args[0], time.Now().UTC().Format(time.RFC3339Nano))
}
