package scoring

import (
	"fmt"
	"os"

	"trench/pkg/features"
	"trench/pkg/model"
)

// NoModel stands for a directory where nothing is to be scored.
const NoModel = "none"

// LoadModel returns the bundle in a directory, the built-in one for "", and nil
// for NoModel.
func LoadModel(dir string) (*model.Bundle, error) {
	switch dir {
	case NoModel:
		return nil, nil
	case "":
		return model.Default(features.Default())
	}
	b, err := model.Load(os.DirFS(dir), features.Default())
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", dir, err)
	}
	return b, nil
}
