package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// Home's router opens a port when it is asked to; the office's cannot be punched through. No member has a public address.
func TestNAT_PortMappedByTheRouter(t *testing.T) {
	for _, protocol := range []string{"upnp", "natpmp", "pcp"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			portMapped(t, protocol)
		})
	}
}

func portMapped(t *testing.T, protocol string) {
	l := lab.New(t)
	atHome, atOffice := l.AddRouter(lab.Cone), l.AddRouter(lab.Symmetric)
	atHome.MapPorts(protocol)
	home, office := atHome.AddHost("home"), atOffice.AddHost("office")
	home.Cli("init", home.Dir, "--name", "home")
	opened := func() {
		l.Until(40*time.Second, "the router has opened a port", func() error {
			if all := strings.Join(home.Addrs(), " "); !strings.Contains(all, "/"+atHome.IP+"/") {
				return fmt.Errorf("%s", all)
			}
			return nil
		})
	}
	start := time.Now()
	home.Up()
	opened()
	t.Logf("mapped after %v: %v", time.Since(start), home.Addrs())
	t.Log(home.Cli("netcheck"))
	home.Kill() // the port stays open, and is asked for again
	home.Up()
	opened()
	office.Up()
	office.Cli("join", home.Cli("invite", "-q"), office.Dir, "--timeout", "30s")
	home.Put("f", "x")
	l.Equal(home, office)
	if k := link(office, home); k.Kind != "direct" || !strings.Contains(k.Addr, atHome.IP) {
		t.Errorf("office is linked to home by %+v, want directly over the router's address", k)
	}
}
