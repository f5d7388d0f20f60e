package fault_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"trench/pkg/fault"
)

func TestTheTableIsInOrderAndComplete(t *testing.T) {
	t.Parallel()
	codes := fault.Codes()
	for i, c := range codes {
		if i > 0 && codes[i-1].System == c.System && codes[i-1].Number >= c.Number {
			t.Errorf("%v %d comes after %d", c.System, c.Number, codes[i-1].Number)
		}
		if c.Name == "" || c.Name != strings.TrimSpace(c.Name) {
			t.Errorf("%v %d: name %q", c.System, c.Number, c.Name)
		}
		if (c.Hint != "") != (c.Class == fault.Configuration) {
			t.Errorf("%v %d %s: class %v, hint %q: exactly those of the class configuration have one", c.System, c.Number, c.Name, c.Class, c.Hint)
		}
		if got := fault.Lookup(c.System, c.Number); got != c {
			t.Errorf("%v %d is found as %+v", c.System, c.Number, got)
		}
	}
	if len(codes) < 200 {
		t.Errorf("%d codes", len(codes))
	}
}

// TestEveryCodeHasItsClass names every code that is not transient: so a change of a
// class is seen twice.
func TestEveryCodeHasItsClass(t *testing.T) {
	t.Parallel()
	want := map[fault.System]map[fault.Class][]int{
		fault.Kafka: {
			fault.Refused:   {10, 18, 32, 87},
			fault.ClaimLost: {22, 25, 27, 82},
			fault.Configuration: {
				17, 21, 23, 24, 26, 29, 30, 31, 33, 34, 35, 37, 38, 39, 40, 42, 43, 44, 53, 54, 55, 58, 61, 62, 63, 64, 65, 66, 67, 76, 93, 104,
			},
		},
		fault.ClickHouse: {
			fault.Refused: {
				6, 9, 12, 25, 26, 27, 38, 41, 69, 70, 72, 117, 128, 131, 190, 248, 321, 349, 376, 395, 407, 441, 467, 469, 675, 676, 691,
			},
			fault.Configuration: {
				2, 7, 8, 10, 16, 20, 36, 42, 43, 44, 46, 47, 48, 50, 53, 56, 57, 60, 62, 63, 73, 81, 99, 100, 115, 161, 164, 192, 193, 194, 195,
				217, 291, 336, 344, 452, 471, 472, 492, 497, 511, 516, 565, 701, 720, 767, 774, 902,
			},
		},
	}
	for _, c := range fault.Codes() {
		class := fault.Transient
		for k, numbers := range want[c.System] {
			if slices.Contains(numbers, c.Number) {
				class = k
			}
		}
		if c.Class != class {
			t.Errorf("%v %d %s: class %v, want %v", c.System, c.Number, c.Name, c.Class, class)
		}
		err := fmt.Errorf("insert: %w", &fault.Error{Code: c, Err: io.EOF})
		if got := fault.Of(err); got != class {
			t.Errorf("an error with %v %d is %v, want %v", c.System, c.Number, got, class)
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("an error with %v %d hides its cause", c.System, c.Number)
		}
	}
	for system, classes := range want {
		for class, numbers := range classes {
			for _, n := range numbers {
				if fault.Lookup(system, n).Name == "" {
					t.Errorf("%v %d is in no table, want %v", system, n, class)
				}
			}
		}
	}
}

func TestAnUnknownCodeIsTransientAndSaysSo(t *testing.T) {
	t.Parallel()
	for _, s := range []fault.System{fault.Kafka, fault.ClickHouse} {
		c := fault.Lookup(s, 31999)
		if want := (fault.Code{System: s, Number: 31999}); c != want {
			t.Errorf("%+v, want %+v", c, want)
		}
		err := &fault.Error{Code: c, Err: errors.New("odd")}
		if want := "odd (this version does not know code 31999 of " + s.String() + ")"; err.Error() != want || fault.Of(err) != fault.Transient {
			t.Errorf("%v: %q", fault.Of(err), err)
		}
	}
}

func TestAnErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code int
		want string
		is   error
	}{
		{516, "wrong configuration: no (check clickhouse.username and clickhouse.password)", fault.ErrConfiguration},
		{131, "refused: no", fault.ErrRefused},
		{252, "no", nil},
	} {
		err := &fault.Error{Code: fault.Lookup(fault.ClickHouse, c.code), Err: errors.New("no")}
		if err.Error() != c.want || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%d: %q, want %q", c.code, err, c.want)
		}
		if got, ok := fault.CodeOf(fmt.Errorf("insert: %w", err)); !ok || got.Number != c.code {
			t.Errorf("%d: carries %+v", c.code, got)
		}
	}
	lost := &fault.Error{Code: fault.Lookup(fault.Kafka, 22), Err: errors.New("no")}
	if lost.Error() != "claim lost: no" || !errors.Is(lost, fault.ErrClaimLost) {
		t.Errorf("%q", lost)
	}
	if _, ok := fault.CodeOf(io.EOF); ok {
		t.Error("EOF carries a code")
	}
}

func TestTheWorstOfSeveralClassesCounts(t *testing.T) {
	t.Parallel()
	err := errors.Join(fault.ErrRefused, fault.ErrClaimLost)
	if got := fault.Of(err); got != fault.ClaimLost {
		t.Errorf("%v, want claim lost", got)
	}
	if got := fault.Of(errors.Join(err, fault.ErrConfiguration)); got != fault.Configuration {
		t.Errorf("%v, want configuration", got)
	}
}

func TestTheNetworkIsTransientAndTLSIsNot(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		nil, io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, context.Canceled, os.ErrDeadlineExceeded, net.ErrClosed,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ETIMEDOUT,
		&net.DNSError{Err: "no such host", Name: "kafka", IsNotFound: true}, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		tls.AlertError(80), // internal_error: theirs, and it may pass
	} {
		if got := fault.Of(err); got != fault.Transient {
			t.Errorf("%v is %v, want transient", err, got)
		}
		if got := fault.Explain(err); got != err {
			t.Errorf("%v is explained: %v", err, got)
		}
	}
	for _, err := range []error{
		x509.UnknownAuthorityError{}, x509.HostnameError{Certificate: &x509.Certificate{}, Host: "kafka"}, x509.CertificateInvalidError{Reason: x509.Expired},
		x509.SystemRootsError{}, &tls.CertificateVerificationError{Err: io.EOF}, tls.RecordHeaderError{Msg: "no TLS"},
		tls.AlertError(40), tls.AlertError(42), tls.AlertError(70), tls.AlertError(116),
	} {
		err := fmt.Errorf("dial: %w", err)
		if got := fault.Of(err); got != fault.Configuration {
			t.Errorf("%v is %v, want configuration", err, got)
		}
		told := fault.Explain(err)
		if !errors.Is(told, fault.ErrConfiguration) || !errors.Is(told, err) || !strings.HasSuffix(told.Error(), ")") {
			t.Errorf("%v is explained as %v", err, told)
		}
		if again := fault.Explain(told); again != told {
			t.Errorf("explained twice: %v", again)
		}
	}
}

func TestRealHandshakesThatCanNotWorkAreConfiguration(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	for name, c := range map[string]struct {
		addr string
		conf *tls.Config
	}{
		"unknown authority": {secure.Listener.Addr().String(), &tls.Config{ServerName: "example.com"}},
		"other name":        {secure.Listener.Addr().String(), &tls.Config{ServerName: "elsewhere.test", RootCAs: pool}},
		"no TLS":            {plain.Listener.Addr().String(), &tls.Config{ServerName: "example.com"}},
	} {
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: c.conf}
		conn, err := d.DialContext(t.Context(), "tcp", c.addr)
		if err == nil {
			conn.Close()
		}
		if got := fault.Of(err); got != fault.Configuration {
			t.Errorf("%s: %v is %v, want configuration", name, err, got)
		}
	}
}
