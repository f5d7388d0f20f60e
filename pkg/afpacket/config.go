package afpacket

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	// minBlock holds the longest frame of segmentation offload with its header.
	minBlock = 128 << 10
	maxBlock = 64 << 20
	maxRing  = 16 << 30 // bytes of one ring
	maxName  = 15       // bytes of an interface's name
	// MaxRings bounds the rings that share an interface.
	MaxRings = 256
)

// Config says what to capture from and how large rings are.
type Config struct {
	Interface   string `yaml:"name"`
	Promiscuous bool   `yaml:"promiscuous"` // take what is addressed to other machines; ends with the capture

	BlockSize      int           `yaml:"block_size"`      // bytes, a multiple of the page size
	Blocks         int           `yaml:"blocks"`          // of each ring
	BlockTimeout   time.Duration `yaml:"block_timeout"`   // after which a block that is not full is handed over
	PollInterval   time.Duration `yaml:"poll_interval"`   // longest wait of ReadBlock
	ReopenInterval time.Duration `yaml:"reopen_interval"` // longest pause between attempts to open an interface that went away
}

// DefaultConfig returns 64 MiB for each ring, on no interface yet.
func DefaultConfig() Config {
	return Config{
		Promiscuous: true, BlockSize: 1 << 20, Blocks: 64,
		BlockTimeout: 50 * time.Millisecond, PollInterval: 100 * time.Millisecond, ReopenInterval: 5 * time.Second,
	}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	switch {
	case c.Interface == "":
		errs = append(errs, errors.New("name: must not be empty"))
	case len(c.Interface) > maxName || strings.ContainsAny(c.Interface, "/: \t\n"):
		errs = append(errs, fmt.Errorf("name: %q is no name of an interface", c.Interface))
	}
	page := os.Getpagesize()
	switch {
	case c.BlockSize < minBlock || c.BlockSize > maxBlock:
		errs = append(errs, fmt.Errorf("block_size: %d is not between %d and %d", c.BlockSize, minBlock, maxBlock))
	case c.BlockSize%page != 0:
		errs = append(errs, fmt.Errorf("block_size: %d is no multiple of the page size %d", c.BlockSize, page))
	}
	if c.Blocks < 2 {
		errs = append(errs, fmt.Errorf("blocks: %d is below 2", c.Blocks))
	} else if int64(c.Blocks) > maxRing/max(int64(c.BlockSize), 1) {
		errs = append(errs, fmt.Errorf("blocks: %d of %d bytes are more than %d bytes", c.Blocks, c.BlockSize, int64(maxRing)))
	}
	for _, d := range []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"block_timeout", c.BlockTimeout, time.Millisecond, time.Minute},
		{"poll_interval", c.PollInterval, time.Millisecond, time.Minute},
		{"reopen_interval", c.ReopenInterval, 10 * time.Millisecond, time.Hour},
	} {
		if d.value < d.min || d.value > d.max {
			errs = append(errs, fmt.Errorf("%s: %s is not between %s and %s", d.name, d.value, d.min, d.max))
		}
	}
	return errors.Join(errs...)
}
