//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFlagsAndPartsComeInAnyOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got, err := parse([]string{"clickhouse", "--dir", dir, "--free-ports", "kafka", "--while=7", "clickhouse"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range got.parts {
		names = append(names, p.name())
	}
	if diff := cmp.Diff([]string{"clickhouse", "kafka"}, names); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	if got.dir != dir || !got.freePorts || got.while != 7 {
		t.Errorf("dir %q, free ports %v, while %d", got.dir, got.freePorts, got.while)
	}
}

func TestWrongUsageIsToldApart(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"dance"}, {"up", "zookeeper"}, {"up", "--bogus"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: error %v, want wrong usage", args, err)
		}
	}
}

func TestStatusOfNothingIsDown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := run(t.Context(), []string{"status", "--dir", t.TempDir()}, &out, io.Discard)
	if !errors.Is(err, errDown) {
		t.Errorf("error %v, want errDown", err)
	}
	if want := "kafka      down\nclickhouse down\n"; out.String() != want {
		t.Errorf("output %q, want %q", out.String(), want)
	}
}

func TestWipeRefusesAFolderThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	precious := filepath.Join(dir, "kafka", "thesis.txt")
	if err := os.MkdirAll(filepath.Dir(precious), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(precious, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"wipe", "--dir", dir}, io.Discard, io.Discard); err == nil {
		t.Error("wipe of a foreign folder succeeds")
	}
	if !exists(precious) {
		t.Error("wipe deleted a foreign file")
	}
}

func TestJavaVersionsOldAndNew(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]int{
		`openjdk version "17.0.15" 2025-04-15`: 17,
		`openjdk version "21" 2023-09-19 LTS`:  21,
		`java version "1.8.0_392"`:             8,
	} {
		if got, err := javaVersion(out); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", out, got, err, want)
		}
	}
	if _, err := javaVersion("no java here"); err == nil {
		t.Error("an unknown answer is accepted")
	}
}

func TestMissingProgramNamesItsPackage(t *testing.T) {
	t.Parallel()
	err := needs("no-such-program-4711", "some-package")
	if err == nil || !strings.Contains(err.Error(), "no-such-program-4711 is missing (Debian package some-package)") {
		t.Errorf("error %v", err)
	}
}

func TestCacheFillsOnceForManyAtATime(t *testing.T) {
	t.Parallel()
	c := cache{t.TempDir()}
	var fills atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := c.get(t.Context(), "thing", func(tmp string) error {
				fills.Add(1)
				time.Sleep(10 * time.Millisecond)
				return os.WriteFile(filepath.Join(tmp, "whole"), nil, 0o644)
			})
			if err != nil {
				t.Error(err)
			} else if !exists(filepath.Join(dir, "whole")) {
				t.Error("the folder appeared before it was filled")
			}
		})
	}
	wg.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("filled %d times, want once", n)
	}
}

func TestFailedDownloadLeavesNothing(t *testing.T) {
	t.Parallel()
	c := cache{t.TempDir()}
	broken := errors.New("line cut")
	if _, err := c.get(t.Context(), "thing", func(string) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if exists(filepath.Join(c.dir, "thing")) || exists(filepath.Join(c.dir, "thing.tmp")) {
		t.Error("a failed download left a folder")
	}
	if _, err := c.get(t.Context(), "thing", func(string) error { return nil }); err != nil {
		t.Errorf("after a failure: %v", err)
	}
}

func TestLockWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second lock: %v, want a deadline", err)
	}
	unlock()
	again, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestSumsNameEveryFileThatDiffers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"good.jar": "good", "bad.jar": "tampered", "more.jar": "more"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list := fmt.Sprintf("%x  good.jar\n%x  bad.jar\n%x  gone.jar\n",
		sha256.Sum256([]byte("good")), sha256.Sum256([]byte("bad")), sha256.Sum256([]byte("gone")))
	err := checkSums(dir, []byte(list))
	if err == nil {
		t.Fatal("a wrong folder passes")
	}
	for _, want := range []string{"bad.jar: SHA-256", "more.jar: not in the list", "gone.jar: missing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "good.jar") {
		t.Errorf("error names the good file:\n%v", err)
	}
}

func TestPinnedJarsAreOfThePinnedVersion(t *testing.T) {
	t.Parallel()
	if !strings.Contains(string(kafkaJars), "  kafka_2.13-"+kafkaVersion+".jar\n") {
		t.Errorf("kafka_2.13-%s.jar is not in kafka-jars.sha256", kafkaVersion)
	}
	if !strings.Contains(string(kafkaPOM), "<version>"+kafkaVersion+"</version>") {
		t.Errorf("version %s is not in kafka-pom.xml", kafkaVersion)
	}
}

func TestUnpackTakesOneMemberOfTheRightPackage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, name := range []string{"package/index.js", "package/libchdb.so"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(name))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	pack := filepath.Join(dir, "p.tgz")
	if err := os.WriteFile(pack, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x", sha512.Sum512(buf.Bytes()))
	dst := filepath.Join(dir, "libchdb.so")

	if err := unpack(pack, strings.Repeat("0", 128), "package/libchdb.so", dst); err == nil || exists(dst) {
		t.Errorf("a package with another hash: error %v, file there: %v", err, exists(dst))
	}
	if err := unpack(pack, sum, "package/nothing", dst); !errors.Is(err, io.EOF) {
		t.Errorf("a missing member: %v", err)
	}
	if err := unpack(pack, sum, "package/libchdb.so", dst); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dst); err != nil || string(got) != "package/libchdb.so" {
		t.Errorf("unpacked %q, %v", got, err)
	}
}

func TestProcessIsKnownByItsArguments(t *testing.T) {
	t.Parallel()
	if !alive(os.Getpid(), os.Args[0]) {
		t.Error("this process is not alive")
	}
	if alive(os.Getpid(), "an argument that it has not") {
		t.Error("a process with other arguments counts")
	}
	if alive(0) || alive(-1) {
		t.Error("no process is alive")
	}
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	pid := zombie.Process.Pid
	// For a moment before it runs it has no arguments, and is not alive either.
	dead := 0
	for deadline := time.Now().Add(5 * time.Second); dead < 10 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
		if dead++; alive(pid) {
			dead = 0
		}
	}
	if dead < 10 {
		t.Error("a zombie is alive")
	}
	if err := zombie.Wait(); err != nil {
		t.Error(err)
	}
}

func TestListenerBelongsToItsProcess(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if !listens(os.Getpid(), port) {
		t.Error("this process does not listen on its own port")
	}
	if listens(os.Getppid(), port) {
		t.Error("the parent listens on this process's port")
	}
	l.Close()
	if listens(os.Getpid(), port) {
		t.Error("a closed port is listened on")
	}
}

func TestPortsAreRememberedByPart(t *testing.T) {
	t.Parallel()
	s := state{t.TempDir()}
	if err := s.setPorts(kafka{}, []int{1, 2}); err != nil {
		t.Fatal(err)
	}
	if err := s.setPorts(clickhouse{}, []int{3, 4}); err != nil {
		t.Fatal(err)
	}
	if err := s.setPorts(kafka{}, []int{5, 6}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{5, 6}, s.ports(kafka{})); diff != "" {
		t.Error("kafka", diff)
	}
	if diff := cmp.Diff([]int{3, 4}, s.ports(clickhouse{})); diff != "" {
		t.Error("clickhouse", diff)
	}
}

func TestFreePortsGiveWayToATakenOne(t *testing.T) {
	t.Parallel()
	s := state{t.TempDir()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	if err := s.setPorts(kafka{}, []int{taken, 0}); err != nil {
		t.Fatal(err)
	}
	ports, err := s.choosePorts(kafka{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(ports) != 2 || ports[0] == ports[1] || ports[0] == taken || ports[0] == 0 || ports[1] == 0 {
		t.Errorf("ports %v beside the taken %d", ports, taken)
	}
}

// TestSupervisorRecordsHowItsPartEnded runs real processes under supervise in
// a process of its own: this test binary, called again.
func TestSupervisorRecordsHowItsPartEnded(t *testing.T) {
	if args := os.Getenv("TRENCH_TEST_SUPERVISE"); args != "" {
		if err := supervise(strings.Split(args, "\n")); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	for _, tc := range []struct {
		name, stop, script string
		ask                bool
		want               []string
	}{
		{"by itself", "signal", "exit 7", false, []string{"status=7 signal=none", `asked="no"`}},
		{"by a signal from elsewhere", "signal", "kill -9 $$", false, []string{"status=137 signal=SIGKILL", `asked="no"`}},
		{"asked by a signal", "signal", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done", true, []string{"status=3", `asked="yes"`}},
		{"asked by the end of its input", "stdin", "echo ready; cat; exit 5", true, []string{"status=5", `asked="yes"`}},
		{"killed when it does not listen", "signal", "trap '' TERM; echo ready; while :; do sleep 0.01; done", true,
			[]string{"status=137 signal=SIGKILL", `asked="yes, killed after 300ms"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			base := filepath.Join(t.TempDir(), "thing")
			args := []string{"-pid", base + ".pid", "-stop", tc.stop, "-grace", "300ms", "--", "sh", "-c", tc.script}
			cmd := exec.Command(os.Args[0], "-test.run=^TestSupervisorRecordsHowItsPartEnded$")
			cmd.Env = append(os.Environ(), "TRENCH_TEST_SUPERVISE="+strings.Join(args, "\n"))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if tc.ask {
				if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			}
			if rest, err := io.ReadAll(out); err != nil {
				t.Fatal(err, string(rest))
			}
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(base + ".exit")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(string(got), want) {
					t.Errorf("exit file %q, want %q in it", got, want)
				}
			}
			if exists(base+".pid") || exists(base+".supervisor.pid") {
				t.Error("pid files are left")
			}
		})
	}
}
