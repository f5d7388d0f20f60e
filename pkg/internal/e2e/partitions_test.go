//go:build e2e

package e2e_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"trench/pkg/internal/local"
	"trench/pkg/store"
)

// TestPartitionsAndWorkersChangeNoRow runs the same captures over 1, 4 and 12
// partitions with as many workers in each stage, and compares every row with those
// of one process.
func TestPartitionsAndWorkersChangeNoRow(t *testing.T) {
	root := repository(t)
	bin := build(t, root, "trench", "capture", "features", "scoring", "sink")
	paths := captures(t, root)
	want := analyze(t, bin, paths, nil)
	engine := local.StartCopy(t, local.ClickHousePart)
	for _, n := range []int{1, 4, 12} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			parts := engine.Parts
			parts.KafkaBrokers = local.StartCopy(t, local.KafkaPart).KafkaBrokers
			p := &pipeline{
				bin: bin, parts: parts, protocol: store.Native, database: fmt.Sprintf("trench_partitions_%d", n), paths: paths, want: want,
				env: []string{fmt.Sprintf("TRENCH_TOPICS_PARTITIONS=%d", n), fmt.Sprintf("TRENCH_STAGE_WORKERS=%d", n)},
			}
			p.command(t, "migrate")
			p.command(t, "topics")
			var stages []*process
			for _, name := range []string{"features", "scoring", "sink"} {
				stages = append(stages, p.start(t, name))
			}
			for _, s := range stages {
				s.waitShared(t, n)
			}
			sent := p.capture(t)
			stages[len(stages)-1].waitRecords(t, "sink", sent)
			p.compare(t)
			if letters := p.query(t, "SELECT count() AS n FROM dead_letters_latest"); fmt.Sprint(letters[0]["n"]) != "0" {
				t.Errorf("%v dead letters, want none", letters[0]["n"])
			}
			for _, s := range stages {
				s.stop(t)
			}
		})
	}
}

// waitShared waits until each of n workers has one of n partitions.
func (s *process) waitShared(t *testing.T, n int) {
	t.Helper()
	assigned := regexp.MustCompile(`partitions assigned.* group=trench-` + s.name + ` .*generation=(\d+) partitions=(\d+)`)
	deadline := time.Now().Add(time.Minute)
	for {
		latest, workers := "", 0
		for _, m := range assigned.FindAllStringSubmatch(s.log.String(), -1) {
			if m[1] != latest {
				latest, workers = m[1], 0
			}
			if m[2] == "1" {
				workers++
			}
		}
		if workers == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d workers have a partition of their own after a minute, want %d", s.name, workers, n)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
