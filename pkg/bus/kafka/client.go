package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	dialTimeout = 5 * time.Second
	// metadataTTL is how old what is known of topics and leaders may be.
	metadataTTL = 3 * time.Second
)

// client is a kafka-go client with connections of its own, all of which end with
// close: that library leaves those open that wait for an answer.
type client struct {
	kafkago.Client
	id          string
	transport   *kafkago.Transport
	correlation atomic.Int32

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
}

func newClient(cfg Config, timeout time.Duration) *client {
	c := &client{id: cfg.ClientID, conns: map[*conn]struct{}{}}
	c.transport = &kafkago.Transport{ClientID: cfg.ClientID, DialTimeout: dialTimeout, MetadataTTL: metadataTTL, Dial: c.dial}
	c.Client = kafkago.Client{Addr: kafkago.TCP(cfg.Brokers...), Transport: c.transport, Timeout: timeout}
	return c
}

func (c *client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	inner, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		inner.Close()
		return nil, net.ErrClosed
	}
	one := &conn{inner, c}
	c.conns[one] = struct{}{}
	return one, nil
}

func (c *client) close() {
	c.transport.CloseIdleConnections()
	c.mu.Lock()
	c.closed = true
	open := slices.Collect(maps.Keys(c.conns))
	c.mu.Unlock()
	for _, one := range open {
		one.Close()
	}
}

// conn is a connection that its client knows of.
type conn struct {
	net.Conn
	client *client
}

func (c *conn) Close() error {
	c.client.mu.Lock()
	delete(c.client.conns, c)
	c.client.mu.Unlock()
	return c.Conn.Close()
}

// exchange is a request that this package writes, and its answer, which it reads:
// kafka-go finds the connection and calls RawExchange. It serves once.
type exchange struct {
	key           protocol.ApiKey
	version       int16
	correlation   int32
	topic         string
	partitions    []int32 // all of one leader
	request       []byte  // whole, with its length in front
	answer        []byte  // of the answer, what follows the correlation id; its memory may be given
	maxAnswer     int     // bytes
	versionSpoken int16   // as the connection has negotiated it
}

var (
	_ protocol.Message       = (*exchange)(nil)
	_ protocol.BrokerMessage = (*exchange)(nil)
	_ protocol.RawExchanger  = (*exchange)(nil)
)

// roundTrip sends the request and waits for the answer. After an error the memory
// of both may still be in use and must not be used again.
func (c *client) roundTrip(ctx context.Context, x *exchange) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	_, err := c.transport.RoundTrip(ctx, c.Addr, x)
	return err
}

// begin starts the bytes of a request; end completes them.
func (c *client) begin(buf []byte, key protocol.ApiKey, version int16, correlation int32) []byte {
	be := binary.BigEndian
	buf = append(buf, 0, 0, 0, 0) // the length
	buf = be.AppendUint16(buf, uint16(key))
	buf = be.AppendUint16(buf, uint16(version))
	buf = be.AppendUint32(buf, uint32(correlation))
	return appendString(buf, c.id)
}

func end(buf []byte) { binary.BigEndian.PutUint32(buf, uint32(len(buf)-4)) }

func appendString(buf []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(buf, uint16(len(s))), s...)
}

// ApiKey implements protocol.Message.
func (x *exchange) ApiKey() protocol.ApiKey { return x.key }

// Broker implements protocol.BrokerMessage.
func (x *exchange) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	var broker protocol.Broker
	for i, id := range x.partitions {
		p, ok := cluster.Topics[x.topic].Partitions[id]
		if !ok {
			return broker, fmt.Errorf("topic %s, partition %d: %w", x.topic, id, kafkago.UnknownTopicOrPartition)
		}
		b, ok := cluster.Brokers[p.Leader]
		if !ok {
			return broker, fmt.Errorf("topic %s, partition %d: %w", x.topic, id, kafkago.LeaderNotAvailable)
		}
		if i > 0 && b.ID != broker.ID {
			return broker, fmt.Errorf("topic %s, partition %d has moved: %w", x.topic, id, kafkago.NotLeaderForPartition)
		}
		broker = b
	}
	return broker, nil
}

// Required implements protocol.RawExchanger.
func (x *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	x.versionSpoken = versions[x.key]
	return true
}

// keptAnswer is how many bytes an exchange keeps for its next answer, however small
// the last one was.
const keptAnswer = 128 << 10

// RawExchange implements protocol.RawExchanger.
func (x *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if x.versionSpoken < x.version {
		return nil, fmt.Errorf("%s version %d is needed, which Kafka has since 2.1: %w", x.key, x.version, kafkago.UnsupportedVersion)
	}
	if _, err := rw.Write(x.request); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, unexpected(err)
	}
	n := int(int32(binary.BigEndian.Uint32(head[:]))) - 4
	if n < 0 || n > x.maxAnswer {
		return nil, fmt.Errorf("%s: an answer of %d bytes, the limit is %d", x.key, n, x.maxAnswer)
	}
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != x.correlation {
		return nil, fmt.Errorf("%s: the answer to request %d came for %d", x.key, got, x.correlation)
	}
	if cap(x.answer) < n || cap(x.answer) > keptAnswer+8*n { // what a backlog took is let go after it
		x.answer = make([]byte, n)
	}
	x.answer = x.answer[:n]
	if _, err := io.ReadFull(rw, x.answer); err != nil {
		return nil, unexpected(err)
	}
	return x, nil
}

// unexpected makes a connection's end an error that is not taken for the end of a
// stream.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var errAnswer = errors.New("the answer is cut off or out of order")

// answer reads an answer's numbers from its front; ok turns false for good when
// it ends too early.
type answer struct {
	b  []byte
	ok bool
}

func (a *answer) take(n int) []byte {
	if !a.ok || n < 0 || n > len(a.b) {
		a.ok = false
		return nil
	}
	b := a.b[:n]
	a.b = a.b[n:]
	return b
}

func (a *answer) int16() int16 {
	if b := a.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (a *answer) int32() int32 {
	if b := a.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (a *answer) int64() int64 {
	if b := a.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (a *answer) string() string { return string(a.take(int(a.int16()))) }

// coded returns the error that a code of the protocol stands for, nil for 0.
func coded(code int16) error {
	if code == 0 {
		return nil
	}
	return kafkago.Error(code)
}
