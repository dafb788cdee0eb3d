package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"count", "count", 0}, {"cuont", "count", 1}, {"cont", "count", 1}, {"kitten", "sitting", 3}, {"", "ab", 2}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestMistypedEnv(t *testing.T) {
	own := []string{"MEERKAT_HOME", "MEERKAT_DIR", "MEERKAT_TICKET_FILE", "MEERKAT_BOOT_ROOT"}
	for pair, want := range map[string][]Mistyped{
		"MEERKAT_HOMEE=/x":            {{"MEERKAT_HOMEE", "MEERKAT_HOME"}},
		"MEERKAT_HMOE=/x":             {{"MEERKAT_HMOE", "MEERKAT_HOME"}},
		"MEERKAT_home=/x":             {{"MEERKAT_home", "MEERKAT_HOME"}},
		"MEERKAT_TICKETFILE=x":        {{"MEERKAT_TICKETFILE", "MEERKAT_TICKET_FILE"}},
		"MEERKAT_NETWORK_MDNS=off":    {{"MEERKAT_NETWORK_MDNS", "MEERKAT_NETWORK__MDNS"}},
		"MEERKAT_MDNS=off":            {{"MEERKAT_MDNS", "MEERKAT_NETWORK__MDNS"}},
		"MEERKAT_BANDWIDT__UP=1":      {{"MEERKAT_BANDWIDT__UP", "MEERKAT_BANDWIDTH__UP"}},
		"MEERKAT_NETWORK__FIREWALL=1": {{"MEERKAT_NETWORK__FIREWALL", ""}},

		"MEERKAT_HOME=":              nil,
		"MEERKAT_TICKET_FILE=x":      nil,
		"MEERKAT_NETWORK__MDNS=off":  nil,
		"MEERKAT_NAME":               nil, // Windows and odd programs have such
		"MEERKAT_=x":                 nil,
		"MEERKAT=x":                  nil,
		"HOMEE=x":                    nil,
		"MEERKAT_E2E=1":              nil, // of this project's own tests
		"MEERKAT_E2E_RACE=1":         nil,
		"MEERKAT_LONG=1":             nil,
		"MEERKAT_RS2=1":              nil,
		"MEERKAT_SOAK=1":             nil,
		"MEERKAT_SHOTS=x":            nil,
		"MEERKAT_SIM_SEED=1":         nil,
		"MEERKAT_SIM_SEEDS=1":        nil,
		"MEERKAT_SIM_FIRST=1":        nil,
		"MEERKAT_SIM_DEBUG=1":        nil,
		"MEERKAT_BENCH_DIR=x":        nil,
		"MEERKAT_BENCH_RAW=x":        nil,
		"MEERKAT_BENCH_PERF=x":       nil,
		"MEERKAT_TEST_CLOCK=+1s":     nil,
		"MEERKAT_LAB_PROGRAM=x":      nil,
		"MEERKAT_BIN=x":              nil,
		"MEERKAT_ACTIVE_HELP=0":      nil, // of the completion scripts
		"MEERKAT_PORT=tcp://1.2.3.4": nil, // an orchestrator's, for a service called meerkat
		"MEERKAT_SERVICE_HOST=x":     nil,
		"MEERKAT_PORT_7716_TCP=x":    nil,
		"MEERKAT_UI_PORT=x":          nil,
	} {
		if d := cmp.Diff(want, MistypedEnv([]string{"HOME=/", pair}, own...)); d != "" {
			t.Errorf("%s: %s", pair, d)
		}
	}
}
