package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/internal/bench/proc"
	"trench/pkg/internal/local"
)

// rig is the broker, the engine and the programs that are measured.
type rig struct {
	cfg            Config
	dir, bin       string
	parts          *local.Copy
	broker, engine int // process ids
	client         *kafkago.Client
	sensors        int   // that capture was run as so far
	own            []int // cores of the measured program
}

const database = "trench_bench"

// newRig builds the services and starts a broker and an engine.
func newRig(ctx context.Context, cfg Config) (*rig, error) {
	if runtime.NumCPU() < 2 {
		return nil, errors.New("two cores are needed, one for what is measured and one for broker and engine")
	}
	dir, err := os.MkdirTemp("", "trench-bench-")
	if err != nil {
		return nil, err
	}
	r := &rig{cfg: cfg, dir: dir, bin: filepath.Join(dir, "bin")}
	if err := r.start(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *rig) start(ctx context.Context) (err error) {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", r.bin+string(filepath.Separator),
		"trench/services/trench", "trench/services/capture", "trench/services/features", "trench/services/scoring", "trench/services/sink")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	if r.parts, err = local.NewCopy(filepath.Join(r.dir, "parts")); err != nil {
		return err
	}
	if err := r.parts.Up(local.KafkaPart, local.ClickHousePart); err != nil {
		return err
	}
	r.client = &kafkago.Client{Addr: kafkago.TCP(r.parts.KafkaBrokers...), Timeout: 10 * time.Second, Transport: &kafkago.Transport{}}
	if r.broker, err = r.parts.PID(local.KafkaPart); err != nil {
		return err
	}
	if r.engine, err = r.parts.PID(local.ClickHousePart); err != nil {
		return err
	}
	for _, command := range []string{"topics", "migrate"} {
		cmd := exec.CommandContext(ctx, filepath.Join(r.bin, "trench"), command)
		cmd.Env = r.environment()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("trench %s: %w\n%s", command, err, out)
		}
	}
	return nil
}

// close stops the parts and removes their data.
func (r *rig) close() error {
	var err error
	if r.client != nil {
		r.client.Transport.(*kafkago.Transport).CloseIdleConnections()
	}
	if r.parts != nil {
		err = r.parts.Down()
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// separate gives broker and engine a core that the measured program does not have.
func (r *rig) separate() error { return r.pin([]int{0}, []int{1}) }

// together lets everything share two cores.
func (r *rig) together() error { return r.pin([]int{0, 1}, []int{0, 1}) }

// pin gives cores to the measured program, and to broker and engine.
func (r *rig) pin(own, rest []int) error {
	r.own = own
	return errors.Join(proc.PinAll(r.broker, rest), proc.PinAll(r.engine, rest))
}

// environment is the configuration of all programs, as TRENCH_ variables; what is
// not here has its default.
func (r *rig) environment(more ...string) []string {
	env := append(os.Environ(),
		"TRENCH_KAFKA_BROKERS="+strings.Join(r.parts.KafkaBrokers, ","), "TRENCH_CLICKHOUSE_ADDR="+r.parts.ClickHouseNative,
		"TRENCH_CLICKHOUSE_DATABASE="+database, "TRENCH_INPUT_PATHS="+r.cfg.Input, "TRENCH_LOG_FORMAT=text", "TRENCH_HTTP_LISTEN=127.0.0.1:0",
		fmt.Sprintf("GOMAXPROCS=%d", len(r.own)), fmt.Sprintf("TRENCH_TOPICS_PARTITIONS=%d", r.cfg.Partitions))
	if r.cfg.Profile != "" {
		env = append(env, "TRENCH_HTTP_PPROF=true")
	}
	return append(env, more...)
}
