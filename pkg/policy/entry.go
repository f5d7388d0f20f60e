package policy

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Effect is what an entry does to the verdict of a flow that it matches.
type Effect uint8

// The effects.
const (
	Allow Effect = iota // the flow is benign, whatever the model says
	Deny                // the flow is malicious, whatever the model says
)

var effectNames = [...]string{"allow", "deny"}

// String returns the name used in files.
func (e Effect) String() string { return effectNames[e] }

// Kind is what an entry is compared with.
type Kind uint8

// The kinds, by their keys in files.
const (
	Address     Kind = iota // an IP address
	Network                 // a network, CIDR
	Domain                  // a name, or *.name for all names below it
	JA3                     // JA3 of the client or JA3S of the server
	JA4                     // JA4 of the client or JA4S of the server, or its first parts
	Certificate             // SHA-1 or SHA-256 of a certificate
)

var kindNames = [...]string{"address", "network", "domain", "ja3", "ja4", "certificate"}

// String returns the key in files.
func (k Kind) String() string { return kindNames[k] }

// Side says which end of a flow an entry is about.
type Side uint8

// The sides; Either is both of the others.
const (
	Client Side = 1 << iota
	Server
	Either = Client | Server
)

var sideNames = [...]string{Client: "client", Server: "server", Either: "either"}

// String returns the name used in files.
func (s Side) String() string { return sideNames[s] }

// Entry is one line of a list with who answers for it and for how long.
type Entry struct {
	File      string // as given
	Line      int
	Effect    Effect
	Kind      Kind
	Value     string // in the form in which rows have it
	Direction Side
	Until     time.Time // when it ends; zero when it does not
	Author    string
	Reason    string

	until int64 // Until in ns since the Unix epoch
	note  string
}

// finish fills what is computed of the rest. shown is the end as it was written.
func (e *Entry) finish(shown string) {
	e.until, e.note = math.MaxInt64, ""
	if shown != "" {
		e.until, shown = e.Until.UnixNano(), "until "+shown
	} else {
		shown = "no end"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s list %s: %s %s", e.Effect, e.File, e.Kind, e.Value)
	if e.Direction != Either {
		fmt.Fprintf(&b, " as %s", e.Direction)
	}
	fmt.Fprintf(&b, ", %s (%s, %s)", e.Reason, e.Author, shown)
	e.note = b.String()
}

// Note says which entry it is, why it is there, whose it is and until when.
func (e *Entry) Note() string { return e.note }

// live reports whether the entry holds at a time, in ns since the Unix epoch.
func (e *Entry) live(now int64) bool { return now < e.until }
