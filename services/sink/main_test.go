package main

import (
	"context"
	"errors"
	"slices"
	"testing"

	"trench/pkg/stage"
	"trench/pkg/store"
)

func TestRowsThatAreRefusedAreRejected(t *testing.T) {
	t.Parallel()
	why := errors.New("round")
	i := &inserter[int]{insert: func(_ context.Context, rows []*int) error {
		refused := &store.RefusedError{}
		for n, r := range rows {
			if *r%10 == 0 {
				refused.Rows = append(refused.Rows, store.RowError{Index: n, Err: why})
			}
		}
		return refused
	}}
	rejects, err := i.Handle(t.Context(), stage.Batch[int]{Values: []int{10, 11, 20, 21, 30}})
	if err != nil {
		t.Fatal(err)
	}
	want := []stage.Reject{{Index: 0, Err: why}, {Index: 2, Err: why}, {Index: 4, Err: why}}
	if !slices.Equal(rejects, want) {
		t.Errorf("rejected %v, want %v", rejects, want)
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
