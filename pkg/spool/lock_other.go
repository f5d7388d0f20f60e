//go:build !unix

package spool

import (
	"errors"
	"fmt"
	"os"
)

// lock has no way to take the folder for this process here.
func lock(path string) (*os.File, error) {
	return nil, fmt.Errorf("lock %s: %w", path, errors.ErrUnsupported)
}
