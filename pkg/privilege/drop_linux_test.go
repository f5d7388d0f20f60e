package privilege

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Drop is for good, and cannot be done by a program with cgo, so the tests have it
// done by a process of their own: these tests, built without cgo and told by the
// environment whom to become.
const asChild = "TRENCH_TEST_BECOME"

func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv(asChild); ok {
		if err := child(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child drops privileges in a process with many threads and prints what they hold.
func child(name string) error {
	var up, done sync.WaitGroup
	stop := make(chan struct{})
	for range 8 { // threads that exist before
		up.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			fds := make([]int, 2)
			if err := unix.Pipe(fds); err == nil {
				go func() { <-stop; unix.Close(fds[1]) }()
				up.Done()
				_, _ = unix.Read(fds[0], make([]byte, 1)) // holds a thread
				return
			}
			up.Done()
		}()
	}
	up.Wait()
	if err := Drop(name, NetRaw); err != nil {
		return err
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		f, err := os.Open(t)
		if err != nil {
			return err
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			if l := s.Text(); strings.HasPrefix(l, "Cap") || strings.HasPrefix(l, "Uid") || strings.HasPrefix(l, "NoNewPrivs") {
				fmt.Println(strings.Join(strings.Fields(l), " "))
			}
		}
		f.Close()
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return fmt.Errorf("open a packet socket afterwards: %w", err)
	}
	unix.Close(fd)
	if err := unix.Sethostname([]byte("nobody-may")); err == nil {
		return fmt.Errorf("CAP_SYS_ADMIN is still there")
	}
	fmt.Println("threads", len(tasks))
	close(stop)
	done.Wait()
	return nil
}

func TestAllThreadsKeepOneCapability(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("SKIPPED: dropping privileges is tested as root only")
	}
	bin := filepath.Join(t.TempDir(), "without-cgo")
	build := exec.Command("go", "test", "-c", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, uid := range map[string]string{"": "0", "nobody": "65534", "65534": "65534"} {
		cmd := exec.Command(bin)
		cmd.Env = append(os.Environ(), asChild+"="+name)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("become %q: %v\n%s", name, err, out)
		}
		const raw = "0000000000002000" // bit 13
		want := map[string]string{
			"Uid": strings.TrimSpace(strings.Repeat(uid+" ", 4)), "NoNewPrivs": "1",
			"CapInh": strings.Repeat("0", 16), "CapPrm": raw, "CapEff": raw, "CapBnd": raw, "CapAmb": strings.Repeat("0", 16),
		}
		seen := map[string]int{}
		for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			key, value, ok := strings.Cut(l, ": ")
			if !ok {
				continue
			}
			seen[key]++
			if want[key] != value {
				t.Errorf("become %q: %s is %s, want %s", name, key, value, want[key])
			}
		}
		for key := range want {
			if seen[key] < 8 {
				t.Errorf("become %q: %d threads tell %s", name, seen[key], key)
			}
		}
	}
}

func TestAnUnknownUserIsAnError(t *testing.T) {
	t.Parallel()
	if err := become("no such user"); err == nil || !strings.Contains(err.Error(), `"no such user"`) {
		t.Errorf("err = %v", err)
	}
}
