//go:build e2e && linux

package netlab

import (
	"io"
	"net"
	"testing"
)

func TestEndsReachEachOther(t *testing.T) {
	t.Parallel()
	lab := New(t, Options{MTU: 1400})
	for _, addr := range []string{lab.Server.IPv4.String(), lab.Server.IPv6.String()} {
		l, err := lab.Server.Listen("tcp", net.JoinHostPort(addr, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := lab.Client.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if got, err := io.ReadAll(s); string(got) != "hello" || err != nil {
			t.Errorf("%s: %q, %v", addr, got, err)
		}
		s.Close()
	}
	if c, err := net.Dial("tcp", net.JoinHostPort(lab.Server.IPv4.String(), "1")); err == nil {
		c.Close()
		t.Error("the lab is reached from outside")
	}
	if err := lab.Server.Do(func() error {
		ifs, err := net.Interfaces()
		names := len(ifs)
		if names != 2 {
			t.Errorf("interfaces: %v", ifs)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
