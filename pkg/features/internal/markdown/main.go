// Command markdown writes docs/features.md from the table of features.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"

	"trench/pkg/features"
)

func main() {
	out := flag.String("o", "", "file to write")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "markdown:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	var b bytes.Buffer
	if err := features.WriteMarkdown(&b); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
