//go:build e2e

package model

import (
	"bufio"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// trainerPython is the interpreter of the trainer's environment:
// TRENCH_TRAINER_PYTHON, else services/trainer/.venv.
func trainerPython(t *testing.T) string {
	t.Helper()
	py := os.Getenv("TRENCH_TRAINER_PYTHON")
	if py == "" {
		py, _ = filepath.Abs("../../services/trainer/.venv/bin/python")
	}
	cmd := exec.Command(py, "-c", "import lightgbm")
	if out, err := cmd.CombinedOutput(); err != nil {
		msg := "NOT TESTED AGAINST LIGHTGBM: " + py + ": " + err.Error() + " " + string(out)
		if os.Getenv("CI") == "true" {
			t.Fatal(msg)
		}
		t.Skip(msg)
	}
	return py
}

// TestHardRowsEqualLightGBM lets LightGBM score and explain rows made to break
// a tree walker, on the fixture and on the default bundle.
func TestHardRowsEqualLightGBM(t *testing.T) {
	py := trainerPython(t)
	dirs := []string{"testdata/bundle"}
	if _, err := os.Stat("default/" + sumsFile); err == nil {
		dirs = append(dirs, "default")
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if dir := os.Getenv("TRENCH_TEST_BUNDLE"); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var s Schema = newSchema(t)
			if dir != "testdata/bundle" {
				var err error
				if s, err = newOwnSchema(newSchema(t), dir); err != nil {
					t.Fatal(err)
				}
			}
			b, err := Load(os.DirFS(dir), s)
			if err != nil {
				t.Fatal(err)
			}
			abs, err := filepath.Abs(dir)
			if err != nil {
				t.Fatal(err)
			}
			scored := hardRows(t, py, abs, "5000")
			compareHard(t, b, scored, false)
			compareHard(t, b, hardRows(t, py, abs, "500", "--contrib", "--seed", "2"), true)
		})
	}
}

func hardRows(t *testing.T, py, dir, rows string, more ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "hard.tsv")
	cmd := exec.Command(py, append([]string{"-m", "trench_trainer", "golden", "--bundle", dir, "--rows", rows, "--out", out}, more...)...)
	cmd.Dir = "../../services/trainer"
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, msg)
	}
	return out
}

func compareHard(t *testing.T, b *Bundle, path string, contributions bool) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	s := b.NewScorer()
	n, rows, worst := len(b.columns), 0, 0.0
	for sc.Scan() {
		cells := strings.Split(sc.Text(), "\t")
		if rows++; rows == 1 {
			continue
		}
		row := make([]float64, len(cells))
		for i, c := range cells {
			if row[i], err = strconv.ParseFloat(c, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
				t.Fatal(err)
			}
		}
		vector := vectorOf(b, row[:n])
		if got := s.margin(vector); got != row[n] {
			t.Fatalf("row %d: margin is %.17g, LightGBM's %.17g", rows-1, got, row[n])
		}
		if !contributions {
			continue
		}
		s.gather(vector)
		s.contributions()
		for j, phi := range s.phi {
			worst = max(worst, math.Abs(phi-row[n+1+j]))
		}
	}
	if sc.Err() != nil || rows < 100 {
		t.Fatalf("%d rows: %v", rows, sc.Err())
	}
	if worst > 1e-9 {
		t.Errorf("contributions differ by up to %g", worst)
	}
	t.Logf("%d rows equal; contributions differ by at most %g", rows-1, worst)
}
