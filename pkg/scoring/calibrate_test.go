package scoring_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"trench/pkg/model"
	"trench/pkg/record"
	"trench/pkg/scoring"
)

const day = int64(24 * time.Hour)

func trained(suspicious, malicious float64) []model.Threshold {
	return []model.Threshold{
		{Name: "fpr_1e-3", Verdict: record.Malicious, Target: 1e-3, Margin: malicious, Certified: 0.0027, N: 3417, FalsePositives: 4, Note: "of training"},
		{Name: "fpr_1e-2", Verdict: record.Suspicious, Target: 1e-2, Margin: suspicious, Certified: 0.014, N: 3417, FalsePositives: 35},
	}
}

// network has hosts with one flow each a day, of margins -1, -2, … downwards from the first host and day on.
func network(t *testing.T, hosts, days int) *scoring.Calibrator {
	t.Helper()
	var c scoring.Calibrator
	for d := range days {
		for h := range hosts {
			add(t, &c, fmt.Sprintf("10.0.%d.%d", h/256, h%256), int64(d)*day, -float64(1+d*hosts+h))
		}
	}
	return &c
}

func add(t *testing.T, c *scoring.Calibrator, host string, ts int64, margin float64) {
	t.Helper()
	if err := c.Add(host, ts, margin); err != nil {
		t.Fatal(err)
	}
}

func calibrate(t *testing.T, c *scoring.Calibrator, th []model.Threshold) (malicious, suspicious scoring.Moved, s model.Site) {
	t.Helper()
	moved, s, err := c.Calibrate("m-1", th)
	if err != nil {
		t.Fatal(err)
	}
	return moved[0], moved[1], s
}

func TestThresholdsRiseToTheirRate(t *testing.T) {
	t.Parallel()
	// 4,000 flows: 1 % is the 40 of margins -1 to -40, 0.1 % the 4 of -1 to -4.
	mal, sus, s := calibrate(t, network(t, 1000, 4), trained(-100, -50))
	if sus.After.Margin != -40.5 || sus.Flagged != [2]int64{100, 40} || sus.After.FalsePositives != 40 || sus.After.N != 4000 {
		t.Errorf("suspicious %+v", sus)
	}
	if mal.After.Margin != -4.5 || mal.Flagged != [2]int64{50, 4} || mal.After.FalsePositives != 4 {
		t.Errorf("malicious %+v", mal)
	}
	// The bounds of 40 and of 4 in 4,000 are above the targets, and the notes say so.
	if math.Abs(sus.After.Certified-0.0130) > 5e-5 || math.Abs(mal.After.Certified-0.00229) > 5e-6 ||
		sus.After.Note != "4000 flows of the site (at most 5 a host and day) with 40 false positives certify 0.013 at 95 %, not 0.01" {
		t.Errorf("certified %v and %v, note %q", sus.After.Certified, mal.After.Certified, sus.After.Note)
	}
	if s.Flows != 4000 || s.Counted != 4000 || s.Hosts != 1000 || s.Model != "m-1" || s.Trained["fpr_1e-2"] != -100 || s.Last.Sub(s.First) != 72*time.Hour {
		t.Errorf("site %+v", s)
	}
}

func TestThresholdsFallOnlyAsFarAsCertified(t *testing.T) {
	t.Parallel()
	mal, sus, _ := calibrate(t, network(t, 1000, 4), trained(-3, -0.5))
	// 29 of 4,000 certify 0.009872, 30 certify 0.010159.
	if sus.After.Margin != -29.5 || math.Abs(sus.After.Certified-0.009872) > 1e-6 || sus.After.Note != "" || !sus.HeldBack {
		t.Errorf("suspicious %+v", sus)
	}
	// No false positive in 4,000 certifies 0.00075, one 0.0012: down to just above all flows.
	if mal.After.Margin != math.Nextafter(-1, 0) || mal.After.FalsePositives != 0 || mal.After.Certified > 1e-3 || !mal.HeldBack {
		t.Errorf("malicious %+v", mal)
	}
	// What lies between the two limits stays where it is.
	if _, sus, _ := calibrate(t, network(t, 1000, 4), trained(-35.2, -0.5)); sus.After.Margin != -35.2 || sus.After.FalsePositives != 35 {
		t.Errorf("suspicious %+v", sus)
	}
}

func TestTooFewFlowsLeaveAThresholdAsTrained(t *testing.T) {
	t.Parallel()
	mal, sus, _ := calibrate(t, network(t, 100, 4), trained(-100, 5))
	if want := trained(-100, 5)[0]; !mal.TooFew || mal.After.Margin != 5 || mal.After.N != want.N || mal.After.Certified != want.Certified ||
		mal.After.Note != "of training; as trained, for the site's 400 flows (at most 5 a host and day) are too few: 0.001 needs 3000" {
		t.Errorf("malicious %+v", mal)
	}
	if sus.After.Margin != -4.5 {
		t.Errorf("suspicious %+v", sus)
	}
	// A malicious threshold that stays is not overtaken.
	mal, sus, _ = calibrate(t, network(t, 100, 4), trained(-100, -50))
	if mal.After.Margin != sus.After.Margin || sus.After.Margin != -4.5 || !strings.HasSuffix(mal.After.Note, "raised to the suspicious threshold") {
		t.Errorf("malicious %+v, suspicious %+v", mal, sus)
	}
}

func TestOneNoisyHostRaisesNoThreshold(t *testing.T) {
	t.Parallel()
	noisy := func(hosts ...string) (*scoring.Calibrator, int64) {
		c := network(t, 1000, 4)
		for _, h := range hosts {
			for d := range int64(4) {
				for range 500 {
					add(t, c, h, d*day, 7) // 2,000 flows count as 20
				}
			}
		}
		return c, int64(4000 + 20*len(hosts))
	}
	c, n := noisy("10.9.9.9")
	_, sus, _ := calibrate(t, c, trained(-18, 8))
	// 18 quiet flows and 20 noisy ones are flagged: the margin stays, the count is of all.
	if sus.After.Margin != -18 || sus.After.FalsePositives != 38 || sus.After.N != n || sus.Noisiest != "10.9.9.9" || sus.NoisiestFlows != 2000 || sus.Flagged[0] != 2018 {
		t.Errorf("suspicious %+v", sus)
	}
	// 40 flows are allowed and the noisy host fills at most half: the rest is of others.
	c, _ = noisy("10.9.9.9")
	if _, sus, _ = calibrate(t, c, trained(-100, 8)); sus.After.Margin != -20.5 {
		t.Errorf("suspicious %+v", sus)
	}
	// Three noisy hosts are how the site is.
	c, _ = noisy("10.9.9.9", "10.9.9.8", "10.9.9.7")
	if _, sus, _ = calibrate(t, c, trained(-18, 8)); sus.After.Margin <= 7 {
		t.Errorf("suspicious %+v", sus)
	}
}

func TestCalibrationSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	var few scoring.Calibrator
	for i := range 10_000 {
		add(t, &few, fmt.Sprint("h", i%9), int64(i)*day, 0)
	}
	for want, c := range map[string]*scoring.Calibrator{
		"no flow could be scored":                 {},
		"9 client addresses, at least 10":         &few,
		"200 flows of 20 hosts count as 200":      network(t, 20, 10),
		"a false-positive rate of 0.01 needs 300": network(t, 20, 14),
	} {
		if _, _, err := c.Calibrate("m-1", trained(-1, 1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

func TestMovedThresholdsArePrinted(t *testing.T) {
	t.Parallel()
	moved, _, err := network(t, 100, 4).Calibrate("m-1", trained(-100, 5))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := scoring.PrintMoved(&out, moved); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"fpr_1e-3   malicious      5.000     5.000         0         0  0.00% (0.00-0.92)        0.0027 in training",
		"fpr_1e-2   suspicious  -100.000    -4.500       100         4  1.00% (0.27-2.54)        0.023",
		"fpr_1e-2: 400 flows of the site", "fpr_1e-2: 1 of the 4 flows flagged now are of 10.0.0.0",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
