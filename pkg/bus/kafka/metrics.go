package kafka

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts what producers and consumers of one process do.
type Metrics struct{ m *metrics }

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics { return &Metrics{newMetrics(reg)} }

func (m *Metrics) orNone() *metrics {
	if m == nil {
		return newMetrics(nil)
	}
	return m.m
}

type metrics struct {
	written, writeRetries prometheus.Counter
	writeSeconds          prometheus.Histogram
	fetched               prometheus.Counter
	generations, readErrs prometheus.Counter
	skipped, resets       *prometheus.CounterVec
	lag                   *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "trench_bus_" + name, Help: help})
	}
	return &metrics{
		written:      counter("written_records_total", "Records that Kafka acknowledged."),
		writeRetries: counter("write_retries_total", "Records written again because Kafka did not acknowledge them."),
		writeSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "trench_bus_write_seconds", Help: "Time until a write was acknowledged.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
		}),
		fetched:     counter("fetched_records_total", "Records read from Kafka."),
		generations: counter("generations_total", "Times that partitions were dealt to this member."),
		readErrs:    counter("read_errors_total", "Errors while reading from Kafka or joining the group."),
		skipped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "trench_bus_skipped_records_total",
			Help: "Records that Kafka had deleted before they were read.",
		}, []string{"topic"}),
		resets: f.NewCounterVec(prometheus.CounterOpts{
			Name: "trench_bus_offset_resets_total",
			Help: "Partitions read from their start because the committed offset was beyond their end.",
		}, []string{"topic"}),
		lag: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "trench_bus_lag_records", Help: "Records of a partition that were not fetched yet.",
		}, []string{"topic", "partition"}),
	}
}

func (m *metrics) acknowledged(n int, took time.Duration) {
	m.written.Add(float64(n))
	m.writeSeconds.Observe(took.Seconds())
}

func (m *metrics) retried(n int)                  { m.writeRetries.Add(float64(n)) }
func (m *metrics) fetch()                         { m.fetched.Inc() }
func (m *metrics) generation()                    { m.generations.Inc() }
func (m *metrics) readError()                     { m.readErrs.Inc() }
func (m *metrics) skip(topic string, n int64)     { m.skipped.WithLabelValues(topic).Add(float64(n)) }
func (m *metrics) reset(topic string)             { m.resets.WithLabelValues(topic).Inc() }
func (m *metrics) forget(topic, part string)      { m.lag.DeleteLabelValues(topic, part) }
func (m *metrics) behind(t, part string, n int64) { m.lag.WithLabelValues(t, part).Set(float64(n)) }
