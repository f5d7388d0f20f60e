package scoring

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"trench/pkg/policy"
)

// What is reloaded, as metrics and logs name it.
const (
	roleModel  = "model"
	roleShadow = "shadow"
	roleLists  = "lists"
)

type metrics struct {
	info            *prometheus.GaugeVec
	reloads, listed *prometheus.CounterVec
	of              *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		info: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "trench_scoring_model_info", Help: "1 for the model that scores and for each shadow model, with the hash over its columns.",
		}, []string{"role", "model_id", "hash"}),
		reloads: f.NewCounterVec(prometheus.CounterOpts{
			Name: "trench_scoring_reloads_total", Help: "Models and lists read again, by what became of it; refused ones leave the one before.",
		}, []string{"role", "result"}),
		listed: f.NewCounterVec(prometheus.CounterOpts{
			Name: "trench_scoring_list_matches_total", Help: "Rows whose verdict an entry of a list decided.",
		}, []string{"list", "effect"}),
		of: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "trench_scoring_list_entries", Help: "Entries of a list; those that have ended are ignored.",
		}, []string{"list", "effect", "state"}),
	}
}

func (m *metrics) serve(s *served) {
	m.info.Reset()
	if s.bundle != nil {
		m.info.WithLabelValues(roleModel, s.bundle.ID(), s.bundle.Hash()).Set(1)
	}
	for _, b := range s.shadows {
		if b != nil {
			m.info.WithLabelValues(roleShadow, b.ID(), b.Hash()).Set(1)
		}
	}
	m.of.Reset()
}

func (m *metrics) reloaded(role string, err error) {
	result := "ok"
	if err != nil {
		result = "refused"
	}
	m.reloads.WithLabelValues(role, result).Inc()
}

func (m *metrics) decided(e *policy.Entry) { m.listed.WithLabelValues(e.File, e.Effect.String()).Inc() }

func (m *metrics) entries(c policy.Count) {
	m.of.WithLabelValues(c.File, c.Effect.String(), "live").Set(float64(c.Live))
	m.of.WithLabelValues(c.File, c.Effect.String(), "ended").Set(float64(c.Ended))
}
