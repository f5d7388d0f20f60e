package deploy_test

import (
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrometheusScrapesWhatComposePublishes(t *testing.T) {
	t.Parallel()
	var file struct {
		ScrapeConfigs []struct {
			StaticConfigs []struct {
				Targets []string          `yaml:"targets"`
				Labels  map[string]string `yaml:"labels"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	loadYAML(t, "prometheus/prometheus.yml", &file)
	got := map[string][]string{}
	for _, scrape := range file.ScrapeConfigs {
		for _, static := range scrape.StaticConfigs {
			got[static.Labels["service"]] = append(got[static.Labels["service"]], static.Targets...)
		}
	}
	want := map[string][]string{}
	for name, s := range loadCompose(t).Services {
		if !slices.Contains(services, name) {
			continue
		}
		for _, port := range s.Ports {
			want[name] = append(want[name], net.JoinHostPort(port.HostIP, port.Published))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}
