package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"trench/pkg/internal/lab/pki"
)

func TestCertificatesAreOfTheirKind(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p, err := pki.New(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(p.Roots)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		kind, host     string
		trusted, young bool
		chain          int
	}{
		{pki.Public, "www.example.com", true, false, 2},
		{pki.FreshPublic, "example.com", true, true, 2},
		{pki.Private, "wiki", true, false, 1},
		{pki.Private, "198.19.0.2", true, false, 1},
		{pki.SelfSigned, "198.19.0.2", false, false, 1},
		{pki.FreshSelf, "example.com", false, true, 1},
	} {
		for range 5 {
			got, err := p.Issue(r, pki.Request{ID: "x", Kind: c.kind, Host: c.host})
			if err != nil {
				t.Fatal(err)
			}
			leaf := got.TLS.Leaf
			if n := len(got.TLS.Certificate); n != c.chain {
				t.Errorf("%s: chain of %d", c.kind, n)
			}
			between := x509.NewCertPool()
			for _, der := range got.TLS.Certificate[1:] {
				above, err := x509.ParseCertificate(der)
				if err != nil {
					t.Fatal(err)
				}
				between.AddCert(above)
			}
			_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: c.host, CurrentTime: now})
			if (err == nil) != c.trusted {
				t.Errorf("%s for %s: %v", c.kind, c.host, err)
			}
			if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
				t.Errorf("%s: from %v to %v", c.kind, leaf.NotBefore, leaf.NotAfter)
			}
			if age := now.Sub(leaf.NotBefore); c.young && age > 5*24*time.Hour {
				t.Errorf("%s: %v old", c.kind, age)
			}
			if _, err := tls.LoadX509KeyPair(got.Cert, got.Key); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := p.Issue(r, pki.Request{Kind: "other", Host: "x"}); err == nil {
		t.Error("a kind that there is not is issued")
	}
}
