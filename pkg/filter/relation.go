package filter

import (
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/net/bpf"
)

// constants are numbers with names.
var constants = map[string]uint32{
	"tcpflags": 13, "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
	"icmptype": 0, "icmpcode": 1, "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8,
	"icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12, "icmp-tstamp": 13, "icmp-tstampreply": 14,
	"icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,
	"icmp6type": 0, "icmp6code": 1, "icmp6-destinationrunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3, "icmp6-parameterproblem": 4,
	"icmp6-echo": 128, "icmp6-echoreply": 129, "icmp6-multicastlistenerquery": 130, "icmp6-multicastlistenerreportv1": 131,
	"icmp6-multicastlistenerdone": 132, "icmp6-routersolicit": 133, "icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135,
	"icmp6-neighboradvert": 136, "icmp6-redirect": 137,
}

// sum is an arithmetic expression: code that leaves its value in A, or a constant.
type sum struct {
	code     []bpf.Instruction
	constant bool
	val      uint32
	guards   []node // what must hold for it to have a value
	used     int    // scratch cells from 0 on
}

func constant(v uint32) sum { return sum{constant: true, val: v} }

// instructions leave the value in A.
func (s *sum) instructions() []bpf.Instruction {
	if s.constant {
		return []bpf.Instruction{bpf.LoadConstant{Dst: bpf.RegA, Val: s.val}}
	}
	return s.code
}

func lengthCode() []bpf.Instruction { return []bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtLen}} }

var relations = map[string]struct {
	op       bpf.JumpTest
	opposite bool
}{
	"=": {jumpEqual, false}, "!=": {jumpEqual, true}, ">": {jumpGreater, false}, "<=": {jumpGreater, true}, ">=": {jumpGreaterOrEqual, false}, "<": {jumpGreaterOrEqual, true},
}

// relation takes a comparison of sums, if there is one. Only where a sum began
// beyond doubt is a mistake in it an error; else it may be something else.
func (p *parser) relation() (n node, ok bool, err error) {
	begin, depth := p.i, p.depth
	sure := isProtocol(p.peek(0)) && p.peek(1) == "[" || p.peek(0) == "len"
	at := p.end
	if p.i < len(p.tokens) {
		at = p.tokens[p.i].at
	}
	give := func(err error) (node, bool, error) {
		if sure {
			return nil, false, err
		}
		p.i, p.depth = begin, depth
		return nil, false, nil
	}
	left, err := p.sum(0)
	if err != nil {
		return give(err)
	}
	r, ok := relations[p.peek(0)]
	if !ok {
		return give(p.unexpected("a comparison"))
	}
	sure = true
	p.i++
	right, err := p.sum(0)
	if err != nil {
		return give(err)
	}
	t := test{op: r.op, code: left.instructions(), val: right.val}
	if !right.constant {
		both, err := pair(left, right)
		if err != nil {
			return give(p.fail(at, err))
		}
		t.code, t.x = both.code, true
	}
	n = t
	if r.opposite {
		n = not{t}
	}
	guards := slices.Concat(left.guards, right.guards)
	if len(guards) > 0 {
		n = both{and(guards...), n}
	}
	return n, true, nil
}

// pair computes two sums: the left one into A, the right one into X.
func pair(left, right sum) (sum, error) {
	cell := right.used
	if cell >= 16 {
		return sum{}, fmt.Errorf("the sum needs more than 16 cells")
	}
	if len(left.code)+len(right.code) > maxProgram {
		return sum{}, fmt.Errorf("the sum is longer than %d instructions", maxProgram)
	}
	code := append([]bpf.Instruction{}, left.instructions()...)
	code = append(code, bpf.StoreScratch{Src: bpf.RegA, N: cell})
	// The right side uses cells below this one only.
	code = append(code, right.instructions()...)
	code = append(code, bpf.TAX{}, bpf.LoadScratch{Dst: bpf.RegA, N: cell})
	return sum{code: code, guards: slices.Concat(left.guards, right.guards), used: max(left.used, cell+1)}, nil
}

var ranks = map[string]int{"|": 1, "^": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5}

var operations = map[string]bpf.ALUOp{
	"|": bpf.ALUOpOr, "^": bpf.ALUOpXor, "&": bpf.ALUOpAnd, "<<": bpf.ALUOpShiftLeft, ">>": bpf.ALUOpShiftRight,
	"+": bpf.ALUOpAdd, "-": bpf.ALUOpSub, "*": bpf.ALUOpMul, "/": bpf.ALUOpDiv, "%": bpf.ALUOpMod,
}

// sum takes operators of a rank above.
func (p *parser) sum(above int) (sum, error) {
	if err := p.enter(); err != nil {
		return sum{}, err
	}
	defer func() { p.depth-- }()
	left, err := p.factor()
	for err == nil {
		op := p.peek(0)
		rank := ranks[op]
		if rank <= above {
			return left, nil
		}
		at := p.tokens[p.i].at
		p.i++
		var right sum
		if right, err = p.sum(rank); err != nil {
			break
		}
		if left, err = combine(left, op, right); err != nil {
			err = p.fail(at, err)
		}
	}
	return sum{}, err
}

func combine(left sum, op string, right sum) (sum, error) {
	alu := operations[op]
	if len(left.code) > maxProgram {
		return sum{}, fmt.Errorf("the sum is longer than %d instructions", maxProgram)
	}
	if right.constant {
		if right.val == 0 && (op == "/" || op == "%") {
			return sum{}, fmt.Errorf("division by zero")
		}
		if right.val >= 32 && (op == "<<" || op == ">>") {
			return sum{}, fmt.Errorf("shift by %d bits", right.val)
		}
		if left.constant {
			v, _ := calculate(uint16(alu), left.val, right.val)
			return constant(v), nil
		}
		left.code = append(append([]bpf.Instruction{}, left.code...), bpf.ALUOpConstant{Op: alu, Val: right.val})
		return left, nil
	}
	s, err := pair(left, right)
	if err != nil {
		return sum{}, err
	}
	s.code = append(s.code, bpf.ALUOpX{Op: alu})
	return s, nil
}

func (p *parser) factor() (sum, error) {
	switch {
	case p.take("("):
		s, err := p.sum(0)
		if err == nil && !p.take(")") {
			err = p.unexpected(`")"`)
		}
		return s, err
	case p.take("-"):
		s, err := p.factor()
		if err != nil || s.constant {
			s.val = -s.val
			return s, err
		}
		s.code = append(append([]bpf.Instruction{}, s.code...), bpf.NegateA{})
		return s, nil
	case p.take("len"):
		return sum{code: lengthCode()}, nil
	}
	text := p.peek(0)
	if isProtocol(text) && p.peek(1) == "[" {
		return p.index(text)
	}
	if v, err := strconv.ParseUint(text, 0, 32); err == nil {
		p.i++
		return constant(uint32(v)), nil
	}
	if v, ok := constants[text]; ok {
		p.i++
		return constant(v), nil
	}
	return sum{}, p.unexpected("a number")
}

// index takes protocol[sum] or protocol[sum:size].
func (p *parser) index(protocol string) (sum, error) {
	p.i += 2
	at, err := p.sum(0)
	if err != nil {
		return sum{}, err
	}
	size := uint32(1)
	if p.take(":") {
		where := p.i
		if size, err = p.number(4); err != nil {
			return sum{}, err
		}
		if size != 1 && size != 2 && size != 4 {
			return sum{}, fmt.Errorf("at %d: a size of %d is not 1, 2 or 4", p.tokens[where].at, size)
		}
	}
	if !p.take("]") {
		return sum{}, p.unexpected(`"]"`)
	}
	l := &p.lay
	base, behindIPv4 := l.net, false
	guards := slices.Clone(at.guards)
	switch {
	case protocol == "ether" || protocol == "link":
		base = 0
	case ethertypes[protocol] != 0:
		guards = append(guards, l.carries(ethertypes[protocol]))
	case protocol == "icmp6":
		guards = append(guards, l.carries(etherIPv6), equal(l.net+6, 1, transports[protocol].number))
		base += 40
	default:
		guards = append(guards, l.carries(etherIPv4), equal(l.net+9, 1, transports[protocol].number), l.first())
		behindIPv4 = true
	}
	s := sum{guards: guards, used: at.used}
	switch {
	case at.constant && !behindIPv4:
		if uint64(base)+uint64(at.val) > 0x7fffffff {
			return sum{}, fmt.Errorf("offset %d is out of range", at.val)
		}
		s.code = []bpf.Instruction{load(base+at.val, int(size))}
	case at.constant:
		if uint64(base)+uint64(at.val) > 0x7fffffff {
			return sum{}, fmt.Errorf("offset %d is out of range", at.val)
		}
		s.code = []bpf.Instruction{bpf.LoadMemShift{Off: l.net}, bpf.LoadIndirect{Off: base + at.val, Size: int(size)}}
	case !behindIPv4:
		s.code = append(append([]bpf.Instruction{}, at.code...), bpf.TAX{}, bpf.LoadIndirect{Off: base, Size: int(size)})
	default:
		s.code = append(append([]bpf.Instruction{}, at.code...), bpf.LoadMemShift{Off: l.net}, bpf.ALUOpX{Op: bpf.ALUOpAdd},
			bpf.TAX{}, bpf.LoadIndirect{Off: base, Size: int(size)})
	}
	return s, nil
}
