package packet

import (
	"strings"
	"testing"
)

func TestConfigReportsEveryFault(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Nesting: -1, FragmentBytes: minFragmentBytes - 1}.Validate()
	if err == nil {
		t.Fatal("no fault")
	}
	for _, name := range []string{"fragment_bytes", "fragment_datagrams", "fragment_age", "nesting", "gtp_tunnels"} {
		if !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%s is missing in: %v", name, err)
		}
	}
}
