//go:build e2e && linux

package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"trench/pkg/export"
	"trench/pkg/internal/netlab"
)

// TestMain lets the test be a client of the lab, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == clientArg {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestSmallRun(t *testing.T) {
	netlab.Need(t, "ip")
	netlab.Need(t, "openssl")
	netlab.NeedRoot(t)
	dir := t.TempDir()
	err := run(context.Background(), []string{
		"-o", dir, "-cache", filepath.Join(dir, "cache"), "-only", "go,go-tls,quic-go,openssl,wget,curl-openssl,git,apt", "-cells", "5", "-beacons", "1",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "netns").Output(); err != nil || strings.Contains(string(out), "trench-lab-") {
		t.Errorf("left behind: %s, %v", out, err)
	}
	for file, label := range map[string]string{"rows.parquet": "benign", "beacons.parquet": "malicious"} {
		in, err := export.OpenVectors(filepath.Join(dir, file), columns)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		stacks := make(map[string]bool)
		err = in.Each([]string{"ch_len"}, func(get func(string) string, vector []float32) error {
			stacks[get("lab_stack")] = true
			if get("label") != label || get("split") != "lab" || vector[0] < 50 {
				t.Errorf("%s: flow %s is %s of %s with a hello of %v bytes", file, get("flow_id"), get("label"), get("split"), vector[0])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"go", "go-tls", "quic-go"} {
			if !stacks[want] {
				t.Errorf("%s: no flow of %s", file, want)
			}
		}
	}
}
