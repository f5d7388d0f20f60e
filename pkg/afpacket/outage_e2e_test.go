//go:build e2e && linux

package afpacket

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trench/pkg/internal/netlab"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
	"trench/pkg/privilege"
)

// asSensor makes this program capture, without privileges, from the interface
// that it names. It has to be built without cgo for that.
const asSensor = "TRENCH_TEST_SENSOR"

func TestMain(m *testing.M) {
	if name := os.Getenv(asSensor); name != "" {
		if err := sensor(name); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// sensor prints a line for each packet until its input ends, then counters.
func sensor(name string) error {
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	rings, err := Open(testConfig(name), 2, nil, slog.New(slog.NewTextHandler(os.Stdout, nil)))
	if err != nil {
		return err
	}
	if err := privilege.Drop("nobody", privilege.NetRaw); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	for i, r := range rings {
		done.Go(func() {
			var b pcap.Block
			var longest time.Duration
			for last := time.Now(); r.ReadBlock(ctx, &b) == nil; last = time.Now() {
				longest = max(longest, time.Since(last))
				for _, p := range b.Packets {
					say("packet %s ring %d", p.Data[bytes.LastIndexByte(p.Data, '#'):], i)
				}
			}
			s, err := r.Stats()
			say("end ring %d %+v %v late %t", i, s, err, longest > time.Second)
		})
	}
	say("capturing as user %d", os.Getuid())
	io.Copy(io.Discard, os.Stdin)
	stop()
	done.Wait()
	for _, r := range rings {
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// TestCaptureGoesOnAfterAnOutage takes the interface of a sensor down and away,
// that is nobody and has CAP_NET_RAW only.
func TestCaptureGoesOnAfterAnOutage(t *testing.T) {
	t.Parallel()
	o := netlab.Options{Quiet: true}
	lab := netlab.New(t, o)
	bin := filepath.Join(t.TempDir(), "sensor")
	build := exec.Command("go", "test", "-c", "-tags", "e2e", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := lab.Server.Command(t.Context(), bin)
	cmd.Env = append(os.Environ(), asSensor+"="+lab.Server.Interface)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	next := func(want string) string {
		t.Helper()
		for timeout := time.After(patience); ; {
			select {
			case l, ok := <-lines:
				if !ok || strings.HasPrefix(l, "error") {
					t.Fatalf("%q instead of %q", l, want)
				}
				if strings.Contains(l, want) {
					return l
				}
				t.Logf("%s", l)
			case <-timeout:
				t.Fatalf("no %q within %v", want, patience)
			}
		}
	}
	next("capturing as user 65534")

	const pairs = 20
	var frames [][]byte
	for i := range pairs {
		frames = append(frames, pcapgen.Ethernet(datagram(i%2 == 0, i+1, 2*i+5, fmt.Sprintf("#%d", i))))
	}
	ring := map[string]string{}
	counts := map[string]int{}
	send := func() {
		t.Helper()
		replay(t, lab.Client, frames)
		for range frames {
			l := next("packet #")
			name, number, _ := strings.Cut(strings.TrimPrefix(l, "packet "), " ring ")
			if before, ok := ring[name]; ok && before != number {
				t.Errorf("hosts %s come by ring %s, before by %s", name, number, before)
			}
			ring[name] = number
			counts[number]++
		}
	}
	send()
	if len(counts) != 2 {
		t.Fatalf("packets by ring: %v", counts)
	}
	lab.Client.IP(t, "link", "del", lab.Client.Interface)
	next("interface went away")
	next("interface cannot be opened")
	lab.Connect(t, o)
	next("interface came back")
	send()
	lab.Server.IP(t, "link", "set", lab.Server.Interface, "down")
	lab.Server.IP(t, "link", "set", lab.Server.Interface, "up")
	next("interface went away")
	next("interface came back")
	send()
	in.Close()
	for range 2 {
		l := next("end ring ")
		number := strings.Fields(l)[2]
		want := fmt.Sprintf("end ring %s {Packets:%d Drops:0 Freezes:0 Broken:0 Outages:2} <nil> late false", number, counts[number])
		if l != want {
			t.Errorf("%s, want %s", l, want)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
