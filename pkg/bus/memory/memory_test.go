package memory_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"trench/pkg/bus"
	"trench/pkg/bus/bustest"
	"trench/pkg/bus/memory"
)

func TestMemoryKeepsTheRules(t *testing.T) {
	t.Parallel()
	b := memory.NewBroker(4)
	var n atomic.Int32
	bustest.Run(t, bustest.System{
		NewTopic:    func(*testing.T) string { return fmt.Sprint("topic-", n.Add(1)) },
		NewProducer: func(*testing.T) bus.Producer { return b.NewProducer() },
		NewConsumer: func(_ *testing.T, topic, group string) bus.Consumer { return b.NewConsumer(topic, group) },
	})
}
