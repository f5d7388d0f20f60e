package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"trench/pkg/internal/lab/wire"
	"trench/pkg/internal/netlab"
)

// Addresses are of the range for measurements (RFC 2544).
var (
	clientAddr = netip.MustParseAddr("198.18.0.1")
	serverNet  = netip.MustParsePrefix("198.19.0.0/16")
)

// serverBits is the length of the prefix of one kind's servers.
const serverBits = 20

// prefix returns the addresses of the i-th kind of server.
func prefix(i int) netip.Prefix {
	a := serverNet.Addr().As4()
	a[2] = byte(i << (24 - serverBits))
	return netip.PrefixFrom(netip.AddrFrom4(a), serverBits)
}

// network makes a namespace for the client and one for each kind of server.
func (l *lab) network(w *wire.Wire, cells []*job) (map[string]*netlab.Namespace, error) {
	name := fmt.Sprintf("trench-lab-%d", os.Getpid())
	l.client = &netlab.Namespace{Name: name + "-client", Interface: "client0", IPv4: clientAddr}
	var hosts strings.Builder
	fmt.Fprintf(&hosts, "127.0.0.1 localhost\n%s workstation\n", clientAddr)
	for _, c := range cells {
		if c.Name != "" {
			fmt.Fprintf(&hosts, "%s %s\n", c.Addr.Addr(), c.Name)
		}
	}
	if err := l.namespace(l.client, hosts.String()); err != nil {
		return nil, err
	}
	client, err := l.open(l.client)
	if err != nil {
		return nil, err
	}
	w.Client = client
	servers := make(map[string]*netlab.Namespace)
	for i, kind := range serverKinds {
		ns := &netlab.Namespace{Name: name + "-" + kind, Interface: "server0", IPv4: prefix(i).Addr().Next()}
		if err := l.namespace(ns, hosts.String()); err != nil {
			return nil, err
		}
		end, err := l.open(ns)
		if err != nil {
			return nil, err
		}
		if err := ip(ns, "route", "add", "local", prefix(i).String(), "dev", "lo"); err != nil {
			return nil, err
		}
		w.Servers = append(w.Servers, wire.End{ReadWriteCloser: end, Addresses: prefix(i)})
		servers[kind] = ns
	}
	return servers, nil
}

// namespace makes one in which only the names of hosts are known: a question to
// a name server is refused at once.
func (l *lab) namespace(ns *netlab.Namespace, hosts string) error {
	etc := filepath.Join("/etc/netns", ns.Name) // as ip-netns(8) lays it over /etc
	l.onEnd(func() {
		_ = os.RemoveAll(etc)
		_ = os.Remove(filepath.Dir(etc)) // unless others are there
	})
	err := errors.Join(os.MkdirAll(etc, 0o755),
		os.WriteFile(filepath.Join(etc, "hosts"), []byte(hosts), 0o644),
		os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), 0o644))
	if err != nil {
		return err
	}
	if out, err := exec.Command("ip", "netns", "add", ns.Name).CombinedOutput(); err != nil {
		return fmt.Errorf("make namespace %s: %w: %s", ns.Name, err, out)
	}
	l.onEnd(func() { _ = exec.Command("ip", "netns", "del", ns.Name).Run() }) // nothing is left to do
	return errors.Join(ip(ns, "link", "set", "lo", "up"), ip(ns, "addr", "add", ns.IPv4.String()+"/32", "dev", "lo"))
}

func (l *lab) open(ns *netlab.Namespace) (io.ReadWriteCloser, error) {
	f, err := wire.Open(ns)
	if err != nil {
		return nil, err
	}
	l.onEnd(func() { _ = f.Close() }) // the wire has closed it unless it never ran
	return f, errors.Join(
		ip(ns, "link", "set", ns.Interface, "mtu", fmt.Sprint(wire.MTU), "txqueuelen", "4096", "up"),
		ip(ns, "route", "add", "default", "dev", ns.Interface, "src", ns.IPv4.String()))
}

func ip(ns *netlab.Namespace, args ...string) error {
	if out, err := exec.Command("ip", append([]string{"-n", ns.Name}, args...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip -n %s %s: %w: %s", ns.Name, strings.Join(args, " "), err, out)
	}
	return nil
}
