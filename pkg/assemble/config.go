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

	// The silence that ends a flow, by protocol.
	TCPIdle   time.Duration `yaml:"tcp_idle"`
	UDPIdle   time.Duration `yaml:"udp_idle"`
	SCTPIdle  time.Duration `yaml:"sctp_idle"`
	ICMPIdle  time.Duration `yaml:"icmp_idle"`
	OtherIdle time.Duration `yaml:"other_idle"`
	Active    time.Duration `yaml:"active"` // age between reports of an open flow
	Linger    time.Duration `yaml:"linger"` // silence that ends a flow after FIN both ways or RST

	MaxFlows       int           `yaml:"max_flows"`       // open flows; beyond it one is evicted
	HandshakeBytes int           `yaml:"handshake_bytes"` // kept of each direction
	TotalHandshake int           `yaml:"total_handshake"` // kept of all flows, bytes
	Datagrams      int           `yaml:"datagrams"`       // kept of each direction of QUIC, DTLS and DNS
	PendingBytes   int           `yaml:"pending_bytes"`   // out of order, of each direction
	TotalPending   int           `yaml:"total_pending"`   // out of order, of all flows
	DNSAnswers     int           `yaml:"dns_answers"`     // remembered addresses
	DNSAge         time.Duration `yaml:"dns_age"`         // how long an answer counts
	HTTPMessages   int           `yaml:"http_messages"`   // remembered, when http_context is set

	// HTTPContext sums up for each flow what its client exchanged in HTTP before it.
	HTTPContext bool `yaml:"http_context"`
	// Openings keeps the window and options of TCP segments with SYN.
	Openings bool `yaml:"tcp_openings"`
	// Reports makes open flows be reported at the active time-out.
	Reports bool `yaml:"-"`
	// LateAnswers looks for the DNS answer that led to a flow once more when it is
	// reported: the answers of other tables may come a little late.
	LateAnswers bool `yaml:"-"`
}

// DefaultConfig returns the time-outs and limits of the documentation.
func DefaultConfig() Config {
	return Config{
		TCPIdle: 300 * time.Second, UDPIdle: 120 * time.Second, SCTPIdle: 120 * time.Second, ICMPIdle: 120 * time.Second,
		OtherIdle: 120 * time.Second, Active: 300 * time.Second, Linger: 5 * time.Second,
		MaxFlows: 1 << 18, HandshakeBytes: 16 << 10, TotalHandshake: 512 << 20, Datagrams: 16,
		PendingBytes: 64 << 10, TotalPending: 64 << 20, DNSAnswers: 1 << 16, DNSAge: 5 * time.Minute, HTTPMessages: 1 << 16,
	}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"tcp_idle", c.TCPIdle}, {"udp_idle", c.UDPIdle}, {"sctp_idle", c.SCTPIdle}, {"icmp_idle", c.ICMPIdle}, {"other_idle", c.OtherIdle},
		{"active", c.Active}, {"linger", c.Linger}, {"dns_age", c.DNSAge},
	} {
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
		{"total_handshake", c.TotalHandshake, 1 << 16, 1 << 40},
		{"datagrams", c.Datagrams, 1, 1 << 16},
		{"pending_bytes", c.PendingBytes, 1, 1 << 30},
		{"total_pending", c.TotalPending, 1, 1 << 40},
		{"dns_answers", c.DNSAnswers, 1, 1 << 26},
		{"http_messages", c.HTTPMessages, 1, 1 << 24},
	} {
		if n.value < n.min || n.value > n.max {
			errs = append(errs, fmt.Errorf("%s: %d is not within %d and %d", n.name, n.value, n.min, n.max))
		}
	}
	return errors.Join(errs...)
}

// Share returns the part of the limits that each of n tables has, so that all of
// them together stay within c.
func (c Config) Share(n int) Config {
	c.MaxFlows = max(c.MaxFlows/n, 1)
	c.TotalHandshake /= n
	c.TotalPending /= n
	return c
}
