//go:build !linux

package afpacket

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/net/bpf"

	"trench/pkg/pcap"
)

var errSystem = errors.New("live capture needs Linux")

// Ring is one receive ring of an interface; there are none on this system.
type Ring struct{}

// KindOf returns an error on this system.
func KindOf(string) (Kind, error) { return Kind{}, errSystem }

// Open returns an error on this system.
func Open(Config, int, []bpf.RawInstruction, *slog.Logger) ([]*Ring, error) { return nil, errSystem }

// Kind returns nothing on this system.
func (r *Ring) Kind() Kind { return Kind{} }

// ReadBlock returns an error on this system.
func (r *Ring) ReadBlock(context.Context, *pcap.Block) error { return errSystem }

// Stats returns an error on this system.
func (r *Ring) Stats() (Stats, error) { return Stats{}, errSystem }

// Close does nothing on this system.
func (r *Ring) Close() error { return nil }
