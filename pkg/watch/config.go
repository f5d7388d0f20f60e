package watch

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Config says which folder is watched and how.
type Config struct {
	Directory string        `yaml:"directory"`
	Patterns  []string      `yaml:"patterns"` // of file names, as in path/filepath.Match
	Settle    time.Duration `yaml:"settle"`   // a file unchanged for this long is complete
	Rescan    time.Duration `yaml:"rescan"`   // the folder is listed at least this often
	State     string        `yaml:"state"`    // where files that are done are remembered
}

// DefaultConfig watches for the names that tcpdump, dumpcap and their
// compressed rotations use. Directory and State have no default.
func DefaultConfig() Config {
	c := Config{Settle: 5 * time.Second, Rescan: time.Minute}
	for _, name := range []string{"*.pcap", "*.pcapng", "*.cap"} {
		c.Patterns = append(c.Patterns, name, name+".gz", name+".zst")
	}
	c.Patterns = append(c.Patterns, "*.pcap[0-9]*", "*.pcap.[0-9]*") // rotated, with what follows
	return c
}

// Validate reports every fault at once. Without a directory there is nothing to
// watch, which is for the caller to judge.
func (c Config) Validate() error {
	var errs []error
	if c.Directory != "" && c.State == "" {
		errs = append(errs, errors.New("state: must not be empty"))
	}
	if len(c.Patterns) == 0 {
		errs = append(errs, errors.New("patterns: must not be empty"))
	}
	for _, p := range c.Patterns {
		if _, err := filepath.Match(p, ""); err != nil {
			errs = append(errs, fmt.Errorf("patterns: %q: %w", p, err))
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"settle", c.Settle}, {"rescan", c.Rescan}} {
		if d.value < time.Millisecond {
			errs = append(errs, fmt.Errorf("%s: %s is below 1ms", d.name, d.value))
		}
	}
	return errors.Join(errs...)
}

func (c Config) matches(name string) bool {
	for _, p := range c.Patterns {
		if ok, err := filepath.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}
