package scoring_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trench/pkg/features"
	"trench/pkg/model"
	"trench/pkg/policy"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

// variant is the built-in bundle with some of it changed.
type variant struct {
	name                  string
	suspicious, malicious float64 // margins
	protocols             []string
}

// write puts the variant into a folder and returns it.
func (v variant) write(t testing.TB, dir string) string {
	t.Helper()
	files := changed(t, map[string]func(map[string]any){
		"schema.json": func(m map[string]any) {
			m["name"] = v.name
			if v.protocols != nil {
				m["protocols"] = v.protocols
			}
		},
		"thresholds.json": func(m map[string]any) {
			for _, x := range m["thresholds"].([]any) {
				threshold := x.(map[string]any)
				if threshold["margin"] = v.suspicious; threshold["verdict"] == "malicious" {
					threshold["margin"] = v.malicious
				}
			}
		},
	})
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, f := range files {
		if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (v variant) load(t testing.TB) *model.Bundle {
	t.Helper()
	b, err := scoring.LoadModel(v.write(t, t.TempDir()), features.Default())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Variants that give every row the same verdict.
var (
	allMalicious  = variant{name: "all-malicious", suspicious: -1e6, malicious: -1e6}
	allSuspicious = variant{name: "all-suspicious", suspicious: -1e6, malicious: 1e6}
	allBenign     = variant{name: "all-benign", suspicious: 1e6, malicious: 1e6}
)

// tlsRow is a flow that can be scored.
func tlsRow(t *testing.T) *record.Record {
	return &record.Record{AppProto: "tls", Final: true, PayloadC2S: 517, PayloadS2C: 4000, TLSSNI: "www.example.com", Vector: vector(t, map[string]float32{"ch_len": 200})}
}

func TestOnlyAFatalAlertBeforeTheEndIsAFailure(t *testing.T) {
	t.Parallel()
	warned, broken := tlsRow(t), tlsRow(t)
	warned.TLS = &record.TLS{Alerts: []record.Alert{{Sender: "server", Level: "warning", Code: 112, Description: "unrecognized_name"}}}
	broken.TLS = &record.TLS{Alerts: []record.Alert{{Sender: "server", Level: "fatal", Code: 40, Description: "handshake_failure"}}}
	broken.TLSEstablished = true // it worked, for a time
	stageOf(allBenign.load(t)).Process([]*record.Record{warned, broken})
	if warned.Verdict != record.Benign || broken.Verdict != record.Benign {
		t.Errorf("warned %v, broken %v", warned.Verdict, broken.Verdict)
	}
}

func TestThinEvidenceIsAnAlertOrNothing(t *testing.T) {
	t.Parallel()
	models := map[record.Verdict]*model.Bundle{record.Benign: allBenign.load(t), record.Suspicious: allSuspicious.load(t), record.Malicious: allMalicious.load(t)}
	for want, change := range map[string]func(*record.Record){
		scoring.NoteNoAnswer:   func(r *record.Record) { r.PayloadS2C = 0 },
		scoring.NoteNoClient:   func(r *record.Record) { r.PayloadC2S = 0 },
		scoring.NoteCut:        func(r *record.Record) { r.TLSIncomplete, r.Truncated, r.Gaps = true, true, 10 },
		scoring.NoteGap:        func(r *record.Record) { r.TLSIncomplete, r.Gaps = true, 10 },
		scoring.NoteIncomplete: func(r *record.Record) { r.TLSIncomplete = true },
		scoring.NoteFailed: func(r *record.Record) {
			r.TLS = &record.TLS{Alerts: []record.Alert{{Sender: "server", Level: "fatal", Code: 40, Description: "handshake_failure"}}}
		},
		"": func(r *record.Record) { r.Truncated, r.Gaps = true, 10 }, // beyond the handshake
	} {
		for verdict, b := range models {
			r := tlsRow(t)
			change(r)
			stageOf(b).Process([]*record.Record{r})
			if want != "" && verdict < record.Suspicious {
				verdict = record.Unscored
			}
			if r.VerdictNote != want || r.Verdict != verdict || math.IsNaN(r.Score) != (verdict == record.Unscored) || (r.ModelID == "") != (verdict == record.Unscored) {
				t.Errorf("%s: %v, note %q, score %v; want %v, %q", b.ID(), r.Verdict, r.VerdictNote, r.Score, verdict, want)
			}
		}
	}
}

func TestAVectorOfAnotherSchemaIsNotScored(t *testing.T) {
	t.Parallel()
	r, own := tlsRow(t), tlsRow(t)
	r.VectorSchema, own.VectorSchema = strings.Repeat("0", 64), features.Default().Whole()
	stageOf(allMalicious.load(t)).Process([]*record.Record{r, own})
	if r.Verdict != record.Unscored || r.VerdictNote != scoring.NoteSchema || own.Verdict != record.Malicious {
		t.Errorf("%v, %q; of its own %v", r.Verdict, r.VerdictNote, own.Verdict)
	}
}

func TestAModelMayKeepToItsProtocols(t *testing.T) {
	t.Parallel()
	v := allMalicious
	v.protocols = []string{"tls"}
	tls, quic := tlsRow(t), tlsRow(t)
	quic.AppProto = "quic"
	scoring.Fixed(v.load(t), []*model.Bundle{allSuspicious.load(t), v.load(t)}, nil).NewStage(features.Default()).Process([]*record.Record{tls, quic})
	if tls.Verdict != record.Malicious || quic.Verdict != record.Unscored || quic.VerdictNote != scoring.NoteBeyond || !math.IsNaN(quic.Score) {
		t.Errorf("tls %v, quic %v %q", tls.Verdict, quic.Verdict, quic.VerdictNote)
	}
	if s := quic.Shadow; len(s) != 2 || s[0].Verdict != record.Suspicious || s[1].Verdict != record.Unscored || !math.IsNaN(s[1].Margin) {
		t.Errorf("shadows of quic %+v", s)
	}
}

func set(t *testing.T, text string) *policy.Set {
	t.Helper()
	entries, err := policy.Parse("site.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return policy.NewSet(entries)
}

func TestListsOverruleTheModelAndSaySo(t *testing.T) {
	t.Parallel()
	lists := set(t, `
allow:
  - {domain: "*.example.com", author: jd, reason: ours}
deny:
  - {domain: bad.example.com, author: soc, reason: case 7, until: 2200-12-31}
`)
	const allow, deny = "allow list site.yaml: domain *.example.com, ours (jd, no end)", "deny list site.yaml: domain bad.example.com, case 7 (soc, until 2200-12-31)"
	allowed, denied, thin, dns, open, other := tlsRow(t), tlsRow(t), tlsRow(t), tlsRow(t), tlsRow(t), tlsRow(t)
	denied.TLSSNI = "bad.example.com"
	thin.PayloadS2C, thin.TLSSNI = 0, "bad.example.com"
	dns.Vector, dns.TLSSNI, dns.DNS = nil, "", &record.DNS{Queries: []record.Query{{Name: "bad.example.com"}}}
	open.Final, other.TLSSNI = false, "www.example.org"
	na, nd := scoring.Fixed(allSuspicious.load(t), nil, lists).NewStage(features.Default()).Process([]*record.Record{allowed, denied, thin, dns, open, other})
	if na != 1 || nd != 3 { // the report of an open flow is not counted
		t.Errorf("%d allowed, %d denied", na, nd)
	}
	for name, c := range map[string]struct {
		row     *record.Record
		verdict record.Verdict
		note    string
		scored  bool
	}{
		"allowed": {allowed, record.Benign, allow, true},
		"denied":  {denied, record.Malicious, deny + "; outranks " + allow, true},
		"thin":    {thin, record.Malicious, scoring.NoteNoAnswer + "; " + deny + "; outranks " + allow, true},
		"dns":     {dns, record.Malicious, scoring.NoteNotTLS + "; " + deny + "; outranks " + allow, false},
		"open":    {open, record.Benign, allow, true},
		"other":   {other, record.Suspicious, "", true},
	} {
		if c.row.Verdict != c.verdict || c.row.VerdictNote != c.note || math.IsNaN(c.row.Score) == c.scored || (c.row.ModelID != "") != c.scored {
			t.Errorf("%s: %v %q, score %v", name, c.row.Verdict, c.row.VerdictNote, c.row.Score)
		}
		if c.scored && len(c.row.Reasons) == 0 {
			t.Errorf("%s: the model's reasons are gone", name)
		}
	}
}

func TestShadowsScoreAndNeverAlert(t *testing.T) {
	t.Parallel()
	counts, loud, quiet := allBenign.load(t), allMalicious.load(t), allSuspicious.load(t)
	full, thin, none := tlsRow(t), tlsRow(t), tlsRow(t)
	thin.PayloadS2C, none.Vector = 0, nil
	rows := []*record.Record{full, thin, none}
	st := scoring.Fixed(counts, []*model.Bundle{loud, nil, quiet}, nil).NewStage(features.Default())
	st.Process(rows)
	st.Process(rows) // nothing of the first time is left
	if full.Verdict != record.Benign || full.ModelID != counts.ID() || len(full.Reasons) != 0 || len(full.Shadow) != 2 || len(thin.Shadow) != 2 || len(none.Shadow) != 0 {
		t.Fatalf("%v by %s; shadows %+v, %+v, %+v", full.Verdict, full.ModelID, full.Shadow, thin.Shadow, none.Shadow)
	}
	for i, want := range []record.Shadow{{ModelID: loud.ID(), Verdict: record.Malicious}, {ModelID: quiet.ID(), Verdict: record.Suspicious}} {
		got := full.Shadow[i]
		if got.ModelID != want.ModelID || got.Verdict != want.Verdict || got.Margin != full.Margin || got.Score != full.Score { // the same trees
			t.Errorf("shadow %d: %+v, beside margin %v", i, got, full.Margin)
		}
	}
	if thin.Shadow[0].Verdict != record.Malicious || thin.Shadow[1].Verdict != record.Suspicious || thin.Verdict != record.Unscored {
		t.Errorf("thin: %v, %+v", thin.Verdict, thin.Shadow)
	}
}
