package main

import (
	"testing"
	"time"
)

// TestUpOutlastsACommand: a command that has the home for a moment, such as `id` of a script that waits for the node, does
// not keep the node from starting; another node does.
func TestUpOutlastsACommand(t *testing.T) {
	a := &app{home: t.TempDir()}
	h, err := a.openHome(nil)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { _ = h.Close() }) // what fails shows in claimHome
	h, err = a.claimHome(t.Context(), nil)
	if err != nil {
		t.Fatalf("claimHome while another command ends: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
