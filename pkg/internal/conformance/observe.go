package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"trench/pkg/app"
	"trench/pkg/features"
	"trench/pkg/record"
)

// capturesAtOnce is how many captures are read at the same time.
const capturesAtOnce = 2

// observe runs every capture through Trench, unscored, and returns the final rows of
// each in order of time.
func observe(ctx context.Context, root string, captures []string) (map[string][]*record.Record, error) {
	out := make(map[string][]*record.Record, len(captures))
	var mu sync.Mutex // guards out
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(capturesAtOnce)
	for _, capture := range captures {
		g.Go(func() error {
			rows, err := analyse(ctx, filepath.Join(root, filepath.FromSlash(capture)))
			if err != nil {
				return fmt.Errorf("%s: %w", capture, err)
			}
			for _, r := range rows {
				r.Source = capture
			}
			mu.Lock()
			defer mu.Unlock()
			out[capture] = rows
			return nil
		})
	}
	return out, g.Wait()
}

// analyse reads one capture as `trench analyze --model none` does. A capture that is
// cut is read as far as it goes.
func analyse(ctx context.Context, path string) ([]*record.Record, error) {
	var rows []*record.Record
	a := &app.Analysis{Capture: app.DefaultConfig(), Features: features.DefaultConfig(), Workers: 1, Last: app.StageFeatures,
		Rows: func(batch []*record.Record) error {
			for _, r := range batch {
				if r.Final {
					rows = append(rows, clone(r))
				}
			}
			return nil
		}}
	if _, err := a.Run(ctx, []string{path}); err != nil {
		return nil, err
	}
	slices.SortStableFunc(rows, func(a, b *record.Record) int {
		return cmp.Or(cmp.Compare(a.TS, b.TS), slices.Compare(a.FlowID[:], b.FlowID[:]))
	})
	return rows, nil
}

// clone copies what is compared of a row, whose memory the stages use again.
func clone(r *record.Record) *record.Record {
	c := *r
	c.SPLT = slices.Clone(r.SPLT)
	c.TLSClientCiphers = slices.Clone(r.TLSClientCiphers)
	c.TLSClientExtensions = slices.Clone(r.TLSClientExtensions)
	c.TLSServerExtensions = slices.Clone(r.TLSServerExtensions)
	c.CertChain = slices.Clone(r.CertChain)
	if r.TLS != nil {
		t := *r.TLS
		t.ClientVersions, t.ClientGroups, t.ClientSignatures = slices.Clone(t.ClientVersions), slices.Clone(t.ClientGroups), slices.Clone(t.ClientSignatures)
		t.ClientALPN, t.Alerts = slices.Clone(t.ClientALPN), slices.Clone(t.Alerts)
		c.TLS = &t
	}
	if r.QUIC != nil {
		c.QUIC = &record.QUIC{UserAgent: r.QUIC.UserAgent}
	}
	if r.SSH != nil {
		h := *r.SSH
		c.SSH = &h
	}
	c.VLAN, c.ByteDist, c.Vector, c.Reasons, c.DNS, c.HTTP, c.DHCP = nil, nil, nil, nil, nil, nil, nil
	return &c
}
