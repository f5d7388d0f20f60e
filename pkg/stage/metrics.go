package stage

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"trench/pkg/fault"
)

type metrics struct {
	records, batches, retries, lost prometheus.Counter
	dead, errors                    *prometheus.CounterVec
	size, bytes, seconds, age       prometheus.Histogram
	flying, moved                   prometheus.Gauge
}

// newMetrics registers the metrics of a stage; oldest returns the time of its oldest
// uncommitted record, zero without one.
func newMetrics(reg prometheus.Registerer, name string, oldest func() time.Time) *metrics {
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"stage": name}, reg)
	}
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "trench_stage_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Name: "trench_stage_" + name, Help: help}
	}
	histogram := func(name, help string, start, factor float64, count int) prometheus.Histogram {
		return f.NewHistogram(prometheus.HistogramOpts{
			Name: "trench_stage_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(start, factor, count),
		})
	}
	f.NewGaugeFunc(gauge("oldest_uncommitted_seconds", "Age of the oldest record that was fetched and is not committed, since it was written to the bus; 0 without one."),
		func() float64 {
			if at := oldest(); !at.IsZero() {
				return time.Since(at).Seconds()
			}
			return 0
		})
	return &metrics{
		records: counter("records_total", "Records taken to their end: delivered or dead-lettered, and committed."),
		batches: counter("batches_total", "Batches taken to their end."),
		retries: counter("retries_total", "Times that a batch was tried again."),
		lost:    counter("uncommitted_batches_total", "Batches dropped uncommitted; they are delivered again."),
		dead: f.NewCounterVec(prometheus.CounterOpts{
			Name: "trench_stage_dead_letters_total", Help: "Records given up, by what could not be done with them.",
		}, []string{"reason"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "trench_stage_errors_total", Help: "Failed attempts at a batch, by class and name of the error.",
		}, []string{"class", "code"}),
		size:    histogram("batch_records", "Records of a batch.", 1, 4, 10),
		bytes:   histogram("batch_bytes", "Bytes of a batch's records.", 1<<10, 4, 10),
		seconds: histogram("batch_seconds", "Time from a full batch to its commit.", 0.001, 2.5, 14),
		age:     histogram("record_age_seconds", "Age of a batch's oldest record at its commit, since it was written to the bus.", 0.01, 3, 14),
		flying:  f.NewGauge(gauge("in_flight_batches", "Batches that are handled or wait for their turn to be committed.")),
		moved:   f.NewGauge(gauge("last_commit_timestamp_seconds", "When the stage last committed a batch, in Unix seconds; 0 before.")),
	}
}

func (m *metrics) done(records, bytes int, took time.Duration, oldest time.Time) {
	m.records.Add(float64(records))
	m.batches.Inc()
	m.size.Observe(float64(records))
	m.bytes.Observe(float64(bytes))
	m.seconds.Observe(took.Seconds())
	m.moved.Set(float64(time.Now().UnixMilli()) / 1000)
	if !oldest.IsZero() {
		m.age.Observe(time.Since(oldest).Seconds())
	}
}

// failed counts an error. Codes come from a table, so their number is bounded.
func (m *metrics) failed(err error) {
	name := "none"
	if c, ok := fault.CodeOf(err); ok {
		if name = c.Name; name == "" {
			name = "unknown"
		}
	}
	m.errors.WithLabelValues(fault.Of(err).String(), name).Inc()
}

func (m *metrics) buried(reason string) { m.dead.WithLabelValues(reason).Inc() }
func (m *metrics) retry()               { m.retries.Inc() }
func (m *metrics) uncommitted()         { m.lost.Inc() }
