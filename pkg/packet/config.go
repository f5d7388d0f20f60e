package packet

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds what a Decoder remembers.
type Config struct {
	FragmentBytes     int           `yaml:"fragment_bytes"`     // memory for fragments that wait for others
	FragmentDatagrams int           `yaml:"fragment_datagrams"` // datagrams that wait for fragments
	FragmentAge       time.Duration `yaml:"fragment_age"`       // how long a datagram waits
	Nesting           int           `yaml:"nesting"`            // tunnels inside each other that are looked into
	GTPTunnels        int           `yaml:"gtp_tunnels"`        // GTP-U tunnels, and as many conversations, that are remembered
}

// DefaultConfig returns the bounds of the documentation.
func DefaultConfig() Config {
	return Config{FragmentBytes: 16 << 20, FragmentDatagrams: 4096, FragmentAge: 30 * time.Second, Nesting: 4, GTPTunnels: 1 << 16}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	for _, n := range []struct {
		name            string
		value, min, max int
	}{
		{"fragment_bytes", c.FragmentBytes, minFragmentBytes, 1 << 34},
		{"fragment_datagrams", c.FragmentDatagrams, 1, 1 << 24},
		{"nesting", c.Nesting, 0, 8},
		{"gtp_tunnels", c.GTPTunnels, 2, 1 << 26},
	} {
		if n.value < n.min || n.value > n.max {
			errs = append(errs, fmt.Errorf("%s: %d is not within %d and %d", n.name, n.value, n.min, n.max))
		}
	}
	if c.FragmentAge <= 0 {
		errs = append(errs, fmt.Errorf("fragment_age: %s is not above 0", c.FragmentAge))
	}
	return errors.Join(errs...)
}
