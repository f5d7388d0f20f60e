package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"trench/pkg/fault"
	"trench/pkg/obs"
	"trench/pkg/service"
	"trench/pkg/stage"
	"trench/pkg/wire"
)

// safe is a buffer that can be read while it is written.
type safe struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type settings struct {
	service.Config `yaml:",inline"`
	N              int `yaml:"n"`
}

func (s *settings) Validate() error { return s.Config.Validate() }

// program runs do against a Kafka inside this process.
func program(t *testing.T, do func(context.Context, *service.Env) error) service.Program {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "topic"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s := &settings{Config: service.DefaultConfig(9100)}
	s.Kafka.Brokers, s.HTTP.Listen = c.ListenAddrs(), "127.0.0.1:0"
	return service.Program{Name: "test", Config: s, Common: &s.Config, Topics: []string{"topic"}, Run: do}
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongUsageAndConfigurationExitWith2(t *testing.T) {
	t.Parallel()
	never := func(context.Context, *service.Env) error { t.Error("it ran"); return nil }
	for want, args := range map[string][]string{
		"line 2: unknown key m":      {"-c", file(t, "n: 1\nm: 2\n"), "--check"},
		"kafka.brokers: must not be": {"-c", file(t, "kafka: {brokers: []}\n")},
		"no such file":               {"-c", "/does/not/exist"},
		"flag provided but not":      {"--frobnicate"},
		"unexpected argument":        {"x"},
	} {
		var log safe
		if code := service.Main(t.Context(), program(t, never), args, &log); code != service.ExitUsage || !strings.Contains(log.String(), want) {
			t.Errorf("%v: exit code %d, want 2 and %q:\n%s", args, code, want, &log)
		}
	}
	var log safe
	if code := service.Main(t.Context(), program(t, never), []string{"-c", file(t, "n: 1\n"), "--check"}, &log); code != 0 {
		t.Errorf("--check: exit code %d:\n%s", code, &log)
	}
}

func TestTheExitCodeSaysWhatEndedTheWork(t *testing.T) {
	t.Parallel()
	for want, end := range map[int]error{0: nil, service.ExitFailed: errors.New("broken"), service.ExitInput: fmt.Errorf("%w: cut", service.ErrInput)} {
		var log safe
		p := program(t, func(context.Context, *service.Env) error { return end })
		if code := service.Main(t.Context(), p, nil, &log); code != want {
			t.Errorf("exit code %d, want %d:\n%s", code, want, &log)
		}
	}
}

func TestHealthIsServedUntilTheWorkHasDrained(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	var log safe
	at := regexp.MustCompile(`address=(\S+)`)
	ask := func(path string) (int, string) {
		m := at.FindStringSubmatch(log.String())
		if m == nil {
			return 0, ""
		}
		resp, err := http.Get("http://" + m[1] + path)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	until := func(path string, want int, text string) {
		deadline := time.Now().Add(20 * time.Second)
		for {
			code, body := ask(path)
			if code == want && strings.Contains(body, text) {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("%s: %d %q, want %d and %q:\n%s", path, code, body, want, text, &log)
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	var drained bool
	p := program(t, func(ctx context.Context, env *service.Env) error {
		until("/readyz", http.StatusServiceUnavailable, "starting")
		until("/healthz", http.StatusOK, "ok")
		env.SetReady(func(context.Context) error { return nil })
		until("/readyz", http.StatusOK, "ready")
		env.SetLive(func(context.Context) error { return errors.New("worker 1 is stuck") })
		until("/healthz", http.StatusServiceUnavailable, "worker 1 is stuck")
		stop()
		<-ctx.Done()
		until("/readyz", http.StatusOK, "ready") // still served
		drained = true
		return nil
	})
	if code := service.Main(ctx, p, nil, &log); code != 0 || !drained {
		t.Errorf("exit code %d, drained %v:\n%s", code, drained, &log)
	}
}

func TestItWaitsForWhatItNeeds(t *testing.T) {
	t.Parallel()
	tries := 0
	p := program(t, func(context.Context, *service.Env) error { return nil })
	p.Needs = map[string]obs.Check{"the store": func(context.Context) error {
		if tries++; tries < 3 {
			return errors.New("away")
		}
		return nil
	}}
	var log safe
	if code := service.Main(t.Context(), p, nil, &log); code != 0 || tries != 3 || !strings.Contains(log.String(), `for="the store" since=0s err=away`) {
		t.Errorf("exit code %d after %d tries:\n%s", code, tries, &log)
	}
	p.Needs = map[string]obs.Check{"the store": func(context.Context) error { return fmt.Errorf("%w: wrong column", fault.ErrConfiguration) }}
	log = safe{}
	if code := service.Main(t.Context(), p, nil, &log); code != service.ExitFailed || !strings.Contains(log.String(), "wrong column") {
		t.Errorf("exit code %d:\n%s", code, &log)
	}
}

func TestWaitingEndsWhenTold(t *testing.T) {
	t.Parallel()
	p := program(t, func(context.Context, *service.Env) error { return nil })
	p.Topics = []string{"absent"}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var log safe
	if code := service.Main(ctx, p, nil, &log); code != 0 || !strings.Contains(log.String(), "topic absent is missing") {
		t.Errorf("exit code %d:\n%s", code, &log)
	}
}

func TestTopicsThatAreNotAsTheyShouldBeAreReported(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, wire.TopicFlows), kfake.SeedTopics(12, wire.TopicFeatures))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ran := false
	p := program(t, func(context.Context, *service.Env) error { ran = true; return nil })
	p.Common.Kafka.Brokers, p.Common.Topics.Retention = c.ListenAddrs(), time.Hour
	p.Topics = []string{wire.TopicFlows, wire.TopicFeatures}
	var log safe
	if code := service.Main(t.Context(), p, nil, &log); code != 0 || !ran {
		t.Errorf("exit code %d, ran %v", code, ran)
	}
	for _, want := range []string{
		"topic=" + wire.TopicFlows + ` difference="has 3 partitions, not 6"`, "topic=" + wire.TopicFeatures + ` difference="keeps records 168h0m0s, not 1h0m0s"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not logged:\n%s", want, &log)
		}
	}
	if strings.Contains(log.String(), "12 partitions") {
		t.Errorf("more partitions are no fault:\n%s", &log)
	}
}

func TestGraceMustFitIntoARebalance(t *testing.T) {
	t.Parallel()
	c, s := service.DefaultConfig(9100), stage.DefaultConfig()
	if err := c.ValidateStage(s); err != nil {
		t.Error(err)
	}
	s.Grace, s.Workers = c.Kafka.RebalanceTimeout, 0
	err := c.ValidateStage(s)
	for _, want := range []string{"stage.grace: 30s is not below", "stage.workers: 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported: %v", want, err)
		}
	}
}

func TestAnEarlyProgramAwaitsKafkaItself(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	ran := false
	p := program(t, func(ctx context.Context, env *service.Env) error {
		ran = true
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		return env.AwaitKafka(short)
	})
	p.Topics, p.Early = []string{"absent"}, func() bool { return true }
	var log safe
	if code := service.Main(ctx, p, nil, &log); code != 0 || !ran || !strings.Contains(log.String(), "topic absent is missing") {
		t.Errorf("exit code %d, ran %v:\n%s", code, ran, &log)
	}
}
