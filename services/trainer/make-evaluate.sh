#!/usr/bin/env bash
# Searches hyper-parameters and fills the tables of docs/model.md; what is worked
# out is kept in WORK, so a run that was stopped goes on where it was.
# Environment: PYTHON (with the locked dependencies), TRIALS, CORPUS, WORK: see corpus.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
. services/trainer/corpus.sh
unpack
rows trench-v1 "$work/rows.parquet"
rows cisco2016 "$work/cisco2016.parquet"
trainer evaluate --features "$work/rows.parquet" --joy "$work/cisco2016.parquet" --exclude "$demo" --trials "${TRIALS:-40}" \
  --work "$work/evaluate" --out services/trainer/params.json --document docs/model.md
