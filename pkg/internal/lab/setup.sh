#!/bin/sh
# Installs what the lab's clients and servers are made of: packages of Debian or
# Ubuntu, and below .cache/lab a Python environment and the Rust client. What is
# there already is left alone; what can not be installed is left out by the lab.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${1:-$here/../../../.cache/lab}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

want=
need() { command -v "$1" >/dev/null 2>&1 || want="$want $2"; }
need curl curl
need wget wget
need git git
need openssl openssl
need gnutls-cli gnutls-bin
need nginx nginx-light
need node nodejs
need javac default-jdk-headless
need chromium chromium
need ip iproute2
/usr/bin/python3 -c 'import pycurl' 2>/dev/null || want="$want python3-pycurl"
if [ -n "$want" ]; then
  # shellcheck disable=SC2086 # a list
  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $want || echo "WARNING: not installed:$want" >&2
fi

if ! "$cache/venv/bin/python" -c 'import requests, aiohttp, httpx, h2' 2>/dev/null; then
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/python" -m pip install -q --disable-pip-version-check requests==2.34.2 aiohttp==3.14.5 'httpx[http2]==0.28.1' h2==4.4.1 || echo "WARNING: no Python clients" >&2
fi

if command -v cargo >/dev/null 2>&1; then
  (cd "$here/drivers/rust" && CARGO_TARGET_DIR="$cache/cargo" cargo build --quiet --release --locked) || echo "WARNING: no Rust client" >&2
else
  echo "WARNING: no cargo, no Rust client" >&2
fi
