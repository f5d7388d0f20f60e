package assemble

import (
	"errors"
	"fmt"
	"time"

	"trench/pkg/flow"
)

// Config holds time-outs and limits of a Table.
type Config struct {
	Sensor string `yaml:"-"` // part of every flow_id

	TCPIdle   time.Duration `yaml:"tcp_idle"`   // silence that ends a TCP flow
	OtherIdle time.Duration `yaml:"other_idle"` // silence that ends any other flow
	Active    time.Duration `yaml:"active"`     // age between reports of an open flow
	Linger    time.Duration `yaml:"linger"`     // silence that ends a flow after FIN both ways or RST

	MaxFlows       int           `yaml:"max_flows"`       // open flows; beyond it the longest silent one is evicted
	HandshakeBytes int           `yaml:"handshake_bytes"` // kept of each direction
	PendingBytes   int           `yaml:"pending_bytes"`   // out of order, of each direction
	TotalPending   int           `yaml:"total_pending"`   // out of order, of all flows
	DNSAnswers     int           `yaml:"dns_answers"`     // remembered addresses
	DNSAge         time.Duration `yaml:"dns_age"`         // how long an answer counts

	// Reports makes open flows be reported at the active time-out.
	Reports bool `yaml:"-"`
}

// DefaultConfig returns the time-outs and limits of the documentation.
func DefaultConfig() Config {
	return Config{
		TCPIdle: 300 * time.Second, OtherIdle: 120 * time.Second, Active: 300 * time.Second, Linger: 5 * time.Second,
		MaxFlows: 1 << 18, HandshakeBytes: 16 << 10, PendingBytes: 64 << 10, TotalPending: 64 << 20,
		DNSAnswers: 1 << 16, DNSAge: 5 * time.Minute,
	}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"tcp_idle", c.TCPIdle}, {"other_idle", c.OtherIdle}, {"active", c.Active}, {"linger", c.Linger}, {"dns_age", c.DNSAge}} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s: %s is not above 0", d.name, d.value))
		}
	}
	for _, n := range []struct {
		name            string
		value, min, max int
	}{
		{"max_flows", c.MaxFlows, 16, 1 << 28},
		{"handshake_bytes", c.HandshakeBytes, flow.CountedBytes, 1 << 20},
		{"pending_bytes", c.PendingBytes, 1, 1 << 30},
		{"total_pending", c.TotalPending, 1, 1 << 40},
		{"dns_answers", c.DNSAnswers, 1, 1 << 26},
	} {
		if n.value < n.min || n.value > n.max {
			errs = append(errs, fmt.Errorf("%s: %d is not within %d and %d", n.name, n.value, n.min, n.max))
		}
	}
	return errors.Join(errs...)
}
