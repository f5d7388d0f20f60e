package main

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

//go:embed causes.yaml
var causesFile []byte

// cause explains differences.
type cause struct {
	Title string
	Cause string
	// Right is who gives the right value: trench, reference, both (the definitions
	// differ) or open.
	Right       string
	Differences []*pattern
}

// pattern says which differences a cause explains; * stands for any text, ? for any
// byte, and an empty list for any value.
type pattern struct {
	References, Captures, Flows, Fields, Ours, Theirs []string
	matched                                           bool
}

func parseCauses(data []byte) ([]*cause, error) {
	var out []*cause
	d := yaml.NewDecoder(strings.NewReader(string(data)))
	d.KnownFields(true)
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("causes: %w", err)
	}
	var errs []error
	for _, c := range out {
		if c.Title == "" || c.Cause == "" || len(c.Differences) == 0 || !slices.Contains([]string{"trench", "reference", "both", "open"}, c.Right) {
			errs = append(errs, fmt.Errorf("causes: %q lacks a title, a cause, differences or who is right", c.Title))
		}
	}
	return out, errors.Join(errs...)
}

// explain returns the first cause whose pattern fits.
func explain(causes []*cause, d difference) *cause {
	for _, c := range causes {
		for _, p := range c.Differences {
			if p.fits(d) {
				p.matched = true
				return c
			}
		}
	}
	return nil
}

func (p *pattern) fits(d difference) bool {
	return anyOf(p.References, d.reference) && anyOf(p.Captures, d.capture) && anyOf(p.Flows, d.flow) &&
		anyOf(p.Fields, d.field) && anyOf(p.Ours, d.ours) && anyOf(p.Theirs, d.theirs)
}

func anyOf(patterns []string, s string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return wildcard(p, s) })
}

// wildcard matches with * for any text, / included, and ? for any byte.
func wildcard(pattern, s string) bool {
	for pattern != "" && pattern[0] != '*' {
		if s == "" || pattern[0] != '?' && pattern[0] != s[0] {
			return false
		}
		pattern, s = pattern[1:], s[1:]
	}
	if pattern == "" {
		return s == ""
	}
	for {
		if wildcard(pattern[1:], s) {
			return true
		}
		if s == "" {
			return false
		}
		s = s[1:]
	}
}

// stale names the patterns that explained nothing, of the references that were run.
func stale(causes []*cause, ran []string) []string {
	var out []string
	for _, c := range causes {
		for i, p := range c.Differences {
			if !p.matched && slices.ContainsFunc(ran, func(r string) bool { return anyOf(p.References, r) }) {
				out = append(out, fmt.Sprintf("%s, difference %d", c.Title, i+1))
			}
		}
	}
	return out
}
