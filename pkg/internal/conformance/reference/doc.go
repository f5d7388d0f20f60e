// Package reference reads the results that other analysers published for captures,
// each in its own format, as expectations of what Trench's rows hold:
//
//	reference    results                                      format
//	ja4-rust     ja4/rust/*.snap                              YAML, a stream each
//	ja4-python   ja4/python/*.json                            JSON, a stream each
//	ja3          ja3/string_to_md5.csv                        string;digest
//	tshark       tshark/*.tsv                                 a frame with handshake messages a line
//	zeek         zeek/Baseline/*/*.log                        Zeek's logs ssl, quic, x509 and conn
//	suricata     suricata-verify/*/test.yaml                  filters over events that must match
//	ndpi         ndpi/default/*.out                           text, a flow a line
//	arkime       arkime/*.test                                JSON sessions
//	ipfixprobe   ipfixprobe/outputs/*                         CSV records, by plugin
//	joy          joy/*.json.gz                                JSON, a direction of a flow a line
//
// golden/map.csv says which captures a result is for. Values are made comparable here,
// once for each reference: an expectation holds them as Trench spells them.
package reference
