package main

import (
	"context"
	"errors"
	"slices"
	"testing"

	"trench/pkg/fault"
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

func TestFaultsOfTheStoreKeepTheirClass(t *testing.T) {
	t.Parallel()
	for _, want := range []error{fault.ErrConfiguration, fault.ErrRefused, errors.New("away")} {
		i := &inserter[int]{insert: func(context.Context, []*int) error { return want }}
		if _, err := i.Handle(t.Context(), stage.Batch[int]{Values: []int{1}}); !errors.Is(err, want) || fault.Of(err) != fault.Of(want) {
			t.Errorf("err = %v, want %v", err, want)
		}
	}
}
