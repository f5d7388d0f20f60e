package client_test

import (
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"trench/pkg/internal/lab/client"
	"trench/pkg/internal/lab/origin"
	"trench/pkg/internal/lab/plan"
)

// counted counts the connections that a listener accepts.
type counted struct {
	net.Listener
	n atomic.Int32
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

func TestFreshOpensConnections(t *testing.T) {
	t.Parallel()
	h := origin.New(t.TempDir())
	s := httptest.NewUnstartedServer(h)
	web := &counted{Listener: s.Listener}
	s.Listener = web
	s.StartTLS()
	defer s.Close()
	trust := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trust, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	err := client.Run(t.Context(), "go", &plan.Plan{
		URL: s.URL, Trust: trust, Sessions: true,
		Steps: []plan.Step{plan.Get(10, 0), plan.Post(20, 30), plan.Sleep(1), plan.Fresh(), plan.Get(10, 0)},
	})
	if n := web.n.Load(); err != nil || n != 2 {
		t.Errorf("%d connections, %v", n, err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bare := &counted{Listener: l}
	raw := tls.NewListener(bare, s.TLS)
	defer raw.Close()
	go func() {
		for {
			c, err := raw.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); h.AnswerRaw(c) }()
		}
	}()
	err = client.Run(t.Context(), "go-tls", &plan.Plan{
		URL: "https://" + l.Addr().String(), Trust: "any", Nameless: true,
		Steps: []plan.Step{plan.Raw(10, 0), plan.Raw(5, 70_000), plan.Fresh(), plan.Raw(1, 1)},
	})
	if n := bare.n.Load(); err != nil || n != 2 {
		t.Errorf("raw: %d connections, %v", n, err)
	}
}

func TestRunSaysWhatIsNotForAStack(t *testing.T) {
	t.Parallel()
	for stack, steps := range map[string][]plan.Step{"telnet": nil, "go-tls": {plan.Get(1, 0)}, "go": {plan.Raw(1, 1)}} {
		want := "not for this client"
		if steps == nil {
			want = stack
		}
		if err := client.Run(t.Context(), stack, &plan.Plan{URL: "https://127.0.0.1:1", Trust: "any", Steps: steps}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", stack, err)
		}
	}
	if err := client.Run(t.Context(), "go", &plan.Plan{URL: "https://127.0.0.1:1", Trust: "/nowhere"}); err == nil {
		t.Error("a missing file is trusted")
	}
}
