package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"trench/pkg/policy"
)

func parse(t testing.TB, text string) []policy.Entry {
	t.Helper()
	entries, err := policy.Parse("l.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestAListIsReadAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	got := parse(t, `# what we know
allow:
  - domain: "*.Updates.Example.com."
    direction: server
    until: 2027-03-31
    author: jd
    reason: our own update service
  - {network: 10.0.0.0/8, author: jd, reason: ours, until: "2027-03-31T18:00:00+02:00"}
deny:
  - certificate:
      - D1:A4:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:01
      - 77c0000000000000000000000000000000000000000000000000000000000002
    author: soc
    reason: case 2027-114
  - {address: "::ffff:192.0.2.1", direction: client, author: soc, reason: r}
  - {ja4: t13d1516h2_*, author: soc, reason: r}
  - {ja3: 00000000000000000000000000000012, author: soc, reason: r}
`)
	want := []policy.Entry{
		{Line: 3, Effect: policy.Allow, Kind: policy.Domain, Value: "*.updates.example.com", Direction: policy.Server, Until: time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC), Author: "jd", Reason: "our own update service"},
		{Line: 8, Effect: policy.Allow, Kind: policy.Network, Value: "10.0.0.0/8", Direction: policy.Either, Until: time.Date(2027, 3, 31, 16, 0, 0, 0, time.UTC), Author: "jd", Reason: "ours"},
		{Line: 11, Effect: policy.Deny, Kind: policy.Certificate, Value: "d1a4000000000000000000000000000000000001", Direction: policy.Either, Author: "soc", Reason: "case 2027-114"},
		{Line: 12, Effect: policy.Deny, Kind: policy.Certificate, Value: "77c0000000000000000000000000000000000000000000000000000000000002", Direction: policy.Either, Author: "soc", Reason: "case 2027-114"},
		{Line: 15, Effect: policy.Deny, Kind: policy.Address, Value: "192.0.2.1", Direction: policy.Client, Author: "soc", Reason: "r"},
		{Line: 16, Effect: policy.Deny, Kind: policy.JA4, Value: "t13d1516h2_*", Direction: policy.Either, Author: "soc", Reason: "r"},
		{Line: 17, Effect: policy.Deny, Kind: policy.JA3, Value: "00000000000000000000000000000012", Direction: policy.Either, Author: "soc", Reason: "r"},
	}
	for i := range want {
		want[i].File = "l.yaml"
	}
	want[0].Line = 3
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(policy.Entry{}), cmpopts.EquateApproxTime(0)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for i, note := range map[int]string{
		0: "allow list l.yaml: domain *.updates.example.com as server, our own update service (jd, until 2027-03-31)",
		5: "deny list l.yaml: ja4 t13d1516h2_*, r (soc, no end)",
	} {
		if got[i].Note() != note {
			t.Errorf("note %q, want %q", got[i].Note(), note)
		}
	}
}

// Every file testdata/*.yaml has its faults beside it.
func TestFaultsAreToldAllAtOnceWithTheirLines(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		entries, err := policy.Parse(name, data)
		if err == nil || entries != nil {
			t.Errorf("%s: %d entries, %v", name, len(entries), err)
			continue
		}
		want, rerr := os.ReadFile(strings.TrimSuffix(path, ".yaml") + ".txt")
		if rerr != nil {
			t.Error(rerr)
		}
		if d := cmp.Diff(string(want), err.Error()+"\n"); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestTheListInTheDocumentationIsOne(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	if got := parse(t, text); len(got) != 5 {
		t.Errorf("%d entries", len(got))
	}
}

func TestAFileWithNothingInItIsAList(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing yet\n", "allow:\ndeny: []\n", "---\n"} {
		if got := parse(t, text); len(got) != 0 {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestFaultsOfAllFilesAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.yaml"), filepath.Join(dir, "two.yaml")
	for path, text := range map[string]string{one: "alow: []\n", two: "deny:\n  - {address: 1, author: a, reason: r}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := policy.Load([]string{one, filepath.Join(dir, "none.yaml"), two})
	for _, want := range []string{one + ": line 1: unknown key alow", "none.yaml: no such file", two + `: line 2: address: "1" is no IP address`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestManyFaultsAreCutShort(t *testing.T) {
	t.Parallel()
	_, err := policy.Parse("l", []byte("deny:\n"+strings.Repeat("  - {address: x, author: a, reason: r}\n", 1000)))
	if err == nil || strings.Count(err.Error(), "\n") != 50 || !strings.HasSuffix(err.Error(), "l: and 950 more faults") {
		t.Errorf("%v", err)
	}
}
