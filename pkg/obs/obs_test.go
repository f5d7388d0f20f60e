package obs_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"trench/pkg/obs"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestReadyNamesWhatIsNot(t *testing.T) {
	t.Parallel()
	var fault, stuck error
	s := &obs.Server{Registry: obs.NewRegistry(), Ready: []obs.Check{
		func(context.Context) error { return nil }, func(context.Context) error { return fault },
	}, Live: []obs.Check{func(context.Context) error { return stuck }}}
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	if code, body := get(t, srv.URL+"/readyz"); code != 200 {
		t.Errorf("readyz: %d %s", code, body)
	}
	fault = errors.New("no kafka")
	if code, body := get(t, srv.URL+"/readyz"); code != 503 || body != "no kafka\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	if code, _ := get(t, srv.URL+"/healthz"); code != 200 {
		t.Errorf("healthz: %d while not ready", code)
	}
	stuck = errors.New("worker 3 is stuck")
	if code, body := get(t, srv.URL+"/healthz"); code != 503 || body != "worker 3 is stuck\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	if code, body := get(t, srv.URL+"/metrics"); code != 200 || !strings.Contains(body, "go_goroutines") {
		t.Errorf("metrics: %d", code)
	}
	if code, _ := get(t, srv.URL+"/debug/pprof/"); code != 404 {
		t.Errorf("pprof: %d, want it off", code)
	}
}

func TestProfilesAreServedWhenAskedForAndOnlyHere(t *testing.T) {
	t.Parallel()
	s := &obs.Server{Config: obs.HTTPConfig{Listen: "127.0.0.1:9100", Pprof: true}, Registry: obs.NewRegistry()}
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		if code, body := get(t, srv.URL+path); code != 200 || len(body) == 0 {
			t.Errorf("%s: %d, %d bytes", path, code, len(body))
		}
	}
	for listen, ok := range map[string]bool{
		"127.0.0.1:9100": true, "[::1]:9100": true, "localhost:9100": true, "": true, ":9100": false, "0.0.0.0:9100": false, "10.0.0.1:9100": false, "sensor:9100": false,
	} {
		if err := (obs.HTTPConfig{Listen: listen, Pprof: true}).Validate(); (err == nil) != ok {
			t.Errorf("profiles at %q: err = %v", listen, err)
		}
	}
}

func TestServerEndsWithItsContextAndSaysWhatIsTaken(t *testing.T) {
	t.Parallel()
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	s := &obs.Server{Config: obs.HTTPConfig{Listen: strings.TrimPrefix(taken.URL, "http://")}, Registry: obs.NewRegistry(), Log: slog.New(slog.DiscardHandler)}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("err = %v", err)
	}
	s.Config.Listen = "127.0.0.1:0"
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestLogLevelAndFormat(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	log := obs.NewLogger(obs.LogConfig{Level: "warn", Format: "json"}, &b)
	log.Info("no")
	log.Warn("yes", "n", 1)
	if got := b.String(); strings.Contains(got, `"no"`) || !strings.Contains(got, `"level":"WARN","msg":"yes","n":1`) {
		t.Errorf("log: %s", got)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	if err := errors.Join(obs.DefaultLogConfig().Validate(), obs.HTTPConfig{Listen: ":9100"}.Validate(), obs.HTTPConfig{}.Validate()); err != nil {
		t.Error(err)
	}
	err := errors.Join(obs.LogConfig{Level: "loud", Format: "xml"}.Validate(), obs.HTTPConfig{Listen: "9100"}.Validate())
	for _, want := range []string{"level:", "format:", "listen:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported: %v", want, err)
		}
	}
}
