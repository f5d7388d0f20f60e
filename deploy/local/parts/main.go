//go:build linux

// Parts starts, stops and looks at the real systems that Trench talks to, on
// this machine and without Docker: Apache Kafka (KRaft, one node) from its
// Maven artifacts, and the ClickHouse server out of libchdb. It is called
// through deploy/local/local.sh, which compiles it.
//
// Everything that belongs to one copy of the parts lies in one state folder:
//
//	env                    shell assignments with the addresses of what is up
//	ports                  the ports of the last start
//	NAME.pid               process id of the part
//	NAME.supervisor.pid    process id of its supervisor
//	NAME.exit              how the last run of the part ended
//	NAME.log, NAME.log.1   output of this run and of the one before
//	NAME/                  configuration and data
//
// Downloads lie in a cache that clones share ($TRENCH_CACHE, else
// ~/.cache/trench). They are checked against pinned hashes, written to a
// temporary folder under a lock and renamed into place.
//
// Each part runs under a supervisor, a process of this program in a session
// of its own, so it outlives the shell that started it:
//
//	parts up ──starts──▶ parts supervise ──starts──▶ java | chserver
//	                       │ SIGTERM: stop the part in its own way, wait, kill
//	                       └ the part ended: write NAME.exit
//
// A process id from a file counts only when /proc/PID/cmdline names the state
// folder, and a part is ready only when it answers in its own protocol on
// sockets that belong to its own process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const usage = `usage: local.sh COMMAND [--dir DIR] [flags] [kafka] [clickhouse]

  up       start the parts (both, if none is named) and wait until they answer
             --free-ports  any free ports instead of 19092, 19093 (Kafka) and
                           19000, 18123 (ClickHouse: native, HTTP)
             --while PID   stop them by themselves when process PID is gone
             --wait 2m     how long to wait for them
  start    the same as up
  down     stop them; data and logs stay
  stop     the same as down
  status   say what runs; exit status 3 when one of the parts is down
  env      print the addresses as shell assignments
  fetch    only download what the parts need
  wipe     stop them and delete data, logs and ports

--dir DIR is the state folder, .local in the repository unless set.
Downloads are kept in ${TRENCH_CACHE:-$HOME/.cache/trench}.
TRENCH_KAFKA_ADVERTISED=HOST:PORT is what Kafka tells its clients instead of its
own address, for a proxy in front of it.
`

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
	exitDown   = 3
)

var (
	errUsage = errors.New("wrong usage")
	errDown  = errors.New("not everything is up")
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		if err := supervise(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "supervise:", err)
			os.Exit(exitFailed)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, errDown):
		os.Exit(exitDown)
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "local: %v\n%s", err, usage)
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(exitFailed)
	}
}

type options struct {
	dir       string
	freePorts bool
	while     int
	wait      time.Duration
	parts     []part
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: no command", errUsage)
	}
	if slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		_, err := io.WriteString(stdout, usage)
		return err
	}
	opts, err := parse(args[1:])
	if err != nil {
		return err
	}
	s := state{dir: opts.dir}
	switch args[0] {
	case "up", "start":
		return up(ctx, s, opts, stdout)
	case "down", "stop":
		return down(ctx, s, opts.parts, stdout)
	case "status":
		return status(ctx, s, opts.parts, stdout)
	case "env":
		return printEnv(s, stdout)
	case "fetch":
		return fetch(ctx, opts.parts, stderr)
	case "wipe":
		return wipe(ctx, s, stdout)
	}
	return fmt.Errorf("%w: no command %q", errUsage, args[0])
}

// parse reads flags and part names in any order.
func parse(args []string) (options, error) {
	opts := options{dir: filepath.Join(root(), ".local")}
	fs := flag.NewFlagSet("local", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&opts.dir, "dir", opts.dir, "")
	fs.BoolVar(&opts.freePorts, "free-ports", false, "")
	fs.IntVar(&opts.while, "while", 0, "")
	fs.DurationVar(&opts.wait, "wait", 2*time.Minute, "")
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			return opts, fmt.Errorf("%w: %w", errUsage, err)
		}
		if args = fs.Args(); len(args) == 0 {
			break
		}
		p, ok := partNamed(args[0])
		if !ok {
			return opts, fmt.Errorf("%w: no part %q", errUsage, args[0])
		}
		if !slices.Contains(opts.parts, p) {
			opts.parts = append(opts.parts, p)
		}
		args = args[1:]
	}
	if len(opts.parts) == 0 {
		opts.parts = allParts()
	}
	dir, err := filepath.Abs(opts.dir)
	if err != nil {
		return opts, err
	}
	opts.dir = dir
	return opts, nil
}

// root is the repository's root: local.sh knows it, else the working folder.
func root() string {
	if dir := os.Getenv("TRENCH_ROOT"); dir != "" {
		return dir
	}
	return "."
}
