//go:build e2e

package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"trench/pkg/fault"
	"trench/pkg/internal/local"
	"trench/pkg/record"
	"trench/pkg/store"
	"trench/pkg/wire"
)

// TestRefusedRows makes the real server refuse rows by constraints on its tables.
func TestRefusedRows(t *testing.T) {
	native, http := local.ClickHouse(t)
	s := server{native, http}
	refusing := func(t *testing.T, protocol, table, constraint string) (store.Config, *store.Writer) {
		cfg, w := s.migrated(t, protocol)
		s.query(t, cfg, "ALTER TABLE "+table+" ADD CONSTRAINT c CHECK "+constraint)
		return cfg, w
	}
	rows := func(n int, port func(int) uint16) (out []*record.Record) {
		for i := range n {
			r := full(i)
			r.ServerPort = port(i)
			out = append(out, r)
		}
		return out
	}
	indexes := func(t *testing.T, err error) (out []int) {
		t.Helper()
		var refused *store.RefusedError
		if !errors.As(err, &refused) {
			t.Fatalf("err = %v, want a RefusedError", err)
		}
		for _, r := range refused.Rows {
			if !strings.Contains(r.Err.Error(), "Constraint") {
				t.Errorf("row %d: %v does not say why", r.Index, r.Err)
			}
			out = append(out, r.Index)
		}
		return out
	}
	for _, protocol := range []string{store.Native, store.HTTP} {
		t.Run("they are found and the rest goes in over "+protocol, func(t *testing.T) {
			t.Parallel()
			cfg, w := refusing(t, protocol, "flows", "server_port != 7")
			reg := prometheus.NewRegistry()
			w.Register(reg)
			bad := []int{0, 123, 124, 299}
			batch := rows(300, func(i int) uint16 {
				if slices.Contains(bad, i) {
					return 7
				}
				return 443
			})
			if got := indexes(t, w.Write(t.Context(), batch)); !slices.Equal(got, bad) {
				t.Errorf("refused %v, want %v", got, bad)
			}
			kept := slices.DeleteFunc(slices.Clone(batch), func(r *record.Record) bool { return r.ServerPort == 7 })
			s.same(t, cfg, kept)
			if n := inserts(t, reg, "flows"); n > 2*4*9 {
				t.Errorf("%d inserts to find 4 of 300", n)
			}
		})
		t.Run("all of a few are given up over "+protocol, func(t *testing.T) {
			t.Parallel()
			cfg, w := refusing(t, protocol, "feature_vectors", "length(vector) = 0")
			batch := []*record.Record{full(1), bare(2), full(3)}
			if got := indexes(t, w.Write(t.Context(), batch)); !slices.Equal(got, []int{0, 2}) {
				t.Errorf("refused %v, want those with a vector", got)
			}
			s.same(t, cfg, batch[1:2])
		})
		t.Run("all of many stop the stage over "+protocol, func(t *testing.T) {
			t.Parallel()
			_, w := refusing(t, protocol, "flows", "server_port != 443")
			err := w.Write(t.Context(), rows(100, func(int) uint16 { return 443 }))
			if !errors.Is(err, fault.ErrConfiguration) || !strings.Contains(err.Error(), "refuses 16 of 16") {
				t.Errorf("err = %v, want ErrConfiguration", err)
			}
		})
	}
	t.Run("a dead letter too", func(t *testing.T) {
		t.Parallel()
		_, w := refusing(t, store.Native, "dead_letters", "stage != 'x'")
		letters := []*wire.DeadLetter{{Stage: "a"}, {Stage: "x"}, {Stage: "b"}}
		if got := indexes(t, w.WriteDeadLetters(t.Context(), letters)); !slices.Equal(got, []int{1}) {
			t.Errorf("refused %v, want the second", got)
		}
	})
	t.Run("what the table's own view can not take is refused as well", func(t *testing.T) {
		t.Parallel()
		cfg, w := s.migrated(t, store.Native)
		s.query(t, cfg, "CREATE MATERIALIZED VIEW v ENGINE = Memory AS SELECT intDiv(1, server_port) AS x FROM flows") // code 153, in no list
		batch := rows(3, func(i int) uint16 { return uint16(i) })
		var refused *store.RefusedError
		if err := w.Write(t.Context(), batch); !errors.As(err, &refused) || len(refused.Rows) != 1 || refused.Rows[0].Index != 0 {
			t.Errorf("err = %v, want row 0 refused", err)
		}
		if n := s.query(t, cfg, "SELECT count() AS n FROM v"); fmt.Sprint(n[0]["n"]) != "2" {
			t.Errorf("%v rows, want 2", n)
		}
	})
}

// inserts counts the inserts that went in.
func inserts(t *testing.T, reg *prometheus.Registry, table string) (n uint64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "trench_store_insert_seconds" && m.GetLabel()[0].GetValue() == table {
				n = m.GetHistogram().GetSampleCount()
			}
		}
	}
	if n == 0 {
		t.Error("no insert was counted")
	}
	return n
}
