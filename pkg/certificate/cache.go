package certificate

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// CacheConfig bounds a Cache.
type CacheConfig struct {
	Entries int `yaml:"entries"` // certificates kept
}

// DefaultCacheConfig returns a cache of a few megabytes.
func DefaultCacheConfig() CacheConfig { return CacheConfig{Entries: 4096} }

// Validate reports every fault of the configuration.
func (c CacheConfig) Validate() error {
	var errs []error
	if c.Entries < 1 {
		errs = append(errs, fmt.Errorf("entries: %d is below 1", c.Entries))
	}
	return errors.Join(errs...)
}

// Stats counts what a cache did.
type Stats struct {
	Hits, Misses, Evictions uint64
}

// Cache parses each certificate once and keeps the most recently used ones,
// as many as its bound allows, by SHA-256. It belongs to one goroutine.
type Cache struct {
	index   map[[sha256.Size]byte]int32
	entries []entry // as a ring of least recent use; entry 0 is its anchor
	limit   int
	stats   Stats
}

type entry struct {
	sum          [sha256.Size]byte
	cert         *Certificate
	err          error
	newer, older int32
}

// NewCache returns an empty cache. A configuration that is not valid is a
// programmer's error and panics.
func NewCache(cfg CacheConfig) *Cache {
	if err := cfg.Validate(); err != nil {
		panic("certificate: " + err.Error())
	}
	return &Cache{index: make(map[[sha256.Size]byte]int32), entries: make([]entry, 1), limit: cfg.Entries}
}

// Get is Parse by way of the cache. The certificate is shared: it must not be
// changed.
func (c *Cache) Get(der []byte) (*Certificate, error) {
	sum := sha256.Sum256(der)
	i, ok := c.index[sum]
	switch {
	case ok:
		c.stats.Hits++
		c.unlink(i)
	case len(c.entries) <= c.limit:
		c.stats.Misses++
		i = int32(len(c.entries))
		c.entries = append(c.entries, entry{})
		c.fill(i, der, sum)
	default:
		c.stats.Misses++
		c.stats.Evictions++
		i = c.entries[0].newer // the anchor's newer neighbour is the oldest
		c.unlink(i)
		delete(c.index, c.entries[i].sum)
		c.fill(i, der, sum)
	}
	c.link(i)
	return c.entries[i].cert, c.entries[i].err
}

func (c *Cache) fill(i int32, der []byte, sum [sha256.Size]byte) {
	e := &c.entries[i]
	e.sum = sum
	e.cert, e.err = parse(der, sum)
	c.index[sum] = i
}

func (c *Cache) unlink(i int32) {
	e := &c.entries[i]
	c.entries[e.newer].older, c.entries[e.older].newer = e.older, e.newer
}

// link makes i the most recent, just before the anchor.
func (c *Cache) link(i int32) {
	anchor := &c.entries[0]
	e := &c.entries[i]
	e.newer, e.older = 0, anchor.older
	c.entries[anchor.older].newer = i
	anchor.older = i
}

// Len returns how many certificates are kept.
func (c *Cache) Len() int { return len(c.index) }

// Stats returns the counts since the cache was made.
func (c *Cache) Stats() Stats { return c.stats }
