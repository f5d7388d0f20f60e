package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"trench/pkg/app"
	"trench/pkg/export"
	"trench/pkg/labels"
	"trench/pkg/packet"
	"trench/pkg/record"
)

// featuresFlags are the flags of features.
type featuresFlags struct {
	reading
	output   string
	labels   string
	manifest string
}

func newFeaturesCommand() *cobra.Command {
	var f featuresFlags
	cmd := &cobra.Command{
		Use:   "features -o FILE.parquet PATH…",
		Short: "Write the feature vectors of TLS, DTLS and QUIC flows for training",
		Long: `Read captures and write one Parquet row per TLS, DTLS or QUIC flow: who talked to whom, the
feature vector, and with --labels what is known about the flow. A label belongs to a flow when
its path is a suffix of the file read, the 5-tuple is the same and the first packets are at most
1 µs apart; what found no partner on either side is counted.`,
		Example: `  trench features -o rows.parquet --labels flow_labels.csv --manifest manifest.csv captures/`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), args, cmd.InOrStdin(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "Parquet `file` to write (required)")
	cmd.Flags().StringVar(&f.labels, "labels", "", "CSV `file` with a label per flow")
	cmd.Flags().StringVar(&f.manifest, "manifest", "", "CSV `file` with group and source of each capture")
	return cmd
}

func (f *featuresFlags) run(ctx context.Context, paths []string, stdin io.Reader, stderr io.Writer) (err error) {
	s, err := f.load()
	if err != nil {
		return err
	}
	if f.output == "" {
		return usage(errors.New("-o FILE.parquet is missing"))
	}
	if f.manifest != "" && f.labels == "" {
		return usage(errors.New("--manifest goes with --labels"))
	}
	var set *labels.Set
	if f.labels != "" {
		if set, err = labels.Load(f.labels, f.manifest); err != nil {
			return usage(err)
		}
	}
	schema := s.Features.Schema()
	out, err := export.CreateVectors(f.output, schema.Names(), schema.Metadata(version))
	if err != nil {
		return err
	}
	var rows, labelled int
	a := &app.Analysis{Workers: f.workers, Last: app.StageFeatures, Stdin: stdin, Features: s.Features, Capture: s.Capture}
	a.Rows = func(batch []*record.Record) error {
		for _, r := range batch {
			if len(r.Vector) == 0 {
				continue
			}
			var l labels.Label
			if set != nil {
				var found bool
				if l, found = findLabel(set, r); found {
					labelled++
				}
			}
			rows++
			if err := out.Write(r, l); err != nil {
				return fmt.Errorf("output %s: %w", f.output, err)
			}
		}
		return nil
	}
	sum, err := withProgress(ctx, stderr, a.Progress, func(ctx context.Context) (*app.Summary, error) { return a.Run(ctx, paths) })
	if cerr := out.Close(); cerr != nil && err == nil {
		err = fmt.Errorf("output %s: %w", f.output, cerr)
	}
	if set != nil {
		unused, others := set.Unused()
		fmt.Fprintf(stderr, "%d rows, %d with a label, %d without; %d of %d labels found no flow in the captures read, %d are of other captures\n",
			rows, labelled, rows-labelled, unused, set.Len(), others)
	}
	return finish(sum, err, stderr)
}

func findLabel(set *labels.Set, r *record.Record) (labels.Label, bool) {
	proto := uint8(packet.ProtocolTCP)
	if r.Proto == "udp" {
		proto = packet.ProtocolUDP
	}
	return set.Find(r.Source, netip.AddrPortFrom(r.ClientIP, r.ClientPort), netip.AddrPortFrom(r.ServerIP, r.ServerPort), proto, r.TS)
}
