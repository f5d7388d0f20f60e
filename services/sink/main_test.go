package main

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/stage"
	"trench/pkg/store"
)

func TestRowsThatCannotBeStoredAreLeftOutAndTheRestGoesIn(t *testing.T) {
	t.Parallel()
	var got []int
	i := &inserter[int]{insert: func(_ context.Context, rows []*int) error {
		got = nil
		for n, r := range rows {
			if *r%10 == 0 {
				return &store.RowError{Index: n, Err: errors.New("round")}
			}
			got = append(got, *r)
		}
		return nil
	}}
	rejects, err := i.Handle(t.Context(), stage.Batch[int]{Values: []int{10, 11, 20, 21, 30}})
	if err != nil {
		t.Fatal(err)
	}
	var index []int
	for _, r := range rejects {
		index = append(index, r.Index)
	}
	if d := cmp.Diff([]int{0, 2, 4}, index); d != "" {
		t.Errorf("rejected (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]int{11, 21}, got); d != "" {
		t.Errorf("inserted (-want +got):\n%s", d)
	}
}

func TestPermanentFaultsOfTheStoreStopTheStage(t *testing.T) {
	t.Parallel()
	fault := error(nil)
	i := &inserter[int]{insert: func(context.Context, []*int) error { return fault }}
	for _, c := range []struct {
		fault     error
		permanent bool
	}{{store.ErrPermanent, true}, {errors.New("away"), false}} {
		fault = c.fault
		if _, err := i.Handle(t.Context(), stage.Batch[int]{Values: []int{1}}); !errors.Is(err, c.fault) || errors.Is(err, stage.ErrPermanent) != c.permanent {
			t.Errorf("err = %v", err)
		}
	}
}
