package quicwire_test

import (
	"slices"
	"strings"
	"testing"

	"trench/pkg/quicwire"
)

func TestTransportParametersOfTheRFC(t *testing.T) {
	t.Parallel()
	client, server := rfcRows(t)
	var c quicwire.Connection
	c.Parse(client, server)
	var p quicwire.TransportParameters
	quicwire.ParseTransportParameters(hello(&c).Client.QUICParameters, &p)
	if p.Incomplete || p.Count != 8 || len(p.List) != 8 || p.MaxData != 0x3fffffffffffffff || p.MaxStreamDataBidiLocal != 0xffff ||
		p.MaxStreamDataUni != 0xffff || p.MaxStreamsBidi != 16 || p.MaxIdleTimeout != 30000 || p.MaxStreamsUni != 16 ||
		p.InitialSourceCIDLen != 8 || p.MaxStreamDataBidiRemote != 0xffff || p.MaxUDPPayload != -1 || p.MaxAckDelay != -1 || p.ChosenVersion != 0 {
		t.Errorf("got %+v", p)
	}
}

// allParameters are eleven, of which one is reserved.
const allParameters = "\x03\x02\x45\xac" + "\x0a\x01\x02" + "\x0b\x01\x19" + "\x0c\x00" + "\x0e\x01\x04" + "\x1b\x02zz" + // 27 is reserved
	"\x20\x04\x80\x00\xff\xff" + "\x6a\xb2\x00" + "\x11\x0c\x00\x00\x00\x01\x6b\x33\x43\xcf\x00\x00\x00\x01" +
	"\x71\x29\x05agent" + "\x0f\x00"

func TestTransportParameters(t *testing.T) {
	t.Parallel()
	var p quicwire.TransportParameters
	quicwire.ParseTransportParameters([]byte(allParameters), &p)
	ids := func() (out []uint64) {
		for _, one := range p.List {
			out = append(out, one.ID)
		}
		return out
	}
	if p.Incomplete || p.Count != 10 || len(p.List) != 11 || p.MaxUDPPayload != 1452 || p.AckDelayExponent != 2 || p.MaxAckDelay != 25 ||
		!p.DisableActiveMigration || p.ActiveConnectionIDLimit != 4 || !p.List[5].Grease || p.List[5].Length != 2 || p.MaxDatagramFrame != 65535 ||
		!p.GreaseQUICBit || p.ChosenVersion != 1 || !slices.Equal(p.Versions, []uint32{quicwire.Version2, 1}) || string(p.UserAgent) != "agent" ||
		p.InitialSourceCIDLen != 0 || p.MaxIdleTimeout != -1 {
		t.Errorf("got %+v", p)
	}
	if want := []uint64{3, 10, 11, 12, 14, 27, 0x20, 0x2ab2, 0x11, 0x3129, 15}; !slices.Equal(ids(), want) {
		t.Errorf("ids %v", ids())
	}
	quicwire.ParseTransportParameters([]byte("\x00\x0f\x00\x01\x00\x04\x80\x00\x75\x30\x00\x0c\x00\x00\x00\x1b\x00"), &p)
	if p.MaxIdleTimeout == 30000 { // the vector says 15 and is one byte short
		t.Errorf("a vector that is cut: %+v", p)
	}
	quicwire.ParseTransportParameters([]byte("\x00\x10\x00\x01\x00\x04\x80\x00\x75\x30\x00\x0c\x00\x00\x00\x1b\x00\x00"), &p)
	if p.Incomplete || p.MaxIdleTimeout != 30000 || !p.DisableActiveMigration || p.Count != 2 || len(p.List) != 3 {
		t.Errorf("vector of the drafts: %+v", p)
	}
}

func TestBrokenTransportParameters(t *testing.T) {
	t.Parallel()
	for name, ext := range map[string]string{
		"cut in a value":         "\x01\x02\x45",
		"cut in a length":        "\x01\x45",
		"number of two":          "\x01\x02\x05\x05",
		"number that is empty":   "\x01\x00",
		"too many":               strings.Repeat("\x0c\x00", 500),
		"versions that are cut":  "\x11\x05\x00\x00\x00\x01\x02",
		"versions without any":   "\x11\x01\x00",
		"a length beyond all of": "\x01\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		var p quicwire.TransportParameters
		quicwire.ParseTransportParameters([]byte(ext), &p)
		if !p.Incomplete || p.MaxIdleTimeout != -1 || len(p.List) > 128 {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
