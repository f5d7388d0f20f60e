// Package deploy_test checks what no compiler sees: docker-compose.yml, the
// configuration files it mounts, and the Grafana dashboards.
package deploy_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

// services are Trench's own long-running processes.
var services = []string{"capture", "features", "scoring", "sink"}

func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  root,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(root, "docker-compose.yml")}},
		Environment: types.Mapping{}, // what a user's shell sets is not checked here
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// oneShot says whether others wait for the service to end.
func oneShot(p *types.Project, name string) bool {
	for _, s := range p.Services {
		if d, ok := s.DependsOn[name]; ok && d.Condition == types.ServiceConditionCompletedSuccessfully {
			return true
		}
	}
	return false
}

func TestComposeHasEveryPart(t *testing.T) {
	t.Parallel()
	want := append([]string{"clickhouse", "grafana", "kafka", "migrate", "topics"}, services...)
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(loadCompose(t).Services))); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

func TestComposeImagesArePinned(t *testing.T) {
	t.Parallel()
	version := regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9]+(\.[0-9]+)+$`)
	for name, s := range loadCompose(t).Services {
		if s.Build == nil {
			if !version.MatchString(s.Image) {
				t.Errorf("%s: image %q has no version", name, s.Image)
			}
			continue
		}
		if s.Image != "trench:local" {
			t.Errorf("%s: image %q is not the one that is built here", name, s.Image)
		}
		file := filepath.Join(s.Build.Context, s.Build.Dockerfile)
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for line := range strings.Lines(string(raw)) {
			if image, ok := strings.CutPrefix(line, "FROM "); ok {
				if !regexp.MustCompile(`^\S+:\S+`).MatchString(image) || strings.Contains(image, "latest") {
					t.Errorf("%s: base image %q has no version", file, strings.TrimSpace(image))
				}
			}
		}
	}
}

func TestDockerfileBuildsWhatComposeRuns(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("docker/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	built := map[string]bool{}
	for _, m := range regexp.MustCompile(`\./((?:services|deploy)/\S+)`).FindAllStringSubmatch(string(raw), -1) {
		built["/usr/local/bin/"+filepath.Base(m[1])] = true
		if _, err := os.Stat(filepath.Join("..", m[1], "main.go")); err != nil {
			t.Errorf("the Dockerfile builds %s: %v", m[1], err)
		}
	}
	for name, s := range loadCompose(t).Services {
		if s.Build == nil {
			continue
		}
		if len(s.Entrypoint) != 1 || !built[s.Entrypoint[0]] {
			t.Errorf("%s: entrypoint %q is not built", name, s.Entrypoint)
		}
		if s.HealthCheck != nil && !built[s.HealthCheck.Test[1]] {
			t.Errorf("%s: health check %q is not built", name, s.HealthCheck.Test)
		}
	}
	for _, want := range []string{"-trimpath", "CGO_ENABLED=0", "USER nonroot"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the Dockerfile has no %s", want)
		}
	}
}

func TestComposeLongRunningServicesAreChecked(t *testing.T) {
	t.Parallel()
	p := loadCompose(t)
	for name, s := range p.Services {
		if oneShot(p, name) {
			if s.HealthCheck != nil {
				t.Errorf("%s: ends by itself, a health check never passes", name)
			}
			continue
		}
		h := s.HealthCheck
		if h == nil || h.Disable || len(h.Test) < 2 {
			t.Errorf("%s: no health check", name)
			continue
		}
		if h.Interval == nil || h.Timeout == nil || h.Retries == nil || h.StartPeriod == nil {
			t.Errorf("%s: health check without interval, timeout, retries or start_period", name)
		}
		if s.Restart == "" {
			t.Errorf("%s: no restart policy", name)
		}
	}
}

func TestComposePortsAreLocalAndDistinct(t *testing.T) {
	t.Parallel()
	published := map[string]string{}
	for name, s := range loadCompose(t).Services {
		for _, port := range s.Ports {
			addr, err := netip.ParseAddr(port.HostIP)
			if err != nil || !addr.IsLoopback() {
				t.Errorf("%s: port %s is bound to %q, want loopback", name, port.Published, port.HostIP)
			}
			if other, ok := published[port.Published]; ok {
				t.Errorf("port %s is published by %s and %s", port.Published, other, name)
			}
			published[port.Published] = name
		}
	}
	for port, name := range map[string]string{"9092": "kafka", "9000": "clickhouse", "8123": "clickhouse", "3000": "grafana"} {
		if published[port] != name {
			t.Errorf("port %s is published by %q, want %s", port, published[port], name)
		}
	}
}

func TestComposeMountsExist(t *testing.T) {
	t.Parallel()
	p := loadCompose(t)
	stateful := map[string]string{"kafka": "/var/lib/kafka/data", "clickhouse": "/var/lib/clickhouse", "grafana": "/var/lib/grafana"}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeBind:
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if !v.ReadOnly {
					t.Errorf("%s: %s is mounted writable", name, v.Source)
				}
			case types.VolumeTypeVolume:
				if _, ok := p.Volumes[v.Source]; !ok {
					t.Errorf("%s: volume %s is not declared", name, v.Source)
				}
				if stateful[name] == v.Target {
					delete(stateful, name)
				}
			default:
				t.Errorf("%s: unexpected kind of mount %q", name, v.Type)
			}
		}
	}
	for name, target := range stateful {
		t.Errorf("%s: no volume at %s, its data would go with the container", name, target)
	}
}

func TestComposeStartsInOrder(t *testing.T) {
	t.Parallel()
	p := loadCompose(t)
	const done, healthy = types.ServiceConditionCompletedSuccessfully, types.ServiceConditionHealthy
	want := map[string]map[string]string{
		"migrate":  {"clickhouse": healthy},
		"topics":   {"kafka": healthy},
		"capture":  {"topics": done},
		"features": {"topics": done},
		"scoring":  {"topics": done},
		"sink":     {"topics": done, "migrate": done},
		"grafana":  {"clickhouse": healthy, "migrate": done},
	}
	for name, deps := range want {
		got := map[string]string{}
		for dep, d := range p.Services[name].DependsOn {
			got[dep] = d.Condition
		}
		if diff := cmp.Diff(deps, got); diff != "" {
			t.Errorf("%s depends on (-want +got):\n%s", name, diff)
		}
	}
	if nofile := p.Services["clickhouse"].Ulimits["nofile"]; nofile == nil || nofile.Soft < 100_000 {
		t.Error("clickhouse: the limit of open files is not raised")
	}
}

// mounted is the file on this machine that a container sees at path.
func mounted(s types.ServiceConfig, path string) (string, error) {
	for _, v := range s.Volumes {
		if v.Target == path {
			return v.Source, nil
		}
	}
	return "", fmt.Errorf("%s: nothing is mounted at %s", s.Name, path)
}

func TestComposeConfigurationPassesItsService(t *testing.T) {
	t.Parallel()
	p := loadCompose(t)
	for _, name := range services {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := p.Services[name]
			if len(s.Command) != 2 || s.Command[0] != "-c" {
				t.Fatalf("command is %q, want -c FILE", s.Command)
			}
			file, err := mounted(s, s.Command[1])
			if err != nil {
				t.Fatal(err)
			}
			check(t, name, file, 0)

			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			wrong := filepath.Join(t.TempDir(), "wrong.yaml")
			if err := os.WriteFile(wrong, append(raw, "no_such_key: 1\n"...), 0o644); err != nil {
				t.Fatal(err)
			}
			check(t, name, wrong, 2) // so the check above means something
		})
	}
}

// check runs a service with --check. Variables of this machine's Trench must
// not change what the file says.
func check(t *testing.T, service, file string, want int) {
	t.Helper()
	bin := build(t, service)
	cmd := exec.CommandContext(t.Context(), bin, "-c", file, "--check")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TRENCH_") })
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("%s -c %s --check ends with %d, want %d:\n%s", service, filepath.Base(file), got, want, out)
	}
}

func build(t *testing.T, service string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), service)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./services/"+service)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", service, err, out)
	}
	return bin
}

func TestComposeOneShotsAreCommandsOfTrench(t *testing.T) {
	t.Parallel()
	p := loadCompose(t)
	trench := build(t, "trench")
	for _, name := range []string{"migrate", "topics"} {
		s := p.Services[name]
		if len(s.Command) != 3 || s.Command[0] != name || s.Command[1] != "-c" {
			t.Errorf("%s: command is %q, want %s -c FILE", name, s.Command, name)
			continue
		}
		if _, err := mounted(s, s.Command[2]); err != nil {
			t.Error(err)
		}
		out, err := exec.CommandContext(t.Context(), trench, name, "--help").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "trench "+name) || !strings.Contains(string(out), "-c, ") {
			t.Errorf("trench %s --help: %v, and no -c in\n%s", name, err, out)
		}
	}
}
