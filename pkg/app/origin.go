package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/net/bpf"

	"trench/pkg/afpacket"
	"trench/pkg/config"
	"trench/pkg/filter"
	"trench/pkg/privilege"
	"trench/pkg/watch"
)

// Origin says where a running sensor has its packets from: the section input of a
// configuration file. Exactly one of Paths, Watch and Interface is given.
type Origin struct {
	// Paths are captures and directories of captures.
	Paths []string `yaml:"paths"`
	// Stay keeps the service running after the last file, so that whoever
	// restarts what ends does not read everything again.
	Stay bool `yaml:"stay"`
	// Watch is a directory in which captures appear.
	Watch watch.Config `yaml:"watch"`
	// Interface is a network interface.
	Interface Interface `yaml:"interface"`
	// User is who the process becomes once the interface is open; empty stays who
	// it is. In any case it keeps no privilege but that of opening packet sockets.
	User string `yaml:"user"`
}

// Interface is a network interface and how many rings, with a worker each, share
// its packets.
type Interface struct {
	afpacket.Config `yaml:",inline"`
	Rings           int `yaml:"rings"`
}

// DefaultOrigin returns an origin that names none yet.
func DefaultOrigin() Origin {
	return Origin{Watch: watch.DefaultConfig(), Interface: Interface{Config: afpacket.DefaultConfig(), Rings: 1}}
}

// Validate reports every fault at once.
func (o Origin) Validate() error {
	errs := []error{config.Section("watch", o.Watch.Validate())}
	if o.Live() {
		errs = append(errs, config.Section("interface", o.Interface.Validate()))
		if o.Interface.Rings < 1 || o.Interface.Rings > afpacket.MaxRings {
			errs = append(errs, fmt.Errorf("interface.rings: %d is not between 1 and %d", o.Interface.Rings, afpacket.MaxRings))
		}
	}
	given := 0
	for _, is := range []bool{len(o.Paths) > 0, o.Watch.Directory != "", o.Live()} {
		if is {
			given++
		}
	}
	if given != 1 {
		errs = append(errs, fmt.Errorf("paths: exactly one of paths, watch.directory and interface.name must be given, not %d", given))
	}
	if o.Stay && len(o.Paths) == 0 {
		errs = append(errs, errors.New("stay: goes with paths"))
	}
	if o.User != "" && !o.Live() {
		errs = append(errs, errors.New("user: goes with interface.name"))
	}
	return errors.Join(errs...)
}

// Live reports whether packets come from an interface.
func (o Origin) Live() bool { return o.Interface.Interface != "" }

// Workers is how many goroutines build flows when so many are asked for: a live
// interface has one for each ring.
func (o Origin) Workers(asked int) int {
	if o.Live() {
		return o.Interface.Rings
	}
	return asked
}

// RunOrigin takes packets from where o says, until it ends or ctx does. Faults of
// files are logged as they are met.
func (c *Capture) RunOrigin(ctx context.Context, o Origin, log *slog.Logger) (*Summary, error) {
	c.log = log
	switch {
	case o.Live():
		return c.runInterface(ctx, o, log)
	case o.Watch.Directory != "":
		w, err := watch.New(o.Watch, log)
		if err != nil {
			return &Summary{}, err
		}
		defer w.Close()
		return c.RunQueue(ctx, w)
	}
	return c.Run(ctx, o.Paths)
}

func (c *Capture) runInterface(ctx context.Context, o Origin, log *slog.Logger) (*Summary, error) {
	name, expr := o.Interface.Interface, c.Config.Filter
	var program []bpf.RawInstruction
	if expr != "" {
		// The kernel leaves out most of what does not match, so it is not even counted;
		// what had a VLAN tag is decided here.
		kind, err := afpacket.KindOf(name)
		if err == nil {
			program, err = filter.CompileLive(expr, kind.Filter)
		}
		if err != nil {
			return &Summary{}, err
		}
	}
	rings, err := afpacket.Open(o.Interface.Config, o.Interface.Rings, program, log)
	if err != nil {
		return &Summary{}, err
	}
	sources := make([]Ring, len(rings))
	for i, r := range rings {
		defer r.Close()
		sources[i] = ring{r}
	}
	if err := privilege.Drop(o.User, privilege.NetRaw); err != nil {
		return &Summary{}, fmt.Errorf("drop privileges: %w", err)
	}
	log.Info("capturing", "interface", name, "rings", len(rings), "filter", expr)
	return c.RunLive(ctx, c.Config.Sensor+":"+name, sources)
}

// ring counts as lost what found no room.
type ring struct{ *afpacket.Ring }

func (r ring) Lost() uint64 {
	s, err := r.Stats()
	if err != nil {
		return 0 // closed
	}
	return s.Drops + s.Broken
}
