package app

import "github.com/prometheus/client_golang/prometheus"

// collector shows what a capture counts.
type collector struct {
	c       *Capture
	metrics []metric
}

type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	label []string
	value func(*Counts) uint64
}

// Collector returns the counters of a capture for Prometheus.
func (c *Capture) Collector() prometheus.Collector {
	const prefix = "trench_capture_"
	packets := prometheus.NewDesc(prefix+"packets_total", "Packets read, by what became of them; what waits for more fragments is in none.", []string{"outcome"}, nil)
	evicted := prometheus.NewDesc(prefix+"flows_evicted_total", "Flows that ended because of max_flows.", []string{"state"}, nil)
	dropped := prometheus.NewDesc(prefix+"dropped_total", "What was given up because of a limit.", []string{"limit"}, nil)
	one := func(name, help string, kind prometheus.ValueType, value func(*Counts) uint64) metric {
		return metric{prometheus.NewDesc(prefix+name, help, nil, nil), kind, nil, value}
	}
	counter := func(d *prometheus.Desc, label string, value func(*Counts) uint64) metric {
		return metric{d, prometheus.CounterValue, []string{label}, value}
	}
	return &collector{c, []metric{
		counter(packets, "in_flows", func(c *Counts) uint64 { return c.InFlows }),
		counter(packets, "not_ip", func(c *Counts) uint64 { return c.NotIP }),
		counter(packets, "malformed", func(c *Counts) uint64 { return c.Malformed }),
		counter(packets, "refused", func(c *Counts) uint64 { return c.Refused }),
		counter(packets, "filtered", func(c *Counts) uint64 { return c.Filtered }),
		counter(packets, "duplicate", func(c *Counts) uint64 { return c.Duplicate }),
		counter(packets, "fragment_dropped", func(c *Counts) uint64 { return c.FragmentDropped }),
		counter(packets, "dropped_fragment_bytes", func(c *Counts) uint64 { return c.DroppedFragmentBytes }),
		counter(packets, "dropped_fragment_datagrams", func(c *Counts) uint64 { return c.DroppedFragmentDatagrams }),
		one("read_packets_total", "Packets read.", prometheus.CounterValue, func(c *Counts) uint64 { return c.Packets }),
		one("read_bytes_total", "Bytes of the packets read, as on the wire.", prometheus.CounterValue, func(c *Counts) uint64 { return c.Bytes }),
		one("truncated_packets_total", "Packets in flows that the snap length cut.", prometheus.CounterValue, func(c *Counts) uint64 { return c.Truncated }),
		one("flows_total", "Flows that ended.", prometheus.CounterValue, func(c *Counts) uint64 { return c.Table.Flows }),
		one("reports_total", "Reports of open flows.", prometheus.CounterValue, func(c *Counts) uint64 { return c.Table.Reports }),
		one("flows_open", "Flows in the table.", prometheus.GaugeValue, func(c *Counts) uint64 { return c.Table.Open }),
		one("fragments_held", "Fragments that wait for the rest of their datagram.", prometheus.GaugeValue, func(c *Counts) uint64 { return c.Decode.Held }),
		counter(evicted, "half_open", func(c *Counts) uint64 { return c.Table.EvictedHalfOpen }),
		counter(evicted, "established", func(c *Counts) uint64 { return c.Table.Evicted - c.Table.EvictedHalfOpen }),
		counter(dropped, "total_handshake", func(c *Counts) uint64 { return c.Table.HandshakeDrops }),
		counter(dropped, "pending_bytes", func(c *Counts) uint64 { return c.Table.PendingDrops }),
		counter(dropped, "dns_answers", func(c *Counts) uint64 { return c.Table.DNSDrops }),
		counter(dropped, "http_messages", func(c *Counts) uint64 { return c.Table.HTTPDrops }),
	}}
}

var lostDesc = prometheus.NewDesc("trench_capture_lost_packets_total", "Packets that the kernel, or who wrote the capture, says were lost before they were read.", nil, nil)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	seen := map[*prometheus.Desc]bool{}
	for _, m := range c.metrics {
		if !seen[m.desc] {
			seen[m.desc] = true
			ch <- m.desc
		}
	}
	ch <- lostDesc
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	counts := c.c.Counts()
	for _, m := range c.metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.value(&counts)), m.label...)
	}
	ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.CounterValue, float64(c.c.Lost()))
}
