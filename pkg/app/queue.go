package app

import (
	"context"
	"io"

	"trench/pkg/assemble"
)

// Queue hands over captures one by one.
type Queue interface {
	// Next returns the path of the next capture, and io.EOF when there will be no
	// more.
	Next(ctx context.Context) (path string, err error)
	// Done is called once a capture was read, and all its flows were emitted and
	// flushed.
	Done(path string) error
}

// listed is a queue of inputs that are known.
type listed struct {
	inputs []input
	at     int
}

func (l *listed) Next(ctx context.Context) (string, error) {
	if l.at == len(l.inputs) {
		return "", io.EOF
	}
	l.at++
	return l.inputs[l.at-1].path, ctx.Err()
}

// Done has nothing to remember.
func (l *listed) Done(string) error { return nil }

// skippable reports whether err, met in opening the last input, is no fault.
func (l *listed) skippable(err error) bool { return l.inputs[l.at-1].skippable(err) }

// backlog is the captures that were read, but may still have open flows.
type backlog []*assemble.Source

// finish tells q which captures are done: all, or those from which no flow is open
// any more, nor from an earlier one.
func (b *backlog) finish(q Queue, p pipeline, all bool) error {
	if _, ok := q.(*listed); ok {
		*b = (*b)[:0]
		return nil // nobody asks
	}
	if err := p.flush(); err != nil {
		return err
	}
	for len(*b) > 0 && (all || (*b)[0].Open() == 0) {
		if err := q.Done((*b)[0].Name); err != nil {
			return err
		}
		*b = (*b)[1:]
	}
	return nil
}
