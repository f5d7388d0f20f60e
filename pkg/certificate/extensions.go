package certificate

import (
	"net/netip"

	"golang.org/x/crypto/cryptobyte"
)

// extensions reads what it needs and reports whether all were whole.
func (p *parser) extensions(explicit element) bool {
	list, _, ok := p.take(explicit.body, tagSequence, "extensions")
	if !ok {
		return false
	}
	whole := !list.cut && !explicit.cut
	for in := list.body; len(in) > 0; {
		var ext element
		if ext, in, ok = p.take(in, tagSequence, "extension"); !ok {
			return false
		}
		oid, rest, ok := p.take(ext.body, tagOID, "extension identifier")
		if !ok {
			return false
		}
		if e, after, err := next(rest); err == nil && e.tag == tagBool {
			rest = after
		}
		value, _, ok := p.take(rest, tagOctets, "extension value")
		if !ok {
			return false
		}
		whole = whole && !ext.cut && !value.cut
		if !oid.cut {
			p.c.ExtensionOIDs = p.appendOID(p.c.ExtensionOIDs, oid.body)
		}
		switch string(oid.body) {
		case oidSubjectKeyID:
			p.c.SubjectKeyID = true
		case oidAuthorityKeyID:
			p.c.AuthorityKeyID = true
		case oidPoison:
			p.c.CTPoison = true
		case oidKeyUsage:
			p.keyUsage(value.body)
		case oidExtKeyUsage:
			p.extKeyUsage(value.body)
		case oidPolicies:
			p.policies(value.body)
		case oidSAN:
			whole = p.alternativeNames(value.body) && whole
		case oidBasicConstraints:
			p.basicConstraints(value.body)
		case oidSCTs:
			p.timestamps(value.body)
		}
	}
	return whole
}

func (p *parser) basicConstraints(in []byte) {
	seq, _, ok := p.take(in, tagSequence, "basic constraints")
	if !ok {
		return
	}
	e, rest, err := next(seq.body)
	if err == nil && e.tag == tagBool && len(e.body) == 1 {
		p.c.CA = e.body[0] != 0
		e, _, err = next(rest)
	}
	if err == nil && e.tag == tagInteger && !e.cut && len(e.body) > 0 && bitLen(e.body) < 32 {
		n := 0
		for _, b := range e.body {
			n = n<<8 | int(b)
		}
		p.c.PathLen = n
	}
}

func (p *parser) keyUsage(in []byte) {
	e, _, ok := p.take(in, tagBits, "key usage")
	if !ok || len(e.body) < 1 {
		return
	}
	bits := e.body[1:] // behind the count of unused bits
	for i, name := range keyUsages {
		if i/8 < len(bits) && bits[i/8]&(0x80>>(i%8)) != 0 {
			p.c.KeyUsage = append(p.c.KeyUsage, name)
		}
	}
}

func (p *parser) extKeyUsage(in []byte) {
	list, _, ok := p.take(in, tagSequence, "extended key usage")
	for rest := list.body; ok && len(rest) > 0; {
		var oid element
		if oid, rest, ok = p.take(rest, tagOID, "extended key usage"); ok && !oid.cut {
			name, known := extKeyUsages[string(oid.body)]
			if !known {
				name = oidText(oid.body)
			}
			p.c.ExtKeyUsage = append(p.c.ExtKeyUsage, name)
		}
	}
}

func (p *parser) policies(in []byte) {
	list, _, ok := p.take(in, tagSequence, "policies")
	for rest := list.body; ok && len(rest) > 0; {
		var info element
		if info, rest, ok = p.take(rest, tagSequence, "policy"); !ok {
			return
		}
		if oid, _, ok := p.take(info.body, tagOID, "policy identifier"); ok && !oid.cut {
			p.c.Policies = append(p.c.Policies, oidText(oid.body))
			if p.c.Policy == "" {
				p.c.Policy = forumPolicies[string(oid.body)]
			}
		}
	}
}

func (p *parser) timestamps(in []byte) {
	inner, _, ok := p.take(in, tagOctets, "timestamp list")
	if !ok {
		return
	}
	s := cryptobyte.String(inner.body)
	var list, sct cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		p.fail("timestamp list", ErrTruncated)
		return
	}
	for list.ReadUint16LengthPrefixed(&sct) {
		p.c.SCTs++
	}
}

func (p *parser) alternativeNames(in []byte) bool {
	list, _, ok := p.take(in, tagSequence, "alternative names")
	if !ok {
		return false
	}
	c := p.c
	for in := list.body; len(in) > 0; {
		e, rest, err := next(in)
		if err == nil && e.cut {
			err = ErrTruncated
		}
		if err != nil {
			p.fail("alternative name", err)
			return false
		}
		in = rest
		switch e.tag {
		case tagContext0 | 1, tagContext0 | 6: // rfc822Name, uniformResourceIdentifier
			c.SANs = append(c.SANs, escape(e.body))
		case tagContext0 | 2: // dNSName
			name := escape(e.body)
			c.SANs = append(c.SANs, name)
			c.DNSNames = append(c.DNSNames, name)
		case tagContext0 | 7: // iPAddress
			addr, ok := netip.AddrFromSlice(e.body)
			if !ok {
				p.fail("address in alternative names", ErrSyntax)
				continue
			}
			c.SANs = append(c.SANs, addr.String())
			c.IPs = append(c.IPs, addr)
		}
	}
	return !list.cut
}
