package corpus

import (
	"archive/tar"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

type entry struct {
	name, body string
	kind       byte
}

func archive(t *testing.T, path string, entries ...entry) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Mode: 0o644}
		if e.kind == tar.TypeReg {
			h.Size = int64(len(e.body))
		} else {
			h.Linkname = e.body
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if e.kind == tar.TypeReg {
			if _, err := w.Write([]byte(e.body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestArchivesUnpackIntoOneTreeOnce(t *testing.T) {
	t.Parallel()
	src, cache := t.TempDir(), t.TempDir()
	archive(t, filepath.Join(src, "a.tar.zst"), entry{"x/one.pcap", "1", tar.TypeReg})
	archive(t, filepath.Join(src, "b.tar.zst"), entry{"y", "", tar.TypeDir}, entry{"y/two.pcap", "2", tar.TypeReg})
	names := []string{"a.tar.zst", "b.tar.zst"}

	var dirs [4]string
	var wg sync.WaitGroup
	for i := range dirs {
		wg.Go(func() {
			dir, err := unpackOnce(src, cache, names)
			if err != nil {
				t.Error(err)
			}
			dirs[i] = dir
		})
	}
	wg.Wait()
	for _, dir := range dirs {
		if dir != dirs[0] {
			t.Fatalf("two trees for one corpus: %s and %s", dir, dirs[0])
		}
	}
	for name, want := range map[string]string{"x/one.pcap": "1", "y/two.pcap": "2"} {
		got, err := os.ReadFile(filepath.Join(dirs[0], name))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
		}
	}

	archive(t, filepath.Join(src, "b.tar.zst"), entry{"y/three.pcap", "333", tar.TypeReg})
	again, err := unpackOnce(src, cache, names)
	if err != nil {
		t.Fatal(err)
	}
	if again == dirs[0] {
		t.Error("a changed archive has the tree of the old one")
	}
}

func TestBadArchivesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]entry{
		"path that leaves the directory": {"../evil", "x", tar.TypeReg},
		"symbolic link":                  {"link", "/etc/passwd", tar.TypeSymlink},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, cache := t.TempDir(), t.TempDir()
			archive(t, filepath.Join(src, "a.tar.zst"), entry{"fine", "x", tar.TypeReg}, e)
			if dir, err := unpackOnce(src, cache, []string{"a.tar.zst"}); err == nil {
				t.Fatalf("unpacked into %s, want an error", dir)
			}
			left, err := filepath.Glob(filepath.Join(cache, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range left {
				if filepath.Ext(l) != ".lock" {
					t.Errorf("left behind: %s", l)
				}
			}
		})
	}
}

func TestCorpusHoldsCapturesAndExpectations(t *testing.T) {
	t.Parallel()
	dir := Dir(t)
	for _, name := range []string{"golden/tshark", "golden/ja4/rust", "protocol-tests", "malware", "benign"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.IsDir() {
			t.Errorf("%s is not a directory of the corpus: %v", name, err)
		}
	}
}
