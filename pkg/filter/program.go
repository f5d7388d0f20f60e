package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/net/bpf"

	"trench/pkg/pcap"
)

// maxProgram is the longest program that a kernel takes.
const maxProgram = 4096

// Program is a compiled expression. It is safe for concurrent use.
type Program struct{ raw []bpf.RawInstruction }

// Compile turns an expression into a program for packets of a link type. An empty
// expression takes all.
func Compile(expr string, link pcap.LinkType) (*Program, error) {
	n, err := parse(expr, link)
	if err != nil {
		return nil, fmt.Errorf("filter %q: %w", short(expr), err)
	}
	return build(expr, n)
}

// CompileLive turns an expression into a program for a packet socket on a link
// type. The kernel has taken the outer VLAN tag out of a packet before the program
// sees it, so the program lets every packet that had one pass: the rest is for
// Match, once the tag is back in its place.
func CompileLive(expr string, link pcap.LinkType) ([]bpf.RawInstruction, error) {
	n, err := parse(expr, link)
	if err != nil {
		return nil, fmt.Errorf("filter %q: %w", short(expr), err)
	}
	tagged := test{code: []bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}}, op: jumpEqual, val: 1}
	p, err := build(expr, either{tagged, n})
	if err != nil {
		return nil, err
	}
	return p.Instructions(), nil
}

func build(expr string, n node) (*Program, error) {
	code := assemble(n)
	if len(code) > maxProgram {
		return nil, fmt.Errorf("filter %q: %d instructions are more than %d", short(expr), len(code), maxProgram)
	}
	raw, err := bpf.Assemble(code)
	if err != nil {
		return nil, fmt.Errorf("filter %q: %w", short(expr), err)
	}
	return &Program{raw}, nil
}

// short cuts an expression for an error.
func short(expr string) string {
	const most = 100
	if len(expr) <= most {
		return expr
	}
	return expr[:most] + "…"
}

// Instructions returns the program as a kernel takes it.
func (p *Program) Instructions() []bpf.RawInstruction { return p.raw }

// Set is an expression for packets of any link type. It is safe for concurrent use.
type Set struct {
	expr     string
	programs sync.Map // of pcap.LinkType: *Program, nil where the expression has no meaning
}

// Parse checks an expression. It must have a meaning for Ethernet or for raw IP;
// packets of a link type for which it has none do not match.
func Parse(expr string) (*Set, error) {
	_, err := Compile(expr, pcap.LinkEthernet)
	if errors.Is(err, errLink) {
		_, err = Compile(expr, pcap.LinkRaw)
	}
	if err != nil {
		return nil, err
	}
	return &Set{expr: expr}, nil
}

// Match reports whether a packet matches.
func (s *Set) Match(p *pcap.Packet) bool {
	if s.expr == "" {
		return true
	}
	v, ok := s.programs.Load(p.Link)
	if !ok {
		program, err := Compile(s.expr, p.Link)
		if err != nil {
			program = nil
		}
		v, _ = s.programs.LoadOrStore(p.Link, program)
	}
	program := v.(*Program)
	return program != nil && program.Match(p.Data, p.WireLen)
}

// Codes of classic BPF (Documentation/networking/filter.rst).
const (
	classLD = iota
	classLDX
	classST
	classSTX
	classALU
	classJMP
	classRET
	classMISC
)

const (
	sizeH = 0x08
	sizeB = 0x10

	modeIMM = 0x00
	modeABS = 0x20
	modeIND = 0x40
	modeMEM = 0x60
	modeLEN = 0x80
	modeMSH = 0xa0

	sourceX = 0x08
)

// Match runs the program on the captured bytes of a packet with a length on the
// wire. A load beyond the bytes, or a division by zero, rejects the packet.
func (p *Program) Match(data []byte, wireLen uint32) bool {
	var (
		a, x uint32
		mem  [16]uint32
	)
	code := p.raw
	for pc := 0; pc < len(code); pc++ {
		ins := &code[pc]
		switch ins.Op & 7 {
		case classLD, classLDX:
			var v uint32
			switch mode := ins.Op & 0xe0; mode {
			case modeIMM:
				v = ins.K
			case modeLEN:
				v = wireLen
			case modeMEM:
				v = mem[ins.K&15]
			default:
				off := uint64(ins.K)
				if mode == modeIND {
					off = uint64(ins.K + x)
				}
				n := uint64(4)
				switch ins.Op & 0x18 {
				case sizeH:
					n = 2
				case sizeB:
					n = 1
				}
				if off+n > uint64(len(data)) {
					return false
				}
				switch b := data[off:]; n {
				case 4:
					v = binary.BigEndian.Uint32(b)
				case 2:
					v = uint32(binary.BigEndian.Uint16(b))
				default:
					v = uint32(b[0])
				}
				if mode == modeMSH {
					v = v & 15 * 4
				}
			}
			if ins.Op&7 == classLD {
				a = v
			} else {
				x = v
			}
		case classST:
			mem[ins.K&15] = a
		case classSTX:
			mem[ins.K&15] = x
		case classALU:
			v := ins.K
			if ins.Op&sourceX != 0 {
				v = x
			}
			var ok bool
			if a, ok = calculate(ins.Op&0xf0, a, v); !ok {
				return false
			}
		case classJMP:
			v := ins.K
			if ins.Op&sourceX != 0 {
				v = x
			}
			var yes bool
			switch ins.Op & 0xf0 {
			case 0x00:
				pc += int(ins.K)
				continue
			case 0x10:
				yes = a == v
			case 0x20:
				yes = a > v
			case 0x30:
				yes = a >= v
			case 0x40:
				yes = a&v != 0
			}
			if yes {
				pc += int(ins.Jt)
			} else {
				pc += int(ins.Jf)
			}
		case classRET:
			return ins.K != 0
		case classMISC:
			if ins.Op&0x80 != 0 {
				a = x
			} else {
				x = a
			}
		}
	}
	return false
}

// calculate applies an operation of class ALU; ok is false for a division by zero.
func calculate(op uint16, a, v uint32) (result uint32, ok bool) {
	switch op {
	case 0x00:
		return a + v, true
	case 0x10:
		return a - v, true
	case 0x20:
		return a * v, true
	case 0x30, 0x90:
		if v == 0 {
			return 0, false
		}
		if op == 0x30 {
			return a / v, true
		}
		return a % v, true
	case 0x40:
		return a | v, true
	case 0x50:
		return a & v, true
	case 0x60:
		return a << v, true
	case 0x70:
		return a >> v, true
	case 0x80:
		return -a, true
	case 0xa0:
		return a ^ v, true
	}
	return a, true
}
