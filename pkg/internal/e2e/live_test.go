//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/quic-go/quic-go"

	"trench/pkg/afpacket"
	"trench/pkg/app"
	"trench/pkg/filter"
	"trench/pkg/flow"
	"trench/pkg/internal/corpus"
	"trench/pkg/internal/netlab"
	"trench/pkg/internal/pcapgen"
	"trench/pkg/pcap"
)

// TestLiveFlowsEqualThoseOfTheFile captures real connections and replayed captures
// from an interface, writes what the rings delivered to a file, and wants the flows
// of that file.
func TestLiveFlowsEqualThoseOfTheFile(t *testing.T) {
	t.Parallel()
	for _, rings := range []int{1, 3} {
		t.Run(fmt.Sprint(rings, " rings"), func(t *testing.T) {
			t.Parallel()
			netlab.Need(t, "tcpreplay")
			netlab.Need(t, "openssl")
			netlab.Need(t, "curl")
			lab := netlab.New(t, netlab.Options{MTU: 9000})
			cfg := afpacket.DefaultConfig()
			cfg.Interface = lab.Client.Interface
			var opened []*afpacket.Ring
			err := lab.Client.Do(func() (err error) { opened, err = afpacket.Open(cfg, rings, nil, nil); return err })
			if err != nil {
				t.Fatal(err)
			}
			rec := &recorder{}
			sources := make([]app.Ring, rings)
			for i, r := range opened {
				defer r.Close()
				sources[i] = &tee{ring: r, rec: rec}
			}
			path := filepath.Join(t.TempDir(), "seen.pcap")
			live := newFlows(rings > 1)
			c := app.Capture{Config: app.DefaultConfig(), Emit: live.emit}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			var sum *app.Summary
			go func() { // ends with stop
				var err error
				sum, err = c.RunLive(ctx, path, sources)
				done <- err
			}()
			want := traffic(t, lab)
			sent := replay(t, lab)
			for deadline := time.Now().Add(20 * time.Second); rec.len() < sent && time.Now().Before(deadline); {
				time.Sleep(20 * time.Millisecond)
			}
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if sum.Lost != 0 || rec.len() < sent || sum.Packets != uint64(rec.len()) {
				t.Errorf("%d packets replayed, %d seen, %d read, %d lost", sent, rec.len(), sum.Packets, sum.Lost)
			}
			rec.write(t, path)
			read := newFlows(rings > 1)
			f := app.Capture{Config: app.DefaultConfig(), Workers: 2, Emit: read.emit}
			if _, err := f.Run(t.Context(), []string{path}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(read.text, live.text); d != "" {
				t.Errorf("(-file +live):\n%.4000s", d)
			}
			other := 0
			for id, answer := range read.answers {
				if live.answers[id] != answer {
					other++
				}
			}
			// What one worker learns another may need at the same moment; and the replay
			// packs years of answers into seconds, more than are kept.
			if other > read.resolved/20 {
				t.Errorf("%d of %d flows have another DNS answer than in the file", other, read.resolved)
			}
			for name, n := range want {
				if live.apps[name] < n {
					t.Errorf("%d %s flows to the server, want %d", live.apps[name], name, n)
				}
			}
			if live.resolved == 0 {
				t.Error("no flow has the DNS answer that led to it")
			}
			t.Logf("%d rings: %d packets, %d flows (%v), %d with a DNS answer, %d of them another than in the file", rings, sum.Packets, len(live.text), live.apps, live.resolved, other)
		})
	}
}

// tee records what a ring delivers.
type tee struct {
	ring *afpacket.Ring
	rec  *recorder
}

func (r *tee) ReadBlock(ctx context.Context, b *pcap.Block) error {
	err := r.ring.ReadBlock(ctx, b)
	r.rec.add(b.Packets)
	return err
}

func (r *tee) Lost() uint64 {
	s, err := r.ring.Stats()
	if err != nil {
		return 0
	}
	return s.Drops + s.Broken
}

type recorder struct {
	mu      sync.Mutex
	packets []pcapgen.Packet
}

func (r *recorder) add(packets []pcap.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range packets {
		r.packets = append(r.packets, pcapgen.Packet{Time: p.Time, Data: bytes.Clone(p.Data), Wire: int(p.WireLen)})
	}
}

func (r *recorder) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.packets)
}

// write makes a capture file, in the order of time.
func (r *recorder) write(t *testing.T, path string) {
	t.Helper()
	slices.SortStableFunc(r.packets, func(a, b pcapgen.Packet) int { return int(a.Time - b.Time) })
	file := pcapgen.Classic{Order: binary.LittleEndian, Nanos: true, Link: 1}.File(r.packets)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
}

// flows collects flows as text.
type flows struct {
	mu       sync.Mutex
	text     map[string]string // by id
	answers  map[string]string // by id: the DNS answer
	apart    bool              // text is without it
	apps     map[string]int
	resolved int
}

func newFlows(apart bool) *flows {
	return &flows{apart: apart, text: map[string]string{}, answers: map[string]string{}, apps: map[string]int{}}
}

func (f *flows) emit(_ int, x *flow.Flow) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answers[x.ID.String()] = string(x.Resolution); f.apart { // compared by themselves
		c := *x
		c.Resolution, c.ResolutionAge, c.DNS = nil, 0, flow.DNSContext{}
		x = &c
	}
	f.text[x.ID.String()] += fmt.Sprintf("%+v", *x)
	f.apps[x.App.String()]++
	if f.answers[x.ID.String()] != "" {
		f.resolved++
	}
	return nil
}

// traffic makes connections between the namespaces with real peers, and returns
// how many flows of each protocol there must be at least.
func traffic(t *testing.T, lab *netlab.Lab) map[string]int {
	t.Helper()
	cert, certFile, keyFile := certificate(t)
	want := map[string]int{}
	dns(t, lab)
	want["dns"]++
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, ip := range []netip.Addr{lab.Server.IPv4, lab.Server.IPv6} {
			for _, n := range []int{10, 300_000} {
				goTLS(t, lab, cert, version, netip.AddrPortFrom(ip, 0), n)
				want["tls"]++
			}
		}
	}
	for _, flag := range []string{"-tls1_2", "-tls1_3"} {
		openSSL(t, lab, certFile, keyFile, flag)
		want["tls"]++
	}
	for range 2 {
		overQUIC(t, lab, cert)
		want["quic"]++
	}
	return want
}

func certificate(t *testing.T) (c tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab.example"}, DNSNames: []string{"lab.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, certFile, keyFile
}

// dns asks for the server's address.
func dns(t *testing.T, lab *netlab.Lab) {
	t.Helper()
	conn, err := lab.Server.ListenPacket("udp4", netip.AddrPortFrom(lab.Server.IPv4, 53).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	name := []byte("\x03lab\x07example\x00\x00\x01\x00\x01")
	query := append([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, name...)
	go func() { // answers once; ends when conn is closed
		b := make([]byte, 512)
		_, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		four := lab.Server.IPv4.As4()
		answer := append([]byte{0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, name...)
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
		_, _ = conn.WriteTo(append(answer, four[:]...), from)
	}()
	c, err := lab.Client.Dial("udp4", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(query); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
}

// goTLS sends n bytes each way.
func goTLS(t *testing.T, lab *netlab.Lab, cert tls.Certificate, version uint16, at netip.AddrPort, n int) {
	t.Helper()
	l, err := lab.Server.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() { // ends with the connection
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			err = echo(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version}), n)
		}
		served <- err
	}()
	raw, err := lab.Client.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{ServerName: "lab.example", InsecureSkipVerify: true})
	if err := exchange(conn, n); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.Close(), <-served); err != nil {
		t.Fatal(err)
	}
}

func echo(conn io.ReadWriter, n int) error {
	b := make([]byte, n)
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	_, err := conn.Write(b)
	return err
}

func exchange(conn io.ReadWriter, n int) error {
	b := make([]byte, n)
	if _, err := conn.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, b)
	return err
}

// openSSL has curl fetch a page of openssl's server.
func openSSL(t *testing.T, lab *netlab.Lab, cert, key, version string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const port = "8443"
	server := lab.Server.Command(ctx, "openssl", "s_server", "-accept", port, "-cert", cert, "-key", key, version, "-www", "-quiet")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = server.Wait() }()
	addr := netip.MustParseAddrPort(lab.Server.IPv4.String() + ":" + port)
	for {
		out, err := lab.Client.Command(ctx, "curl", "-sk", "--noproxy", "*", "https://"+addr.String()+"/").CombinedOutput()
		if err == nil && strings.Contains(string(out), "Cipher") {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("curl: %v: %s", err, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// overQUIC sends some bytes each way on a stream.
func overQUIC(t *testing.T, lab *netlab.Lab, cert tls.Certificate) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	serverConn, err := lab.Server.ListenPacket("udp4", netip.AddrPortFrom(lab.Server.IPv4, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	clientConn, err := lab.Client.ListenPacket("udp4", netip.AddrPortFrom(lab.Client.IPv4, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	server, client := &quic.Transport{Conn: serverConn}, &quic.Transport{Conn: clientConn}
	defer func() { _ = errors.Join(client.Close(), server.Close(), clientConn.Close(), serverConn.Close()) }()
	const protocol, n = "lab", 100_000
	l, err := server.Listen(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{protocol}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { // ends with the connection
		served <- func() error {
			conn, err := l.Accept(ctx)
			if err != nil {
				return err
			}
			s, err := conn.AcceptStream(ctx)
			if err != nil {
				return err
			}
			return echo(s, n)
		}()
	}()
	conn, err := client.Dial(ctx, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverConn.LocalAddr().String())),
		&tls.Config{ServerName: "lab.example", NextProtos: []string{protocol}, InsecureSkipVerify: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := conn.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(exchange(s, n), <-served, conn.CloseWithError(0, "")); err != nil {
		t.Fatal(err)
	}
}

// gather puts packets of harmless captures of the corpus into one file, and returns
// their number.
func gather(t *testing.T, path string, most int) int {
	t.Helper()
	dir := corpus.Dir(t)
	var packets []pcapgen.Packet
	for _, folder := range []string{"protocol-tests", "benign"} {
		corpus.Captures(t, filepath.Join(dir, folder), func(_ string, r *pcap.Reader) bool {
			var b pcap.Block
			for r.ReadBlock(&b) == nil {
				for _, p := range b.Packets {
					if p.Link == pcap.LinkEthernet && int(p.WireLen) == len(p.Data) && len(p.Data) >= 60 && len(p.Data) <= 9000 && len(packets) < most {
						packets = append(packets, pcapgen.Packet{Time: 1e18 + int64(len(packets))*1e3, Data: bytes.Clone(p.Data)})
					}
				}
			}
			return len(packets) < most
		})
	}
	file := pcapgen.Classic{Order: binary.LittleEndian, Link: 1}.File(packets)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return len(packets)
}

// replay sends captures of the corpus, at a rate that a busy machine can follow.
func replay(t *testing.T, lab *netlab.Lab) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "replay.pcap")
	n := gather(t, path, 60_000)
	sent, _ := tcpreplay(t, lab, path, "--pps=30000")
	if sent != n {
		t.Errorf("%d of %d packets were sent", sent, n)
	}
	return sent
}

var rated = regexp.MustCompile(`(?s)Actual: (\d+) packets.*Rated: .*?, ([\d.]+) pps`)

// tcpreplay sends a capture and returns how many packets, and how many a second.
func tcpreplay(t *testing.T, lab *netlab.Lab, path string, options ...string) (packets int, rate float64) {
	t.Helper()
	args := append([]string{"-i", lab.Client.Interface, "--preload-pcap"}, append(options, path)...)
	out, err := lab.Client.Command(t.Context(), "tcpreplay", args...).CombinedOutput()
	m := rated.FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("tcpreplay: %v\n%s", err, out)
	}
	if packets, err = strconv.Atoi(string(m[1])); err == nil {
		rate, err = strconv.ParseFloat(string(m[2]), 64)
	}
	if err != nil {
		t.Fatal(err)
	}
	return packets, rate
}

// TestASensorCountsEveryPacketOfAnInterface has `trench run` watch an interface, as
// nobody, while captures are replayed at growing rates: what it read and what the
// kernel dropped add up to what was sent.
func TestASensorCountsEveryPacketOfAnInterface(t *testing.T) {
	t.Parallel()
	netlab.Need(t, "tcpreplay")
	bin := filepath.Join(build(t, repository(t), "trench"), "trench")
	capture := filepath.Join(t.TempDir(), "replay.pcap")
	n := gather(t, capture, 100_000)
	var table strings.Builder
	fmt.Fprintf(&table, "%10s %12s %10s %10s %8s\n", "asked pps", "sent pps", "sent", "read", "lost")
	for _, step := range []struct {
		option string
		loops  int
	}{{"--pps=50000", 1}, {"--pps=100000", 2}, {"--pps=200000", 4}, {"--pps=400000", 8}, {"--topspeed", 20}} {
		option := step.option
		lab := netlab.New(t, netlab.Options{MTU: 9000, Quiet: true})
		s := startSensor(t, bin, lab.Client, "")
		sent, rate := tcpreplay(t, lab, capture, option, fmt.Sprint("--loop=", step.loops))
		counts := s.stop(t)
		read, lost := counts["packets"], counts["lost"]
		fmt.Fprintf(&table, "%10s %12.0f %10d %10.0f %8.0f\n", strings.TrimPrefix(option, "--"), rate, sent, read, lost)
		if sent != n*step.loops || read+lost != float64(sent) {
			t.Errorf("%s: %d of %d packets sent, %.0f read and %.0f lost", option, sent, n*step.loops, read, lost)
		}
		if sum := counts["in_flows"] + counts["not_ip"] + counts["malformed"] + counts["refused"] + counts["filtered"] + counts["duplicate"] +
			counts["fragment_dropped"] + counts["dropped_fragment_bytes"] + counts["dropped_fragment_datagrams"]; sum != read {
			t.Errorf("%s: outcomes add up to %.0f of %.0f packets", option, sum, read)
		}
		if option == "--pps=50000" && lost > 0 {
			t.Errorf("%s: %.0f packets lost", option, lost)
		}
		if lost == 0 && counts["tls"] < 500 {
			t.Errorf("%s: %.0f TLS flows only", option, counts["tls"])
		}
	}
	t.Logf("trench run, all stages, sender on the same machine:\n%s", table.String())
}

// TestAnInterfaceIsFilteredAsAFileIs has the kernel run a filter on replayed packets,
// some of which have VLAN tags.
func TestAnInterfaceIsFilteredAsAFileIs(t *testing.T) {
	t.Parallel()
	netlab.Need(t, "tcpreplay")
	bin := filepath.Join(build(t, repository(t), "trench"), "trench")
	path := filepath.Join(t.TempDir(), "replay.pcap")
	var packets []pcapgen.Packet
	for i := range 3000 {
		src, dst := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(10_000+i%7)), netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(440+i%5))
		ip := pcapgen.UDP(src, dst, make([]byte, 30+i%900))
		if i%3 == 0 {
			ip = pcapgen.Segment{Src: src, Dst: dst, Seq: uint32(i), Flags: pcapgen.ACK, Payload: make([]byte, 30+i%900)}.IP()
		}
		var tags []uint16
		for range i % 4 % 3 {
			tags = append(tags, uint16(5+i%2))
		}
		packets = append(packets, pcapgen.Packet{Time: 1e18 + int64(i), Data: pcapgen.Ethernet(ip, tags...)})
	}
	if err := os.WriteFile(path, pcapgen.Classic{Order: binary.LittleEndian, Link: 1}.File(packets), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, expr := range []string{"tcp port 443", "not tcp", "vlan 6 and udp", "vlan and vlan", "len > 500 and not vlan"} {
		set, err := filter.Parse(expr)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, p := range packets {
			if set.Match(&pcap.Packet{Data: p.Data, WireLen: uint32(len(p.Data)), Link: pcap.LinkEthernet}) {
				want++
			}
		}
		lab := netlab.New(t, netlab.Options{Quiet: true})
		// Who sends has the tags in the frame, who receives beside it.
		sender, receiver := startSensor(t, bin, lab.Client, expr), startSensor(t, bin, lab.Server, expr)
		tcpreplay(t, lab, path, "--pps=20000")
		for name, s := range map[string]*sensorProcess{"sender": sender, "receiver": receiver} {
			counts := s.stop(t)
			if got := counts["packets"] - counts["filtered"]; int(got) != want || want == 0 || counts["lost"] != 0 {
				t.Errorf("%s, %s: %.0f packets pass, %.0f lost, %d of the file match", expr, name, got, counts["lost"], want)
			}
			t.Logf("%s, %s: %d of %d pass; the kernel left out %.0f, the sensor %.0f", expr, name, want, len(packets), float64(len(packets))-counts["packets"], counts["filtered"])
		}
	}
}

// sensorProcess is `trench run`.
type sensorProcess struct {
	cmd    *exec.Cmd
	stderr logBuffer
}

// startSensor starts `trench run` in a namespace and waits until it captures.
func startSensor(t *testing.T, bin string, at *netlab.Namespace, filter string) *sensorProcess {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "sensor.yaml")
	text := fmt.Sprintf("sensor: lab\ninput:\n  interface: {name: %s}\n  user: nobody\ncapture: {filter: %q}\noutput:\n  files: [%s]\nhttp: {listen: \"127.0.0.1:0\"}\n",
		at.Interface, filter, filepath.Join(dir, "flows.ndjson"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &sensorProcess{cmd: at.Command(context.WithoutCancel(t.Context()), bin, "run", "-c", config)}
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // does nothing once it has ended
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(p.stderr.String(), "capturing"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the sensor does not start:\n%s", p.stderr.String())
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000002000", "CapBnd:\t0000000000002000", "NoNewPrivs:\t1"} {
		if !bytes.Contains(status, []byte(want)) {
			t.Errorf("the sensor keeps privileges: want %q in\n%s", want, status)
		}
	}
	return p
}

// stop ends the sensor once it has nothing more to read, and returns its summary.
func (p *sensorProcess) stop(t *testing.T) map[string]float64 {
	t.Helper()
	time.Sleep(time.Second) // the last blocks of the ring
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	counts := map[string]float64{}
	for _, field := range strings.Fields(lines[len(lines)-1]) {
		if key, value, ok := strings.Cut(field, "="); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			counts[key] = n
		}
	}
	return counts
}
