package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	rows, bytes, newParts, refused *prometheus.CounterVec
	seconds                        *prometheus.HistogramVec
	parts                          *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "trench_store_" + name, Help: help}, []string{"table"})
	}
	return &metrics{
		rows:     counter("rows_total", "Rows inserted, repetitions included."),
		bytes:    counter("bytes_total", "Bytes inserted, before compression."),
		newParts: counter("new_parts_total", "Parts that inserts made: one for each month that an insert has rows of."),
		refused:  counter("refused_rows_total", "Rows that the server does not take."),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "trench_store_insert_seconds", Help: "Time of an insert until the server has acknowledged it.", Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 12),
		}, []string{"table"}),
		parts: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "trench_store_parts", Help: "Parts of the month that has most of them; the server slows inserts down, then refuses them, when they are too many.",
		}, []string{"table"}),
	}
}

func (m *metrics) inserted(table string, rows, bytes, months int, took time.Duration) {
	m.rows.WithLabelValues(table).Add(float64(rows))
	m.bytes.WithLabelValues(table).Add(float64(bytes))
	m.newParts.WithLabelValues(table).Add(float64(months))
	m.seconds.WithLabelValues(table).Observe(took.Seconds())
}

func (m *metrics) refuse(table string, rows int) { m.refused.WithLabelValues(table).Add(float64(rows)) }

func (m *metrics) counted(table string, parts uint64) {
	m.parts.WithLabelValues(table).Set(float64(parts))
}
