package store

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnInsertEndsInTimeButItsContextOutlivesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		done, end := bounded(parent, time.Minute)
		if err := end(nil); err != nil {
			t.Errorf("err = %v after success", err)
		}
		cancel()
		time.Sleep(time.Hour)
		if done.Err() != nil {
			t.Error("the context of an insert that is done has ended: its connection would be closed")
		}

		slow, end := bounded(t.Context(), time.Minute)
		<-slow.Done()
		if err := end(io.EOF); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, io.EOF) {
			t.Errorf("err = %v after a minute", err)
		}

		why := errors.New("told to stop")
		stopped, stop := context.WithCancelCause(t.Context())
		short, end := bounded(stopped, time.Minute)
		stop(why)
		<-short.Done()
		if err := end(io.EOF); !errors.Is(err, why) {
			t.Errorf("err = %v, want why it was told to stop", err)
		}
	})
}
