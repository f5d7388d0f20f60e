//go:build linux

package main

import (
	"context"
	"time"
)

// part is one real system. Implementations are comparable values.
type part interface {
	name() string
	// ports are the fixed ports, the one that clients use first.
	ports() []int
	// fetch puts downloads into the cache.
	fetch(ctx context.Context, c cache) error
	// prepare makes the part ready to start in dir and says how.
	prepare(ctx context.Context, c cache, dir string, ports []int) (command, error)
	// probe asks the running part a question in its own protocols.
	probe(ctx context.Context, ports []int) error
	// env are the shell assignments for clients.
	env(ports []int) []string
}

// command is how a part is started and stopped.
type command struct {
	argv  []string // names the part's folder, so that the process is recognised
	stop  stopWay
	grace time.Duration // from the request to stop until SIGKILL
}

// stopWay is what makes a part end in good order.
type stopWay string

const (
	stopBySignal stopWay = "signal" // SIGTERM
	stopByStdin  stopWay = "stdin"  // end of standard input
)

func allParts() []part { return []part{kafka{}, clickhouse{}} }

func partNamed(name string) (part, bool) {
	for _, p := range allParts() {
		if p.name() == name {
			return p, true
		}
	}
	return nil, false
}
