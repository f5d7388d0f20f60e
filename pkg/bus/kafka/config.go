package kafka

import (
	"errors"
	"fmt"
	"net"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// Config says how to reach Kafka and how to use it.
type Config struct {
	// Brokers are the addresses to start from, host:port.
	Brokers []string `yaml:"brokers"`
	// ClientID names this program in the broker's logs and quotas.
	ClientID string `yaml:"client_id"`
	// Compression of what is written: none, gzip, snappy, lz4 or zstd.
	Compression string `yaml:"compression"`
	// BatchRecords is how many records are sent to a partition at once.
	BatchRecords int `yaml:"batch_records"`
	// BatchTimeout is how long a partition's batch waits for more.
	BatchTimeout time.Duration `yaml:"batch_timeout"`
	// SessionTimeout is after how long a silent group member is given up.
	SessionTimeout time.Duration `yaml:"session_timeout"`
	// RebalanceTimeout is how long members may take to finish what they have in
	// hand when partitions are dealt anew.
	RebalanceTimeout time.Duration `yaml:"rebalance_timeout"`
	// Prefetch is how many records are read ahead for each partition.
	Prefetch int `yaml:"prefetch"`
	// FetchBytes is how many bytes are asked for at once for each partition.
	FetchBytes int `yaml:"fetch_bytes"`
}

// DefaultConfig returns settings that lose nothing and fit a broker with its own
// default settings on this machine.
func DefaultConfig() Config {
	return Config{
		Brokers: []string{"127.0.0.1:9092"}, ClientID: "trench", Compression: "zstd",
		BatchRecords: 1000, BatchTimeout: 10 * time.Millisecond,
		SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second,
		Prefetch: 200, FetchBytes: 2 << 20,
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("brokers: must not be empty"))
	}
	for _, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("brokers: %q is not host:port", b))
		}
	}
	if _, ok := codecs[c.Compression]; !ok {
		errs = append(errs, fmt.Errorf("compression: %q is none of none, gzip, snappy, lz4, zstd", c.Compression))
	}
	for _, n := range []struct {
		name        string
		v, min, max int
	}{
		{"batch_records", c.BatchRecords, 1, 100_000}, {"prefetch", c.Prefetch, 1, 100_000},
		{"fetch_bytes", c.FetchBytes, 64 << 10, 256 << 20},
	} {
		if n.v < n.min || n.v > n.max {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", n.name, n.v, n.min, n.max))
		}
	}
	for _, d := range []struct {
		name        string
		v, min, max time.Duration
	}{
		{"batch_timeout", c.BatchTimeout, time.Millisecond, 10 * time.Second},
		{"session_timeout", c.SessionTimeout, 500 * time.Millisecond, 5 * time.Minute},
		{"rebalance_timeout", c.RebalanceTimeout, time.Second, 10 * time.Minute},
	} {
		if d.v < d.min || d.v > d.max {
			errs = append(errs, fmt.Errorf("%s: %v is not between %v and %v", d.name, d.v, d.min, d.max))
		}
	}
	return errors.Join(errs...)
}

var codecs = map[string]kafkago.Compression{
	"none": 0, "gzip": kafkago.Gzip, "snappy": kafkago.Snappy, "lz4": kafkago.Lz4, "zstd": kafkago.Zstd,
}
