package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/spf13/cobra"

	"trench/pkg/app"
	"trench/pkg/config"
	"trench/pkg/export"
	"trench/pkg/fault"
	"trench/pkg/features"
	"trench/pkg/obs"
	"trench/pkg/record"
	"trench/pkg/scoring"
	"trench/pkg/store"
)

// sensor is the configuration of run.
type sensor struct {
	Sensor   string          `yaml:"sensor"` // part of every flow_id
	Input    app.Origin      `yaml:"input"`
	Capture  app.Config      `yaml:"capture"`
	Features features.Config `yaml:"features"`
	Workers  int             `yaml:"workers"` // goroutines for files; a live interface has one for each ring
	Model    string          `yaml:"model"`   // bundle directory, none, or empty for the built-in model
	Scoring  scoring.Config  `yaml:",inline"` // lists, shadow, reload
	Output   struct {
		// Files of NDJSON are appended to: every report of a flow (- is stdout).
		Files []string `yaml:"files"`
		// ClickHouse is where rows go when it has an address.
		ClickHouse store.Config `yaml:"clickhouse"`
	} `yaml:"output"`
	HTTP obs.HTTPConfig `yaml:"http"`
	Log  obs.LogConfig  `yaml:"log"`
}

// Port of run's health and metrics.
const runPort = 9104

func defaultSensor() *sensor {
	s := &sensor{Input: app.DefaultOrigin(), Capture: app.DefaultConfig(), Features: features.DefaultConfig(), Workers: runtime.GOMAXPROCS(0), Scoring: scoring.DefaultConfig(),
		HTTP: obs.HTTPConfig{Listen: fmt.Sprintf("127.0.0.1:%d", runPort)}, Log: obs.DefaultLogConfig()}
	s.Output.ClickHouse = store.DefaultConfig()
	s.Output.ClickHouse.Addr = nil
	return s
}

// Validate reports every fault at once.
func (s *sensor) Validate() error {
	errs := []error{
		config.Section("input", s.Input.Validate()), config.Section("capture", s.Capture.Validate()), config.Section("features", s.Features.Validate()),
		config.Section("http", s.HTTP.Validate()), config.Section("log", s.Log.Validate()), s.Scoring.Validate(),
	}
	if s.Workers < 1 || s.Workers > 256 {
		errs = append(errs, fmt.Errorf("workers: %d is not between 1 and 256", s.Workers))
	}
	if len(s.Sensor) > 255 {
		errs = append(errs, fmt.Errorf("sensor: %d bytes are too many", len(s.Sensor)))
	}
	if s.stores() {
		errs = append(errs, config.Section("output.clickhouse", s.Output.ClickHouse.Validate()))
	} else if len(s.Output.Files) == 0 {
		errs = append(errs, errors.New("output: neither files nor clickhouse.addr are given"))
	}
	return errors.Join(errs...)
}

func (s *sensor) stores() bool { return len(s.Output.ClickHouse.Addr) > 0 }

func newRunCommand() *cobra.Command {
	var path string
	var check bool
	cmd := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Run all stages in one process, from an interface or a directory to files or ClickHouse",
		Long: `Take packets from a network interface, from a directory in which captures appear, or from
captures, and write a row for every flow, and for every report of an open one, to files or to
ClickHouse. One process does it all, so what ClickHouse does not take in time waits here: rows
are kept until it is back, and packets of an interface are then lost, and counted. Where that
must not be, run the services over Kafka.

SIGINT and SIGTERM end it: open flows are written, then it stops. SIGHUP reads model and lists again.`,
		Example: `  trench run -c sensor.yaml

  # sensor.yaml
  sensor: office
  input:
    interface: {name: eth0, promiscuous: true}
    user: nobody
  output:
    clickhouse: {addr: ["localhost:9000"], database: trench}`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := defaultSensor()
			if err := config.Load(path, s); err != nil {
				return usage(fmt.Errorf("configuration:\n%w", err))
			}
			if check {
				fmt.Fprintln(cmd.ErrOrStderr(), "trench: the configuration is valid")
				return nil
			}
			return s.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration `file` (YAML); every key is also TRENCH_… in the environment")
	cmd.Flags().BoolVar(&check, "check", false, "validate the configuration and exit")
	return cmd
}

// storedRows is how many rows go to ClickHouse at once: it likes few and large inserts.
const storedRows = 5000

func (s *sensor) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	log := obs.NewLogger(s.Log, stderr)
	reg := obs.NewRegistry()
	source, err := scoring.Open(s.Model, s.Scoring, s.Features.Schema(), log, reg)
	if err != nil {
		return usage(err)
	}
	out, err := openOutputs(s.Output.Files, stdout, export.Append)
	if err != nil {
		return err
	}
	if err := s.Features.Open(); err != nil {
		return usage(config.Section("features", err))
	}
	a := &app.Analysis{Workers: s.Input.Workers(s.Workers), Last: app.StageScoring, Stdin: stdin, Features: s.Features, Capture: s.Capture, Scoring: source}
	a.Capture.Sensor, a.Capture.Reports = s.Sensor, true
	a.Rows = out.write
	if s.stores() {
		w, err := store.NewWriter(s.Output.ClickHouse)
		if err != nil {
			return err
		}
		defer w.Close()
		if err := w.Check(ctx); errors.Is(err, fault.ErrConfiguration) {
			return err
		}
		k := &keeper{w: w, log: log, refused: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "trench_run_rows_refused_total", Help: "Rows that ClickHouse does not take."})}
		a.BatchRows = storedRows
		a.Rows = func(rows []*record.Record) error { return errors.Join(out.write(rows), k.keep(ctx, rows)) }
	}
	reg.MustRegister(a.Collector())
	server := &obs.Server{Config: s.HTTP, Registry: reg, Log: log}
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Run(serve) }() // ends with serve
	var sum *app.Summary
	err = source.Beside(ctx, s.Scoring.Reload, func(ctx context.Context) (err error) {
		sum, err = a.RunOrigin(ctx, s.Input, log)
		return err
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // as asked
	}
	if cerr := out.close(); err == nil {
		err = cerr
	}
	stop()
	return finish(sum, errors.Join(err, <-served), stderr)
}

// keeper writes rows to ClickHouse, and waits for it when it is away.
type keeper struct {
	w       *store.Writer
	log     *slog.Logger
	refused prometheus.Counter
}

// grace is how long rows are tried to be written once the sensor has to stop.
const grace = 10 * time.Second

func (k *keeper) keep(ctx context.Context, rows []*record.Record) error {
	// What was captured is written also after ctx has ended, if that is quick.
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	now := time.Now().UnixMicro()
	for _, r := range rows {
		r.Trace = []record.Hop{{Stage: "run", Micros: now, Partition: -1, Offset: -1}}
	}
	for wait := (fault.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}); ; {
		err := k.w.Write(late, rows)
		var refused *store.RefusedError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &refused):
			k.refused.Add(float64(len(refused.Rows)))
			for _, r := range refused.Rows {
				k.log.Error("clickhouse does not take a row", "flow", rows[r.Index].FlowID.String(), "err", r.Err)
			}
			return nil
		case errors.Is(err, fault.ErrConfiguration):
			return fmt.Errorf("clickhouse: %w", err)
		}
		k.log.Warn("clickhouse takes no rows, they wait", "rows", len(rows), "err", err)
		if wait.Wait(late) != nil {
			return fmt.Errorf("clickhouse: %d rows left unwritten: %w", len(rows), err)
		}
	}
}
