package kafka

import (
	"errors"
	"fmt"
	"net"
	"time"

	"trench/pkg/bus/kafka/recordbatch"
)

// Config says how to reach Kafka and how to use it.
type Config struct {
	// Brokers are the addresses to start from, host:port.
	Brokers []string `yaml:"brokers"`
	// ClientID names this program in the broker's logs and quotas.
	ClientID string `yaml:"client_id"`
	// Compression of what is written: none, gzip, snappy, lz4 or zstd.
	Compression string `yaml:"compression"`
	// BatchRecords is how many records are sent to a partition at once, at most.
	BatchRecords int `yaml:"batch_records"`
	// RequestTimeout is after how long without an answer a connection is given up and
	// the request made again on another. Replicas have two thirds of it to acknowledge.
	RequestTimeout time.Duration `yaml:"request_timeout"`
	// SessionTimeout is after how long a silent group member is given up.
	SessionTimeout time.Duration `yaml:"session_timeout"`
	// RebalanceTimeout is how long members may take to finish what they have in
	// hand when partitions are dealt anew.
	RebalanceTimeout time.Duration `yaml:"rebalance_timeout"`
	// PrefetchBytes is how many bytes of compressed records are read ahead for all
	// partitions of a member together. Each partition holds one batch of them, of 1 MiB
	// as this module writes them, decompressed as well.
	PrefetchBytes int `yaml:"prefetch_bytes"`
	// FetchBytes is how many bytes are asked for at once for a partition, at most.
	FetchBytes int `yaml:"fetch_bytes"`
}

// minFetchBytes is less than which it does not pay to ask for.
const minFetchBytes = 64 << 10

// fetchBytes is how many bytes to ask for at once for each of so many partitions.
func (c Config) fetchBytes(partitions int) int {
	return max(minFetchBytes, min(c.FetchBytes, c.PrefetchBytes/max(1, partitions)))
}

// DefaultConfig returns settings that lose nothing and fit a broker with its own
// default settings on this machine.
func DefaultConfig() Config {
	return Config{
		Brokers: []string{"127.0.0.1:9092"}, ClientID: "trench", Compression: "zstd",
		BatchRecords:   1000,
		RequestTimeout: 15 * time.Second, SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second,
		PrefetchBytes: 16 << 20, FetchBytes: 2 << 20,
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
		{"batch_records", c.BatchRecords, 1, 100_000},
		{"prefetch_bytes", c.PrefetchBytes, minFetchBytes, 1 << 30}, {"fetch_bytes", c.FetchBytes, minFetchBytes, 256 << 20},
	} {
		if n.v < n.min || n.v > n.max {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", n.name, n.v, n.min, n.max))
		}
	}
	for _, d := range []struct {
		name        string
		v, min, max time.Duration
	}{
		{"request_timeout", c.RequestTimeout, time.Second, 5 * time.Minute},
		{"session_timeout", c.SessionTimeout, 500 * time.Millisecond, 5 * time.Minute},
		{"rebalance_timeout", c.RebalanceTimeout, time.Second, 10 * time.Minute},
	} {
		if d.v < d.min || d.v > d.max {
			errs = append(errs, fmt.Errorf("%s: %v is not between %v and %v", d.name, d.v, d.min, d.max))
		}
	}
	return errors.Join(errs...)
}

var codecs = map[string]recordbatch.Codec{
	"none": recordbatch.None, "gzip": recordbatch.Gzip, "snappy": recordbatch.Snappy, "lz4": recordbatch.LZ4, "zstd": recordbatch.Zstd,
}
