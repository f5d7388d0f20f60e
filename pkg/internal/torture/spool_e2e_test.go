//go:build e2e && linux

package torture_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// diskMB is what the spool's disk holds: seconds of flows.
const diskMB = 4

// withoutReports leaves one record for each flow, so that a dropped record is a
// dropped flow.
const withoutReports = "TRENCH_CAPTURE_ACTIVE=1h"

// giveSpool starts capture anew with a spool on a disk of its own, larger by its
// configuration than the disk is, and returns what takes it away again.
func (r *run) giveSpool(t *testing.T) (takeAway func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: a small disk of its own needs root")
	}
	probe := filepath.Join(t.TempDir(), "capture.yaml")
	if err := os.WriteFile(probe, fmt.Appendf(nil, "input: {paths: [x]}\nspool: {dir: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(r.bin, "capture"), "-c", probe, "--check").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this capture has no spool: %s", out)
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%dm", diskMB)); err != nil {
		t.Skipf("SKIPPED: no small disk: %v", err)
	}
	capture := r.service("capture")
	restart := func(env ...string) {
		if err := capture.Stop(30 * time.Second); err != nil {
			t.Error(err)
		}
		capture.Configure(env...)
		r.start(t, capture)
		r.eventually(t, "capture is ready", time.Minute, func() error { _, err := capture.Get("/readyz"); return err })
	}
	restart(withoutReports, "TRENCH_QUEUE=1", "TRENCH_SPOOL_DIR="+filepath.Join(disk, "spool"), "TRENCH_SPOOL_FILES=true", "TRENCH_SPOOL_FULL=drop_oldest",
		"TRENCH_SPOOL_SEGMENT_BYTES="+strconv.Itoa(512<<10), "TRENCH_SPOOL_MAX_BYTES="+strconv.Itoa(1<<30))
	return func() {
		restart()
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	}
}

// droppedFlows are the counters of flow records that capture gave up, by reason.
var droppedFlows = regexp.MustCompile(`(?m)^trench_capture_flows_dropped_total(?:\{[^}]*\})? (\S+)$`)

// dropped is how many flow records capture counted as dropped since its start.
func (r *run) dropped() (int, error) {
	body, err := r.service("capture").Get("/metrics")
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, m := range droppedFlows.FindAllStringSubmatch(body, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return int(sum), nil
}
