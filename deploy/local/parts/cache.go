//go:build linux

package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// cache holds downloads that clones of the repository share.
type cache struct{ dir string }

// openCache is the folder from the environment or the user's cache folder.
func openCache() (cache, error) {
	dir := os.Getenv("TRENCH_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return cache{}, fmt.Errorf("no cache folder, set TRENCH_CACHE: %w", err)
		}
		dir = filepath.Join(base, "trench")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return cache{}, err
	}
	return cache{dir}, os.MkdirAll(dir, 0o755)
}

// get returns the folder name, calling fill to make it if it is not there.
// fill writes into a temporary folder, which appears under its name only when
// fill succeeded; other processes that want the same folder wait.
func (c cache) get(ctx context.Context, name string, fill func(tmp string) error) (string, error) {
	dir := filepath.Join(c.dir, name)
	if exists(dir) {
		return dir, nil
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(dir) {
		return dir, nil
	}
	tmp := dir + ".tmp" // ours alone: the lock is held
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return "", err
	}
	if err := fill(tmp); err != nil {
		return "", errors.Join(fmt.Errorf("fetch %s: %w", name, err), os.RemoveAll(tmp))
	}
	return dir, os.Rename(tmp, dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lock takes an exclusive lock on a file, waiting for whoever has it.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("waiting for the lock %s: %w", path, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// checkSums compares every file of dir with a list as sha256sum writes it;
// missing and additional files are errors too.
func checkSums(dir string, list []byte) error {
	want := map[string]string{}
	for sc := bufio.NewScanner(bytes.NewReader(list)); sc.Scan(); {
		sum, name, ok := strings.Cut(sc.Text(), "  ")
		if !ok {
			return fmt.Errorf("list of hashes: bad line %q", sc.Text())
		}
		want[name] = sum
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		sum, ok := want[e.Name()]
		if !ok {
			errs = append(errs, fmt.Errorf("%s: not in the list of hashes", e.Name()))
			continue
		}
		delete(want, e.Name())
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != sum {
			errs = append(errs, fmt.Errorf("%s: SHA-256 is %x, want %s", e.Name(), got, sum))
		}
	}
	for name := range want {
		errs = append(errs, fmt.Errorf("%s: missing", name))
	}
	return errors.Join(errs...)
}

// unpack checks the SHA-512 of a gzipped tar file and takes one member out.
func unpack(pack, sum, member, dst string) error {
	f, err := os.Open(pack)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha512.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return fmt.Errorf("%s: SHA-512 is %s, want %s", filepath.Base(pack), got, sum)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(pack), err)
	}
	for t := tar.NewReader(z); ; {
		head, err := t.Next()
		if err != nil {
			return fmt.Errorf("%s: looking for %s: %w", filepath.Base(pack), member, err)
		}
		if head.Name != member {
			continue
		}
		out, err := os.OpenFile(dst, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, t)
		return errors.Join(err, out.Close())
	}
}

// needs says which Debian package brings a missing program.
func needs(program, pkg string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("%s is missing (Debian package %s)", program, pkg)
	}
	return nil
}

func lastLines(b []byte, n int) string {
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
