package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"trench/pkg/internal/lab/cell"
	"trench/pkg/internal/lab/plan"
)

func TestEveryStackCanDoWhatItSays(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, s := range (&lab{}).stacks() {
		if names[s.Name] || s.run == nil || len(s.Behaviours) == 0 {
			t.Errorf("stack %q", s.Name)
		}
		names[s.Name] = true
		for _, k := range s.Servers {
			if !slices.Contains(serverKinds, k) {
				t.Errorf("stack %s: unknown server %q", s.Name, k)
			}
		}
		if s.Raw != slices.Equal(s.Servers, []string{cell.ServerRaw}) || s.Raw != slices.Equal(s.Behaviours, []string{cell.Messages}) {
			t.Errorf("stack %s: raw is for the raw server", s.Name)
		}
	}
}

func TestAddressesOfServersDoNotOverlap(t *testing.T) {
	t.Parallel()
	for i := range serverKinds {
		if !serverNet.Overlaps(prefix(i)) || prefix(i).Contains(clientAddr) {
			t.Errorf("%v", prefix(i))
		}
		for j := range i {
			if prefix(i).Overlaps(prefix(j)) {
				t.Errorf("%v and %v", prefix(i), prefix(j))
			}
		}
	}
}

func TestEachSplitsAtWaits(t *testing.T) {
	t.Parallel()
	var got []string
	steps := []plan.Step{plan.Sleep(1), plan.Get(1, 0), plan.Get(2, 0), plan.Fresh(), plan.Sleep(1), plan.Post(3, 4)}
	err := each(t.Context(), steps, func(part []plan.Step) error {
		var lines []string
		for _, s := range part {
			lines = append(lines, s.String())
		}
		got = append(got, strings.Join(lines, ", "))
		return nil
	})
	if want := []string{"get /b/1, get /b/2", "post /in/4 3"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRunRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-report -o nowhere": "nowhere",
		"more":               `unexpected argument "more"`,
		"-nothing":           "nothing",
	} {
		if err := run(context.Background(), strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if _, err := (&lab{log: io.Discard}).choose([]string{"go", "telnet"}); err == nil || !strings.Contains(err.Error(), "telnet") {
		t.Errorf("an unknown stack: %v", err)
	}
}
