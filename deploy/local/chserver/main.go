//go:build linux

// Chserver is a real ClickHouse server without a ClickHouse installation. The
// shared library of chDB holds the whole engine and exports the main function
// of clickhouse-local; since 26.7 that program can open the engine's own
// native and HTTP listeners with SYSTEM START LISTEN. Chserver loads the
// library, calls that function and keeps it busy with a query that reads
// standard input:
//
//	stdin open    the server serves
//	stdin closed  the query ends, tables are flushed, the process exits
//	SIGTERM       the process dies at once, as after a crash
//
// The server listens on one address, without TLS, for the user default
// without a password: it is for tests and laptops.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"github.com/ebitengine/purego"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chserver:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	fs := flag.NewFlagSet("chserver", flag.ContinueOnError)
	lib := fs.String("lib", "", "path of libchdb.so")
	path := fs.String("path", "", "data folder")
	listen := fs.String("listen", "127.0.0.1", "address to listen on")
	native := fs.Int("native", 19000, "native port")
	http := fs.Int("http", 18123, "HTTP port")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *lib == "" || *path == "" {
		return errors.New("-lib and -path are required")
	}
	return serve(*lib, append([]string{
		"clickhouse", // argv[0]
		"--path", *path,
		"--listen_host", *listen,
		"--tcp_port", strconv.Itoa(*native),
		"--http_port", strconv.Itoa(*http),
		"--query", "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; " +
			"SELECT * FROM file('/dev/stdin', 'LineAsString') FORMAT Null",
	}, fs.Args()...))
}

// serve calls clickhouse-local's main out of the library and returns when it
// does. The engine keeps thread-local state, so the call stays on one thread.
func serve(lib string, argv []string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	handle, err := purego.Dlopen(lib, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("load the engine: %w", err)
	}
	var cmdline func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	var resultError func(result unsafe.Pointer) string
	purego.RegisterLibFunc(&cmdline, handle, "chdb_query_cmdline")
	purego.RegisterLibFunc(&resultError, handle, "chdb_result_error")

	var pin runtime.Pinner
	defer pin.Unpin()
	table := make([]*byte, len(argv)+1) // ends with the NULL that C expects
	for i, arg := range argv {
		s := append([]byte(arg), 0)
		table[i] = &s[0]
		pin.Pin(table[i])
	}
	pin.Pin(&table[0])

	result := cmdline(int32(len(argv)), unsafe.Pointer(&table[0]))
	if result == nil {
		return errors.New("the engine returned no result")
	}
	if msg := resultError(result); msg != "" {
		return errors.New(msg)
	}
	return nil
}
