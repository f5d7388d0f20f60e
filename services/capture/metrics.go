package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"trench/pkg/spool"
)

// Why records are dropped.
const (
	dropQueueFull  = "queue_full"  // a live interface, and no room in memory
	dropSpoolFull  = "spool_full"  // the oldest of the spool, for newer ones
	dropDiskFull   = "disk_full"   // the same, or those that found no room at all
	dropSpoolError = "spool_error" // the disk does not work, or spooled records are damaged
	dropRefused    = "refused"     // the bus takes neither the flow nor its dead letter
	dropStopped    = "stopped"     // unsent at the end, and no spool
)

const (
	// dropMemory is how long the service is not ready after it dropped something.
	dropMemory = 30 * time.Second
	// patience is how long a write may take until the service is not ready.
	patience = 15 * time.Second
)

type metrics struct {
	sent, dead, spooled prometheus.Counter
	dropped             *prometheus.CounterVec
	flows               atomic.Uint64
	start               time.Time
	dropping            atomic.Int64 // when something was dropped last, since start; 0 never
	writing             atomic.Int64 // since when a write goes on, since start; 0 none
	seen                spool.Stats  // by look
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "trench_capture_" + name, Help: help})
	}
	m := &metrics{
		sent:    counter("flows_sent_total", "Flow records and dead letters that Kafka acknowledged."),
		dead:    counter("dead_letters_total", "Flows that did not fit on the bus."),
		spooled: counter("flows_spooled_total", "Flow records that were put into the spool."),
		dropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "trench_capture_flows_dropped_total", Help: "Flow records that were given up, by reason.",
		}, []string{"reason"}),
		start: time.Now(),
	}
	for _, reason := range []string{dropQueueFull, dropSpoolFull, dropDiskFull, dropSpoolError, dropRefused, dropStopped} {
		m.dropped.WithLabelValues(reason)
	}
	return m
}

// watch shows how full an outbox is.
func (m *metrics) watch(reg prometheus.Registerer, o *outbox) {
	f := promauto.With(reg)
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "trench_capture_" + name, Help: help}, value)
	}
	gauge("queue_batches", "Batches of flow records that wait in memory.", func() float64 { return float64(len(o.queue)) })
	if o.spool == nil {
		return
	}
	gauge("spool_records", "Flow records in the spool that are not on Kafka.", func() float64 { return float64(o.spool.Stats().Records) })
	gauge("spool_bytes", "Bytes of the spool's segments.", func() float64 { return float64(o.spool.Stats().Bytes) })
	gauge("spool_segments", "Segments of the spool.", func() float64 { return float64(o.spool.Stats().Segments) })
	gauge("spool_age_seconds", "Age of the spool's oldest segment.", func() float64 { return o.spool.Stats().Age.Seconds() })
	gauge("spool_torn_bytes", "Bytes cut off from the end of the spool at the start: a record whose writing was interrupted.",
		func() float64 { return float64(o.spool.Stats().Torn) })
}

func (m *metrics) send(n int) { m.sent.Add(float64(n)); m.flows.Add(uint64(n)) }

func (m *metrics) total() uint64 { return m.flows.Load() }

func (m *metrics) now() int64 { return max(1, int64(time.Since(m.start))) }

func (m *metrics) begin() { m.writing.Store(m.now()) }

func (m *metrics) end() { m.writing.Store(0) }

func (m *metrics) drop(reason string, n int) {
	if n > 0 {
		m.dropped.WithLabelValues(reason).Add(float64(n))
		m.dropping.Store(m.now())
	}
}

// look counts what the spool gave up since the last look. One goroutine looks.
func (m *metrics) look(s *spool.Spool) {
	now := s.Stats()
	m.drop(dropSpoolFull, int(now.Full-m.seen.Full))
	m.drop(dropDiskFull, int(now.DiskFull-m.seen.DiskFull))
	m.drop(dropSpoolError, int(now.Damaged-m.seen.Damaged))
	m.seen = now
}

// ready says why the service is not ready: it drops flows, or its source waits
// because Kafka does not take any. Filling the spool is no reason.
func (m *metrics) ready(o *outbox) error {
	var errs []error
	now := m.now()
	if at := m.dropping.Load(); at > 0 && time.Duration(now-at) < dropMemory {
		errs = append(errs, fmt.Errorf("flows were dropped %v ago", time.Duration(now-at).Round(time.Second)))
	}
	if at := m.writing.Load(); !o.spools && at > 0 && time.Duration(now-at) > patience {
		errs = append(errs, fmt.Errorf("kafka has not acknowledged for %v", time.Duration(now-at).Round(time.Second)))
	}
	return errors.Join(errs...)
}
