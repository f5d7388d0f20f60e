package features

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// groupTitles are the headings of docs/features.md.
var groupTitles = map[string]string{
	"fl": "the flow as a whole", "sq": "the sequence of packets", "ml": "length Markov matrix", "hz": "packet sizes", "bu": "bursts",
	"rc": "TLS records", "bd": "bytes of application data", "ch": "ClientHello", "sh": "ServerHello and what follows it in clear",
	"ct": "certificates", "sn": "letters of the server name", "dn": "the DNS answer that led here", "qu": "QUIC",
}

// WriteMarkdown writes the reference of all columns of trench-v1.
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
	fmt.Fprintf(out, "Groups dn and qu are NaN until their parsers exist, and so are ch, sh, ct and sn for DTLS and QUIC.\n\nHash over all columns: `%s`\n", hash)
	group := ""
	for i, c := range s.columns {
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(out, "\n## %s: %s\n\n| # | name | unit | definition |\n|---|---|---|---|\n", group, groupTitles[group])
		}
		fmt.Fprintf(out, "| %d | %s | %s | %s |\n", i, c.Name, c.Unit, strings.ReplaceAll(c.Doc, "|", "\\|"))
	}
	return out.Flush()
}
