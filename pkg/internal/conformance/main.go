package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"

	"trench/pkg/internal/conformance/reference"
	"trench/pkg/internal/corpus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	output := flags.String("o", "", "write the document to a `file` instead of standard output")
	only := flags.String("only", "", "compare with one `reference`: "+strings.Join(ids(), ", "))
	verbose := flags.Bool("v", false, "print every difference, whole, on standard error")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *only != "" && !slices.Contains(ids(), *only) {
		return fmt.Errorf("-only: %q is none of %s", *only, strings.Join(ids(), ", "))
	}
	root := os.Getenv(corpus.EnvDir)
	if root == "" {
		var err error
		if root, err = corpus.Unpack(); err != nil {
			return err
		}
	}
	r, err := conform(ctx, root, *only)
	if err != nil {
		return err
	}
	if *verbose {
		r.list(stderr)
	}
	document := r.document()
	if *output == "" {
		_, err = stdout.Write(document)
	} else {
		err = os.WriteFile(*output, document, 0o644)
	}
	return errors.Join(err, r.err())
}

// list writes every difference, whole, and the hellos beyond tshark's.
func (r *report) list(w io.Writer) {
	for _, d := range r.comparison.differences {
		why := "UNEXPLAINED"
		if c := explain(r.causes, d); c != nil {
			why = c.Title
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\tours %q\ttheirs %q\t%s\n", d.reference, d.capture, d.proto, d.flow, d.field, d.ours, d.theirs, why)
	}
	for _, proto := range slices.Sorted(maps.Keys(r.comparison.hellos.more)) {
		for _, flow := range r.comparison.hellos.more[proto] {
			fmt.Fprintf(w, "a hello that tshark does not show\t%s\t%s\n", proto, flow)
		}
	}
}

func ids() []string {
	var out []string
	for _, r := range reference.All() {
		out = append(out, r.ID)
	}
	return out
}

// report is the outcome with its causes.
type report struct {
	references  []reference.Reference
	comparison  *comparison
	causes      []*cause
	explained   map[*cause][]difference
	unexplained []difference
	agreement   reference.Agreement
	stale       []string
}

// conform reads the results, runs the captures, and compares; only narrows it to one
// reference.
func conform(ctx context.Context, root, only string) (*report, error) {
	tree, err := reference.Open(root)
	if err != nil {
		return nil, err
	}
	r := &report{explained: make(map[*cause][]difference)}
	if r.causes, err = parseCauses(causesFile); err != nil {
		return nil, err
	}
	var expectations []*reference.Expectation
	var ran, captures []string
	for _, ref := range reference.All() {
		if only != "" && ref.ID != only {
			continue
		}
		list, err := ref.Read(tree)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ref.ID, err)
		}
		r.references, ran = append(r.references, ref), append(ran, ref.ID)
		expectations = append(expectations, list...)
	}
	for _, e := range expectations {
		if e.Kind != reference.Standalone {
			captures = append(captures, e.Captures...)
		}
	}
	slices.Sort(captures)
	rows, err := observe(ctx, root, slices.Compact(captures))
	if err != nil {
		return nil, err
	}
	r.comparison, r.agreement = compare(rows, expectations), reference.Agree(expectations)
	for _, d := range r.comparison.differences {
		if c := explain(r.causes, d); c != nil {
			r.explained[c] = append(r.explained[c], d)
		} else {
			r.unexplained = append(r.unexplained, d)
		}
	}
	r.stale = stale(r.causes, ran)
	return r, nil
}

// err says what keeps the comparison from being clean.
func (r *report) err() error {
	var errs []error
	if n := len(r.unexplained); n > 0 {
		errs = append(errs, fmt.Errorf("%d differences without a cause", n))
	}
	for _, s := range r.stale {
		errs = append(errs, fmt.Errorf("a cause explains nothing: %s", s))
	}
	return errors.Join(errs...)
}
