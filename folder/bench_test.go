package folder_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// benchDir is on a disk: on a tmpfs syncing costs nothing. MEERKAT_BENCH_DIR names one.
func benchDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp(os.Getenv("MEERKAT_BENCH_DIR"), "folder-bench-")
	ensure(b, err)
	b.Cleanup(func() { ensure(b, os.RemoveAll(dir)) })
	return dir
}

func benchFolder(b *testing.B) *folder.Folder {
	b.Helper()
	f, err := folder.Create(folder.Config{Root: benchDir(b), Pool: testPool})
	ensure(b, err)
	b.Cleanup(func() { ensure(b, f.Close()) })
	return f
}

// BenchmarkApplySmall brings 10,000 files of 1 to 16 KiB in 100 directories, in batches of 1,000, durably.
func BenchmarkApplySmall(b *testing.B) {
	content := []byte(text(16<<10, 1))
	for b.Loop() {
		b.StopTimer()
		f := benchFolder(b)
		var dirs []folder.Step
		for d := range 100 {
			dirs = append(dirs, folder.Step{Path: event.Path(fmt.Sprintf("d%02d", d)), Want: event.Value{Kind: event.Dir, Mode: 0o755}})
		}
		var batches [10][]folder.Step
		for i := range 10000 {
			v := event.Value{Kind: event.File, Mode: 0o644, MTime: int64(i), Size: int64(1024 + i*7919%15361)}
			s := folder.Step{Path: event.Path(fmt.Sprintf("d%02d/f%d", i%100, i)), Want: v, How: folder.Staged}
			batches[i/1000] = append(batches[i/1000], s)
		}
		b.StartTimer()
		start := time.Now()
		benchApply(b, f, dirs)
		for _, steps := range batches {
			for _, s := range steps {
				ensure(b, f.Stage(s.Path, s.Want, [][]byte{content[:s.Want.Size]}))
			}
			benchApply(b, f, steps)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/10000files")
	}
}

func benchApply(b *testing.B, f *folder.Folder, steps []folder.Step) []folder.Outcome {
	b.Helper()
	out, err := f.Apply(b.Context(), steps, folder.Options{})
	ensure(b, err)
	for _, o := range out {
		if o.Result != folder.Done {
			b.Fatalf("%s: %s %v", o.Path, o.Result, o.Problem)
		}
	}
	return out
}

// BenchmarkRenameDir renames a directory of 1,000 files, 1 GiB (sparse here: a rename does not care).
func BenchmarkRenameDir(b *testing.B) {
	f := benchFolder(b)
	ensure(b, os.Mkdir(filepath.Join(f.Root(), "n0"), 0o755))
	have := func(p event.Path, v event.Value) folder.Have {
		st, _, err := f.Lstat(p)
		ensure(b, err)
		return folder.Have{Value: v, Stat: st, Exists: true}
	}
	name := func(d, i int) event.Path { return event.Path(fmt.Sprintf("n%d/f%d", d, i)) }
	for i := range 1000 {
		path := filepath.Join(f.Root(), string(name(0, i)))
		ensure(b, os.WriteFile(path, nil, 0o644))
		ensure(b, os.Truncate(path, 1<<20))
		ensure(b, os.Chtimes(path, time.Time{}, time.Unix(0, 5)))
	}
	n := 0
	for b.Loop() {
		wants := []folder.Want{
			{Path: event.Path(fmt.Sprintf("n%d", n)), Have: have(event.Path(fmt.Sprintf("n%d", n)), event.Value{Kind: event.Dir, Mode: 0o755})},
			{Path: event.Path(fmt.Sprintf("n%d", n+1)), Value: event.Value{Kind: event.Dir, Mode: 0o755}},
		}
		for i := range 1000 {
			v := event.Value{Kind: event.File, Root: chunker.ID{byte(i), byte(i >> 8), 1}, Size: 1 << 20, Mode: 0o644, MTime: 5}
			wants = append(wants, folder.Want{Path: name(n, i), Have: have(name(n, i), v)}, folder.Want{Path: name(n+1, i), Value: v})
		}
		benchApply(b, f, folder.Plan(wants))
		n++
	}
}

// BenchmarkApplyOne replaces one small file durably: what a save costs on the way to the other disk.
func BenchmarkApplyOne(b *testing.B) {
	f := benchFolder(b)
	content := []byte(text(4096, 2))
	var h folder.Have
	n := 0
	for b.Loop() {
		n++
		v := event.Value{Kind: event.File, Mode: 0o644, MTime: int64(n), Size: 4096, Root: chunker.ID{byte(n), byte(n >> 8), byte(n >> 16), 1}}
		ensure(b, f.Stage("a", v, [][]byte{content}))
		out := benchApply(b, f, []folder.Step{{Path: "a", Have: h, Want: v, How: folder.Staged}})
		h = folder.Have{Value: v, Stat: out[0].Stat, Exists: true}
	}
}

// BenchmarkPartial writes a file of 256 MiB chunk by chunk and makes it durable.
func BenchmarkPartial(b *testing.B) {
	const size, n = 64 << 10, 4096
	f := benchFolder(b)
	chunk := []byte(text(size, 3))
	m := chunker.Manifest{Size: size * n}
	for range n {
		m.Chunks = append(m.Chunks, chunker.Chunk{ID: chunker.Sum(chunk), Size: size})
	}
	b.SetBytes(m.Size)
	var last time.Duration
	for b.Loop() {
		p, err := f.OpenPartial(b.Context(), m.Root(), m)
		ensure(b, err)
		for i := range n {
			ensure(b, p.WriteChunk(i, chunk))
		}
		start := time.Now()
		ensure(b, p.Finish())
		last = time.Since(start)
		b.StopTimer()
		p, err = f.OpenPartial(b.Context(), m.Root(), m)
		ensure(b, err)
		ensure(b, p.Drop())
		b.StartTimer()
	}
	b.ReportMetric(float64(last.Milliseconds()), "ms/finish")
}

// BenchmarkReadChunk reads pieces of one big file, as serving does.
func BenchmarkReadChunk(b *testing.B) {
	f := benchFolder(b)
	ensure(b, os.WriteFile(filepath.Join(f.Root(), "big"), []byte(text(16<<20, 4)), 0o644))
	st, _, err := f.Lstat("big")
	ensure(b, err)
	dst := make([]byte, 64<<10)
	b.SetBytes(int64(len(dst)))
	i := int64(0)
	for b.Loop() {
		ensure(b, f.ReadChunk(folder.Place{Path: "big"}, st, i*int64(len(dst))%(16<<20), dst))
		i++
	}
}
