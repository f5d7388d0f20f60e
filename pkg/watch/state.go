package watch

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
)

const (
	stateVersion = 1
	// headBytes of a file tell captures apart: they hold the first time stamps.
	headBytes = 4096
	// maxGone bounds what is remembered of files that are no longer there.
	maxGone = 1000
)

// identity tells a file from others, whatever its name.
type identity struct {
	Size      int64  `json:"size"`
	Modified  int64  `json:"modified_ns"`
	Head      string `json:"head"` // SHA-256 of the first bytes
	HeadBytes int    `json:"head_bytes"`
}

// hash is that of the first bytes.
func hash(head []byte) string {
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:])
}

// state is what is done.
type state struct {
	path  string
	done  map[identity]string   // file name
	names map[string][]identity // the same by name
}

// entry is a file in the state file.
type entry struct {
	Name string `json:"name"` // percent-encoded: it need not be UTF-8
	identity
}

// stored is the state file.
type stored struct {
	Version int     `json:"version"`
	Done    []entry `json:"done"`
}

func (s *state) add(name string, id identity) {
	s.remove(id)
	s.done[id] = name
	s.names[name] = append(s.names[name], id)
}

func (s *state) remove(id identity) {
	name, ok := s.done[id]
	if !ok {
		return
	}
	delete(s.done, id)
	if s.names[name] = slices.DeleteFunc(s.names[name], func(o identity) bool { return o == id }); len(s.names[name]) == 0 {
		delete(s.names, name)
	}
}

// before returns what is done of the file that has a name and these first bytes.
func (s *state) before(name string, head []byte) (identity, bool) {
	for _, id := range s.names[name] {
		if id.HeadBytes <= len(head) && id.Head == hash(head[:id.HeadBytes]) {
			return id, true
		}
	}
	return identity{}, false
}

func loadState(path string) (*state, error) {
	s := &state{path: path, done: make(map[identity]string), names: make(map[string][]identity)}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	} else if err != nil {
		return nil, fmt.Errorf("state file: %w", err)
	}
	broken := func(err error) error {
		return fmt.Errorf("state file %s is broken: %w; without it every file in the folder is read again", path, err)
	}
	var in stored
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, broken(err)
	}
	if in.Version != stateVersion {
		return nil, broken(fmt.Errorf("version %d, not %d", in.Version, stateVersion))
	}
	for _, e := range in.Done {
		name, err := url.PathUnescape(e.Name)
		if err != nil {
			return nil, broken(err)
		}
		s.add(name, e.identity)
	}
	return s, nil
}

// save replaces the state file so that after a crash either the old or the new
// one is there, whole.
func (s *state) save() error {
	out := stored{Version: stateVersion, Done: make([]entry, 0, len(s.done))}
	for id, name := range s.done {
		out.Done = append(out.Done, entry{url.PathEscape(name), id})
	}
	b, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("state file %s: %w", s.path, err)
	}
	if err := replace(s.path, append(b, '\n')); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

func replace(path string, b []byte) error {
	f, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".part", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// forget leaves maxGone of the files that are gone, those modified last.
func (s *state) forget(isGone func(name string, id identity) bool) {
	var gone []identity
	for id, name := range s.done {
		if isGone(name, id) {
			gone = append(gone, id)
		}
	}
	if len(gone) <= maxGone {
		return
	}
	slices.SortFunc(gone, func(a, b identity) int { return cmp.Compare(a.Modified, b.Modified) })
	for _, id := range gone[:len(gone)-maxGone] {
		s.remove(id)
	}
}
