package deploy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// dashboard is what the checks read of Grafana's dashboard JSON.
type dashboard struct {
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string     `json:"name"`
			Query      string     `json:"query"`
			Datasource datasource `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		RefID      string     `json:"refId"`
		QueryType  string     `json:"queryType"`
		RawSQL     string     `json:"rawSql"`
		Datasource datasource `json:"datasource"`
	} `json:"targets"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

func loadDashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards (%v)", err)
	}
	all := map[string]dashboard{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = d
	}
	return all
}

func loadYAML(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

type provisionedSource struct {
	UID      string `yaml:"uid"`
	Type     string `yaml:"type"`
	JSONData struct {
		Host     string `yaml:"host"`
		Username string `yaml:"username"`
	} `yaml:"jsonData"`
	SecureJSONData struct {
		Password string `yaml:"password"`
	} `yaml:"secureJsonData"`
}

func provisionedSources(t *testing.T) []provisionedSource {
	t.Helper()
	var file struct {
		Datasources []provisionedSource `yaml:"datasources"`
	}
	loadYAML(t, "grafana/provisioning/datasources/clickhouse.yaml", &file)
	return file.Datasources
}

func TestDashboardsAreWholeAndProvisioned(t *testing.T) {
	t.Parallel()
	var known []datasource
	for _, s := range provisionedSources(t) {
		known = append(known, datasource{Type: s.Type, UID: s.UID})
	}
	uids := map[string]string{}
	for file, d := range loadDashboards(t) {
		if d.UID == "" || d.Title == "" {
			t.Errorf("%s: no uid or title", file)
		}
		if other, ok := uids[d.UID]; ok {
			t.Errorf("%s and %s have the uid %s", file, other, d.UID)
		}
		uids[d.UID] = file
		ids := map[int]bool{}
		for _, p := range d.Panels {
			name := file + ": " + p.Title
			if ids[p.ID] {
				t.Errorf("%s: id %d is taken", name, p.ID)
			}
			ids[p.ID] = true
			if p.Title == "" || p.Description == "" {
				t.Errorf("%s: panel %d has no title or no description", file, p.ID)
			}
			if !slices.Contains(known, p.Datasource) {
				t.Errorf("%s: datasource %+v is not provisioned", name, p.Datasource)
			}
			if p.Type != "table" && p.FieldConfig.Defaults.Unit == "" {
				t.Errorf("%s: no unit", name)
			}
			if p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: place %+v is outside the grid", name, p.GridPos)
			}
			if len(p.Targets) == 0 {
				t.Errorf("%s: no query", name)
			}
			for _, target := range p.Targets {
				if target.RawSQL == "" || !slices.Contains(known, target.Datasource) {
					t.Errorf("%s: query %s is empty or its datasource is not provisioned", name, target.RefID)
				}
				if !strings.Contains(target.RawSQL, "$__timeFilter(") {
					t.Errorf("%s: query %s ignores the chosen time", name, target.RefID)
				}
			}
		}
		for i, p := range d.Panels {
			for _, q := range d.Panels[i+1:] {
				a, b := p.GridPos, q.GridPos
				if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
					t.Errorf("%s: %q and %q overlap", file, p.Title, q.Title)
				}
			}
		}
		for _, v := range d.Templating.List {
			if !slices.Contains(known, v.Datasource) {
				t.Errorf("%s: variable %s: datasource %+v is not provisioned", file, v.Name, v.Datasource)
			}
		}
	}
}

func TestGrafanaFindsItsFilesAndItsDatabase(t *testing.T) {
	t.Parallel()
	p := loadCompose(t)
	grafana, clickhouse := p.Services["grafana"], p.Services["clickhouse"]

	var providers struct {
		Providers []struct {
			Options struct {
				Path string `yaml:"path"`
			} `yaml:"options"`
		} `yaml:"providers"`
	}
	loadYAML(t, "grafana/provisioning/dashboards/trench.yaml", &providers)
	for _, provider := range providers.Providers {
		dir, err := mounted(grafana, provider.Options.Path)
		if err != nil {
			t.Error(err)
			continue
		}
		if home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]; home != nil {
			if _, err := os.Stat(filepath.Join(dir, filepath.Base(*home))); err != nil || filepath.Dir(*home) != provider.Options.Path {
				t.Errorf("home dashboard %s: %v", *home, err)
			}
		}
	}
	if _, err := mounted(grafana, "/etc/grafana/provisioning"); err != nil {
		t.Error(err)
	}
	for _, s := range provisionedSources(t) {
		plugin := grafana.Environment["GF_PLUGINS_PREINSTALL_SYNC"]
		if plugin == nil || !strings.HasPrefix(*plugin, s.Type+"@") {
			t.Errorf("plugin %s is not installed in a pinned version", s.Type)
		}
		if s.JSONData.Host != clickhouse.Name {
			t.Errorf("datasource %s is at host %q, no such service", s.UID, s.JSONData.Host)
		}
		user, password := clickhouse.Environment["CLICKHOUSE_USER"], clickhouse.Environment["CLICKHOUSE_PASSWORD"]
		if user == nil || password == nil || *user != s.JSONData.Username || *password != s.SecureJSONData.Password {
			t.Errorf("datasource %s signs in as somebody that clickhouse does not know", s.UID)
		}
	}
}
