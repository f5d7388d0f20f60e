//go:build e2e

package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"trench/pkg/internal/corpus"
)

// TestEveryCaptureOfTheCorpusPasses runs `trench analyze -o -` over every file
// of the corpus by itself: no panic, exit code 0 or 3, every line valid JSON,
// and counters that add up.
func TestEveryCaptureOfTheCorpusPasses(t *testing.T) {
	t.Parallel()
	dir := corpus.Dir(t)
	trench := filepath.Join(build(t, repository(t), "trench"), "trench")
	var files []string
	for _, folder := range []string{"benign", "malware", "mixed", "protocol-tests", filepath.Join("golden", "suricata-verify"), filepath.Join("golden", "zeek")} {
		err := filepath.WalkDir(filepath.Join(dir, folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && isCapture(path) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var (
		mu            sync.Mutex
		codes         = make(map[int]int)
		packets, rows float64
		wait          sync.WaitGroup
		queue         = make(chan string)
	)
	for range 2 {
		wait.Go(func() {
			for file := range queue {
				code, n, s := analyzeOne(t, trench, file)
				mu.Lock()
				codes[code]++
				packets += s["packets"]
				rows += n
				mu.Unlock()
			}
		})
	}
	for _, f := range files {
		queue <- f
	}
	close(queue)
	wait.Wait()
	t.Logf("%d captures: exit codes %v, %.0f packets, %.0f rows", len(files), codes, packets, rows)
	if len(files) < 1800 {
		t.Errorf("%d captures only", len(files))
	}
}

// isCapture reports whether a file starts like a capture.
func isCapture(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	if _, err := f.Read(magic[:]); err != nil {
		return false
	}
	switch string(magic[:]) {
	case "\xd4\xc3\xb2\xa1", "\xa1\xb2\xc3\xd4", "\x4d\x3c\xb2\xa1", "\xa1\xb2\x3c\x4d", "\x0a\x0d\x0d\x0a", "\x34\xcd\xb2\xa1", "\xa1\xb2\xcd\x34":
		return true
	}
	return false
}

// analyzeOne checks one capture and returns exit code, rows and summary.
func analyzeOne(t *testing.T, trench, file string) (code int, rows float64, s map[string]float64) {
	cmd := exec.Command(trench, "analyze", "-o", "-", file)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("%s: %v", file, err)
		return -1, 0, nil
	}
	if code = cmd.ProcessState.ExitCode(); code != 0 && code != 3 || strings.Contains(errs.String(), "panic") {
		t.Errorf("%s: exit %d: %.2000s", file, code, errs.String())
		return code, 0, nil
	}
	lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
	s = make(map[string]float64)
	for _, f := range strings.Fields(strings.TrimPrefix(lines[len(lines)-1], "summary ")) {
		k, v, _ := strings.Cut(f, "=")
		if s[k], err = strconv.ParseFloat(v, 64); err != nil {
			t.Errorf("%s: summary %s: %v", file, f, err)
		}
	}
	sum := s["in_flows"] + s["not_ip"] + s["malformed"] + s["refused"] + s["filtered"] + s["duplicate"] + s["fragment_dropped"]
	if sum != s["packets"] {
		t.Errorf("%s: %v packets, outcomes add up to %v", file, s["packets"], sum)
	}
	var inFlows float64
	scan := bufio.NewScanner(&out)
	scan.Buffer(nil, 1<<24)
	for scan.Scan() {
		var row struct {
			Verdict string  `json:"verdict"`
			C2S     float64 `json:"packets_c2s"`
			S2C     float64 `json:"packets_s2c"`
		}
		if err := json.Unmarshal(scan.Bytes(), &row); err != nil || row.Verdict == "" {
			t.Errorf("%s: %v: %.300s", file, err, scan.Text())
		}
		rows++
		inFlows += row.C2S + row.S2C
	}
	if rows != s["flows"] || inFlows != s["in_flows"] {
		t.Errorf("%s: %v rows with %v packets, the summary says %v and %v", file, rows, inFlows, s["flows"], s["in_flows"])
	}
	return code, rows, s
}
