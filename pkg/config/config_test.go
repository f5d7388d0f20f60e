package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/config"
)

type sample struct {
	Name  string `yaml:"name"`
	Kafka struct {
		Brokers []string      `yaml:"brokers"`
		Wait    time.Duration `yaml:"wait"`
		Ports   []int         `yaml:"ports"`
	} `yaml:"kafka"`
	Common `yaml:",inline"`
	Hidden string `yaml:"-"`
}

type Common struct {
	Stay  bool    `yaml:"stay"`
	Ratio float64 `yaml:"ratio"`
}

func load(t *testing.T, text string, env ...string) (sample, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var s sample
	s.Name, s.Kafka.Brokers, s.Ratio = "default", []string{"d:1", "e:2"}, 0.5
	err := config.Read(path, env, &s)
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), path, "c.yaml"))
	}
	return s, err
}

func TestTheEnvironmentIsOverTheFileIsOverTheDefaults(t *testing.T) {
	t.Parallel()
	got, err := load(t, "kafka:\n  brokers: [a:1]\n  wait: 3s\nstay: true\n", "TRENCH_KAFKA_BROKERS=x:1, y:2", "TRENCH_RATIO=0.25",
		"TRENCH_KAFKA_PORTS=1,2", "TRENCH_CAPTURE_PORT_9090_TCP=tcp://10.0.0.1:9090", "PATH=/bin")
	if err != nil {
		t.Fatal(err)
	}
	want := sample{Name: "default", Common: Common{Stay: true, Ratio: 0.25}}
	want.Kafka.Brokers, want.Kafka.Wait, want.Kafka.Ports = []string{"x:1", "y:2"}, 3*time.Second, []int{1, 2}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestFaultsAreReportedTogetherWithTheirLines(t *testing.T) {
	t.Parallel()
	_, err := load(t, "name: x\nkafka:\n  borkers: [a]\n  wait: soon\nhidden: 1\n", "TRENCH_STAY=perhaps", "TRENCH_KAFKA_PORTS=1,x")
	want := strings.Join([]string{
		"c.yaml: line 3: unknown key kafka.borkers (known here: brokers, wait, ports)",
		"c.yaml: line 5: unknown key hidden (known here: name, kafka, stay, ratio)",
		"c.yaml: line 4: cannot unmarshal !!str `soon` into time.Duration",
		`TRENCH_KAFKA_PORTS: "x" is no int`,
		`TRENCH_STAY: "perhaps" is no bool`,
	}, "\n")
	if err == nil {
		t.Fatal("no error")
	}
	if d := cmp.Diff(want, err.Error()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAnEmptyFileLeavesTheDefaults(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		if got, err := load(t, text); err != nil || got.Name != "default" {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestWhatIsNoYAMLOrNotThereIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := load(t, "a: [1\n"); err == nil || !strings.HasPrefix(err.Error(), "c.yaml: ") {
		t.Errorf("err = %v", err)
	}
	if _, err := load(t, "- a\n- b\n"); err == nil {
		t.Error("a list was taken")
	}
	if err := config.Load("/does/not/exist.yaml", &sample{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}

type strict struct {
	N int `yaml:"n"`
}

func (s strict) Validate() error {
	if s.N < 1 {
		return errors.Join(errors.New("n: is below 1"), errors.New("n: is even"))
	}
	return nil
}

func TestLoadValidates(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("n: 0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := config.Load(path, &strict{N: 1}); err == nil || err.Error() != path+": n: is below 1\n"+path+": n: is even" {
		t.Errorf("err = %v", err)
	}
	if err := config.Load("", &strict{N: 1}); err != nil {
		t.Error(err)
	}
}

func TestEveryKeyHasAVariable(t *testing.T) {
	t.Parallel()
	want := []string{"TRENCH_NAME", "TRENCH_KAFKA_BROKERS", "TRENCH_KAFKA_WAIT", "TRENCH_KAFKA_PORTS", "TRENCH_STAY", "TRENCH_RATIO"}
	if d := cmp.Diff(want, config.Names(&sample{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestSectionNamesEveryFault(t *testing.T) {
	t.Parallel()
	err := config.Section("kafka", errors.Join(errors.New("a: x"), errors.New("b: y")))
	if err == nil || err.Error() != "kafka.a: x\nkafka.b: y" || config.Section("k", nil) != nil {
		t.Errorf("err = %v", err)
	}
}
