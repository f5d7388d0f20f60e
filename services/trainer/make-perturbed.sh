#!/usr/bin/env bash
# Rewrites the training captures as somebody who sees less, or hides, would make
# them, and extracts features of each rewriting: the evaluation's part on
# robustness. Called by make-model.sh, which has unpacked the captures.
# Environment: CORPUS, WORK: see corpus.sh. What neither a new trench, a new
# rewriter nor new labels can have changed is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
. services/trainer/corpus.sh
out=$work/perturbed
go build -o "$work/perturb" ./pkg/internal/perturb
state=$(cat "$0" services/trainer/corpus.sh bin/trench "$work/perturb" "$corpus/flow_labels.csv" "$corpus/manifest.csv" | sha256sum)
if [ "$(cat "$out/state" 2>/dev/null)" = "$state" ]; then exit 0; fi
rm -rf "$out"
mkdir -p "$out"
while read -r name how; do
  "$work/perturb" -how "$how" -o "$out/captures" "$work/captures"
  rows trench-v1 "$out/$name.parquet" "$out/captures"
  rm -r "$out/captures"
  echo "perturbed rows: $name ($how)" >&2
done <<'END'
first-20 first=20
first-10 first=10
first-5 first=5
loss-1 loss=.01
loss-3 loss=.03
loss-5 loss=.05
delay delay=2s
pad-256 pad=256
pad-random stuff=1024
delay-and-pad delay=2s,stuff=1024
END
echo "$state" >"$out/state"
