// Package obs lets a running program be looked at: logs, metrics and health.
//
//	/healthz       200 as long as the process works, else 503 and why only a restart helps
//	/readyz        200 when every check passes, else 503 and which does not
//	/metrics       Prometheus
//	/debug/pprof/  profiles, when asked for and only for this machine
package obs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// LogConfig says what is logged and how.
type LogConfig struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is text or json.
	Format string `yaml:"format"`
}

// DefaultLogConfig returns information as text.
func DefaultLogConfig() LogConfig { return LogConfig{Level: "info", Format: "text"} }

// Validate reports all faults at once.
func (c LogConfig) Validate() error {
	var errs []error
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Level) {
		errs = append(errs, fmt.Errorf("level: %q is none of debug, info, warn, error", c.Level))
	}
	if c.Format != "text" && c.Format != "json" {
		errs = append(errs, fmt.Errorf("format: %q is neither text nor json", c.Format))
	}
	return errors.Join(errs...)
}

// NewLogger returns a logger that writes to w. The configuration is valid.
func NewLogger(c LogConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// NewRegistry returns a registry with the metrics of process and runtime.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// HTTPConfig says where health and metrics are served.
type HTTPConfig struct {
	// Listen is host:port; empty serves nothing.
	Listen string `yaml:"listen"`
	// Pprof serves profiles of the process, which show its memory: Listen must be an
	// address of this machine alone then.
	Pprof bool `yaml:"pprof"`
}

// Validate reports all faults at once.
func (c HTTPConfig) Validate() error {
	if c.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "" {
		return fmt.Errorf("listen: %q is not host:port", c.Listen)
	}
	if ip := net.ParseIP(host); c.Pprof && host != "localhost" && !ip.IsLoopback() {
		return fmt.Errorf("pprof: profiles are served on a loopback address only, listen is %q", c.Listen)
	}
	return nil
}

// Check is one condition of being ready or healthy. It must answer quickly.
type Check func(context.Context) error

// Server serves health and metrics.
type Server struct {
	Config   HTTPConfig
	Registry *prometheus.Registry
	// Ready are the conditions of doing what the program is there for. One that is
	// not met may be met again by itself.
	Ready []Check
	// Live are the conditions of being able to: one that is not met never will be,
	// without a restart.
	Live []Check
	Log  *slog.Logger
}

// Handler returns what the server serves.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", answer(s.Live, "ok\n"))
	mux.HandleFunc("GET /readyz", answer(s.Ready, "ready\n"))
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{}))
	if s.Config.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index) // also those with a name of their own: heap, goroutine, …
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// answer says yes, or what is not as it should be.
func answer(checks []Check, yes string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		var errs []error
		for _, check := range checks {
			errs = append(errs, check(ctx))
		}
		if err := errors.Join(errs...); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, yes)
	}
}

// Run serves until ctx ends, which is no error.
func (s *Server) Run(ctx context.Context) error {
	if s.Config.Listen == "" {
		<-ctx.Done()
		return nil
	}
	l, err := net.Listen("tcp", s.Config.Listen)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	s.Log.Info("serving health and metrics", "address", l.Addr().String())
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	done := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	defer done()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("http: %w", err)
	}
	return nil
}
