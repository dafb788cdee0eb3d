package node

import "time"

// The values below are what the control socket and the command line show as
// JSON. Their field names are a contract with outside scripts (docs: CLI.md):
// fields are added, never renamed or removed, within a schema version.

// Schema names the first key of each JSON answer.
const (
	SchemaID      = "meerkat.id/v1"
	SchemaPool    = "meerkat.pool/v1"
	SchemaTicket  = "meerkat.ticket/v1"
	SchemaStatus  = "meerkat.status/v1"
	SchemaMember  = "meerkat.member/v1"
	SchemaPing    = "meerkat.ping/v1"
	SchemaEvent   = "meerkat.event/v1"
	SchemaRequest = "meerkat.request/v1"
	SchemaChange  = "meerkat.change/v1"
	SchemaError   = "meerkat.error/v1"
	SchemaVersion = "meerkat.version/v1"
)

// IDInfo says who this node is and, when it runs, where it listens.
type IDInfo struct {
	Schema string   `json:"schema"`
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Addrs  []string `json:"addrs"`
}

// PoolInfo names one pool of this node.
type PoolInfo struct {
	Schema string `json:"schema"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Path   string `json:"path"`
	Role   string `json:"role"`
	// Pending is true for a join that has not been admitted yet.
	Pending bool `json:"pending,omitempty"`
	// MergedInto names the pool that this one was merged into; where Path is ""
	// the folder has followed, and only the history is here.
	MergedInto string `json:"merged_into,omitempty"`
	// Words are shown while a join by id is pending: the other side, which
	// approves it, sees the same four.
	Words []string `json:"words,omitempty"`
}

// TicketInfo is a fresh invitation.
type TicketInfo struct {
	Schema  string    `json:"schema"`
	Ticket  string    `json:"ticket"`
	Pool    string    `json:"pool"`
	Role    string    `json:"role"`
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses"`
}

// Amount counts files and the bytes of content in them.
type Amount struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Link says how a member is reached; Kind is "direct", "relayed" or "none".
// Why says why it is not direct, and Hint what one change would make it so.
type Link struct {
	Kind      string `json:"kind"`
	Transport string `json:"transport,omitempty"`
	Addr      string `json:"addr,omitempty"`
	RTTms     int64  `json:"rtt_ms"`
	Count     int    `json:"count,omitempty"` // links that stand; more than one only for moments
	Why       string `json:"why,omitempty"`
	Hint      string `json:"hint,omitempty"`
}

// Member is one node of a pool as this node sees it.
type Member struct {
	Schema       string     `json:"schema,omitempty"`
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Role         string     `json:"role"`
	Self         bool       `json:"self,omitempty"`
	Online       bool       `json:"online"`
	LastSeen     *time.Time `json:"last_seen"`
	Link         Link       `json:"link"`
	MissingThere Amount     `json:"missing_there"`
	// State is what the member last said of itself: a pool state of Status.
	State string `json:"state,omitempty"`
	// Paused: this node exchanges no content with it until somebody resumes.
	Paused bool `json:"paused,omitempty"`
	// Words are those of a request that was just approved.
	Words []string `json:"words,omitempty"`
}

// Problem is trouble with one path: it waits, the rest goes on.
type Problem struct {
	Path    string `json:"path"`
	PathB64 string `json:"path_b64,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Pool states, as CLI.md lists them.
const (
	StateStarting = "starting"
	StateScanning = "scanning"
	StateFetching = "fetching"
	StateApplying = "applying"
	StateInSync   = "in_sync"
	StateOffline  = "offline"
	StatePaused   = "paused"
	StateHalted   = "halted"
)

// Progress is a long piece of work that is under way.
type Progress struct {
	Kind       string `json:"kind"` // "index" or "fetch"
	DoneFiles  int64  `json:"done_files"`
	TotalFiles int64  `json:"total_files"` // 0: not known yet
	DoneBytes  int64  `json:"done_bytes"`
	TotalBytes int64  `json:"total_bytes"`
}

// PoolStatus is the state of one pool on this node.
type PoolStatus struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Path       string     `json:"path"`
	Role       string     `json:"role"`
	State      string     `json:"state"`
	HaltedWhy  string     `json:"halted_why"`
	Files      int64      `json:"files"`
	Dirs       int64      `json:"dirs"`
	Bytes      int64      `json:"bytes"`
	WantedHere Amount     `json:"wanted_here"`
	Root       string     `json:"root"`
	NeedsYou   int        `json:"needs_you"`
	Conflicts  int        `json:"conflicts"`
	Held       int        `json:"held"`
	Problems   []Problem  `json:"problems"`
	Members    []Member   `json:"members"`
	Progress   *Progress  `json:"progress,omitempty"`
	Notices    []string   `json:"notices,omitempty"`
	Requests   int        `json:"requests,omitempty"`
	LastChange *time.Time `json:"last_change,omitempty"`
	// PausedUntil is when a pause ends by itself, if it does.
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	Disk        *Disk      `json:"disk,omitempty"` // nil: not known
}

// Disk is the room where a pool's folder lies, in bytes.
type Disk struct {
	Free    int64 `json:"free"`    // that this node may still write
	Reserve int64 `json:"reserve"` // of it that fetching leaves alone
}

// NodeStatus is the state of the node itself.
type NodeStatus struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	Version      string   `json:"version"`
	UptimeMs     int64    `json:"uptime_ms"`
	Addrs        []string `json:"addrs"`
	Reachability string   `json:"reachability"` // "public", "private" or "unknown"
}

// Transfer counts content moved since the start, and its present rates in bytes per second.
type Transfer struct {
	BytesIn  int64 `json:"bytes_in"`
	BytesOut int64 `json:"bytes_out"`
	RateIn   int64 `json:"rate_in"`
	RateOut  int64 `json:"rate_out"`
}

// Status is the whole answer of `meerkat status`.
type Status struct {
	Schema   string       `json:"schema"`
	Node     NodeStatus   `json:"node"`
	Pools    []PoolStatus `json:"pools"`
	Joining  []PoolInfo   `json:"joining,omitempty"`
	Transfer Transfer     `json:"transfer"`
}

// Healthy reports whether nothing waits for a person and no pool is halted.
func (s Status) Healthy() bool {
	for _, p := range s.Pools {
		if p.State == StateHalted || p.NeedsYou > 0 {
			return false
		}
	}
	return true
}

// PingInfo is one answer of a member.
type PingInfo struct {
	Schema string `json:"schema"`
	ID     string `json:"id"`
	OK     bool   `json:"ok"`
	RTTms  int64  `json:"rtt_ms"`
	Link   Link   `json:"link"`
	Why    string `json:"why,omitempty"`
}

// RequestInfo is a node that asks to join a pool of this one.
type RequestInfo struct {
	Schema string    `json:"schema"`
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Since  time.Time `json:"since"`
	Addr   string    `json:"addr,omitempty"`
	// Words are four words that the screen of the node that asks shows too.
	Words []string `json:"words,omitempty"`
}

// EventInfo is one line of `meerkat events`: something that happened on this
// node. Cursor grows; a stream can be taken up again behind it.
type EventInfo struct {
	Schema  string    `json:"schema"`
	Cursor  string    `json:"cursor"`
	Time    time.Time `json:"time"`
	Type    string    `json:"type"` // file.changed, file.deleted, conflict, held, problem, pool.state, pool.members, member.online, member.offline, ...
	Pool    string    `json:"pool"`
	By      string    `json:"by,omitempty"`
	Path    string    `json:"path,omitempty"`
	PathB64 string    `json:"path_b64,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}

// ChangeInfo is one line of `meerkat log`: a signed event of some member.
type ChangeInfo struct {
	Schema  string    `json:"schema"`
	Time    time.Time `json:"time"`
	Pool    string    `json:"pool"`
	By      string    `json:"by"`
	ByName  string    `json:"by_name"`
	Action  string    `json:"action"` // "created", "changed", "deleted", "mode", "settled" (a conflict)
	Kind    string    `json:"kind"`   // "file", "dir", "link"; a link that was deleted counts as a file
	Path    string    `json:"path"`
	PathB64 string    `json:"path_b64,omitempty"`
	Size    int64     `json:"size"`
}

// InviteRequest asks for a ticket; zero values take the defaults of CLI.md.
type InviteRequest struct {
	Pool    string        `json:"pool"` // name, id or prefix; "" when there is one pool
	Role    string        `json:"role"`
	Expires time.Duration `json:"expires"`
	Uses    int           `json:"uses"`
}

// JoinRequest asks to join by ticket ("mkt1…") or by a node's id or multiaddr.
type JoinRequest struct {
	Ticket string `json:"ticket,omitempty"`
	Node   string `json:"node,omitempty"`
	Dir    string `json:"dir"`
	Name   string `json:"name,omitempty"` // what this node calls itself to the pool
}

// LogRequest selects signed events, newest last.
type LogRequest struct {
	Pool   string    `json:"pool"`
	Path   string    `json:"path"`
	Since  time.Time `json:"since"`
	Follow bool      `json:"follow"`
	Last   int       `json:"last"` // only so many of those that are there already; 0: all
}
