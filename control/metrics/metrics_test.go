package metrics_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/bwaklog/meerkat/control/metrics"
	"github.com/bwaklog/meerkat/node"
)

type source struct {
	s   node.Status
	err error
}

func (s source) Status(context.Context) (node.Status, error) { return s.s, s.err }

func status() node.Status {
	seen := time.UnixMilli(1_700_000_000_500)
	return node.Status{
		Node:     node.NodeStatus{Version: "v1", UptimeMs: 1500},
		Transfer: node.Transfer{BytesIn: 7, BytesOut: 8},
		Pools: []node.PoolStatus{{
			ID: "aa", Name: "ho\"me\n", State: node.StateFetching, Files: 3, Bytes: 30, WantedHere: node.Amount{Files: 1, Bytes: 10}, Held: 2, NeedsYou: 2, LastChange: &seen,
			Members: []node.Member{
				{ID: "self", Name: "me", Self: true, Online: true},
				{ID: "12D", Name: "pi\xff", Online: true, LastSeen: &seen, Link: node.Link{Kind: "direct", RTTms: 31}, MissingThere: node.Amount{Files: 4, Bytes: 40}},
				{ID: "12E", Name: "nas", Link: node.Link{Kind: "none"}},
			},
		}, {ID: "bb", Name: "same"}, {ID: "cc", Name: "same"}},
	}
}

// scrape serves src for one scrape.
func scrape(t *testing.T, s *metrics.Set, src metrics.Source) (int, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, src, slog.New(slog.DiscardHandler)) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestScrape(t *testing.T) {
	s := metrics.New()
	s.Delivered(20 * time.Millisecond)
	s.Delivered(-time.Second)
	s.Delivered(2 * time.Hour)
	code, text := scrape(t, s, source{s: status()})
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, text)
	}
	for _, want := range []string{
		`meerkat_build_info{version="v1"} 1`, `meerkat_uptime_seconds 1.5`, `meerkat_transfer_received_bytes_total 7`,
		`meerkat_pool_wanted_bytes{pool="ho\"me\n"} 10`, `meerkat_pool_state{pool="ho\"me\n",state="fetching"} 1`,
		`meerkat_pool_state{pool="ho\"me\n",state="in_sync"} 0`, `meerkat_pool_files{pool="same bb"} 0`, `meerkat_pool_files{pool="same cc"} 0`,
		`meerkat_member_connected{id="12D",link="direct",member="pi` + "\uFFFD" + `",pool="ho\"me\n"} 1`,
		`meerkat_member_connected{id="12E",link="none",member="nas",pool="ho\"me\n"} 0`,
		`meerkat_member_rtt_seconds{id="12D",member="pi` + "\uFFFD" + `",pool="ho\"me\n"} 0.031`,
		`meerkat_member_last_seen_timestamp_seconds{id="12D",member="pi` + "\uFFFD" + `",pool="ho\"me\n"} 1.7000000005e+09`,
		`meerkat_event_delivery_seconds_bucket{le="0.025"} 2`, `meerkat_event_delivery_seconds_count 2`, `go_goroutines `, `process_open_fds `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the answer", want)
		}
	}
	if strings.Contains(text, `id="self"`) {
		t.Error("this node is listed among the others")
	}
	if problems, err := promlint.New(strings.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("not by the conventions: %v %v", problems, err)
	}
}

func TestScrapeWithoutStatus(t *testing.T) {
	if code, _ := scrape(t, metrics.New(), source{err: errors.New("stopping")}); code != http.StatusInternalServerError {
		t.Errorf("a node without a status answers %d", code)
	}
}
