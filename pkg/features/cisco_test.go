package features

import (
	"strings"
	"testing"

	"trench/pkg/flow"
)

func TestCiscoHasJoysLayout(t *testing.T) {
	t.Parallel()
	s, err := Profile(CiscoName)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name() != "cisco2016" || len(s.Names()) != 649 {
		t.Fatalf("%s has %d columns, want cisco2016 with 649", s.Name(), len(s.Names()))
	}
	for at, name := range map[int]string{
		0: "c16_dport", 1: "c16_sport", 2: "c16_pk_in", 3: "c16_pk_out", 4: "c16_by_in", 5: "c16_by_out", 6: "c16_dur",
		7: "c16_len_0_0", 8: "c16_len_0_1", 17: "c16_len_1_0", 106: "c16_len_9_9", 107: "c16_time_0_0", 206: "c16_time_9_9", 207: "c16_bd_000", 462: "c16_bd_255",
		463: "c16_cs_c005", 463 + 48: "c16_cs_00be", 463 + 109: "c16_cs_006a", 463 + 152: "c16_cs_c02f", 463 + 175: "c16_cs_0096",
		639: "c16_ext_0", 640: "c16_ext_23", 641: "c16_ext_65281", 642: "c16_ext_10", 643: "c16_ext_11", 644: "c16_ext_35", 645: "c16_ext_16", 646: "c16_ext_5", 647: "c16_ext_13",
		648: "c16_cke_bits",
	} {
		if s.Names()[at] != name {
			t.Errorf("column %d is %s, want %s", at, s.Names()[at], name)
		}
	}
	if n := len(strings.Fields(joySuites)); n != joySuiteCount {
		t.Errorf("%d suites", n)
	}
	if n := len(strings.Fields(joyExtensions)); n != joyExtensionCount {
		t.Errorf("%d extensions", n)
	}
}

func TestCiscoColumns(t *testing.T) {
	t.Parallel()
	columns := ciscoColumns()
	f := full12(t)
	addPackets(f, shaped().Packets...) // 3 from the client with 910 bytes, 5 from the server with 5571
	c, s := &f.Half[0], &f.Half[1]
	c.Packets, c.Retransmitted = 9, 2
	s.Packets, s.Retransmitted = 19, 0
	c.ByteCounts['a'], s.ByteCounts['a'], s.ByteCounts['b'] = 600, 424, 514 // 1024 and 514: shifted by 3
	c.ByteCounts['c'] = 7                                                   // nothing is left of it

	want := allAre(columns, 0)
	for name, v := range map[string]float64{
		"dport": 443, "sport": 40000, "pk_in": 19, "pk_out": 7, "by_in": 5571, "by_out": 910,
		"dur":     20 + 10 + 0 + 0 + 10 + 11 + 8 + 40,
		"len_3_9": 1, "len_9_9": .5, "len_9_7": .5, "len_7_0": 1, "len_0_0": .5, "len_0_2": .5, "len_2_9": 1,
		"time_0_0": 1,
		"bd_097":   128. / 192, "bd_098": 64. / 192,
		"cs_c02b": 1, "cs_c013": 1, "ext_0": 1, "ext_16": 1, "cke_bits": 528,
	} {
		want["c16_"+name] = v
	}
	checkAll(t, optionalValues(f, columns), want)

	f.App = flow.AppDTLS // to Joy no TLS
	for name := range want {
		if strings.HasPrefix(name, "c16_cs_") || strings.HasPrefix(name, "c16_ext_") || name == "c16_cke_bits" {
			want[name] = 0
		}
	}
	checkAll(t, optionalValues(f, columns), want)
}

func TestCiscoIsZeroForWhatWasNotSeen(t *testing.T) {
	t.Parallel()
	columns := ciscoColumns()
	checkAll(t, optionalValues(&flow.Flow{App: flow.AppTLS}, columns), allAre(columns, 0))
}

func TestCiscoSuitesAndExtensionsHaveTheirColumn(t *testing.T) {
	t.Parallel()
	columns := ciscoColumns()
	for _, id := range strings.Fields(joySuites) {
		f := tlsFlow(rec(22, clientHello(0x0303, nil, []int{int(number(id, 16)), 0x1301, 0x1a1a})), nil)
		for name, v := range optionalValues(f, columns) {
			if strings.HasPrefix(name, "c16_cs_") && (v == 1) != (name == "c16_cs_"+id) {
				t.Errorf("suite %s alone: %s = %v", id, name, v)
			}
		}
	}
	for _, id := range strings.Fields(joyExtensions) {
		f := tlsFlow(rec(22, clientHello(0x0303, nil, []int{0x002f}, ext(int(number(id, 10))), ext(15), ext(0x2a2a))), nil)
		for name, v := range optionalValues(f, columns) {
			if strings.HasPrefix(name, "c16_ext_") && (v == 1) != (name == "c16_ext_"+id) {
				t.Errorf("extension %s alone: %s = %v", id, name, v)
			}
		}
	}
	keyless := tlsFlow(rec(22, message(16, make([]byte, 1025))), nil) // longer than Joy believes
	check(t, optionalValues(keyless, columns), map[string]float64{"c16_cke_bits": 0})
}
