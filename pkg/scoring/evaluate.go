package scoring

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"trench/pkg/model"
	"trench/pkg/record"
)

// Evaluation compares scores with labels. It says how a model does on these
// flows, weighted by nothing: a family or capture with many flows dominates.
type Evaluation struct {
	points   []point
	families map[string]*tally
	Left     int // rows with another label than malicious or benign, or without a ClientHello
}

type point struct {
	margin    float64
	malicious bool
}

type tally struct{ flows, suspicious, malicious int }

// Add enters one scored flow.
func (e *Evaluation) Add(label, family string, s model.Score) {
	if label != "malicious" && label != "benign" {
		e.Left++
		return
	}
	e.points = append(e.points, point{s.Margin, label == "malicious"})
	name := "benign"
	if label == "malicious" {
		if name = family; name == "" {
			name = "(no family)"
		}
	}
	if e.families == nil {
		e.families = make(map[string]*tally)
	}
	t := e.families[name]
	if t == nil {
		t = new(tally)
		e.families[name] = t
	}
	t.flows++
	if s.Verdict >= record.Suspicious {
		t.suspicious++
	}
	if s.Verdict >= record.Malicious {
		t.malicious++
	}
}

// AUC returns the area under the ROC curve: the probability that a malicious
// flow has a larger margin than a benign one, ties counting half. It is NaN
// unless both kinds are there.
func (e *Evaluation) AUC() float64 {
	slices.SortFunc(e.points, func(a, b point) int { return cmp.Compare(a.margin, b.margin) })
	var malicious, benign, sum float64
	for i := 0; i < len(e.points); {
		var m, b float64
		j := i
		for ; j < len(e.points) && e.points[j].margin == e.points[i].margin; j++ {
			if e.points[j].malicious {
				m++
			} else {
				b++
			}
		}
		sum += m * (benign + b/2)
		malicious, benign = malicious+m, benign+b
		i = j
	}
	if malicious == 0 || benign == 0 {
		return math.NaN()
	}
	return sum / (malicious * benign)
}

// Print writes a table.
func (e *Evaluation) Print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "flows %d, left out %d\nROC-AUC %.4f\n\n%-28s %8s %12s %12s\n", len(e.points), e.Left, e.AUC(), "FAMILY", "FLOWS", "SUSPICIOUS+", "MALICIOUS")
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(e.families)) {
		t := e.families[name]
		if _, err := fmt.Fprintf(w, "%-28s %8d %11.1f%% %11.1f%%\n", name, t.flows,
			100*float64(t.suspicious)/float64(t.flows), 100*float64(t.malicious)/float64(t.flows)); err != nil {
			return err
		}
	}
	return nil
}
