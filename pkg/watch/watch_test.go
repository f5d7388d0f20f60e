package watch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/internal/pcapgen"
)

// capture is a pcap file of n packets that begins at a time of its own.
func capture(start, n int) []byte {
	var packets []pcapgen.Packet
	for i := range n {
		packets = append(packets, pcapgen.Packet{Time: int64(start)*1e9 + int64(i), Data: bytes.Repeat([]byte{byte(i)}, 60)})
	}
	return pcapgen.Classic{Order: binary.LittleEndian, Link: 1}.File(packets)
}

// folder is a watched folder.
type folder struct {
	*testing.T
	cfg Config
	log bytes.Buffer
	mu  sync.Mutex
}

func (f *folder) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(b)
}

func (f *folder) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Directory, cfg.State = t.TempDir(), filepath.Join(t.TempDir(), "state.json")
	cfg.Settle = 60 * time.Millisecond
	return &folder{T: t, cfg: cfg}
}

func (f *folder) path(name string) string { return filepath.Join(f.cfg.Directory, name) }

func (f *folder) write(name string, b []byte) {
	f.Helper()
	if err := os.WriteFile(f.path(name), b, 0o600); err != nil {
		f.Fatal(err)
	}
}

func (f *folder) rename(from, to string) {
	f.Helper()
	if err := os.Rename(f.path(from), f.path(to)); err != nil {
		f.Fatal(err)
	}
}

// age gives a file a modification time some seconds ago.
func (f *folder) age(name string, seconds int) {
	f.Helper()
	at := time.Now().Add(-time.Duration(seconds) * time.Second)
	if err := os.Chtimes(f.path(name), at, at); err != nil {
		f.Fatal(err)
	}
}

func (f *folder) watch() *Watcher {
	f.Helper()
	w, err := New(f.cfg, slog.New(slog.NewTextHandler(f, nil)))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := w.Close(); err != nil {
			f.Error(err)
		}
	})
	return w
}

// next takes n files and is done with them.
func (f *folder) next(w *Watcher, n int) []string {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var names []string
	for range n {
		path, err := w.Next(ctx)
		if err != nil {
			f.Fatalf("after %q: %v", names, err)
		}
		names = append(names, filepath.Base(path))
		if err := w.Done(path); err != nil {
			f.Fatal(err)
		}
	}
	return names
}

// nothing fails when a file is handed over within some settling times.
func (f *folder) nothing(w *Watcher) {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*f.cfg.Settle)
	defer cancel()
	if path, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("got %q, %v; want nothing", path, err)
	}
}

func (f *folder) want(got []string, want ...string) {
	f.Helper()
	if d := cmp.Diff(want, got); d != "" {
		f.Errorf("files (-want +got):\n%s", d)
	}
}

func TestFilesComeOldestFirstAndOnceOverRestarts(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	for i, name := range []string{"b.pcap", "c.pcapng.gz", "a.pcap", "d.pcap.00003", "notes.txt", "e.pcap.zst"} {
		f.write(name, capture(i, 100))
		f.age(name, 100-10*i)
	}
	f.write("twin 2.pcap", capture(50, 1))
	f.write("twin 1.pcap", capture(60, 1))
	for _, name := range []string{"twin 1.pcap", "twin 2.pcap"} { // of the same time: by name
		at := time.Unix(1_700_000_000, 0)
		if err := os.Chtimes(f.path(name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(f.path("folder.pcap"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := f.watch()
	f.want(f.next(w, 4), "twin 1.pcap", "twin 2.pcap", "b.pcap", "c.pcapng.gz")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if path, err := w.Next(ctx); err != nil || filepath.Base(path) != "a.pcap" { // in progress when the process ends
		t.Fatal(path, err)
	}
	again := f.watch()
	f.want(f.next(again, 3), "a.pcap", "d.pcap.00003", "e.pcap.zst")
	f.nothing(again)
	f.write("late.pcap", capture(99, 5))
	f.want(f.next(again, 1), "late.pcap")
	f.nothing(f.watch())
}

func TestAFileIsCompleteWhenItsWriterRests(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.cfg.Settle = 400 * time.Millisecond
	w := f.watch()
	whole := capture(7, 200)
	wrote := make(chan error, 1)
	go func() { // ends when the file is written
		var err error
		for at := 0; at < len(whole) && err == nil; at += len(whole) / 10 {
			var h *os.File
			if h, err = os.OpenFile(f.path("slow.pcap"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				_, err = h.Write(whole[at:min(at+len(whole)/10, len(whole))])
				err = errors.Join(err, h.Close())
			}
			time.Sleep(f.cfg.Settle / 8)
		}
		wrote <- err
	}()
	f.want(f.next(w, 1), "slow.pcap")
	got, err := os.ReadFile(f.path("slow.pcap"))
	if err = errors.Join(err, <-wrote); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, whole) {
		t.Errorf("handed over with %d bytes, want %d", len(got), len(whole))
	}
}

func TestAFileThatIsOpenForWritingWaits(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	h, err := os.Create(f.path("quiet.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Write(capture(1, 1)); err != nil {
		t.Fatal(err)
	}
	if r, err := os.Open(f.path("quiet.pcap")); err != nil || !beingWritten(r) {
		t.Skip("this file system does not tell", err)
	}
	w := f.watch()
	f.nothing(w)
	if n := strings.Count(f.logged(), "open for writing"); n != 1 {
		t.Errorf("%d log lines about it, want 1:\n%s", n, f.logged())
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	f.want(f.next(w, 1), "quiet.pcap")
}

func TestRotationByRenamingReadsEachCaptureOnce(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	w := f.watch()
	f.write("cap.pcap", capture(1, 10))
	f.want(f.next(w, 1), "cap.pcap")
	for i := 2; i < 6; i++ {
		for n := i - 1; n > 1; n-- {
			f.rename(fmt.Sprintf("cap.pcap%d", n-1), fmt.Sprintf("cap.pcap%d", n))
		}
		f.rename("cap.pcap", "cap.pcap1")
		f.write("part.tmp", capture(i, 10)) // of the same size
		f.rename("part.tmp", "cap.pcap")
		if i%2 == 0 {
			w = f.watch() // a restart
		}
		f.want(f.next(w, 1), "cap.pcap")
		f.nothing(w)
	}
}

func TestAFileThatChangesAfterwards(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	w := f.watch()
	f.write("a.pcap", capture(1, 100))
	f.want(f.next(w, 1), "a.pcap")

	f.age("a.pcap", 1000) // touched
	f.nothing(w)
	f.write("a.pcap", capture(1, 70)) // cut
	f.nothing(w)
	if !strings.Contains(f.logged(), "shorter than when it was read") {
		t.Errorf("nothing logged about the cut file:\n%s", f.logged())
	}
	f.write("a.pcap", capture(1, 130)) // grown
	f.want(f.next(w, 1), "a.pcap")
	if !strings.Contains(f.logged(), "grown since it was read") {
		t.Errorf("nothing logged about the grown file:\n%s", f.logged())
	}
	f.write("a.pcap", capture(2, 130)) // another capture
	f.want(f.next(w, 1), "a.pcap")

	// While it is being read it is replaced: that is another file.
	f.write("a.pcap", capture(3, 10))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	path, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f.write("a.pcap", capture(4, 10))
	f.nothing(w)
	if err := w.Done(path); err != nil {
		t.Fatal(err)
	}
	f.want(f.next(w, 1), "a.pcap")
	if err := w.Done(path); err == nil {
		t.Error("done twice without an error")
	}
}

func TestAThousandFilesAtOnce(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	w := f.watch()
	var want []string
	for i := range 1000 {
		name := fmt.Sprintf("%04d.pcap", i)
		f.write(name, capture(i, 1))
		want = append(want, name)
	}
	gone := []int{200, 999}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var got []string
	for range len(want) - len(gone) {
		path, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, filepath.Base(path))
		if len(got) == 1 { // these vanish after the listing
			for _, i := range gone {
				if err := os.Remove(f.path(want[i])); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(got)%100 == 0 {
			if err := w.Done(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	want = slices.DeleteFunc(want, func(name string) bool { return name == "0200.pcap" || name == "0999.pcap" })
	slices.Sort(got) // times may be equal, or not, by the clock of the file system
	f.want(got, want...)
	f.nothing(w)
	if n := strings.Count(f.logged(), "gone before it was read"); n > len(gone) {
		t.Errorf("%d log lines about %d files", n, len(gone))
	}
}

func TestWhatIsGoneIsForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	s, err := loadState(f.cfg.State)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxGone + 500 {
		s.add(fmt.Sprintf("gone \xff%d.pcap", i), identity{Size: 1, Modified: int64(i), Head: "x"})
	}
	if err := s.save(); err != nil {
		t.Fatal(err)
	}
	w := f.watch()
	f.write("here.pcap", capture(1, 1))
	f.want(f.next(w, 1), "here.pcap")
	f.nothing(w)
	if s, err = loadState(f.cfg.State); err != nil {
		t.Fatal(err)
	}
	if len(s.done) != maxGone+1 || len(s.names) != maxGone+1 {
		t.Errorf("%d files remembered, want %d", len(s.done), maxGone+1)
	}
	if name, ok := s.done[identity{Size: 1, Modified: maxGone + 499, Head: "x"}]; name != "gone \xff1499.pcap" || !ok {
		t.Errorf("the last one is remembered as %q", name)
	}
}

func TestFaultsAreNamed(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"cut": `{"version":1,"done":[{"na`, "no JSON": "\x00\x00\x00", "other version": `{"version":9}`, "bad name": `{"version":1,"done":[{"name":"%zz"}]}`} {
		f := newFolder(t)
		if err := os.WriteFile(f.cfg.State, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(f.cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), f.cfg.State+" is broken") {
			t.Errorf("%s: error %v, want one that names %s", name, err, f.cfg.State)
		}
	}
	f := newFolder(t)
	f.cfg.Directory = f.path("missing")
	if _, err := New(f.cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), f.cfg.Directory) {
		t.Errorf("error %v, want one that names %s", err, f.cfg.Directory)
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	if _, err := New(DefaultConfig(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "directory: ") {
		t.Errorf("error %v, want one about the directory", err)
	}
	bad := Config{Directory: "x", Patterns: []string{"[a"}, Rescan: -1}
	err := bad.Validate()
	for _, part := range []string{"state: ", "settle: ", "rescan: ", `patterns: "[a"`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q in it", err, part)
		}
	}
}

func TestAFolderThatComesBackIsWatchedAgain(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.cfg.Directory = f.path("captures")
	f.cfg.Rescan = 50 * time.Millisecond
	if err := os.Mkdir(f.cfg.Directory, 0o700); err != nil {
		t.Fatal(err)
	}
	w := f.watch()
	f.write("a.pcap", capture(1, 1))
	f.want(f.next(w, 1), "a.pcap")
	if err := os.RemoveAll(f.cfg.Directory); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if path, err := w.Next(ctx); err == nil || !strings.Contains(err.Error(), f.cfg.Directory) {
		t.Errorf("got %q, %v; want an error that names the folder", path, err)
	}
	if err := os.Mkdir(f.cfg.Directory, 0o700); err != nil {
		t.Fatal(err)
	}
	f.write("b.pcap", capture(2, 1))
	f.want(f.next(w, 1), "b.pcap")
}
