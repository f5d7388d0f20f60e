package netlab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Options change a Lab.
type Options struct {
	MTU   int  // of both ends, 0 for 1500
	Quiet bool // no addresses and no IPv6: nothing passes but what a test sends
}

// Lab is two namespaces that are joined by a pair of interfaces.
type Lab struct {
	Client, Server *Namespace
}

// Namespace is one network namespace with one interface besides lo.
type Namespace struct {
	Name       string
	Interface  string
	IPv4, IPv6 netip.Addr
}

// New makes a lab that lives as long as the test.
func New(tb testing.TB, o Options) *Lab {
	tb.Helper()
	Need(tb, "ip")
	NeedRoot(tb)
	var id [4]byte
	rand.Read(id[:])
	prefix := "trench-" + strconv.Itoa(os.Getpid()) + "-" + hex.EncodeToString(id[:])
	l := &Lab{
		Client: &Namespace{prefix + "-c", "client0", netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		Server: &Namespace{prefix + "-s", "server0", netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")},
	}
	for _, n := range []*Namespace{l.Client, l.Server} {
		run(tb, "ip", "netns", "add", n.Name)
		tb.Cleanup(func() { exec.Command("ip", "netns", "del", n.Name).Run() })
		n.IP(tb, "link", "set", "lo", "up")
		if o.Quiet {
			for _, conf := range []string{"all", "default"} {
				n.Sysctl(tb, "net/ipv6/conf/"+conf+"/disable_ipv6", "1")
			}
		}
	}
	l.Connect(tb, o)
	return l
}

// Connect makes the pair of interfaces; again after one end was deleted.
func (l *Lab) Connect(tb testing.TB, o Options) {
	tb.Helper()
	l.Client.IP(tb, "link", "add", "name", l.Client.Interface, "type", "veth", "peer", "name", l.Server.Interface, "netns", l.Server.Name)
	for _, n := range []*Namespace{l.Client, l.Server} {
		if o.MTU > 0 {
			n.IP(tb, "link", "set", n.Interface, "mtu", strconv.Itoa(o.MTU))
		}
		if !o.Quiet {
			n.IP(tb, "addr", "add", n.IPv4.String()+"/24", "dev", n.Interface)
			n.IP(tb, "addr", "add", n.IPv6.String()+"/64", "dev", n.Interface, "nodad")
		}
		n.IP(tb, "link", "set", n.Interface, "up")
	}
}

// IP runs ip(8) inside the namespace.
func (n *Namespace) IP(tb testing.TB, args ...string) {
	tb.Helper()
	run(tb, "ip", append([]string{"-n", n.Name}, args...)...)
}

// Sysctl sets a value below /proc/sys inside the namespace.
func (n *Namespace) Sysctl(tb testing.TB, path, value string) {
	tb.Helper()
	if err := n.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0) }); err != nil {
		tb.Fatal(err)
	}
}

// Command returns a command that runs inside the namespace.
func (n *Namespace) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
}

// Do runs f inside the namespace. What f opens stays there; goroutines that it
// starts do not belong to it.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		returned := false
		defer func() {
			if !returned {
				done <- errors.New("left before its end") // t.Fatal inside f
			}
		}()
		err := n.enter()
		if err == nil {
			err = f()
		}
		returned = true
		done <- err
	}()
	return <-done
}

func (n *Namespace) enter() error {
	f, err := os.Open(filepath.Join("/run/netns", n.Name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", n.Name, err)
	}
	return nil
}

// Listen opens a listener inside the namespace.
func (n *Namespace) Listen(network, address string) (l net.Listener, err error) {
	err = n.Do(func() (err error) { l, err = net.Listen(network, address); return err })
	return l, err
}

// ListenPacket opens a datagram socket inside the namespace.
func (n *Namespace) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = n.Do(func() (err error) { c, err = net.ListenPacket(network, address); return err })
	return c, err
}

// Dial connects from inside the namespace, to an address without a name.
func (n *Namespace) Dial(network, address string) (c net.Conn, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, err
	}
	err = n.Do(func() (err error) { c, err = net.Dial(network, address); return err })
	return c, err
}

// Need skips the test when a program is not installed; under CI=true it fails.
func Need(tb testing.TB, program string) {
	tb.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing(tb, program)
	}
}

// NeedRoot skips the test for anybody but root; under CI=true it fails.
func NeedRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		missing(tb, "root, to make network namespaces")
	}
}

func missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("missing: %s", what)
	}
	tb.Skipf("SKIPPED, missing: %s", what)
}

func run(tb testing.TB, name string, args ...string) {
	tb.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		tb.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}
