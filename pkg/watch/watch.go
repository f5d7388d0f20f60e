// Package watch hands over the capture files of a folder that others write and
// rotate: complete ones, oldest first, each once, also over a restart.
//
//	appears --> changes … --> unchanged for settle --> handed over --> done
//	               ^------ size or time differs ------/
//
// A file is complete when its size and modification time have been seen
// unchanged for the settling time and, where Linux tells, no process of this
// host has it open for writing: a capture of a quiet network may not grow for
// minutes. Times are never compared with the clock of this host, so a file
// server's may differ. Nothing is concluded from names or from later files.
//
// Events of the file system only wake the watcher; what counts is the listing
// of the folder, made also without events, so that neither lost events nor a
// network file system leave a file out. Sub-folders are not followed, links to
// files are.
//
// What is done is remembered in a state file by name, size, modification time
// and a hash of the first 4 KiB. Of a file that is found again,
//
//	the same size and first bytes         done
//	another name, all else the same       renamed: done
//	the same first bytes, but larger      handed over again, from its start: its flows
//	                                      have the same flow_id as before
//	the same first bytes, but smaller     done: a part of what was read
//	other first bytes                     a new capture under an old name
//
// A file that was handed over but not done when the process ended is handed
// over again. Of files that are gone, the last thousand are remembered.
package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watcher hands over the files of one folder. Next is for one goroutine, Done
// for any.
type Watcher struct {
	cfg    Config
	log    *slog.Logger
	notify *fsnotify.Watcher

	files   map[string]*file // that match and are in the folder
	ready   []string         // complete ones in order
	scanned time.Time        // last listing
	changed bool             // there were events since
	waiting bool             // some files were not judged then

	mu     sync.Mutex
	state  *state
	handed map[string]identity // not yet done
}

// file is what a listing saw.
type file struct {
	size, modified int64
	since          time.Time // unchanged as far as was seen
	judged         bool      // handed over or done before: of interest when it changes only
	id             identity  // set when judged
	told           bool      // a fault or a writer has been logged
}

// New reads the state and begins to watch. Close ends it.
func New(cfg Config, log *slog.Logger) (*Watcher, error) {
	err := cfg.Validate()
	if cfg.Directory == "" {
		err = errors.Join(errors.New("directory: must not be empty"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	info, err := os.Stat(cfg.Directory)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "watch", Path: cfg.Directory, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return nil, err
	}
	st, err := loadState(cfg.State)
	if err != nil {
		return nil, err
	}
	n, err := fsnotify.NewWatcher()
	if err == nil {
		if err = n.Add(cfg.Directory); err != nil {
			err = errors.Join(err, n.Close())
		}
	}
	if err != nil {
		return nil, explain(cfg.Directory, err)
	}
	return &Watcher{cfg: cfg, log: log, notify: n, files: make(map[string]*file), state: st, handed: make(map[string]identity)}, nil
}

// explain says which limit is behind two errors that name other causes.
func explain(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("watch %s: %w: the limit of open files or fs.inotify.max_user_instances is reached", dir, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("watch %s: %w: fs.inotify.max_user_watches is reached", dir, err)
	}
	return fmt.Errorf("watch %s: %w", dir, err)
}

// Close ends the watch. It must not be called during Next.
func (w *Watcher) Close() error { return w.notify.Close() }

// Next blocks until a file is complete and returns its path. An error that is
// not the context's says that the folder cannot be read; a later call tries again.
func (w *Watcher) Next(ctx context.Context) (string, error) {
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		for len(w.ready) > 0 {
			name := w.ready[0]
			w.ready = w.ready[1:]
			if w.take(name) {
				return filepath.Join(w.cfg.Directory, name), nil
			}
		}
		if wait := w.wait(); wait > 0 {
			if err := w.sleep(ctx, wait); err != nil {
				return "", err
			}
			continue
		}
		if err := w.scan(); err != nil {
			return "", err
		}
	}
}

// pace is the time between listings while files settle.
func (w *Watcher) pace() time.Duration { return max(w.cfg.Settle/4, 10*time.Millisecond) }

// wait returns how long to wait for the next listing.
func (w *Watcher) wait() time.Duration {
	if w.scanned.IsZero() {
		return 0
	}
	after := w.cfg.Rescan
	if w.changed || w.waiting {
		after = min(after, w.pace())
	}
	return after - time.Since(w.scanned)
}

func (w *Watcher) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	case _, ok := <-w.notify.Events:
		if !ok {
			return fmt.Errorf("watch %s: %w", w.cfg.Directory, fs.ErrClosed)
		}
		w.changed = true
	case err, ok := <-w.notify.Errors:
		if !ok {
			return fmt.Errorf("watch %s: %w", w.cfg.Directory, fs.ErrClosed)
		}
		w.log.Warn("watch event lost, listing the folder", "folder", w.cfg.Directory, "err", err)
		w.changed = true
	}
	return nil
}

// scan lists the folder and finds what is complete.
func (w *Watcher) scan() error {
	entries, err := os.ReadDir(w.cfg.Directory)
	if err == nil && !w.changed {
		err = w.notify.Add(w.cfg.Directory) // a folder that was made anew is not watched yet
	}
	if err != nil {
		return explain(w.cfg.Directory, err)
	}
	now := time.Now()
	w.scanned, w.changed, w.waiting, w.ready = now, false, false, nil
	w.mu.Lock()
	defer w.mu.Unlock()
	present := make(map[string]bool, len(entries))
	for _, e := range entries {
		name := e.Name()
		if !w.cfg.matches(name) {
			continue
		}
		info, err := os.Stat(filepath.Join(w.cfg.Directory, name)) // follows links
		if err != nil || !info.Mode().IsRegular() {
			continue // gone, or no file
		}
		present[name] = true
		size, modified := info.Size(), info.ModTime().UnixNano()
		f := w.files[name]
		if f == nil || f.size != size || f.modified != modified {
			f = &file{size: size, modified: modified, since: now}
			w.files[name] = f
		} else if _, reading := w.handed[name]; !f.judged && !reading && now.Sub(f.since) >= w.cfg.Settle {
			w.ready = append(w.ready, name)
		}
		w.waiting = w.waiting || !f.judged
	}
	for name := range w.files {
		if !present[name] {
			delete(w.files, name)
		}
	}
	slices.SortFunc(w.ready, func(a, b string) int {
		return cmp.Or(cmp.Compare(w.files[a].modified, w.files[b].modified), cmp.Compare(a, b))
	})
	w.forget()
	return nil
}

// forget drops what is remembered of files that are gone. A file that is there
// and not judged yet may be the one that is remembered under its name.
func (w *Watcher) forget() {
	here := make(map[identity]bool, len(w.files))
	for _, f := range w.files {
		if f.judged {
			here[f.id] = true
		}
	}
	w.state.forget(func(name string, id identity) bool {
		f := w.files[name]
		return !here[id] && (f == nil || f.judged)
	})
}

// take decides about a complete file, and reports whether it is to be read.
func (w *Watcher) take(name string) bool {
	f := w.files[name]
	h, err := os.Open(filepath.Join(w.cfg.Directory, name))
	var id identity
	buf := make([]byte, headBytes)
	if err == nil {
		defer h.Close()
		id, buf, err = identify(h, buf)
	}
	if errors.Is(err, fs.ErrNotExist) {
		w.log.Info("file is gone before it was read", "folder", w.cfg.Directory, "file", name)
		delete(w.files, name)
		return false
	}
	reason := ""
	switch {
	case err != nil:
		reason = "it cannot be read: " + err.Error()
	case id.Size != f.size || id.Modified != f.modified:
		*f = file{size: id.Size, modified: id.Modified}
	case beingWritten(h):
		reason = "a process has it open for writing"
	default:
		f.judged, f.id = true, id
		return w.judge(name, id, buf)
	}
	if reason != "" && !f.told {
		f.told = true
		w.log.Warn("file has to wait", "folder", w.cfg.Directory, "file", name, "reason", reason)
	}
	f.since = time.Now()
	return false
}

func identify(f *os.File, head []byte) (identity, []byte, error) {
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return identity{}, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return identity{}, nil, err
	}
	head = head[:n]
	return identity{Size: info.Size(), Modified: info.ModTime().UnixNano(), Head: hash(head), HeadBytes: n}, head, nil
}

// judge reports whether a complete file is to be read.
func (w *Watcher) judge(name string, id identity, head []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if was, ok := w.state.done[id]; ok {
		if was != name {
			w.state.add(name, id)
		}
		return false
	}
	if old, ok := w.state.before(name, head); ok {
		if id.Size <= old.Size {
			w.files[name].id = old
			if id.Size < old.Size {
				w.log.Warn("file is shorter than when it was read", "folder", w.cfg.Directory, "file", name, "bytes", id.Size, "before", old.Size)
			}
			return false
		}
		w.log.Info("file has grown since it was read, reading it again", "folder", w.cfg.Directory, "file", name, "bytes", id.Size, "before", old.Size)
		w.state.remove(old)
	}
	w.handed[name] = id
	return true
}

// Done remembers that a file handed over by Next is not to be read again, as
// it was then. When it returns without an error this outlasts a crash.
func (w *Watcher) Done(path string) error {
	name := filepath.Base(path)
	w.mu.Lock()
	defer w.mu.Unlock()
	id, ok := w.handed[name]
	if !ok {
		return fmt.Errorf("%s: not handed over, or done already", path)
	}
	w.state.add(name, id)
	if err := w.state.save(); err != nil {
		return err
	}
	delete(w.handed, name)
	return nil
}
