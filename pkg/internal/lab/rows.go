package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"

	"trench/pkg/app"
	"trench/pkg/export"
	"trench/pkg/features"
	"trench/pkg/internal/lab/cell"
	"trench/pkg/labels"
	"trench/pkg/record"
)

// columns of a cell in the Parquet files, besides those of every file of vectors.
var columns = []string{"lab_stack", "lab_server", "lab_name", "lab_certificate", "lab_session", "lab_behaviour"}

// values are the columns of a flow of a cell.
func values(c *cell.Cell, r *record.Record) []string {
	session := "full"
	if r.TLSResumed {
		session = "resumed"
	}
	return []string{c.Stack.Name, c.Server, c.Shape, c.Certificate, session, c.Behaviour}
}

// label says that a flow is of the lab; its split keeps it out of training.
func label(c *cell.Cell) labels.Label {
	l := labels.Label{Label: "benign", Role: "lab", Group: "lab", Repository: "lab/" + c.Stack.Name, Split: "lab", Capture: c.Capture()}
	if c.Set == cell.Beacons {
		l.Label, l.Family = "malicious", "emulated "+c.Behaviour
	}
	return l
}

// export reads the captures of a set and writes the vectors of its flows.
func (l *lab) export(ctx context.Context, set, file string, cells []*cell.Cell) (rows int, err error) {
	byAddr := make(map[netip.Addr]*cell.Cell)
	for _, c := range cells {
		if c.Set == set {
			byAddr[c.Addr.Addr()] = c
		}
	}
	conf := features.DefaultConfig()
	schema := conf.Schema()
	out, err := export.CreateVectors(file, schema.Names(), schema.Metadata("lab"), columns...)
	if err != nil {
		return 0, err
	}
	a := &app.Analysis{Workers: 1, Last: app.StageFeatures, Features: conf, Capture: app.DefaultConfig()}
	a.Rows = func(batch []*record.Record) error {
		for _, r := range batch {
			c := byAddr[r.ServerIP]
			if len(r.Vector) == 0 || c == nil {
				continue
			}
			r.Source = c.Capture() // not where this machine keeps it
			rows++
			if err := out.Write(r, label(c), values(c, r)...); err != nil {
				return fmt.Errorf("output %s: %w", file, err)
			}
		}
		return nil
	}
	sum, err := a.Run(ctx, []string{filepath.Join(l.captures, "lab", set)})
	if cerr := out.Close(); cerr != nil && err == nil {
		err = fmt.Errorf("output %s: %w", file, cerr)
	}
	if err == nil {
		for _, f := range sum.Faults {
			err = fmt.Errorf("captures of the lab: %v", f)
		}
	}
	return rows, err
}
