package node

import (
	"strings"
	"testing"
	"time"
)

func TestExplain(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	then := now.Add(-3 * time.Hour)
	self := func(state string, percent int, reason, message string) WhyMember {
		return WhyMember{Name: "me", Self: true, Online: true, State: state, Percent: percent, Reason: reason, Message: message}
	}
	other := func(name, state string, percent int, online bool) WhyMember {
		return WhyMember{Name: name, State: state, Percent: percent, Online: online, LastSeen: &then}
	}
	for _, c := range []struct {
		name              string
		members           []WhyMember
		state, cause, tip string
	}{
		{"all have it", []WhyMember{self(HoldsAll, 100, "", ""), other("pi", HoldsAll, 100, true)}, "in_sync", "every member has it", ""},
		{"the only holder is off", []WhyMember{self(HoldsPart, 40, reasonNobody, ""), other("nas", HoldsAll, 100, false)}, "waiting", "40 % of it is here; only nas holds the missing 60 %, and it was last seen 3 hours ago", "start nas"},
		{"two holders are off", []WhyMember{self(HoldsNone, 0, "", ""), other("nas", HoldsAll, 100, false), other("pi", HoldsAll, 100, false)}, "waiting", "nothing of it is here; only nas and pi hold all of it", "start nas or pi"},
		{"a holder is online", []WhyMember{self(HoldsPart, 40, "", ""), other("nas", HoldsAll, 100, true)}, "fetching", "being fetched from nas", "by itself"},
		{"nobody has it", []WhyMember{self(HoldsNone, 0, reasonNobody, ""), other("pi", HoldsNone, 0, true)}, "waiting", "no member is known to hold all of it", "versions"},
		{"the disk is full here", []WhyMember{self(HoldsNone, 0, "disk_full", "the disk is full"), other("nas", HoldsAll, 100, true)}, "waiting", "the disk is full", "free some space"},
		{"a rule ignores it here", []WhyMember{self(HoldsIgnores, 0, reasonIgnored, "the rule *.o ignores it here")}, "ignored", "*.o", "rule"},
		{"another has not heard of it", []WhyMember{self(HoldsAll, 100, "", ""), other("pi", HoldsUnaware, 0, false)}, "waiting", "pi has not heard of it: it was last seen 3 hours ago", "start pi"},
	} {
		state, cause, hint := explain(WhyInfo{Members: c.members}, now)
		if state != c.state || !strings.Contains(cause, c.cause) || !strings.Contains(hint, c.tip) {
			t.Errorf("%s: %q, %q, hint %q; want %q, %q and %q", c.name, state, cause, hint, c.state, c.cause, c.tip)
		}
	}
}

func TestRelayedLinkSaysWhatWouldHelp(t *testing.T) {
	for _, c := range []struct {
		name     string
		cause    relayCause
		why, tip string
	}{
		{"symmetric", relayCause{nat: natSymmetric, seen: true, port: 7716}, "symmetric NAT", "forward port 7716"},
		{"not seen yet", relayCause{nat: natUnknown}, "public address yet", "wait"},
		{"no UDP here", relayCause{nat: natEasy, seen: true, udp: "blocked", punch: "failed to dial: context deadline exceeded"}, "drops UDP", "let UDP out"},
		{"punched in vain", relayCause{nat: natEasy, seen: true, udp: "works", punch: "failed to dial: context deadline exceeded"}, "it was tried", "forward port"},
		{"the other side is new", relayCause{nat: natEasy, seen: true, punch: "protocols not supported: [/libp2p/dcutr]"}, "the other side", "wait"},
		{"under way", relayCause{nat: natEasy, seen: true}, "being tried", "forward port"},
	} {
		why, tip := c.cause.say()
		if !strings.Contains(why, c.why) || !strings.Contains(tip, c.tip) || strings.Contains(why, "deadline") {
			t.Errorf("%s: %q, hint %q; want %q and %q, and no words of programmers", c.name, why, tip, c.why, c.tip)
		}
	}
}
