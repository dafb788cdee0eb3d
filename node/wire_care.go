package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Schemas of the answers about history, undo and care.
const (
	SchemaFileVersion = "meerkat.file_version/v1"
	SchemaRestore     = "meerkat.restore/v1"
	SchemaConflict    = "meerkat.conflict/v1"
	SchemaRule        = "meerkat.rule/v1"
	SchemaIgnored     = "meerkat.ignored/v1"
	SchemaWhy         = "meerkat.why/v1"
	SchemaSetting     = "meerkat.setting/v1"
	SchemaPause       = "meerkat.pause/v1"
	SchemaVerify      = "meerkat.verify/v1"
	SchemaRewind      = "meerkat.rewind/v1"
)

// Where the content of a version is found.
const (
	WhereHere    = "here"    // on this node's disk
	WhereMembers = "members" // on members that are online
	WhereNowhere = "nowhere" // on nobody who is online
)

// FileVersion is one state that a path had: what @VERSION names.
type FileVersion struct {
	Schema  string    `json:"schema"`
	Version string    `json:"version"`
	Path    string    `json:"path"`
	PathB64 string    `json:"path_b64,omitempty"`
	Time    time.Time `json:"time"`
	By      string    `json:"by"`      // "" where no signed event tells of it
	ByName  string    `json:"by_name"` // likewise
	Action  string    `json:"action"`  // of ChangeInfo, or "kept"
	Kind    string    `json:"kind"`
	Size    int64     `json:"size"`
	Current bool      `json:"current"` // it stands at the path now
	Where   string    `json:"where"`   // "here", "members", "nowhere"; "" for a deletion
	Members []string  `json:"members,omitempty"`
}

// VersionRequest names a version: by its id (a unique start is enough), by a
// time (what stood there then), or, with neither, the one before what stands
// there now.
type VersionRequest struct {
	Pool    string    `json:"pool"`
	Path    string    `json:"path"`
	Version string    `json:"version,omitempty"`
	At      time.Time `json:"at"`
}

// RestoreInfo says what became of one path that was to be brought back.
type RestoreInfo struct {
	Schema  string `json:"schema"`
	Path    string `json:"path"`
	PathB64 string `json:"path_b64,omitempty"`
	Version string `json:"version"`
	Size    int64  `json:"size"`
	From    string `json:"from"`  // "here", or the members that gave it
	State   string `json:"state"` // "done", "waiting", "already"
	Why     string `json:"why,omitempty"`
}

// ContentPart is a piece of a version's content; the first one has its facts.
type ContentPart struct {
	Version *FileVersion `json:"version,omitempty"`
	Mode    uint32       `json:"mode,omitempty"`
	MTime   int64        `json:"mtime,omitempty"` // ns
	Target  string       `json:"target,omitempty"`
	Data    []byte       `json:"data,omitempty"`
}

// ConflictInfo is one value that lost to a concurrent edit: it is kept in a
// copy beside its path.
type ConflictInfo struct {
	Schema     string    `json:"schema"`
	Pool       string    `json:"pool"`
	Path       string    `json:"path"`
	PathB64    string    `json:"path_b64,omitempty"`
	Copy       string    `json:"copy"`
	CopyB64    string    `json:"copy_b64,omitempty"`
	By         string    `json:"by"` // who made the losing edit
	ByName     string    `json:"by_name"`
	Time       time.Time `json:"time"`
	Size       int64     `json:"size"`
	Kind       string    `json:"kind"`
	KeptBy     string    `json:"kept_by"` // who made what stands at the path; "" where nothing does
	KeptByName string    `json:"kept_by_name"`
	KeptTime   time.Time `json:"kept_time"`
	KeptSize   int64     `json:"kept_size"`
}

// ResolveRequest settles the conflict at a path: Keep is a member (whose value
// stays), "both", or the path of a file in the pool whose content stays.
type ResolveRequest struct {
	Pool string `json:"pool"`
	Path string `json:"path"`
	Keep string `json:"keep"`
}

// ResolveInfo says what a settlement did: paths with a new value, and paths
// that are gone (their content becomes a version).
type ResolveInfo struct {
	Schema  string   `json:"schema"` // meerkat.resolved/v1
	Path    string   `json:"path"`
	Changed []string `json:"changed"`
	Removed []string `json:"removed"`
}

// SchemaResolved is the schema of ResolveInfo.
const SchemaResolved = "meerkat.resolved/v1"

// RuleInfo is one ignore rule that counts now.
type RuleInfo struct {
	Schema  string `json:"schema"`
	File    string `json:"file"` // "" for what is built in
	Line    int    `json:"line"`
	Pattern string `json:"pattern"`
}

// IgnoredInfo says whether a path is ignored, and by which rule; the zero Rule:
// by none.
type IgnoredInfo struct {
	Schema  string   `json:"schema"`
	Path    string   `json:"path"`
	PathB64 string   `json:"path_b64,omitempty"`
	Ignored bool     `json:"ignored"`
	Rule    RuleInfo `json:"rule"`
}

// RuleRequest adds a rule, to the shared file or to the one of this node.
type RuleRequest struct {
	Pool    string `json:"pool"`
	Pattern string `json:"pattern"`
	Local   bool   `json:"local"`
}

// What a member has of a path.
const (
	HoldsAll     = "has"
	HoldsPart    = "part"
	HoldsNone    = "lacks"
	HoldsUnaware = "unaware" // it has not heard of the newest change
	HoldsIgnores = "ignores"
	HoldsUnknown = "unknown"
)

// WhyInfo is one causal answer about a path, for the whole pool.
type WhyInfo struct {
	Schema  string      `json:"schema"`
	Pool    string      `json:"pool"`
	Path    string      `json:"path"` // where a directory was asked for, the first thing in it that waits
	PathB64 string      `json:"path_b64,omitempty"`
	State   string      `json:"state"` // "in_sync", "fetching", "waiting", "ignored", "local", or a pool's state
	Cause   string      `json:"cause"` // one sentence without its full stop
	Hint    string      `json:"hint"`
	Kind    string      `json:"kind,omitempty"` // "file", "dir", "link", "deleted"
	Size    int64       `json:"size"`
	Time    *time.Time  `json:"time,omitempty"` // of the last change
	By      string      `json:"by,omitempty"`
	ByName  string      `json:"by_name,omitempty"`
	Members []WhyMember `json:"members"`
}

// WhyMember is what one member has of the path, and what it waits for.
type WhyMember struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Role     string     `json:"role"`
	Self     bool       `json:"self,omitempty"`
	Online   bool       `json:"online"`
	LastSeen *time.Time `json:"last_seen"`
	State    string     `json:"state"`
	Percent  int        `json:"percent"` // of the content that is there
	Reason   string     `json:"reason,omitempty"`
	Message  string     `json:"message,omitempty"`

	id peer.ID
}

// SettingInfo is one key of the configuration.
type SettingInfo struct {
	Schema  string   `json:"schema"`
	Key     string   `json:"key"`
	Values  []string `json:"values"` // one, unless the key takes a list
	Default []string `json:"default"`
	Source  string   `json:"source"`  // "default", "file", "environment", "flag": who wins
	Restart bool     `json:"restart"` // a change takes effect at the next start
}

// PauseRequest names what is paused or resumed: a pool, a member, or with
// neither all pools.
type PauseRequest struct {
	Pool   string        `json:"pool"`
	Member string        `json:"member"`
	For    time.Duration `json:"for"` // 0: until resumed
}

// PauseInfo says what is paused now, or goes on.
type PauseInfo struct {
	Schema string     `json:"schema"`
	Pool   string     `json:"pool,omitempty"`
	Member string     `json:"member,omitempty"`
	Paused bool       `json:"paused"`
	Until  *time.Time `json:"until,omitempty"`
}

// VerifyRequest selects what is read and compared; Rate is in bytes per
// second, 0 for a default that leaves the disk room for others.
type VerifyRequest struct {
	Pool   string `json:"pool"`
	Path   string `json:"path"`
	Repair bool   `json:"repair"`
	Rate   int64  `json:"rate"`
}

// VerifyInfo is a finding, the progress, or the sum of a verification.
type VerifyInfo struct {
	Schema     string `json:"schema"`
	State      string `json:"state"` // "corrupted", "repaired", "unreadable", "unknown", "progress", "done"
	Path       string `json:"path,omitempty"`
	PathB64    string `json:"path_b64,omitempty"`
	Message    string `json:"message,omitempty"`
	DoneFiles  int64  `json:"done_files"`
	TotalFiles int64  `json:"total_files"`
	DoneBytes  int64  `json:"done_bytes"`
	TotalBytes int64  `json:"total_bytes"`
	Corrupted  int64  `json:"corrupted"`
	Repaired   int64  `json:"repaired"`
}

// RewindRequest selects one member's changes in a span of time; Until zero is
// up to now.
type RewindRequest struct {
	Pool   string    `json:"pool"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	DryRun bool      `json:"dry_run"`
}

// RewindInfo says what becomes of one path.
type RewindInfo struct {
	Schema  string `json:"schema"`
	Action  string `json:"action"` // "lost" (cannot be brought back), "restore", "delete", "kept"
	Path    string `json:"path"`
	PathB64 string `json:"path_b64,omitempty"`
	Size    int64  `json:"size"`
	Why     string `json:"why,omitempty"`
}
