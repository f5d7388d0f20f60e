package torture

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"

	"trench/pkg/internal/e2e"
)

// Ledger holds rows that are wanted against rows that are there. Of each row it
// keeps its flow and a hash over all columns, so it stays small over millions.
type Ledger struct {
	flows   map[id]*entry
	reports int
	strange []string
	wrong   []string
}

type id [16]byte

type entry struct {
	hash uint64
	seen int
}

// shown is how many flows of a kind an account names.
const shown = 3

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{flows: map[id]*entry{}} }

// Want enters a row, in the common form of package e2e, that must be there once.
func (l *Ledger) Want(r e2e.Row) error {
	flow, hash, err := digest(r)
	if err != nil {
		return fmt.Errorf("wanted: %w", err)
	}
	if _, twice := l.flows[flow]; twice {
		return fmt.Errorf("wanted: flow %s is there twice", hex.EncodeToString(flow[:]))
	}
	l.flows[flow] = &entry{hash: hash}
	part, ok := r["part"].(float64)
	if !ok {
		return fmt.Errorf("wanted: flow %s: part is %v", hex.EncodeToString(flow[:]), r["part"])
	}
	l.reports += int(part) + 1
	return nil
}

// See enters a row that is there.
func (l *Ledger) See(r e2e.Row) error {
	flow, hash, err := digest(r)
	if err != nil {
		return fmt.Errorf("seen: %w", err)
	}
	e := l.flows[flow]
	if e == nil {
		l.strange = append(l.strange, hex.EncodeToString(flow[:]))
		return nil
	}
	if e.seen++; e.seen == 1 && e.hash != hash {
		l.wrong = append(l.wrong, hex.EncodeToString(flow[:]))
	}
	return nil
}

// Flows is how many flows are wanted, and Reports how many reports of them, the
// final ones included.
func (l *Ledger) Flows() int   { return len(l.flows) }
func (l *Ledger) Reports() int { return l.reports }

// Account is what a ledger found.
type Account struct {
	Flows, Rows, Lost, Twice, Wrong, Strange int
	// Examples names some of the flows at fault.
	LostFlows, TwiceFlows, WrongFlows, StrangeFlows []string
}

// Close draws the account.
func (l *Ledger) Close() Account {
	a := Account{
		Flows: len(l.flows), Wrong: len(l.wrong), Strange: len(l.strange),
		WrongFlows: l.wrong[:min(shown, len(l.wrong))], StrangeFlows: l.strange[:min(shown, len(l.strange))],
	}
	for flow, e := range l.flows {
		switch {
		case e.seen == 0:
			if a.Lost++; a.Lost <= shown {
				a.LostFlows = append(a.LostFlows, hex.EncodeToString(flow[:]))
			}
			continue
		case e.seen > 1:
			if a.Twice++; a.Twice <= shown {
				a.TwiceFlows = append(a.TwiceFlows, hex.EncodeToString(flow[:]))
			}
		}
		a.Rows++
	}
	return a
}

// Err says what does not hold when so many flows are accounted for elsewhere: as
// dead letters, or as counted drops.
func (a Account) Err(elsewhere int) error {
	var errs []error
	if a.Rows+elsewhere != a.Flows {
		errs = append(errs, fmt.Errorf("%d flows captured, but %d rows and %d accounted for elsewhere: %d are not there, as %v", a.Flows, a.Rows, elsewhere, a.Lost, a.LostFlows))
	}
	for _, f := range []struct {
		n    int
		what string
		ids  []string
	}{
		{a.Twice, "shown twice", a.TwiceFlows}, {a.Wrong, "other than analyze says", a.WrongFlows}, {a.Strange, "unknown to analyze", a.StrangeFlows},
	} {
		if f.n > 0 {
			errs = append(errs, fmt.Errorf("%d flows are %s, as %v", f.n, f.what, f.ids))
		}
	}
	return errors.Join(errs...)
}

// digest returns a row's flow and a hash over all its columns.
func digest(r e2e.Row) (flow id, hash uint64, err error) {
	text, _ := r["flow_id"].(string)
	if n, err := hex.Decode(flow[:], []byte(text)); err != nil || n != len(flow) || len(text) != 2*n {
		return flow, 0, fmt.Errorf("flow_id %q is not 32 hex digits", r["flow_id"])
	}
	b, err := json.Marshal(r) // keys in order
	if err != nil {
		return flow, 0, err
	}
	h := fnv.New64a()
	h.Write(b)
	return flow, h.Sum64(), nil
}
