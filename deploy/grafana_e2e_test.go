//go:build e2e

package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"trench/pkg/store"
	"trench/schemas"
)

// sampleFlow has what every panel looks for.
const sampleFlow = `{"source": "compose:/captures/a.pcap", "flow_id": "000102030405060708090a0b0c0d0e0f", "part": 0, "final": true,
 "ts": "2026-01-02T03:04:05.678901Z", "ts_end": "2026-01-02T03:04:06Z", "proto": "tcp", "app_proto": "tls",
 "client_ip": "192.0.2.1", "client_port": 50000, "server_ip": "198.51.100.2", "server_port": 443,
 "bytes_c2s": 1000, "bytes_s2c": 2000, "tls_version": "TLS 1.2", "tls_sni": "host.example",
 "score": 0.97, "verdict": "malicious",
 "reasons": [{"code": "x", "text": "self-signed certificate", "value": 1, "contribution": 2.5, "attack": "T1573"}]}`

const sampleDeadLetter = `{"stage": "features", "error": "no flow", "time": "2026-01-02T03:04:05Z", "failed": "2026-01-02T03:04:06Z"}`

// TestDashboardQueriesRunOnTheSchema runs every query of every dashboard on a
// real server with the migrated schema and one row of each kind.
func TestDashboardQueriesRunOnTheSchema(t *testing.T) {
	t.Parallel()
	native, web := startClickHouse(t)
	migrate(t, native)
	ask(t, web, "INSERT INTO trench.flows FORMAT JSONEachRow "+strings.ReplaceAll(sampleFlow, "\n", ""))
	ask(t, web, "INSERT INTO trench.dead_letters FORMAT JSONEachRow "+sampleDeadLetter)

	for file, d := range loadDashboards(t) {
		values := map[string]string{}
		for _, v := range d.Templating.List {
			rows := ask(t, web, expand(v.Query, nil)+" FORMAT JSON")
			var quoted []string
			for _, row := range rows {
				for _, value := range row {
					quoted = append(quoted, "'"+fmt.Sprint(value)+"'")
				}
			}
			if len(quoted) == 0 {
				t.Errorf("%s: variable %s has no value", file, v.Name)
			}
			values[v.Name] = strings.Join(quoted, ",")
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				rows := ask(t, web, expand(target.RawSQL, values)+" FORMAT JSON")
				if len(rows) != 1 {
					t.Errorf("%s: %s: %d rows of one flow, want 1", file, p.Title, len(rows))
					continue
				}
				wantSample(t, p.Title, rows[0])
			}
		}
	}
}

// wantSample checks that a panel shows the sample row's values.
func wantSample(t *testing.T, title string, row map[string]any) {
	t.Helper()
	want := map[string]map[string]string{
		"Flows":                      {"flows": "1"},
		"Malicious":                  {"malicious": "1"},
		"Suspicious":                 {"suspicious": "0"},
		"Clients concerned":          {"clients": "1"},
		"Scored":                     {"scored": "1"},
		"Dead letters":               {"dead_letters": "1"},
		"Verdicts over time":         {"malicious": "1", "benign": "0"},
		"Scores":                     {"score_from": "0.95", "flows": "1"},
		"Flows worth a look":         {"why": "self-signed certificate", "attack": "T1573", "client": "192.0.2.1", "server": "198.51.100.2:443", "sni": "host.example"},
		"TLS versions over time":     {"TLS 1.2": "1", "TLS 1.3": "0", "other": "0"},
		"Services":                   {"service": "tls", "port": "443", "malicious": "1", "bytes": "3000"},
		"Server names":               {"sni": "host.example", "worth_a_look": "1"},
		"Clients by malicious flows": {"client": "192.0.2.1", "malicious": "1", "servers": "1"},
		"Bytes over time":            {"client to server": "1000", "server to client": "2000"},
	}
	values, ok := want[title]
	if !ok {
		t.Errorf("%s: no expectation for this panel", title)
	}
	for column, value := range values {
		if got := fmt.Sprint(row[column]); got != value {
			t.Errorf("%s: %s is %s, want %s", title, column, got, value)
		}
	}
}

// expand does what Grafana and the plugin do before they send a query.
func expand(sql string, values map[string]string) string {
	sql = regexp.MustCompile(`\$__timeFilter\((\w+)\)`).ReplaceAllString(sql, "$1 >= toDateTime(1700000000) AND $1 <= toDateTime(1900000000)")
	sql = regexp.MustCompile(`\$__timeInterval\((\w+)\)`).ReplaceAllString(sql, "toStartOfInterval(toDateTime($1), INTERVAL 3600 second)")
	for name, value := range values {
		sql = strings.ReplaceAll(sql, "${"+name+":singlequote}", value)
	}
	return sql
}

func ask(t *testing.T, web, sql string) []map[string]any {
	t.Helper()
	resp, err := http.Post("http://"+web+"/?date_time_input_format=best_effort&output_format_json_quote_64bit_integers=0", "text/plain", strings.NewReader(sql))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s\n%s", sql, body)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	var answer struct {
		Data []map[string]any `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
	return answer.Data
}

func migrate(t *testing.T, native string) {
	t.Helper()
	migrations, err := store.Migrations(schemas.ClickHouse, "clickhouse")
	if err != nil {
		t.Fatal(err)
	}
	cfg := store.DefaultConfig()
	cfg.Addr = []string{native}
	if _, err := store.Migrate(t.Context(), cfg, migrations); err != nil {
		t.Fatal(err)
	}
}

// startClickHouse starts a server of its own: this test fills the database
// trench.
func startClickHouse(t *testing.T) (native, web string) {
	t.Helper()
	script, err := filepath.Abs("local/local.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Cleanup(func() {
		if out, err := exec.Command(script, "down", "--dir", dir).CombinedOutput(); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	up := exec.Command(script, "up", "--dir", dir, "--free-ports", "--while", strconv.Itoa(os.Getpid()), "clickhouse")
	up.WaitDelay = time.Second
	if out, err := up.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no ClickHouse, and CI=true: %v\n%s", err, out)
		}
		t.Skipf("SKIPPED: no ClickHouse: %v\n%s", err, out)
	}
	env, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(env)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "TRENCH_CLICKHOUSE_NATIVE":
			native = value
		case "TRENCH_CLICKHOUSE_HTTP":
			web = value
		}
	}
	return native, web
}
