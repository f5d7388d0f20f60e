// Package imports holds the rules of who may import whom, as a test.
package imports

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../../.."

// layers lists the packages of this module from values up to services. A
// package may import packages of lower layers only, and of its own layer only
// those below its own folder. What is not listed belongs to no layer and makes
// the test fail, so that a new package finds its place.
var layers = [][]string{
	{"pkg/fault", "pkg/flow", "pkg/tlswire", "pkg/dtlswire", "pkg/quicwire", "pkg/sshwire", "pkg/dhcpwire", "pkg/dnswire", "pkg/httpwire", "pkg/certificate", "pkg/pcap", "pkg/config", "pkg/obs", "pkg/dedup", "pkg/watch", "pkg/privilege", "schemas"},
	{"pkg/record", "pkg/packet", "pkg/identify", "pkg/filter", "pkg/afpacket", "pkg/fingerprint"},
	{"pkg/wire"},
	{"pkg/assemble", "pkg/features", "pkg/model", "pkg/labels", "pkg/bus", "pkg/store", "pkg/policy"},
	{"pkg/scoring", "pkg/export", "pkg/terminal", "pkg/stage", "pkg/spool"},
	{"pkg/service"},
	{"pkg/app"},
	{"services", "deploy", "pkg/internal/bench", "pkg/internal/e2e"},
}

// support is for tests and tools; products must not import it.
const support = "pkg/internal/"

// only names packages that alone may import a library.
var only = map[string][]string{
	"github.com/segmentio/kafka-go":          {"pkg/bus/kafka", "deploy/local", "pkg/internal"},
	"github.com/ClickHouse/clickhouse-go/v2": {"pkg/store", "pkg/internal", "deploy"},
	"github.com/ClickHouse/ch-go":            {"pkg/store"},
	"github.com/dmitryikh/leaves":            {"pkg/model"},
	"github.com/google/gopacket":             {"pkg/packet", "pkg/internal"},
	"github.com/parquet-go/parquet-go":       {"pkg/export", "pkg/internal"},
	"github.com/spf13/cobra":                 {"services"},
	"github.com/prometheus/client_golang":    {"pkg/obs", "pkg/service", "pkg/stage", "pkg/store", "pkg/bus", "pkg/app", "pkg/scoring", "services", "pkg/internal"},
	"google.golang.org/protobuf":             {"pkg/wire", "pkg/internal"},
	"github.com/ebitengine/purego":           {"deploy/local/chserver"},
	"github.com/compose-spec/compose-go/v2":  {"deploy"},
	"github.com/twmb/franz-go":               {"pkg/bus", "pkg/stage", "pkg/internal"}, // in tests
	"unsafe":                                 {"deploy/local/chserver", "pkg/wire", "pkg/afpacket", "pkg/privilege", "pkg/internal/netlab"},
	"reflect":                                {"pkg/wire", "pkg/config", "pkg/record", "pkg/export", "pkg/features", "pkg/store", "pkg/internal", "services"},
}

// layerOf returns the layer of a package of this module, -1 for none.
func layerOf(pkg string) int {
	return slices.IndexFunc(layers, func(l []string) bool {
		return slices.ContainsFunc(l, func(p string) bool { return within(pkg, p) })
	})
}

func within(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." && path != root || d.Name() == "testdata" || d.Name() == "trainer"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		files++
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := forbidden(filepath.ToSlash(rel), name, strings.HasSuffix(path, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", path, name, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("looked at %d files only", files)
	}
}

// forbidden says why a package must not import another, empty when it may.
func forbidden(pkg, imported string, test bool) string {
	for lib, users := range only {
		if within(imported, lib) && !slices.ContainsFunc(users, func(u string) bool { return within(pkg, u) }) && !test {
			return "only for " + strings.Join(users, ", ")
		}
	}
	own, ok := strings.CutPrefix(imported, "trench/")
	if !ok {
		return ""
	}
	if strings.HasPrefix(own, support) {
		if test || strings.HasPrefix(pkg, support) {
			return ""
		}
		return "support for tests and tools"
	}
	if strings.Contains(own, "/internal/") {
		return "" // the language's own rule
	}
	if strings.HasPrefix(pkg, support) || test {
		return ""
	}
	from, to := layerOf(pkg), layerOf(own)
	switch {
	case from < 0:
		return pkg + " is in no layer"
	case to < 0:
		return own + " is in no layer"
	case to > from:
		return "a higher layer"
	case to == from && !within(own, pkg) && !within(pkg, own):
		if parent := pkg[:strings.LastIndex(pkg, "/")+1]; parent != "pkg/" && strings.HasPrefix(own, parent) {
			return "" // of one family: bus and its implementations, a service and its parts
		}
		return "of the same layer"
	}
	return ""
}

func TestRulesForbid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pkg, imported string
		bad           bool
	}{
		{"pkg/flow", "trench/pkg/record", true},
		{"pkg/record", "trench/pkg/flow", false},
		{"pkg/record", "trench/pkg/packet", true},
		{"pkg/bus/kafka", "trench/pkg/bus", false},
		{"pkg/app", "github.com/segmentio/kafka-go", true},
		{"pkg/app", "trench/pkg/internal/corpus", true},
		{"pkg/somewhere", "trench/pkg/flow", true},
	} {
		if got := forbidden(c.pkg, c.imported, false); (got != "") != c.bad {
			t.Errorf("%s importing %s: %q", c.pkg, c.imported, got)
		}
	}
}
