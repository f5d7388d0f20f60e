package app

import (
	"errors"
	"fmt"

	"trench/pkg/assemble"
	"trench/pkg/config"
	"trench/pkg/dedup"
	"trench/pkg/filter"
	"trench/pkg/packet"
)

// Config says how packets become flows: the section capture of a configuration file.
type Config struct {
	assemble.Config `yaml:",inline"`
	Decode          packet.Config `yaml:"decode"`
	Dedup           dedup.Config  `yaml:"dedup"`
	// Filter is an expression of pcap-filter(7); empty takes every packet.
	Filter string `yaml:"filter"`
	// Continuous lets flows go on from one file to the next.
	Continuous bool `yaml:"continuous"`
}

// DefaultConfig returns the time-outs and limits of the documentation.
func DefaultConfig() Config {
	return Config{Config: assemble.DefaultConfig(), Decode: packet.DefaultConfig(), Dedup: dedup.DefaultConfig()}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate(), config.Section("decode", c.Decode.Validate()), config.Section("dedup", c.Dedup.Validate())}
	if _, err := filter.Parse(c.Filter); err != nil {
		errs = append(errs, fmt.Errorf("filter: %w", err))
	}
	return errors.Join(errs...)
}
