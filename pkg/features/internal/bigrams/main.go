// Command bigrams makes the table behind the feature sn_bigram_ll: it reads
// words from standard input, one a line, and writes for each ordered pair of
// the characters a-z, 0-9 and hyphen the base-2 logarithm of the probability
// that the second follows the first, in hundredths.
//
//	go run ./pkg/features/internal/bigrams < american-english > pkg/features/bigrams.txt
//
// The table in the repository was made from the SCOWL word list (a permissive
// licence: use, copy and modify for any purpose) that Debian ships as wamerican
// 2020.12.07. Only the statistics are kept, no word. Words are taken in lower case, those with other characters are left out, and
// one is added to every count, so pairs that never occur keep a probability.
package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-"

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bigrams:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var counts [len(alphabet)][len(alphabet)]int
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		word := strings.ToLower(strings.TrimSpace(lines.Text()))
		if strings.Trim(word, alphabet) != "" {
			continue
		}
		for i := 1; i < len(word); i++ {
			a, b := strings.IndexByte(alphabet, word[i-1]), strings.IndexByte(alphabet, word[i])
			if a < 0 || b < 0 {
				break
			}
			counts[a][b]++
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read words: %w", err)
	}
	for _, row := range counts {
		total := len(row)
		for _, n := range row {
			total += n
		}
		for i, n := range row {
			if i > 0 {
				fmt.Fprint(out, " ")
			}
			fmt.Fprint(out, int(math.Round(100*math.Log2(float64(n+1)/float64(total)))))
		}
		if _, err := fmt.Fprintln(out); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
	}
	return nil
}
