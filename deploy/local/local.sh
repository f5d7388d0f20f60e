#!/usr/bin/env bash
# Starts, stops and looks at a real Kafka and a real ClickHouse, without Docker.
# `local.sh help` lists what it does; the work is in parts/ (Go), which this
# script compiles when it changed.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$root/.local/bin

for tool in go flock; do
	command -v "$tool" >/dev/null || {
		case $tool in go) hint="Go 1.26, https://go.dev/dl" ;; *) hint="Debian package util-linux" ;; esac
		echo "local: $tool is missing ($hint)" >&2
		exit 1
	}
done

mkdir -p "$bin"
# parts.next is what the compiler writes, parts is what runs: a running program
# can be replaced by a rename, but not written over.
(
	flock 9
	cd "$root"
	CGO_ENABLED=0 go build -o "$bin/parts.next" ./deploy/local/parts
	if ! cmp -s "$bin/parts.next" "$bin/parts"; then
		cp "$bin/parts.next" "$bin/parts.tmp"
		mv "$bin/parts.tmp" "$bin/parts"
	fi
) 9>"$bin/lock"

TRENCH_ROOT=$root exec "$bin/parts" "$@"
