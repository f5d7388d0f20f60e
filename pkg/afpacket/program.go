package afpacket

import (
	"slices"

	"golang.org/x/net/bpf"

	"trench/pkg/pcap"
)

const (
	outgoing   = 4          // PACKET_OUTGOING
	netOffset  = 0xfff00000 // SKF_NET_OFF: offsets from here count from the network header
	maxProgram = 4096       // BPF_MAXINSNS
	mixXor     = 0x9e3779b1
	mixSum     = 0x85ebca6b
	mixWord    = 0xc2b2ae35
)

// reject is the program that takes nothing.
func reject() []bpf.Instruction { return []bpf.Instruction{bpf.RetConstant{Val: 0}} }

// filter returns the program of a socket: that of the caller, all when it is
// nil; on loopback what goes out is left out before.
func filter(hardware uint16, program []bpf.RawInstruction) []bpf.Instruction {
	var p []bpf.Instruction
	if hardware == hwLoopback {
		p = append(p, bpf.LoadExtension{Num: bpf.ExtType}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: outgoing, SkipTrue: 1},
			bpf.RetConstant{Val: 0}, bpf.LoadConstant{Dst: bpf.RegA})
	}
	if program == nil {
		return append(p, bpf.RetConstant{Val: 0xffffffff})
	}
	for _, i := range program {
		p = append(p, i)
	}
	return p
}

// spread returns the program that chooses the ring of a packet: a hash of its
// outermost IP addresses that is the same for both directions, 0 without such.
// The kernel takes the remainder by the number of rings.
//
// It runs before the kernel has made incoming and outgoing packets look alike:
// data starts at the network header of what comes in and at the link header of
// what goes out. The type of what comes in is at hand without its header.
func (k Kind) spread() []bpf.Instruction {
	v4, v6 := fold4(), fold6()
	mix := []bpf.Instruction{
		bpf.LoadScratch{Dst: bpf.RegA, N: 8}, bpf.LoadScratch{Dst: bpf.RegX, N: 9}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: mixXor}, bpf.StoreScratch{Src: bpf.RegA, N: 10},
		bpf.LoadScratch{Dst: bpf.RegA, N: 8}, bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: mixSum},
		bpf.LoadScratch{Dst: bpf.RegX, N: 10}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.RetA{},
	}
	var p []bpf.Instruction
	is4, is6 := uint32(4), uint32(6)
	switch k.Link {
	case pcap.LinkEthernet:
		is4, is6 = 0x0800, 0x86dd
		p = append(p,
			bpf.LoadExtension{Num: bpf.ExtType}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: outgoing, SkipTrue: 3},
			bpf.LoadExtension{Num: bpf.ExtProto}, bpf.LoadConstant{Dst: bpf.RegX}, bpf.Jump{Skip: 2},
			bpf.LoadAbsolute{Off: macs, Size: 2}, bpf.LoadConstant{Dst: bpf.RegX, Val: macs + 2},
		)
		for range 3 { // tags
			p = append(p,
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x8100, SkipTrue: 2}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x88a8, SkipTrue: 1},
				bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x9100, SkipTrue: 6},
				bpf.LoadIndirect{Off: 2, Size: 2}, bpf.StoreScratch{Src: bpf.RegA},
				bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: vlanTag}, bpf.TAX{}, bpf.LoadScratch{Dst: bpf.RegA},
			)
		}
	case pcap.LinkRaw, pcap.LinkSLL2:
		at := uint32(0)
		if k.cooked() {
			at = netOffset // headers differ in length
		}
		p = append(p, bpf.LoadConstant{Dst: bpf.RegX, Val: at}, bpf.LoadIndirect{Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
	default:
		return reject()
	}
	p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: is6, SkipTrue: uint8(len(v6) + 1)})
	p = append(p, v6...)
	p = append(p, bpf.Jump{Skip: uint32(len(v4) + 2)}) // past the test of v4 and the end
	p = append(p, bpf.JumpIf{Cond: bpf.JumpEqual, Val: is4, SkipTrue: 1}, bpf.RetConstant{Val: 0})
	return slices.Concat(p, v4, mix)
}

// fold4 and fold6 leave a word for either address in M[8] and M[9], from the IP
// header at X.

func fold4() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadIndirect{Off: 12, Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: 8},
		bpf.LoadIndirect{Off: 16, Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: 9},
	}
}

func fold6() []bpf.Instruction {
	var p []bpf.Instruction
	for i := range 8 {
		p = append(p, bpf.LoadIndirect{Off: uint32(8 + 4*i), Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: i})
	}
	for addr := range 2 {
		p = append(p, bpf.LoadScratch{Dst: bpf.RegA, N: 4 * addr})
		for i := 1; i < 4; i++ {
			p = append(p, bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: mixWord}, bpf.LoadScratch{Dst: bpf.RegX, N: 4*addr + i}, bpf.ALUOpX{Op: bpf.ALUOpAdd})
		}
		p = append(p, bpf.StoreScratch{Src: bpf.RegA, N: 8 + addr})
	}
	return p
}
