package plan_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/internal/lab/plan"
)

func write(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestReadReturnsWhatStringWrote(t *testing.T) {
	t.Parallel()
	for _, p := range []*plan.Plan{
		{URL: "https://wiki", Trust: "any"},
		{
			URL: "https://198.19.0.2:8443", Trust: "/tmp/roots.pem", Cert: "/tmp/c", Key: "/tmp/k", Nameless: true, Sessions: true,
			Steps: []plan.Step{plan.Get(10, 0), plan.Get(10, 500), plan.Post(20, 30), plan.Raw(1, 2), plan.Sleep(40), plan.Fresh()},
		},
	} {
		got, err := plan.Read(write(t, p.String()))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(p, got); d != "" {
			t.Error(d)
		}
	}
}

func TestReadSaysWhichLineIsWrong(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"", "go away", "get", "sleep x", "post /in/1 -3", "raw 1", "fresh now"} {
		if _, err := plan.Read(write(t, "url https://x\n"+line+"\n")); err == nil || !strings.Contains(err.Error(), ":2: ") {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestFramesAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	r := bytes.NewReader(append(plan.Frame(100, 7), plan.Frame(0, 0)...))
	for _, want := range []int{7, 0} {
		if m, err := plan.ReadFrame(r); m != want || err != nil {
			t.Fatal(m, err)
		}
	}
	if _, err := plan.ReadFrame(r); err != io.EOF {
		t.Error(err)
	}
	if _, err := plan.ReadFrame(bytes.NewReader(plan.Frame(100, 7)[:50])); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if _, err := plan.ReadFrame(strings.NewReader("\xff\xff\xff\xff\x00\x00\x00\x00")); err == nil || err == io.EOF {
		t.Errorf("a frame of 4 GB: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("url https://x\ntrust any\nget /b/1\npost /in/2 3\nsleep 4\nfresh\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := plan.Read(write(t, text))
		if err != nil {
			return
		}
		if p.URL == "" || p.Trust == "" {
			return // not what String writes
		}
		again, err := plan.Read(write(t, p.String()))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(p, again); d != "" {
			t.Error(d)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add(plan.Frame(3, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := plan.ReadFrame(bytes.NewReader(b)); err == nil && (m < 0 || m > plan.MaxBytes) {
			t.Errorf("asks for %d", m)
		}
	})
}
