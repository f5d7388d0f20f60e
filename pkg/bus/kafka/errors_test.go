package kafka

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	kafkago "github.com/segmentio/kafka-go"

	"trench/pkg/bus"
	"trench/pkg/fault"
)

// TestEveryCodeOfTheClientIsInTheTable reads the codes where the client library
// declares them: so a new version of it can not bring one that nobody classed.
func TestEveryCodeOfTheClientIsInTheTable(t *testing.T) {
	t.Parallel()
	p, err := build.Import("github.com/segmentio/kafka-go", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, "error.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Error" {
				want = append(want, types.ExprString(v.Values[0])+" "+v.Names[0].Name)
			}
		}
	}
	var got []string
	for _, c := range fault.Codes() {
		if c.System == fault.Kafka {
			got = append(got, strconv.Itoa(c.Number)+" "+c.Name)
		}
	}
	if len(want) < 100 {
		t.Fatalf("found %d codes in %s", len(want), p.Dir)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-client +table):\n%s", d)
	}
}

func TestErrorsOfTheClientHaveTheirClass(t *testing.T) {
	t.Parallel()
	for class, errs := range map[fault.Class][]error{
		transient: {
			nil, io.EOF, io.ErrUnexpectedEOF, errors.New("dial tcp: refused"), context.DeadlineExceeded, kafkago.UnknownTopicOrPartition,
			kafkago.LeaderNotAvailable, kafkago.NotLeaderForPartition, kafkago.RequestTimedOut, kafkago.NotEnoughReplicas,
			kafkago.GroupCoordinatorNotAvailable, kafkago.InvalidMessage, kafkago.Error(31999),
		},
		refused:         {kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge, kafkago.InvalidRecord, kafkago.InvalidTimestamp},
		configuration:   {kafkago.InvalidTopic, kafkago.TopicAuthorizationFailed, kafkago.SASLAuthenticationFailed, x509.UnknownAuthorityError{}, bus.ErrConfiguration},
		fault.ClaimLost: {kafkago.IllegalGeneration, kafkago.UnknownMemberId, kafkago.RebalanceInProgress, bus.ErrClaimLost},
	} {
		for _, err := range errs {
			if got := classify(fmt.Errorf("wrapped: %w", err)); got != class {
				t.Errorf("%v: class %v, want %v", err, got, class)
			}
		}
	}
}

func TestErrorsSayOnceWhatTheyMean(t *testing.T) {
	t.Parallel()
	if err := explain(kafkago.TopicAuthorizationFailed); !errors.Is(err, bus.ErrConfiguration) || !errors.Is(err, kafkago.TopicAuthorizationFailed) ||
		!strings.Contains(err.Error(), "give the user of this program the rights") {
		t.Errorf("err = %v", err)
	}
	twice := explain(fmt.Errorf("read partition 3: %w", explain(kafkago.TopicAuthorizationFailed)))
	if n := strings.Count(twice.Error(), bus.ErrConfiguration.Error()); n != 1 {
		t.Errorf("err = %v, which says %d times what it means", twice, n)
	}
	if err := explain(kafkago.IllegalGeneration); !errors.Is(err, bus.ErrClaimLost) {
		t.Errorf("err = %v", err)
	}
	if err := explain(io.EOF); !errors.Is(err, io.EOF) || errors.Is(err, bus.ErrConfiguration) {
		t.Errorf("err = %v", err)
	}
}
