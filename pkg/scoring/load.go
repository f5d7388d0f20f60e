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
// for NoModel. The columns that it uses must be in the schema of the vectors.
func LoadModel(dir string, s *features.Schema) (*model.Bundle, error) {
	switch dir {
	case NoModel:
		return nil, nil
	case "":
		b, err := model.Default(s)
		if err != nil {
			return nil, fmt.Errorf("built-in model: %w", err)
		}
		return b, nil
	}
	b, err := model.Load(os.DirFS(dir), s)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", dir, err)
	}
	return b, nil
}
