package filter

import "golang.org/x/net/bpf"

// node is a condition.
type node interface{ isNode() }

type (
	both   struct{ a, b node } // and
	either struct{ a, b node } // or
	not    struct{ n node }
	always bool
	// test runs code, which leaves a value in A, and compares it with val, or with X.
	test struct {
		code []bpf.Instruction
		op   bpf.JumpTest // JumpEqual, JumpGreaterThan, JumpGreaterOrEqual or JumpBitsSet
		val  uint32
		x    bool
	}
)

func (both) isNode()   {}
func (either) isNode() {}
func (not) isNode()    {}
func (always) isNode() {}
func (test) isNode()   {}

func and(nodes ...node) node { return join(nodes, true) }
func or(nodes ...node) node  { return join(nodes, false) }

func join(nodes []node, conjunction bool) node {
	n := nodes[0]
	for _, m := range nodes[1:] {
		if conjunction {
			n = both{n, m}
		} else {
			n = either{n, m}
		}
	}
	return n
}

// load reads size bytes at an offset.
func load(off uint32, size int) bpf.Instruction { return bpf.LoadAbsolute{Off: off, Size: size} }

func equal(off uint32, size int, val uint32) node {
	return test{code: []bpf.Instruction{load(off, size)}, op: bpf.JumpEqual, val: val}
}

func masked(off uint32, size int, mask, val uint32) node {
	return test{code: []bpf.Instruction{load(off, size), bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask}}, op: bpf.JumpEqual, val: val}
}

// accepted is the snap length that programs return.
const accepted = 262144

// jump is a conditional or unconditional jump between labels, or an instruction.
type line struct {
	ins         bpf.Instruction
	label       int // of the line's place, when place
	place       bool
	test        *test
	then, other int // labels; of a test
	always      bool
}

// generator turns conditions into lines with labels; all jumps lead ahead.
type generator struct {
	lines  []line
	labels int
}

func (g *generator) label() int { g.labels++; return g.labels }

func (g *generator) gen(n node, then, other int) {
	switch n := n.(type) {
	case always:
		to := other
		if n {
			to = then
		}
		g.lines = append(g.lines, line{always: true, then: to})
	case not:
		g.gen(n.n, other, then)
	case both:
		mid := g.label()
		g.gen(n.a, mid, other)
		g.lines = append(g.lines, line{label: mid, place: true})
		g.gen(n.b, then, other)
	case either:
		mid := g.label()
		g.gen(n.a, then, mid)
		g.lines = append(g.lines, line{label: mid, place: true})
		g.gen(n.b, then, other)
	case test:
		for _, ins := range n.code {
			g.lines = append(g.lines, line{ins: ins})
		}
		g.lines = append(g.lines, line{test: &n, then: then, other: other})
	}
}

// assemble lays a condition out as a program. Tests whose targets are too far for
// the eight bits of a conditional jump go by two unconditional ones.
func assemble(n node) []bpf.Instruction {
	g := &generator{}
	yes, no := g.label(), g.label()
	g.gen(n, yes, no)
	g.lines = append(g.lines, line{label: yes, place: true}, line{ins: bpf.RetConstant{Val: accepted}},
		line{label: no, place: true}, line{ins: bpf.RetConstant{Val: 0}})
	far := make([]bool, len(g.lines))
	at := make([]int, len(g.lines)+1)
	places := make(map[int]int)
	for again := true; again; {
		again = false
		pc := 0
		for i, l := range g.lines {
			at[i] = pc
			switch {
			case l.place:
				places[l.label] = pc
			case l.test != nil && far[i]:
				pc += 3
			default:
				pc++
			}
		}
		for i, l := range g.lines {
			if l.test != nil && !far[i] && (places[l.then]-at[i]-1 > 255 || places[l.other]-at[i]-1 > 255) {
				far[i], again = true, true
			}
		}
	}
	var out []bpf.Instruction
	for i, l := range g.lines {
		skip := func(to, from int) uint32 { return uint32(places[to] - from - 1) }
		switch {
		case l.place:
		case l.always:
			out = append(out, bpf.Jump{Skip: skip(l.then, at[i])})
		case l.test == nil:
			out = append(out, l.ins)
		case far[i]:
			out = append(out, l.test.jump(0, 1), bpf.Jump{Skip: skip(l.then, at[i]+1)}, bpf.Jump{Skip: skip(l.other, at[i]+2)})
		default:
			out = append(out, l.test.jump(uint8(skip(l.then, at[i])), uint8(skip(l.other, at[i]))))
		}
	}
	return out
}

func (t *test) jump(yes, no uint8) bpf.Instruction {
	if t.x {
		return bpf.JumpIfX{Cond: t.op, SkipTrue: yes, SkipFalse: no}
	}
	return bpf.JumpIf{Cond: t.op, Val: t.val, SkipTrue: yes, SkipFalse: no}
}
