// Package local gives tests a real Kafka and a real ClickHouse.
//
// Parts that already run are used when the environment names them, as
// `make up` followed by `source .local/env` does:
//
//	TRENCH_KAFKA_BROKERS      host:port, several separated by commas
//	TRENCH_CLICKHOUSE_NATIVE  host:port of the native protocol
//	TRENCH_CLICKHOUSE_HTTP    host:port of the HTTP protocol
//
// Otherwise a copy of their own is started by deploy/local/local.sh on free
// ports in a temporary folder, and stopped with the test. Starting takes
// seconds, so a package starts its parts once and runs sub-tests on them;
// whoever shares parts chooses names of topics and databases of its own.
//
// A part that cannot be had skips the test; under CI=true it fails it.
package local

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Names of the parts, as local.sh and its state folder spell them.
const (
	KafkaPart      = "kafka"
	ClickHousePart = "clickhouse"
)

const (
	brokersVar = "TRENCH_KAFKA_BROKERS"
	nativeVar  = "TRENCH_CLICKHOUSE_NATIVE"
	httpVar    = "TRENCH_CLICKHOUSE_HTTP"
)

// Parts are the addresses of running parts, each as host:port.
type Parts struct {
	KafkaBrokers     []string
	ClickHouseNative string
	ClickHouseHTTP   string
}

// Start returns a running Kafka and a running ClickHouse.
func Start(t testing.TB) Parts {
	t.Helper()
	return start(t, KafkaPart, ClickHousePart)
}

// Kafka returns the brokers of a running Kafka.
func Kafka(t testing.TB) []string {
	t.Helper()
	return start(t, KafkaPart).KafkaBrokers
}

// ClickHouse returns the native and the HTTP address of a running ClickHouse.
func ClickHouse(t testing.TB) (native, http string) {
	t.Helper()
	p := start(t, ClickHousePart)
	return p.ClickHouseNative, p.ClickHouseHTTP
}

func start(t testing.TB, names ...string) Parts {
	t.Helper()
	parts, missing := given(os.Getenv, names)
	if len(missing) == 0 {
		return parts
	}
	own := StartCopy(t, missing...).Parts
	if slices.Contains(missing, KafkaPart) {
		parts.KafkaBrokers = own.KafkaBrokers
	}
	if slices.Contains(missing, ClickHousePart) {
		parts.ClickHouseNative, parts.ClickHouseHTTP = own.ClickHouseNative, own.ClickHouseHTTP
	}
	return parts
}

// given are the parts that the environment names, and those it does not.
func given(getenv func(string) string, names []string) (parts Parts, missing []string) {
	for _, name := range names {
		switch name {
		case KafkaPart:
			if v := getenv(brokersVar); v != "" {
				parts.KafkaBrokers = strings.Split(v, ",")
				continue
			}
		case ClickHousePart:
			native, http := getenv(nativeVar), getenv(httpVar)
			if native != "" && http != "" {
				parts.ClickHouseNative, parts.ClickHouseHTTP = native, http
				continue
			}
		}
		missing = append(missing, name)
	}
	return parts, missing
}

// Copy is a set of parts that belongs to one test or measurement, which may kill and
// restart them. Its state folder is described in deploy/local/parts.
type Copy struct {
	Parts
	Dir    string
	script string
	env    []string // of the script, besides this process's
}

// NewCopy prepares parts whose state is in dir. Up starts them; they end with Down,
// or with this process.
func NewCopy(dir string) (*Copy, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	return &Copy{Dir: dir, script: filepath.Join(root, "deploy", "local", "local.sh")}, nil
}

// StartCopy starts parts by name for this test alone, whatever the
// environment says. They stop with the test, or with its process.
func StartCopy(t testing.TB, names ...string) *Copy {
	t.Helper()
	return startCopy(t, nil, names)
}

// StartCopyBehind is StartCopy with a Kafka that tells its clients another address
// than its own: that of a proxy, host:port, to which they come back whatever port
// the broker has.
func StartCopyBehind(t testing.TB, advertised string, names ...string) *Copy {
	t.Helper()
	return startCopy(t, []string{"TRENCH_KAFKA_ADVERTISED=" + advertised}, names)
}

func startCopy(t testing.TB, env, names []string) *Copy {
	t.Helper()
	c, err := NewCopy(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c.env = env
	t.Cleanup(func() {
		if out, err := c.run("down"); err != nil {
			t.Errorf("stop the local parts: %v\n%s", err, out)
		}
	})
	if err := c.Up(names...); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no local %s, and CI=true: %v", strings.Join(names, " and "), err)
		}
		fmt.Fprintf(os.Stderr, "\n*** SKIPPED %s: no local %s: %v\n\n", t.Name(), strings.Join(names, " and "), err)
		t.Skipf("SKIPPED: no local %s: %v", strings.Join(names, " and "), err)
	}
	return c
}

// Up starts parts that are down; their ports may differ from those before.
func (c *Copy) Up(names ...string) error {
	args := append([]string{"up", "--free-ports", "--while", strconv.Itoa(os.Getpid())}, names...)
	if out, err := c.run(args...); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	env, err := os.ReadFile(filepath.Join(c.Dir, "env"))
	if err != nil {
		return err
	}
	vars, err := assignments(env)
	if err != nil {
		return err
	}
	c.Parts, _ = given(func(name string) string { return vars[name] }, []string{KafkaPart, ClickHousePart})
	return nil
}

// Down stops parts in good order.
func (c *Copy) Down(names ...string) error {
	if out, err := c.run(append([]string{"down"}, names...)...); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// PID is the process of a running part.
func (c *Copy) PID(name string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(c.Dir, name+".pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(raw)))
}

// Kill ends a part as a crash does, with SIGKILL.
func (c *Copy) Kill(name string) error { return c.signal(name, syscall.SIGKILL) }

// Ended returns how a part ended that is down, in the words of its exit file, and
// the end of what it said; empty while it is up.
func (c *Copy) Ended(name string) string {
	how, err := os.ReadFile(filepath.Join(c.Dir, name+".exit"))
	if err != nil {
		return "" // it is up, or was never started
	}
	const most = 2 << 10
	said, err := os.ReadFile(filepath.Join(c.Dir, name+".log"))
	if err != nil {
		said = []byte(err.Error())
	}
	return fmt.Sprintf("%s\n%s", bytes.TrimSpace(how), said[max(0, len(said)-most):])
}

// Freeze stops a part where it is, with SIGSTOP: its connections stay open and
// nothing answers, until Thaw.
func (c *Copy) Freeze(name string) error { return c.signal(name, syscall.SIGSTOP) }

// Thaw lets a frozen part go on.
func (c *Copy) Thaw(name string) error { return c.signal(name, syscall.SIGCONT) }

func (c *Copy) signal(name string, s syscall.Signal) error {
	pid, err := c.PID(name)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, s)
}

func (c *Copy) run(args ...string) (string, error) {
	args = append([]string{args[0], "--dir", c.Dir}, args[1:]...)
	var out bytes.Buffer
	cmd := exec.Command(c.script, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &out, append(os.Environ(), c.env...)
	err := cmd.Run()
	return out.String(), err
}

// assignments reads NAME=VALUE lines.
func assignments(raw []byte) (map[string]string, error) {
	vars := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			return nil, fmt.Errorf("env: bad line %q", line)
		}
		vars[name] = value
	}
	return vars, nil
}

// repository is the folder of the module's go.mod, above the working folder.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "deploy", "local", "local.sh")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("deploy/local/local.sh is in no folder above the test's")
		}
		dir = parent
	}
}
