// Package corpus gives tests the captures that Trench is measured on. They do
// not belong to this repository: they lie in archives (tar, zstd) beside it,
// at ../shared/corpus from the repository's root, and are unpacked once into
// the user's cache directory:
//
//	<cache>/trench/corpus/<key>/          the tree of all archives
//	<cache>/trench/corpus/<key>.lock      held while unpacking
//
// The key is a digest over the names, sizes, first and last bytes of the archives,
// so a changed corpus is unpacked anew.
package corpus

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// EnvDir names the variable with a directory that holds the corpus unpacked.
const EnvDir = "TRENCH_CORPUS"

const (
	maxWindow = 128 << 20 // the archives are made with a window of this size
	maxTotal  = 4 << 30   // no corpus is larger; an archive that is has gone wrong
	keyBytes  = 64 << 10  // read from either end of an archive for the key
)

// Archives returns the names of the archives that make up the corpus.
func Archives() []string {
	return []string{"conformance.tar.zst", "train.tar.zst", "train-2.tar.zst"}
}

// Dir returns the root of the unpacked corpus. Without the corpus the test is
// skipped, and fails when the variable CI is true.
func Dir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv(EnvDir); dir != "" {
		if _, err := os.Stat(dir); err != nil {
			t.Fatalf("%s: %v", EnvDir, err)
		}
		return dir
	}
	src, err := Find()
	if errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("corpus: %v", err)
		}
		t.Skipf("SKIPPED, NOT TESTED: the corpus is not there: %v", err)
	} else if err != nil {
		t.Fatalf("corpus: %v", err)
	}
	dir, err := unpacked(src)
	if err != nil {
		t.Fatalf("corpus: %v", err)
	}
	return dir
}

// Find returns the directory with the archives, flow_labels.csv and
// manifest.csv, going up from the working
// directory to the repository's root.
func Find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above the working directory: %w", fs.ErrNotExist)
		}
		dir = parent
	}
	src := filepath.Join(filepath.Dir(dir), "shared", "corpus")
	for _, name := range Archives() {
		if _, err := os.Stat(filepath.Join(src, name)); err != nil {
			return "", err
		}
	}
	return src, nil
}

// unpackOnce returns the tree of the named archives of src, under cache. The
// first caller unpacks, into a directory that gets its name when it is whole;
// others wait.
func unpackOnce(src, cache string, names []string) (string, error) {
	key, err := archiveKey(src, names)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which gives the lock back
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp := dir + ".tmp" // nobody else can be at it: the lock is ours
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	for _, name := range names {
		if err := unpack(filepath.Join(src, name), tmp); err != nil {
			return "", errors.Join(fmt.Errorf("unpack %s: %w", name, err), os.RemoveAll(tmp))
		}
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", err
	}
	return dir, nil
}

func archiveKey(src string, names []string) (string, error) {
	sum := sha256.New()
	for _, name := range names {
		f, err := os.Open(filepath.Join(src, name))
		if err != nil {
			return "", err
		}
		info, err := f.Stat()
		if err == nil {
			fmt.Fprintf(sum, "%s %d\n", name, info.Size())
			_, err = io.Copy(sum, io.NewSectionReader(f, 0, keyBytes))
		}
		if err == nil {
			_, err = io.Copy(sum, io.NewSectionReader(f, max(0, info.Size()-keyBytes), keyBytes))
		}
		f.Close()
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return err
	}
	defer z.Close()
	left := int64(maxTotal)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("entry %q leaves the directory", h.Name)
		}
		path := filepath.Join(dir, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
		case tar.TypeReg:
			if left -= h.Size; left < 0 {
				return fmt.Errorf("entry %q: over %d bytes in all", h.Name, int64(maxTotal))
			}
			if err := writeFile(path, r); err != nil {
				return err
			}
		default:
			return fmt.Errorf("entry %q: neither file nor directory", h.Name)
		}
	}
}

func writeFile(path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
