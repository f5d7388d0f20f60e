//go:build e2e

package kafka_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"trench/pkg/bus"
	"trench/pkg/bus/bustest"
	"trench/pkg/internal/local"
)

func TestRealKafkaKeepsTheRules(t *testing.T) {
	t.Parallel()
	bustest.Run(t, system(quick(local.Kafka(t)...)))
}

// Cut connections are tested with a fake broker; here a real one is frozen for 30 s
// and killed, under a steady load, with every number of partitions in turn.
func TestARealBrokerThatFreezesAndDiesLosesNothing(t *testing.T) {
	t.Parallel()
	broker := local.StartCopy(t, local.KafkaPart)
	cfg := quick(broker.KafkaBrokers...)
	cfg.RequestTimeout, cfg.SessionTimeout = 5*time.Second, 6*time.Second
	pid, err := broker.PID(local.KafkaPart)
	if err != nil {
		t.Fatal(err)
	}
	faults := make(chan error, 1)
	go func() { // ends with the faults
		faults <- func() error {
			time.Sleep(2 * time.Second)
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				return err
			}
			time.Sleep(30 * time.Second)
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				return err
			}
			time.Sleep(5 * time.Second)
			if err := broker.Kill(local.KafkaPart); err != nil {
				return err
			}
			return broker.Up(local.KafkaPart)
		}()
	}()
	var all sync.WaitGroup
	for _, partitions := range []int{1, 4, 12} {
		topic := makeTopic(t, cfg, partitions)
		s := newSequence(41, 20_000)
		all.Go(func() {
			p := producer(t, cfg, nil)
			for i := 0; i < s.total; i += 100 {
				var batch []bus.Record
				for j := i; j < i+100; j++ {
					batch = append(batch, s.record(topic, j))
				}
				if err := p.Write(t.Context(), batch); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(100 * time.Millisecond) // twenty seconds of load beside the faults
			}
		})
		all.Go(func() {
			readAll(t, cfg, topic, s)
			again := 0
			for _, n := range s.seen {
				again += n - 1
			}
			t.Logf("%d partitions: %d records came, %d of them again", partitions, len(s.seen), again)
		})
	}
	all.Wait()
	if err := <-faults; err != nil {
		t.Error(err)
	}
}
