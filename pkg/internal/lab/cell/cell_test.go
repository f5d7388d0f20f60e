package cell_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/internal/lab/cell"
	"trench/pkg/internal/lab/pki"
	"trench/pkg/internal/lab/plan"
)

func stacks() []*cell.Stack {
	return []*cell.Stack{
		{Name: "web", Servers: []string{cell.ServerGo, cell.ServerNginx, cell.ServerJava}, Behaviours: cell.Web(), Kinds: []string{cell.CheckIn, cell.Tasking, cell.Tunnel, cell.Exploit}},
		{Name: "raw", Servers: []string{cell.ServerRaw}, Behaviours: []string{cell.Messages}, Kinds: []string{cell.Session}, Raw: true, Nameless: true},
		{Name: "quic", Servers: []string{cell.ServerQUIC}, Behaviours: cell.Web(), Kinds: []string{cell.CheckIn}, Public: true},
	}
}

func TestSampleFollowsItsSeed(t *testing.T) {
	t.Parallel()
	lines := func(seed uint64) (out []string) {
		for _, c := range cell.Sample(stacks(), 20, 3, seed) {
			line := c.String()
			for _, s := range c.Steps {
				line += "\n" + s.String()
			}
			out = append(out, line)
		}
		return out
	}
	if d := cmp.Diff(lines(1), lines(1)); d != "" {
		t.Error(d)
	}
	if slices.Equal(lines(1), lines(2)) {
		t.Error("two seeds make the same sample")
	}
}

func TestSampleHasEverythingForEveryStack(t *testing.T) {
	t.Parallel()
	ids, names := make(map[string]bool), make(map[string]bool)
	seen := make(map[string]map[string]bool) // by stack
	for _, c := range cell.Sample(stacks(), 60, 3, 1) {
		if ids[c.ID] || c.Name != "" && names[c.Name] {
			t.Errorf("twice: %s", c)
		}
		ids[c.ID], names[c.Name] = true, true
		if seen[c.Stack.Name] == nil {
			seen[c.Stack.Name] = make(map[string]bool)
		}
		for _, v := range []string{c.Server, c.Shape, c.Behaviour, c.Certificate} {
			seen[c.Stack.Name][v] = true
		}
		check(t, c)
	}
	for _, k := range stacks() {
		want := slices.Concat(k.Servers, k.Behaviours, k.Kinds, []string{"2 labels", "3 labels", "4 labels", pki.Public, pki.Private, pki.SelfSigned})
		if k.Nameless {
			want = append(want, cell.ShapeNone)
		}
		for _, v := range want {
			if !seen[k.Name][v] {
				t.Errorf("stack %s has no cell with %q", k.Name, v)
			}
		}
	}
}

// check holds a cell against what its fields mean.
func check(t *testing.T, c *cell.Cell) {
	t.Helper()
	if n, ok := strings.CutSuffix(c.Shape, " labels"); ok && n != string(rune('1'+strings.Count(c.Name, "."))) {
		t.Errorf("%s: shape and name", c)
	}
	if (c.Name == "") != (c.Shape == cell.ShapeAddress) {
		t.Errorf("%s: name %q", c, c.Name)
	}
	if c.Certificate == pki.Public && !strings.Contains(c.Name, ".") {
		t.Errorf("%s: a public authority names no such thing", c)
	}
	if c.Mutual && c.Server != cell.ServerGo && c.Server != cell.ServerRaw {
		t.Errorf("%s: the server does not ask for certificates", c)
	}
	if len(c.Steps) == 0 {
		t.Errorf("%s: nothing to do", c)
	}
	total := 0 // ms
	for _, s := range c.Steps {
		if c.Stack.Raw == slices.Contains([]string{"get", "post"}, s.Verb) && s.Verb != "sleep" && s.Verb != "fresh" {
			t.Errorf("%s: step %s", c, s)
		}
		if s.N > plan.MaxBytes || s.M > plan.MaxBytes {
			t.Errorf("%s: step %s", c, s)
		}
		if s.Verb == "sleep" {
			total += s.N
		}
	}
	if total > 40_000 {
		t.Errorf("%s sleeps %d ms", c, total)
	}
}

func TestHostIsWhatTheClientConnectsTo(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddrPort("198.19.0.2:443")
	for _, c := range []struct {
		cell cell.Cell
		url  string
	}{
		{cell.Cell{Addr: at, Port: 443, Shape: cell.ShapeAddress}, "https://198.19.0.2"},
		{cell.Cell{Addr: at, Port: 443, Shape: cell.ShapeNone, Name: "a.example"}, "https://198.19.0.2"},
		{cell.Cell{Addr: at, Port: 8443, Shape: "2 labels", Name: "a.example"}, "https://a.example:8443"},
	} {
		if got := c.cell.URL(); got != c.url {
			t.Errorf("%s, want %s", got, c.url)
		}
	}
}
