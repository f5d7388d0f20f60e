package fault_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"trench/pkg/fault"
)

var update = flag.Bool("update", false, "write the table of errors into docs/operations.md")

const doc = "../../docs/operations.md"

// table returns what the documentation says about the codes of a system: one row for
// each thing to do, in the order of the first code of it.
func table(s fault.System) string {
	type what struct {
		class fault.Class
		hint  string
	}
	var order []what
	codes := map[what][]string{}
	for _, c := range fault.Codes() {
		if c.System != s {
			continue
		}
		w := what{c.Class, c.Hint}
		if codes[w] == nil {
			order = append(order, w)
		}
		codes[w] = append(codes[w], fmt.Sprintf("%d %s", c.Number, c.Name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n| class | codes of %v | what to do |\n|---|---|---|\n", s)
	for _, class := range []fault.Class{fault.Configuration, fault.Refused, fault.ClaimLost, fault.Transient} {
		for _, w := range order {
			if w.class == class {
				fmt.Fprintf(&b, "| %v | %s | %s |\n", class, strings.Join(codes[w], ", "), w.hint)
			}
		}
	}
	return b.String() + "\n"
}

func TestTheDocumentedTableIsTheTable(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, s := range []fault.System{fault.Kafka, fault.ClickHouse} {
		begin, end := fmt.Sprintf("<!-- begin: codes of %v -->\n", s), fmt.Sprintf("<!-- end: codes of %v -->", s)
		before, rest, ok1 := strings.Cut(text, begin)
		got, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s has no marks for the codes of %v", doc, s)
		}
		want := table(s)
		if got == want {
			continue
		}
		if !*update {
			t.Errorf("%s is not up to date with the codes of %v: go test ./pkg/fault -update", doc, s)
			continue
		}
		text = before + begin + want + end + after
		if err := os.WriteFile(doc, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
