package store

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Config says how to reach ClickHouse.
type Config struct {
	// Addr are the servers, host:port; the first that answers is used.
	Addr []string `yaml:"addr"`
	// Protocol is native or http, and decides which port Addr means.
	Protocol string `yaml:"protocol"`
	// Database holds Trench's tables and nothing else; migrate creates it.
	Database string `yaml:"database"`
	Username string `yaml:"username"`
	Password string `yaml:"password"`
	// Compression of what is sent: none, lz4 or zstd.
	Compression string `yaml:"compression"`
	// DialTimeout and Timeout bound reaching the server and waiting for its answer.
	DialTimeout time.Duration `yaml:"dial_timeout"`
	Timeout     time.Duration `yaml:"timeout"`
}

// The protocols.
const (
	Native = "native"
	HTTP   = "http"
)

// DefaultConfig returns a server on this machine with its default user.
func DefaultConfig() Config {
	return Config{
		Addr: []string{"127.0.0.1:9000"}, Protocol: Native, Database: "trench", Username: "default",
		Compression: "lz4", DialTimeout: 5 * time.Second, Timeout: 60 * time.Second,
	}
}

var compressions = map[string]clickhouse.CompressionMethod{
	"none": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD,
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if len(c.Addr) == 0 {
		errs = append(errs, errors.New("addr: must not be empty"))
	}
	for _, a := range c.Addr {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("addr: %q is not host:port", a))
		}
	}
	if c.Protocol != Native && c.Protocol != HTTP {
		errs = append(errs, fmt.Errorf("protocol: %q is neither native nor http", c.Protocol))
	}
	if !identifier.MatchString(c.Database) {
		errs = append(errs, fmt.Errorf("database: %q is no name of letters, digits and _", c.Database))
	}
	if c.Database == "default" || c.Database == "system" {
		errs = append(errs, fmt.Errorf("database: %s belongs to ClickHouse itself", c.Database))
	}
	if _, ok := compressions[c.Compression]; !ok {
		errs = append(errs, fmt.Errorf("compression: %q is none of none, lz4, zstd", c.Compression))
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{{"dial_timeout", c.DialTimeout}, {"timeout", c.Timeout}} {
		if d.v < time.Millisecond || d.v > time.Hour {
			errs = append(errs, fmt.Errorf("%s: %v is not between 1ms and 1h", d.name, d.v))
		}
	}
	return errors.Join(errs...)
}

// maxConnections is far above what the batches in flight use, one each.
const maxConnections = 64

// open prepares a connection to a database; nothing is reached before its first use.
func (c Config) open(database string) (driver.Conn, error) {
	o := &clickhouse.Options{
		Addr: c.Addr, Auth: clickhouse.Auth{Database: database, Username: c.Username, Password: c.Password},
		DialTimeout: c.DialTimeout, ReadTimeout: c.Timeout, MaxOpenConns: maxConnections, MaxIdleConns: 4, ConnMaxLifetime: time.Hour,
		Compression: &clickhouse.Compression{Method: compressions[c.Compression]},
		ClientInfo:  clickhouse.ClientInfo{Products: []struct{ Name, Version string }{{Name: "trench"}}},
	}
	if c.Protocol == HTTP {
		o.Protocol = clickhouse.HTTP
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		return nil, fmt.Errorf("clickhouse at %v: %w", c.Addr, err)
	}
	return conn, nil
}
