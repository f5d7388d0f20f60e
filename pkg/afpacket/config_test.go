package afpacket

import (
	"strings"
	"testing"
	"time"
)

func TestValidateNamesEveryFault(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Interface = "eth0"
	if err := c.Validate(); err != nil {
		t.Fatalf("defaults: %v", err)
	}
	err := Config{Interface: "eth0/1", BlockSize: minBlock + 1, Blocks: 1, PollInterval: time.Hour}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{"name:", "block_size:", "blocks:", "block_timeout:", "poll_interval:", "reopen_interval:"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%q is not in %q", key, err)
		}
	}
}

func TestKindsThatCarryNoIPAreRefusedByName(t *testing.T) {
	t.Parallel()
	if _, err := kindOf(hwNetlink); err == nil || !strings.Contains(err.Error(), "NETLINK") {
		t.Errorf("netlink: %v", err)
	}
	for _, hw := range []uint16{hwEther, hwLoopback, hwNone, hwPPP, hwIPGRE, hwSIT, hwRadiotap} {
		if k, err := kindOf(hw); err != nil || k.cooked() != (k.Link != k.Filter) {
			t.Errorf("hardware type %d: %+v, %v", hw, k, err)
		}
	}
}
