package kafka

import (
	"strconv"
	"sync"
	"sync/atomic"
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

// What was being done when an error came, and why records were skipped.
const (
	opWrite, opRead, opJoin, opCommit, opLag = "write", "read", "join", "commit", "lag"
	skipDeleted, skipControl                 = "deleted", "control"
)

type metrics struct {
	writtenRecords, writtenBytes *prometheus.CounterVec
	readRecords, readBytes       *prometheus.CounterVec
	writeRetries                 prometheus.Counter
	writeSeconds                 prometheus.Histogram
	generations                  prometheus.Counter
	errors                       *prometheus.CounterVec
	skipped, resets              *prometheus.CounterVec
	lags                         *lags
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "trench_bus_" + name, Help: help})
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "trench_bus_" + name, Help: help}, labels)
	}
	m := &metrics{
		writtenRecords: vector("written_records_total", "Records that Kafka acknowledged.", "topic"),
		writtenBytes:   vector("written_bytes_total", "Bytes of record batches that Kafka acknowledged, as sent (compressed).", "topic"),
		readRecords:    vector("fetched_records_total", "Records read from Kafka and handed to the stage.", "topic"),
		readBytes:      vector("fetched_bytes_total", "Bytes of record batches read from Kafka, as received (compressed).", "topic"),
		writeRetries:   counter("write_retries_total", "Records written again because Kafka did not acknowledge them."),
		writeSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "trench_bus_write_seconds", Help: "Seconds until all records of a write were acknowledged.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
		}),
		generations: counter("generations_total", "Times that partitions were dealt to this member (rebalances)."),
		errors: vector("errors_total",
			"Errors of Kafka or the way to it, by what was being done (write, read, join, commit, lag) and what such an error means (transient, refused, configuration, claim lost).",
			"operation", "class"),
		skipped: vector("skipped_records_total",
			"Offsets passed over without a record: deleted (by retention, before they were read) or control (marks of transactions, which are no records).",
			"topic", "reason"),
		resets: vector("offset_resets_total", "Partitions read from their start because the committed offset was beyond their end.", "topic"),
		lags:   &lags{open: map[*lag]struct{}{}},
	}
	if reg != nil {
		reg.MustRegister(m.lags)
	}
	return m
}

func (m *metrics) acknowledged(topic string, records, bytes int) {
	m.writtenRecords.WithLabelValues(topic).Add(float64(records))
	m.writtenBytes.WithLabelValues(topic).Add(float64(bytes))
}

func (m *metrics) wrote(took time.Duration)    { m.writeSeconds.Observe(took.Seconds()) }
func (m *metrics) retried(n int)               { m.writeRetries.Add(float64(n)) }
func (m *metrics) fetched(topic string, n int) { m.readRecords.WithLabelValues(topic).Add(float64(n)) }
func (m *metrics) read(topic string, bytes int) {
	m.readBytes.WithLabelValues(topic).Add(float64(bytes))
}
func (m *metrics) generation()        { m.generations.Inc() }
func (m *metrics) reset(topic string) { m.resets.WithLabelValues(topic).Inc() }
func (m *metrics) fail(operation string, e error) {
	m.errors.WithLabelValues(operation, classify(e).String()).Inc()
}

func (m *metrics) skip(topic, reason string, n int64) {
	m.skipped.WithLabelValues(topic, reason).Add(float64(n))
}

// follow begins to show the lag of a partition, until forget.
func (m *metrics) follow(topic, group string, partition int) *lag {
	l := &lag{labels: []string{topic, group, strconv.Itoa(partition)}}
	m.lags.mu.Lock()
	defer m.lags.mu.Unlock()
	m.lags.open[l] = struct{}{}
	return l
}

func (m *metrics) forget(l *lag) {
	m.lags.mu.Lock()
	defer m.lags.mu.Unlock()
	delete(m.lags.open, l)
}

// lag is how far the reading of a partition is behind.
type lag struct {
	labels []string
	next   atomic.Int64 // offset of the first record that the stage has not fetched
	end    atomic.Int64 // the offset after the last record
	since  atomic.Int64 // Unix milliseconds: when about the record at next was written; 0 if unknown
}

// reach notes where the partition ends.
func (l *lag) reach(end int64) { l.end.Store(end) }

// wait notes what is to be fetched next and when about it was written.
func (l *lag) wait(next int64, written time.Time) {
	l.next.Store(next)
	if written.IsZero() {
		l.since.Store(0)
	} else {
		l.since.Store(written.UnixMilli())
	}
}

// behind returns the lag in records and in time.
func (l *lag) behind(now time.Time) (records int64, age time.Duration) {
	records = max(0, l.end.Load()-l.next.Load())
	if since := l.since.Load(); records > 0 && since > 0 {
		age = max(0, now.Sub(time.UnixMilli(since)))
	}
	return records, age
}

// lags shows the lag of all partitions at the moment they are asked for.
type lags struct {
	mu   sync.Mutex
	open map[*lag]struct{}
}

var (
	lagRecords = prometheus.NewDesc("trench_bus_lag_records",
		"Records of a partition that the stage has not fetched yet, as of the last fetch and at most 5 s ago.", []string{"topic", "group", "partition"}, nil)
	lagSeconds = prometheus.NewDesc("trench_bus_lag_seconds",
		"Age in seconds of the oldest record of a partition that the stage has not fetched yet, 0 when there is none.", []string{"topic", "group", "partition"}, nil)
)

// Describe implements prometheus.Collector.
func (l *lags) Describe(ch chan<- *prometheus.Desc) { ch <- lagRecords; ch <- lagSeconds }

// Collect implements prometheus.Collector.
func (l *lags) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for one := range l.open {
		records, age := one.behind(now)
		ch <- prometheus.MustNewConstMetric(lagRecords, prometheus.GaugeValue, float64(records), one.labels...)
		ch <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, age.Seconds(), one.labels...)
	}
}
