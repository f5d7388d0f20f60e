package stage

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	records, batches, retries prometheus.Counter
	dead                      *prometheus.CounterVec
	size                      prometheus.Histogram
	seconds, age              prometheus.Histogram
	lost                      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, name string) *metrics {
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"stage": name}, reg)
	}
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "trench_stage_" + name, Help: help})
	}
	return &metrics{
		records: counter("records_total", "Records taken to their end: delivered or dead-lettered, and committed."),
		batches: counter("batches_total", "Batches taken to their end."),
		retries: counter("retries_total", "Times that a batch was tried again."),
		lost:    counter("uncommitted_batches_total", "Batches whose commit came too late; they are delivered again."),
		dead: f.NewCounterVec(prometheus.CounterOpts{
			Name: "trench_stage_dead_letters_total", Help: "Records given up, by what could not be done with them.",
		}, []string{"reason"}),
		size: f.NewHistogram(prometheus.HistogramOpts{
			Name: "trench_stage_batch_records", Help: "Records of a batch.", Buckets: prometheus.ExponentialBuckets(1, 4, 10),
		}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "trench_stage_batch_seconds", Help: "Time from a full batch to its commit.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 14),
		}),
		age: f.NewHistogram(prometheus.HistogramOpts{
			Name: "trench_stage_record_age_seconds", Help: "Age of a batch's oldest record at its commit, since it was written to the bus.",
			Buckets: prometheus.ExponentialBuckets(0.01, 3, 14),
		}),
	}
}

func (m *metrics) done(records int, took time.Duration, oldest time.Time) {
	m.records.Add(float64(records))
	m.batches.Inc()
	m.size.Observe(float64(records))
	m.seconds.Observe(took.Seconds())
	if !oldest.IsZero() {
		m.age.Observe(time.Since(oldest).Seconds())
	}
}

func (m *metrics) buried(reason string) { m.dead.WithLabelValues(reason).Inc() }
func (m *metrics) retry()               { m.retries.Inc() }
func (m *metrics) uncommitted()         { m.lost.Inc() }
