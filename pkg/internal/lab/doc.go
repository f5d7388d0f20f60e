// Lab is the stack laboratory: real TLS clients talk to real TLS servers in
// network namespaces of this machine, and what the model flags of that is
// reported. It needs root, Linux and what setup.sh installs; clients and servers
// that are missing are left out with a warning.
//
//	go run ./pkg/internal/lab -o testdata/lab     makes rows.parquet and beacons.parquet and reports
//	go run ./pkg/internal/lab -report             reports on what an earlier run left
//
// A run draws cells (package cell): a stack, a server, a shape of name, a kind of
// certificate and a behaviour. Each cell has a server address of its own, so a
// flow's server address tells its cell. Packets pass through this process
// (package wire), which gives every address its round-trip time, rate and loss
// and writes one capture for each stack. Captures are then read as
// `trench features` reads them, and each flow's vector is written with its cell:
//
//	lab_stack        the client
//	lab_server       the server
//	lab_name         1 label … 4 labels, address, none (a name that is not sent), odd (made by a program)
//	lab_certificate  public-ca, private-ca, self-signed; fresh-ca and fresh-self of beacons
//	lab_session      full or resumed, as seen
//	lab_behaviour    what the client did; of a beacon its kind
//
// # What it measures, and what it does not
//
// rows.parquet is benign: ordinary clients with ordinary tasks. What is flagged of
// it is a false positive. beacons.parquet is an emulation of the shape that C2
// traffic has on the wire with modern TLS: check-ins at jittered intervals, long
// sessions with client certificates, one large transfer after small ones, tunnels
// in DNS over HTTPS, single requests to addresses. Its clients are the same plain
// HTTP clients; nothing in it is offensive code, no tool of attackers was run,
// and its sleeps are seconds where implants sleep for minutes. What is not
// flagged of it shows what a model can not see; it does not say how well a
// model finds a given implant.
//
// Both sets are of one network on one day. They carry the split "lab", so that
// the trainer does not take them: trained on, they would teach the place.
// Flows of a cell are alike, so intervals that count flows are too narrow.
// Nothing leaves the namespaces: they have no route to anywhere else, and names
// are those of a hosts file. Names, times, keys and the sample follow a seed as
// far as they are the lab's; what clients and the scheduler add does not.
package main
