package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"trench/pkg/export"
	"trench/pkg/record"
)

const demo = "../../testdata/pcap/demo.pcap"

// trench runs a command line and returns what a user would see.
func trench(t *testing.T, stdin []byte, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), args, bytes.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

// summary returns the numbers of the last line on stderr.
func summary(t *testing.T, stderr string) map[string]float64 {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	rest, ok := strings.CutPrefix(last, "summary ")
	if !ok {
		t.Fatalf("last line %q is no summary", last)
	}
	out := make(map[string]float64)
	for _, f := range strings.Fields(rest) {
		k, v, _ := strings.Cut(f, "=")
		n, err := strconv.ParseFloat(v, 64)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		out[k] = n
	}
	return out
}

// checkSum wants every packet to be counted exactly once.
func checkSum(t *testing.T, s map[string]float64) {
	t.Helper()
	sum := 0.0
	for k, v := range s {
		switch {
		case k == "in_flows", k == "not_ip", k == "malformed", k == "refused", k == "filtered", k == "duplicate", k == "fragment_dropped",
			strings.HasPrefix(k, "dropped_"):
			sum += v
		}
	}
	if sum != s["packets"] {
		t.Errorf("packets %v, outcomes add up to %v", s["packets"], sum)
	}
}

func TestAnalyzeShowsWhatIsWorthALook(t *testing.T) {
	t.Parallel()
	code, out, errs := trench(t, nil, "analyze", "--top", "2", demo)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	s := summary(t, errs)
	checkSum(t, s)
	if s["malicious"] == 0 || s["packets"] != 1999 {
		t.Errorf("summary %v", s)
	}
	rows := regexp.MustCompile(`(?m)^(malicious|suspicious) .*192\.168\.0\.4:443.*\n {12}\+\d`).FindAllString(out, -1)
	if len(rows) != 2 || !strings.Contains(out, "more; --top N shows more") {
		t.Errorf("%d rows with reasons:\n%s", len(rows), out)
	}
}

func TestListsAndShadowsShowInRowsAndSummary(t *testing.T) {
	t.Parallel()
	list := filepath.Join(t.TempDir(), "site.yaml")
	text := `
allow:
  - {address: 192.168.0.4, direction: server, author: jd, reason: our test server}
  - {domain: old.example, until: 2020-01-01, author: jd, reason: over}
deny:
  - {network: 10.0.0.0/8, direction: client, author: soc, reason: case 7}
`
	if err := os.WriteFile(list, []byte(text[:strings.Index(text, "deny")]), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, errs := trench(t, nil, "analyze", demo)
	before := summary(t, errs)
	code, out, errs := trench(t, nil, "analyze", "--lists", list, "--shadow", "../../pkg/model/default", "-o", "-", demo)
	s := summary(t, errs)
	if code != 0 || s["allowed"] < 40 || s["denied"] != 0 || s["malicious"] >= before["malicious"] || s["benign"] <= before["benign"] ||
		!strings.Contains(errs, list+": 1 allow entries have ended, they are ignored") || !strings.Contains(errs, "lists decided: ") {
		t.Errorf("exit %d: %s", code, errs)
	}
	allowed := 0
	for line := range strings.Lines(out) {
		var r struct {
			Verdict string `json:"verdict"`
			ModelID string `json:"model_id"`
			Score   *float64
			Reasons []any
			Shadow  []struct {
				ModelID string `json:"model_id"`
				Score   *float64
				Verdict string
			}
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Score != nil && (len(r.Shadow) != 1 || r.Shadow[0].ModelID != r.ModelID || *r.Shadow[0].Score != *r.Score) { // the same model
			t.Errorf("score %v by %s, shadow %+v", *r.Score, r.ModelID, r.Shadow)
		}
		if strings.Contains(line, "allow list "+list+": address 192.168.0.4 as server, our test server (jd, no end)") {
			allowed++
			if r.Verdict != "benign" || r.Score != nil && r.Shadow[0].Verdict == "malicious" && len(r.Reasons) == 0 {
				t.Errorf("allowed, and %s with %d reasons", r.Verdict, len(r.Reasons))
			}
		}
	}
	if float64(allowed) != s["allowed"] {
		t.Errorf("%d rows name the list, the summary says %v", allowed, s["allowed"])
	}
	if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = trench(t, nil, "analyze", "--lists", list, "--top", "1", demo)
	s = summary(t, errs)
	if code != 0 || s["denied"] < 40 || s["allowed"] != 0 || !strings.Contains(out, "deny list "+list+": network 10.0.0.0/8 as client, case 7 (soc, no end)") {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
}

func TestOutputsHaveTheSameRows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(ext string) string { return filepath.Join(dir, "flows."+ext) }
	code, out, errs := trench(t, nil, "analyze", "--workers", "1", "-o", "-", "-o", file("ndjson"), "-o", file("csv"), "-o", file("parquet"), demo)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if data, err := os.ReadFile(file("ndjson")); err != nil || string(data) != out {
		t.Fatalf("NDJSON on stdout and in the file differ (%v)", err)
	}
	var rows []map[string]any
	for line := range strings.Lines(out) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		rows = append(rows, row)
	}
	if want := summary(t, errs)["flows"]; float64(len(rows)) != want {
		t.Errorf("%d rows, the summary says %v", len(rows), want)
	}
	columns := make([]string, 0, len(record.Columns()))
	for _, c := range record.Columns() {
		columns = append(columns, c.Name)
	}

	f, err := os.Open(file("csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(table[0], " ") != strings.Join(columns, " ") || len(table) != len(rows)+1 {
		t.Fatalf("CSV has %d rows and columns %v", len(table), table[0])
	}
	for i, row := range rows {
		for c, name := range columns {
			want := ""
			switch v := row[name].(type) {
			case nil:
			case string:
				want = v
			default:
				var got any
				if err := json.Unmarshal([]byte(table[i+1][c]), &got); err != nil {
					t.Fatalf("row %d, %s: %q: %v", i, name, table[i+1][c], err)
				}
				w, _ := json.Marshal(v)
				g, _ := json.Marshal(got)
				if !bytes.Equal(w, g) {
					t.Errorf("row %d, %s: CSV %s, NDJSON %s", i, name, g, w)
				}
				continue
			}
			if table[i+1][c] != want {
				t.Errorf("row %d, %s: CSV %q, NDJSON %q", i, name, table[i+1][c], want)
			}
		}
	}

	p, err := os.Open(file("parquet"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	info, err := p.Stat()
	if err != nil {
		t.Fatal(err)
	}
	pf, err := parquet.OpenFile(p, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range pf.Schema().Fields() {
		names = append(names, c.Name())
	}
	if strings.Join(names, " ") != strings.Join(columns, " ") || pf.NumRows() != int64(len(rows)) {
		t.Errorf("Parquet has %d rows and columns %v", pf.NumRows(), names)
	}
}

func TestStdinAndCompressedInputReadAlike(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(demo)
	if err != nil {
		t.Fatal(err)
	}
	_, fromFile, _ := trench(t, nil, "analyze", "--workers", "1", "-o", "-", demo)
	code, fromStdin, errs := trench(t, data, "analyze", "--workers", "1", "-o", "-", "-")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if strings.ReplaceAll(fromFile, `"source":"`+demo, `"source":"-`) != fromStdin {
		t.Error("rows from stdin and from the file differ")
	}
}

func TestExitCodesAndErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	whole, err := os.ReadFile(demo)
	if err != nil {
		t.Fatal(err)
	}
	cut := write("cut.pcap", whole[:len(whole)-10])
	empty := write("empty.pcap", nil)
	text := write("notes.txt", []byte("no capture at all"))
	bad := write("bad.yaml", []byte("capture:\n  max_flow: 3\n"))
	low := write("low.yaml", []byte("capture:\n  max_flows: 3\n  linger: 0s\n"))
	ranks := write("ranks.yaml", []byte("features:\n  rank_list: "+text+"\n"))
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"missing file":      {[]string{"analyze", demo, filepath.Join(dir, "nothing")}, 3, []string{"nothing: no such file", "packets=1999"}},
		"empty file":        {[]string{"analyze", empty}, 3, []string{"empty.pcap: offset 0: empty file"}},
		"no capture":        {[]string{"analyze", text}, 3, []string{"notes.txt: offset 0: magic 6e6f2063: not a pcap"}},
		"cut capture":       {[]string{"analyze", cut}, 3, []string{"cut.pcap: offset", "of an incomplete record", "packets=1998"}},
		"directory":         {[]string{"analyze", dir}, 3, []string{"cut.pcap", "skipped=5"}},
		"no path":           {[]string{"analyze"}, 2, []string{"requires at least 1 arg"}},
		"unknown flag":      {[]string{"analyze", "--frobnicate", demo}, 2, []string{"unknown flag: --frobnicate", "--help"}},
		"unknown command":   {[]string{"analyse", demo}, 2, []string{"unknown command"}},
		"unknown stage":     {[]string{"analyze", "--only", "scoring", demo}, 2, []string{"neither capture nor features"}},
		"workers":           {[]string{"analyze", "--workers", "0", demo}, 2, []string{"--workers: 0 is below 1"}},
		"html":              {[]string{"analyze", "-o", filepath.Join(dir, "x.html"), demo}, 2, []string{"HTML report is not part of this version"}},
		"unknown format":    {[]string{"analyze", "-o", filepath.Join(dir, "x.xls"), demo}, 2, []string{`unknown ending ".xls"`}},
		"no such folder":    {[]string{"analyze", "-o", filepath.Join(dir, "no", "x.csv"), demo}, 1, []string{"no such file or directory"}},
		"no model":          {[]string{"analyze", "--model", dir, demo}, 2, []string{"model " + dir}},
		"unknown key":       {[]string{"analyze", "--config", bad, demo}, 2, []string{"bad.yaml", "max_flow", "2"}},
		"limits":            {[]string{"analyze", "--config", low, demo}, 2, []string{"capture.max_flows: 3 is not within", "capture.linger: 0s"}},
		"profile":           {[]string{"analyze", "--profile", "trench-v2", demo}, 2, []string{"--profile", `"trench-v2"`, "cisco2016"}},
		"profile and model": {[]string{"analyze", "--profile", "cisco2016", demo}, 2, []string{"built-in model", "schema differs"}},
		"rank list":         {[]string{"analyze", "--config", ranks, demo}, 2, []string{"features.rank_list: ", "notes.txt: line 1: "}},
		"features to what":  {[]string{"features", demo}, 2, []string{"-o FILE.parquet is missing"}},
	} {
		code, _, errs := trench(t, nil, c.args...)
		if code != c.code {
			t.Errorf("%s: exit %d, want %d: %s", name, code, c.code, errs)
		}
		for _, s := range c.says {
			if !strings.Contains(errs, s) {
				t.Errorf("%s: %q is not in\n%s", name, s, errs)
			}
		}
	}
}

func TestOnlyStopsAfterAStage(t *testing.T) {
	t.Parallel()
	for stage, want := range map[string][2]bool{"capture": {false, false}, "features": {true, false}, "": {true, true}} {
		_, out, _ := trench(t, nil, "analyze", "-o", "-", "--only", stage, demo)
		if got := [2]bool{strings.Contains(out, `"ja3":`), strings.Contains(out, `"model_id":`)}; got != want {
			t.Errorf("--only %q: JA3 and model are %v, want %v", stage, got, want)
		}
	}
}

func TestNumberOfWorkersDoesNotChangeTheRows(t *testing.T) {
	t.Parallel()
	rows := func(workers string) map[string]bool {
		_, out, _ := trench(t, nil, "analyze", "-o", "-", "--workers", workers, demo)
		set := make(map[string]bool)
		for line := range strings.Lines(out) {
			set[line] = true
		}
		return set
	}
	one, three := rows("1"), rows("3")
	for line := range one {
		if !three[line] {
			t.Errorf("not with three workers: %.300s", line)
		}
	}
	if len(one) != len(three) || len(one) == 0 {
		t.Errorf("%d rows with one worker, %d with three", len(one), len(three))
	}
}

func TestFeaturesJoinLabels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	labels := filepath.Join(dir, "labels.csv")
	csv := "path,proto,client_ip,client_port,server_ip,server_port,first_ts,label,role,family\n" +
		"pcap/demo.pcap,tls,192.168.0.4,443,10.0.1.5,61319,1588317531.0000,malicious,c2,x\n" // other time: no partner
	if err := os.WriteFile(labels, []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "rows.parquet")
	code, _, errs := trench(t, nil, "features", "-o", out, "--labels", labels, demo)
	if code != 0 || !strings.Contains(errs, "81 rows, 0 with a label, 81 without; 1 of 1 labels found no flow in the captures read, 0 are of other captures") {
		t.Errorf("exit %d: %s", code, errs)
	}
	code, table, errs := trench(t, nil, "model", "eval", "default", out)
	if code != 0 || !strings.Contains(table, "left out 81") {
		t.Errorf("exit %d: %s%s", code, table, errs)
	}
}

func TestProfilesAndLicences(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ranks := filepath.Join(dir, "ranks.csv")
	if err := os.WriteFile(ranks, []byte("1,example.org\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "trench.yaml")
	if err := os.WriteFile(config, []byte("features:\n  rank_list: "+ranks+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for profile, columns := range map[string][]string{
		"trench-v1": {"fl_pk_c", "qu_is_quic"}, "trench-v1+mt+ht+xs": {"fl_pk_c", "mt_0_0", "ht_n_req_5m", "xs_sni_rank_log"}, "cisco2016": {"c16_cke_bits"},
	} {
		path := filepath.Join(dir, profile+".parquet")
		if code, _, errs := trench(t, nil, "features", "--config", config, "--profile", profile, "-o", path, demo); code != 0 {
			t.Fatalf("%s: exit %d: %s", profile, code, errs)
		}
		in, err := export.OpenVectors(path, columns)
		if err != nil {
			t.Fatalf("%s: %v", profile, err)
		}
		rows, known := 0, 0
		err = in.Each(columns, func(_ func(string) string, v []float32) error {
			rows++
			if v[len(v)-1] == v[len(v)-1] {
				known++
			}
			return nil
		})
		if err != nil || rows != 81 || known == 0 {
			t.Errorf("%s: %d rows, %d with a value of %s, %v", profile, rows, known, columns[len(columns)-1], err)
		}
		in.Close()
	}
	for _, accept := range []bool{false, true} {
		args := []string{"analyze", "-o", "-", "--profile", "trench-v1+mt", demo}
		if accept {
			args = append(args, "--accept-foxio-license")
		}
		code, out, errs := trench(t, nil, args...)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, errs)
		}
		for _, key := range []string{`"ja4s":"t12`, `"ja4x":"`, `"ja4t":"`, `"ja4ts":"`} {
			if strings.Contains(out, key) != accept {
				t.Errorf("licence accepted %v: %s", accept, key)
			}
		}
	}
}

func TestModelCommands(t *testing.T) {
	t.Parallel()
	code, out, errs := trench(t, nil, "model", "check", "../../pkg/model/default")
	if code != 0 || !strings.Contains(out, "is good") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	code, out, _ = trench(t, nil, "model", "show", "default")
	if code != 0 || !strings.Contains(out, "UTICA-ONE-DRIVE.pcap") {
		t.Errorf("exit %d: the card does not name the demo's capture as left out of training", code)
	}
	code, out, _ = trench(t, nil, "version")
	if code != 0 || !strings.Contains(out, "schema trench-v1 ") || !strings.Contains(out, "model default-") {
		t.Errorf("exit %d: %s", code, out)
	}
}
