package metrics

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bwaklog/meerkat/node"
)

// states are those that a pool can be in; each has a series, so that one which
// is over reads 0.
var states = []string{
	node.StateStarting, node.StateScanning, node.StateFetching, node.StateApplying,
	node.StateInSync, node.StateOffline, node.StatePaused, node.StateHalted,
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("meerkat_"+name, help, labels, nil)
}

var (
	info     = desc("build_info", "Always 1; the version is in the label.", "version")
	uptime   = desc("uptime_seconds", "How long the node has been running.")
	received = desc("transfer_received_bytes_total", "Content received from members since the start.")
	sent     = desc("transfer_sent_bytes_total", "Content sent to members since the start.")
	joining  = desc("joins_pending", "Pools that this node waits to be admitted to.")

	poolState     = desc("pool_state", "1 for the state that the pool is in, 0 for the others.", "pool", "state")
	poolFiles     = desc("pool_files", "Files in the pool.", "pool")
	poolBytes     = desc("pool_bytes", "Size of all files in the pool.", "pool")
	wantedFiles   = desc("pool_wanted_files", "Files whose content is still to come to this node.", "pool")
	wantedBytes   = desc("pool_wanted_bytes", "Content that is still to come to this node.", "pool")
	poolConflicts = desc("pool_conflicts", "Conflict copies that wait for a person.", "pool")
	poolHeld      = desc("pool_held_changes", "Changes that a guard holds for a person.", "pool")
	poolProblems  = desc("pool_problems", "Paths that cannot be synchronised now.", "pool")
	poolRequests  = desc("pool_join_requests", "Machines that ask to be let in.", "pool")
	poolAttention = desc("pool_needs_attention", "All that waits for a person.", "pool")
	poolChanged   = desc("pool_last_change_timestamp_seconds", "When the pool last changed.", "pool")

	connected    = desc("member_connected", "1 where there is a link to the member, 0 where there is none.", "pool", "member", "id", "link")
	missingFiles = desc("member_missing_files", "Files that the member lacks, as far as is known here.", "pool", "member", "id")
	missingBytes = desc("member_missing_bytes", "Content that the member lacks, as far as is known here.", "pool", "member", "id")
	memberRTT    = desc("member_rtt_seconds", "Round-trip time of the link to the member.", "pool", "member", "id")
	memberSeen   = desc("member_last_seen_timestamp_seconds", "When the member was last seen.", "pool", "member", "id")
)

// collector makes metrics of a status when it is asked.
type collector struct {
	src Source
	log *slog.Logger
}

// Describe is empty: what there is to tell depends on the pools.
func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect asks for the status once.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	s, err := c.src.Status(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(info, err)
		return
	}
	out := sink{ch}
	out.gauge(info, 1, s.Node.Version)
	out.gauge(uptime, float64(s.Node.UptimeMs)/1000)
	out.gauge(joining, float64(len(s.Joining)))
	out.counter(received, s.Transfer.BytesIn)
	out.counter(sent, s.Transfer.BytesOut)
	for name, p := range named(s.Pools) {
		out.pool(name, p)
	}
}

// named gives each pool a label of its own: its name, with some of its id where
// two have the same.
func named(pools []node.PoolStatus) map[string]node.PoolStatus {
	times := map[string]int{}
	for _, p := range pools {
		times[p.Name]++
	}
	out := map[string]node.PoolStatus{}
	for _, p := range pools {
		name := p.Name
		if times[name] > 1 {
			name += " " + p.ID
		}
		out[label(name)] = p
	}
	return out
}

// label makes text of others one that Prometheus takes.
func label(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

type sink struct{ ch chan<- prometheus.Metric }

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	for i := range labels {
		labels[i] = label(labels[i])
	}
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s sink) counter(d *prometheus.Desc, v int64) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
}

func (s sink) pool(name string, p node.PoolStatus) {
	for _, st := range states {
		s.gauge(poolState, truth(p.State == st), name, st)
	}
	for d, v := range map[*prometheus.Desc]int64{
		poolFiles: p.Files, poolBytes: p.Bytes, wantedFiles: p.WantedHere.Files, wantedBytes: p.WantedHere.Bytes,
		poolConflicts: int64(p.Conflicts), poolHeld: int64(p.Held), poolProblems: int64(len(p.Problems)),
		poolRequests: int64(p.Requests), poolAttention: int64(p.NeedsYou),
	} {
		s.gauge(d, float64(v), name)
	}
	s.since(poolChanged, p.LastChange, name)
	for _, m := range p.Members {
		if !m.Self {
			s.member(name, m)
		}
	}
}

func (s sink) member(pool string, m node.Member) {
	link := m.Link.Kind
	if link == "" {
		link = "none"
	}
	s.gauge(connected, truth(m.Online), pool, m.Name, m.ID, link)
	s.gauge(missingFiles, float64(m.MissingThere.Files), pool, m.Name, m.ID)
	s.gauge(missingBytes, float64(m.MissingThere.Bytes), pool, m.Name, m.ID)
	if m.Online && link != "none" {
		s.gauge(memberRTT, float64(m.Link.RTTms)/1000, pool, m.Name, m.ID)
	}
	s.since(memberSeen, m.LastSeen, pool, m.Name, m.ID)
}

func (s sink) since(d *prometheus.Desc, t *time.Time, labels ...string) {
	if t != nil {
		s.gauge(d, float64(t.UnixMilli())/1000, labels...)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
