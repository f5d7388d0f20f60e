package model

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

//go:embed all:default
var defaultFiles embed.FS

// ErrNoDefault means that the binary was built without a default bundle.
var ErrNoDefault = errors.New("no default bundle in this build")

// DefaultFiles are the files of the bundle that is embedded in the binary.
func DefaultFiles() (fs.FS, error) {
	sub, err := fs.Sub(defaultFiles, "default")
	if err != nil {
		return nil, fmt.Errorf("default bundle: %w", err)
	}
	return sub, nil
}

// Default loads the bundle that is embedded in the binary.
func Default(s Schema) (*Bundle, error) {
	sub, err := DefaultFiles()
	if err != nil {
		return nil, err
	}
	return loadDefault(sub, s)
}

func loadDefault(fsys fs.FS, s Schema) (*Bundle, error) {
	if _, err := fs.Stat(fsys, sumsFile); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoDefault
	}
	b, err := Load(fsys, s)
	if err != nil {
		return nil, fmt.Errorf("default bundle: %w", err)
	}
	return b, nil
}
