// Package cell draws the sample of the lab: which stack does what with which
// server. Everything follows from a seed.
package cell

import (
	"fmt"
	"net/netip"
	"path"
	"slices"

	"trench/pkg/internal/lab/pki"
	"trench/pkg/internal/lab/plan"
	"trench/pkg/internal/lab/wire"
)

// The sets of flows.
const (
	Benign  = "benign"
	Beacons = "beacons"
)

// The kinds of servers.
const (
	ServerGo     = "go"     // net/http, HTTP/1.1 and HTTP/2
	ServerRaw    = "go-tls" // crypto/tls without HTTP
	ServerQUIC   = "quic-go"
	ServerNginx  = "nginx" // OpenSSL, before Go's net/http without TLS
	ServerNode   = "node"
	ServerPython = "python"
	ServerJava   = "java"
)

// Shapes of names besides "1 label" to "4 labels".
const (
	ShapeNone    = "none"    // a name that the client does not send
	ShapeAddress = "address" // an address in place of a name
	ShapeOdd     = "odd"     // made by a program
)

// Stack says what a TLS client can do.
type Stack struct {
	Name       string
	Servers    []string // that it is sent to, in turn
	Behaviours []string // of benign cells
	Kinds      []string // of beacons
	Raw        bool     // it speaks no HTTP
	Nameless   bool     // it can leave the server name out
	Public     bool     // it takes names of two and more labels only
	HTTP2      bool     // it speaks no HTTP/1.1
}

// Cell is what one client does with one server: every cell has a server address
// of its own, so an address tells a flow's cell.
type Cell struct {
	ID          string
	Set         string
	Stack       *Stack
	Server      string
	Addr        netip.AddrPort // given by who makes the network
	Port        uint16
	Name        string // as the client resolves it, empty for an address
	Shape       string
	Certificate string // its kind
	Subject     string // of a certificate that does not care for the name
	TLS12       bool   // the server speaks nothing later
	HTTP1       bool   // the server does not offer HTTP/2
	Mutual      bool   // the server asks for a certificate
	Path        wire.Path
	Behaviour   string
	Steps       []plan.Step
}

func (c *Cell) String() string {
	return fmt.Sprintf("%s %s to %s, %s %s, %s, %s", c.ID, c.Stack.Name, c.Server, c.Shape, c.Host(), c.Certificate, c.Behaviour)
}

// Host is what the client is told to go to.
func (c *Cell) Host() string {
	if c.Shape == ShapeNone {
		return c.Addr.Addr().String()
	}
	return c.Owner()
}

// Owner is whom the certificate is for.
func (c *Cell) Owner() string {
	if c.Name == "" {
		return c.Addr.Addr().String()
	}
	return c.Name
}

// URL is where the client goes.
func (c *Cell) URL() string {
	if c.Port == 443 {
		return "https://" + c.Host()
	}
	return fmt.Sprintf("https://%s:%d", c.Host(), c.Port)
}

// Capture is the file with the cell's packets, below the folder of captures.
func (c *Cell) Capture() string { return path.Join("lab", c.Set, c.Stack.Name+".pcap") }

// Trusted reports whether the client can check the certificate; it takes any otherwise.
func (c *Cell) Trusted() bool {
	return slices.Contains([]string{pki.Public, pki.Private, pki.FreshPublic}, c.Certificate) && c.Shape != ShapeNone
}
