package features

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trench/pkg/assemble"
	"trench/pkg/flow"
	"trench/pkg/internal/corpus"
	"trench/pkg/packet"
	"trench/pkg/pcap"
)

// joyRecord is what of Joy's output (one direction each) can be compared.
type joyRecord struct {
	SP, DP  uint16
	Bytes   float64             `json:"bytes_out"`
	Count   float64             `json:"num_pkts_out"`
	Packets []struct{ B int32 } `json:"packets"`
	TLS     struct {
		Suites     []string         `json:"cs"`
		Extensions []map[string]any `json:"c_extensions"`
		Key        float64          `json:"c_key_length"`
	} `json:"tls"`
}

// joyExtensionNames are the names that Joy writes, in the order of its columns.
var joyExtensionNames = []string{"server_name", "extended_master_secret", "renegotiation_info", "supported_groups", "ec_point_formats", "session_ticket",
	"application_layer_protocol_negotiation", "status_request", "signature_algorithms"}

func readJoy(t *testing.T, path string) (records []joyRecord) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(z)
	var configuration json.RawMessage // the first line
	if err := d.Decode(&configuration); err != nil {
		t.Fatal(err)
	}
	for {
		var r joyRecord
		if err := d.Decode(&r); err == io.EOF {
			return records
		} else if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
}

// tlsFlows calls visit for the TLS flows of a capture.
func tlsFlows(t *testing.T, path string, visit func(f *flow.Flow)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := pcap.NewReader(file, path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dec := packet.NewDecoder(packet.DefaultConfig())
	table := assemble.New(assemble.DefaultConfig(), func(f *flow.Flow) {
		if f.App == flow.AppTLS {
			visit(f)
		}
	})
	table.Begin(&assemble.Source{Name: path})
	var b pcap.Block
	var v packet.View
	for {
		if err := r.ReadBlock(&b); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for i := range b.Packets {
			if dec.Decode(&v, &b.Packets[i]) == packet.OK {
				table.Add(&v)
			}
		}
	}
	table.Flush(1 << 62)
}

func TestCiscoAgreesWithJoysOutput(t *testing.T) {
	t.Parallel()
	dir := corpus.Dir(t)
	columns := ciscoColumns()
	for version, golden := range map[string]string{
		"tls10": "8a8525eb-0394-4759-a90a-51d02bc023f8_base-tls10.json.gz",
		"tls11": "008fa42d-59f9-49ad-a131-f2ba142e4a32_base-tls11.json.gz",
		"tls12": "81112cf5-181d-4a92-a5e3-9963ef643998_base-tls12.json.gz",
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			records := readJoy(t, filepath.Join(dir, "golden/joy", golden))
			if len(records) != 2 {
				t.Fatalf("%d records of Joy, want one for each direction", len(records))
			}
			client, server := records[0], records[1]
			flows := 0
			tlsFlows(t, filepath.Join(dir, "protocol-tests/joy", version+".pcap"), func(f *flow.Flow) {
				flows++
				want := map[string]float64{
					"c16_dport": float64(client.DP), "c16_sport": float64(client.SP), "c16_pk_in": server.Count, "c16_pk_out": client.Count,
					"c16_by_in": server.Bytes, "c16_by_out": client.Bytes, "c16_cke_bits": client.TLS.Key,
				}
				for _, id := range strings.Fields(joySuites) {
					want["c16_cs_"+id] = bit(slices.Contains(client.TLS.Suites, id))
				}
				for i, id := range strings.Fields(joyExtensions) {
					want["c16_ext_"+id] = bit(slices.ContainsFunc(client.TLS.Extensions, func(e map[string]any) bool {
						_, has := e[joyExtensionNames[i]]
						return has
					}))
				}
				got := optionalValues(f, columns)
				check(t, got, want)

				var lengths [2][]int32
				for _, p := range f.Packets {
					if p.Length < 0 {
						lengths[1] = append(lengths[1], -p.Length)
					} else {
						lengths[0] = append(lengths[0], p.Length)
					}
				}
				for d, r := range records {
					var joys []int32
					for _, p := range r.Packets {
						joys = append(joys, p.B)
					}
					if diff := cmp.Diff(joys, lengths[d]); diff != "" {
						t.Errorf("lengths of direction %d: %s", d, diff)
					}
				}
				var sum float64
				for i := range 100 {
					sum += got[fmt.Sprintf("c16_len_%d_%d", i/10, i%10)]
				}
				if sum == 0 {
					t.Error("the matrix of lengths is empty")
				}
			})
			if flows != 1 {
				t.Errorf("%d TLS flows, want 1", flows)
			}
		})
	}
}
