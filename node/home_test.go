package node_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/bwaklog/meerkat/node"
	"github.com/bwaklog/meerkat/pool"
)

func TestIdentityStays(t *testing.T) {
	dir := t.TempDir()
	h := mustHome(t, dir, "", node.HomeConfig{})
	id := h.ID()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(dir, "identity.key"))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("identity.key: %v, %v; want mode 0600", fi, err)
	}
	if again := mustHome(t, dir, "", node.HomeConfig{}).ID(); again != id {
		t.Errorf("id %s after a restart, was %s", again, id)
	}
}

func TestBadIdentityIsLeftAlone(t *testing.T) {
	rsa, _, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := crypto.MarshalPrivateKey(rsa)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		mode    os.FileMode
		code    string
	}{
		"empty":       {nil, 0o600, "identity_corrupt"},
		"garbage":     {[]byte("not a key"), 0o600, "identity_corrupt"},
		"huge":        {make([]byte, 1<<20), 0o600, "identity_corrupt"},
		"another key": {rsaKey, 0o600, "identity_corrupt"},
		"readable":    {[]byte("x"), 0o644, "identity_exposed"},
		"writable":    {[]byte("x"), 0o620, "identity_exposed"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "identity.key")
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := openHome(t, dir, "", node.HomeConfig{})
		wantError(t, name, err, c.code, 1, path)
		if b, err := os.ReadFile(path); err != nil || string(b) != string(c.content) {
			t.Errorf("%s: the key file was touched: %v", name, err)
		}
	}
}

func TestOneProcessAHome(t *testing.T) {
	dir := t.TempDir()
	h := mustHome(t, dir, "", node.HomeConfig{})
	_, err := openHome(t, dir, "", node.HomeConfig{})
	wantError(t, "second", err, "home_in_use", 1, "locked by process")
	held, ok := errors.AsType[*node.HomeLockedError](err)
	if !ok || held.PID != os.Getpid() {
		t.Errorf("held by %+v, want process %d", held, os.Getpid())
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	mustHome(t, dir, "", node.HomeConfig{})
}

func TestHomeThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := node.OpenHome(node.HomeConfig{Dir: filepath.Join(file, "home"), Env: lookup(nil)})
	wantError(t, "below a file", err, "home_unusable", 1)
	_, err = node.OpenHome(node.HomeConfig{Env: lookup(nil)})
	wantError(t, "nowhere", err, "home_unusable", 1)
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state", "CURRENT"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = openHome(t, dir, "", node.HomeConfig{})
	if e, ok := errors.AsType[*node.Error](err); err != nil && (!ok || e.Exit != 1) {
		t.Errorf("garbage in the state: %v", err)
	}
}

func TestInitMakesAPool(t *testing.T) {
	h := mustHome(t, t.TempDir(), "# mine\nname = \"pi\"\n", node.HomeConfig{})
	dir := filepath.Join(t.TempDir(), "new", "Sync")
	info, err := h.Init(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != "Sync" || info.Path != dir || info.Role != "admin" || len(info.ID) != 64 || info.Pending {
		t.Errorf("Init = %+v", info)
	}
	list, err := h.PoolList(t.Context())
	if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], info) {
		t.Errorf("PoolList = %+v, %v, want %+v", list, err, info)
	}
	peers, err := h.PeerList(t.Context(), "")
	if err != nil || len(peers) != 1 || peers[0].Name != "pi" || !peers[0].Self {
		t.Errorf("PeerList = %+v, %v", peers, err)
	}
	b, err := os.ReadFile(h.ConfigPath())
	if err != nil || !strings.HasPrefix(string(b), "# mine\n") || !strings.Contains(string(b), info.ID) {
		t.Errorf("config:\n%s\n%v", b, err)
	}
	_, err = h.Init(t.Context(), dir, "again")
	wantError(t, "the same folder", err, "folder_taken", 10)
}

func TestFoldersThatCannotBeAPools(t *testing.T) {
	base := t.TempDir()
	home := filepath.Join(base, "a", "home")
	h := mustHome(t, mkdir(t, home), "", node.HomeConfig{})
	mine := filepath.Join(base, "pools", "mine")
	if _, err := h.Init(t.Context(), mine, "mine"); err != nil {
		t.Fatal(err)
	}
	other := mustHome(t, t.TempDir(), "", node.HomeConfig{})
	theirs := filepath.Join(base, "pools2", "theirs")
	if _, err := other.Init(t.Context(), theirs, "theirs"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(mine, link); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(base, "dangling")
	if err := os.Symlink(filepath.Join(base, "none"), dangling); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir, code string
		exit      int
	}{
		"root":                    {"/", "bad_folder", 2},
		"relative":                {"Sync", "bad_folder", 2},
		"home":                    {home, "bad_folder", 2},
		"inside home":             {filepath.Join(home, "x"), "bad_folder", 2},
		"around home":             {filepath.Join(base, "a"), "bad_folder", 2},
		"around all":              {base, "bad_folder", 2},
		"inside a pool":           {filepath.Join(mine, "x", "y"), "folder_nested", 2},
		"inside a pool by link":   {filepath.Join(link, "x"), "folder_nested", 2},
		"around a pool":           {filepath.Dir(mine), "folder_nested", 2},
		"inside another home's":   {filepath.Join(theirs, "x"), "folder_nested", 2},
		"around another home's":   {filepath.Dir(theirs), "folder_nested", 2},
		"another home's":          {theirs, "folder_taken", 10},
		"a file":                  {file, "folder_not_dir", 2},
		"below a file":            {filepath.Join(file, "x"), "folder_not_dir", 2},
		"link that leads nowhere": {dangling, "folder_unwritable", 1},
	} {
		_, err := h.Init(t.Context(), c.dir, "x")
		wantError(t, name, err, c.code, c.exit)
	}
	if n := len(h.Pools()); n != 1 {
		t.Errorf("%d pools after refusals, want 1", n)
	}
	if _, err := h.Init(t.Context(), filepath.Join(base, "ok"), "a\x1bb"); err == nil {
		t.Error("a name with control characters was taken")
	}
}

func mkdir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestInitGoesOnAfterACrash(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	h := mustHome(t, home, "", node.HomeConfig{})
	first, err := h.Init(t.Context(), dir, "p")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	// As if it had stopped just before the config was written.
	if err := os.Remove(filepath.Join(home, "config.toml")); err != nil {
		t.Fatal(err)
	}
	again, err := mustHome(t, home, "", node.HomeConfig{}).Init(t.Context(), dir, "p")
	if err != nil || again.ID != first.ID {
		t.Errorf("Init again = %+v, %v, want pool %s", again, err, first.ID)
	}
}

func TestLeaveForgetsAllButTheFiles(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	h := mustHome(t, home, "", node.HomeConfig{})
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it can be made a pool again afterwards
		if _, err := h.Init(t.Context(), dir, "p"); err != nil {
			t.Fatal(err)
		}
		if err := h.Leave(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
		ids, err := h.DB().Pools()
		if err != nil || len(ids) != 0 || len(h.Pools()) != 0 {
			t.Errorf("after leaving: state has %v (%v), config %v", ids, err, h.Pools())
		}
		if b, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(b) != "x" {
			t.Errorf("the file: %q, %v", b, err)
		}
	}
	wantError(t, "no such pool", h.Leave(t.Context(), "p"), "no_pool", 4)
}

func TestPickPool(t *testing.T) {
	h := mustHome(t, t.TempDir(), "", node.HomeConfig{})
	a, err := h.Init(t.Context(), t.TempDir(), "alpha")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Init(t.Context(), t.TempDir(), "beta"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alpha", a.ID, a.ID[:20]} {
		if p, err := h.Pick(name); err != nil || p.ID.String() != a.ID {
			t.Errorf("Pick(%q) = %v, %v", name, p, err)
		}
	}
	_, err = h.Pick("")
	wantError(t, "which", err, "which_pool", 2)
	_, err = h.Pick("gamma")
	wantError(t, "none", err, "no_pool", 4)
}

func TestInvite(t *testing.T) {
	h := mustHome(t, t.TempDir(), "", node.HomeConfig{})
	if _, err := h.Init(t.Context(), t.TempDir(), "p"); err != nil {
		t.Fatal(err)
	}
	addrs := slices.Repeat([]string{"/ip4/127.0.0.1/tcp/1"}, 9)
	info, err := h.Invite(t.Context(), node.InviteRequest{}, addrs)
	if err != nil {
		t.Fatal(err)
	}
	tk, err := pool.ParseTicket(info.Ticket)
	if err != nil || tk.Role != pool.Writer || tk.Uses != 1 || len(tk.Addrs) != pool.MaxAddrs {
		t.Errorf("ticket %+v, %v", tk, err)
	}
	if d := time.Until(info.Expires); d < 23*time.Hour || d > 24*time.Hour {
		t.Errorf("expires in %v, want a day", d)
	}
	_, err = h.Invite(t.Context(), node.InviteRequest{Role: "boss"}, nil)
	wantError(t, "role", err, "bad_role", 2)
	_, err = h.Invite(t.Context(), node.InviteRequest{Uses: -1}, nil)
	wantError(t, "uses", err, "bad_terms", 2)
	_, err = h.Invite(t.Context(), node.InviteRequest{Expires: -time.Hour}, nil)
	wantError(t, "expires", err, "bad_terms", 2)
}

func TestJoinsWaitInTheState(t *testing.T) {
	host := mustHome(t, t.TempDir(), "", node.HomeConfig{})
	if _, err := host.Init(t.Context(), t.TempDir(), "p"); err != nil {
		t.Fatal(err)
	}
	ticket, err := host.Invite(t.Context(), node.InviteRequest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	home, dir := t.TempDir(), filepath.Join(t.TempDir(), "new")
	h := mustHome(t, home, "", node.HomeConfig{})
	req := node.JoinRequest{Ticket: ticket.Ticket, Dir: dir}
	first, err := h.NoteJoin(req)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.NoteJoin(req); err != nil || again.Key != first.Key {
		t.Errorf("the same join again = %+v, %v", again, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = mustHome(t, home, "", node.HomeConfig{})
	waiting := h.PendingJoins()
	if len(waiting) != 1 || waiting[0] != first {
		t.Fatalf("after a restart %+v, want %+v", waiting, first)
	}
	list, err := h.PoolList(t.Context())
	if err != nil || len(list) != 1 || !list[0].Pending || list[0].Name != "p" {
		t.Errorf("PoolList = %+v, %v", list, err)
	}
	if err := h.DropPending(waiting[0]); err != nil || len(h.PendingJoins()) != 0 {
		t.Errorf("after dropping: %v, %v", h.PendingJoins(), err)
	}
}

func TestJoinsRefusedAtOnce(t *testing.T) {
	h := mustHome(t, t.TempDir(), "", node.HomeConfig{})
	if _, err := h.Init(t.Context(), t.TempDir(), "p"); err != nil {
		t.Fatal(err)
	}
	own, err := h.Invite(t.Context(), node.InviteRequest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bad := []byte(own.Ticket)
	bad[20] ^= 1
	for name, c := range map[string]struct {
		req  node.JoinRequest
		code string
		exit int
	}{
		"damaged":  {node.JoinRequest{Ticket: string(bad)}, "ticket_damaged", 9},
		"later":    {node.JoinRequest{Ticket: "mkt2abc"}, "ticket_version", 9},
		"nonsense": {node.JoinRequest{Node: "laptop"}, "usage", 2},
		"itself":   {node.JoinRequest{Node: h.ID().String()}, "usage", 2},
		"bad name": {node.JoinRequest{Node: "x", Name: "a\nb"}, "bad_name", 2},
	} {
		c.req.Dir = filepath.Join(t.TempDir(), "x")
		_, err := h.NoteJoin(c.req)
		wantError(t, name, err, c.code, c.exit)
		if _, err := os.Stat(c.req.Dir); err == nil {
			t.Errorf("%s: the folder was made", name)
		}
	}
	_, err = h.NoteJoin(node.JoinRequest{Ticket: own.Ticket, Dir: t.TempDir()})
	if e, ok := errors.AsType[*node.Error](err); !ok || e.Code != "already_member" || e.Exit != 10 {
		t.Errorf("own pool: %v", err)
	}
}

func TestCodesAreWhole(t *testing.T) {
	codes := node.Codes()
	for code, exit := range codes {
		if exit < 1 || exit > 10 {
			t.Errorf("%s has exit code %d", code, exit)
		}
	}
	for code := range node.RefusalCodes() {
		if _, ok := codes[code]; !ok {
			t.Errorf("refusal %s is in no table of codes", code)
		}
	}
}
