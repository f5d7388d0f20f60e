package features

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// groups are the headings of docs/features.md, and where the definitions come from.
var groups = map[string]struct{ title, source string }{
	"fl":  {"the flow as a whole", "Counted by capture; the same counters as in IPFIX (RFC 7012) and in Joy's meta features, without their overflows."},
	"sq":  {"the sequence of packets", "SPLT as in Joy (Anderson and McGrew, 2016), with directions."},
	"ml":  {"length Markov matrix", "Joy (Anderson and McGrew, 2016): bins of 150 bytes over the merged list."},
	"hz":  {"packet sizes", "The histogram of ipfixprobe's phists plugin, as shares."},
	"bu":  {"bursts", "Runs of one direction, as ipfixprobe's bstats and the literature on website fingerprinting have them."},
	"rc":  {"TLS records", "Record headers (RFC 8446 section 5.1, RFC 5246 section 6.2.1, RFC 6347 section 4.1)."},
	"bd":  {"bytes of application data", "Joy's byte distribution, over application data alone so that it is no fingerprint of the handshake."},
	"ch":  {"ClientHello", "RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2, RFC 6347 section 4.2.1, RFC 8701 (GREASE) and the IANA registries of TLS parameters."},
	"sh":  {"ServerHello and what follows it in clear", "RFC 8446 section 4.1.3, RFC 5246 section 7.4; sh_cke_bits is Joy's c_key_length."},
	"ct":  {"certificates", "RFC 5280, RFC 6125 (names), RFC 6962 (timestamps); days relative to the flow's first packet."},
	"sn":  {"letters of the server name", "RFC 6066 section 3; lexical measures as in the literature on generated domain names."},
	"dn":  {"the DNS answer that led here", "RFC 1035; Anderson and McGrew (AISec 2016) join flows and DNS in the same way."},
	"qu":  {"QUIC", "RFC 9000 sections 17 and 18, RFC 9369, and the drafts before them."},
	"mt":  {"time Markov matrix", "Joy (Anderson and McGrew, 2016): bins of 50 ms."},
	"ht":  {"HTTP in clear of the same host", "Anderson and McGrew (AISec 2016)."},
	"xs":  {"shortcuts: ports, ranks and distances", "What tells how a capture was made rather than what is in it; for comparison, not for models that are used."},
	"c16": {"Joy's vector", "cisco/joy, analysis/data_parser.py and classifier.py (2019). Zeros where nothing was seen, never NaN: that is what the models of that time were trained on."},
}

// WriteMarkdown writes the reference of all columns of all profiles.
func WriteMarkdown(w io.Writer) error {
	s := Default()
	hash, err := s.Hash(s.Names())
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "# Features of %s\n\n", s.name)
	fmt.Fprintf(out, "Generated from the table in pkg/features by `go generate ./pkg/features`; do not edit.\n\n")
	fmt.Fprintf(out, "%d columns of float32. NaN means not observed or not applicable, never zero. c is client to server, s is server to client.\n", len(s.columns))
	fmt.Fprintf(out, "\nHash over all columns: `%s`\n", hash)
	writeColumns(out, s, 0)
	all, err := Profile(SchemaName + "+mt" + httpSuffix + "+xs")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n# Optional groups\n\nOff by default; a profile appends them to the columns of %[1]s in this order: `%[1]s+mt`, `%[1]s+ht+xs` and so on.\n", s.name)
	writeColumns(out, all, len(s.columns))
	cisco, err := Profile(CiscoName)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n# Profile %s\n\n%d columns that repeat the vector of the classifier in Joy, as a baseline to compare with.\n", CiscoName, len(cisco.columns))
	writeColumns(out, cisco, 0)
	return out.Flush()
}

// writeColumns writes the columns of a schema from one on, a table for each group.
func writeColumns(out *bufio.Writer, s *Schema, from int) {
	group := ""
	for i := from; i < len(s.columns); i++ {
		c := &s.columns[i]
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(out, "\n## %s: %s\n\n%s\n\n| # | name | unit | range | definition |\n|---|---|---|---|---|\n", group, groups[group].title, groups[group].source)
		}
		fmt.Fprintf(out, "| %d | %s | %s | %s | %s |\n", i, c.Name, c.Unit, c.Range, strings.ReplaceAll(c.Doc, "|", "\\|"))
	}
}
