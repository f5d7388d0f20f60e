#!/usr/bin/env bash
# From the corpus to the bundle that is built into the binary: extract features
# with the Go extractor, train and evaluate, check the result, put it in place.
# Environment: PYTHON (with the locked dependencies), CORPUS, WORK: see corpus.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
. services/trainer/corpus.sh
unpack
rows trench-v1 "$work/rows.parquet"
rows cisco2016 "$work/cisco2016.parquet"
given=(--joy "$work/cisco2016.parquet")
add() { if [ -e "$2" ]; then given+=("$1" "$2"); fi; }
CORPUS=$corpus WORK=$work services/trainer/make-perturbed.sh
for rows in "$work"/perturbed/*.parquet; do given+=(--perturbed "$(basename "$rows" .parquet)=$rows"); done
add --params services/trainer/params.json
add --lab testdata/lab/rows.parquet
add --beacons testdata/lab/beacons.parquet
trainer train --features "$work/rows.parquet" --exclude "$demo" --out "$work/bundle" "${given[@]}"
bin/trench model check "$work/bundle"
rm -rf pkg/model/default
cp -r "$work/bundle" pkg/model/default
du -sh pkg/model/default
