#!/usr/bin/env bash
# From the corpus to the bundle that is built into the binary: extract features
# with the Go extractor, train and evaluate, check the result, put it in place.
# Environment: PYTHON (with the locked dependencies), CORPUS (the archives and
# labels), WORK (kept between runs; default .cache/model).
set -euo pipefail
cd "$(dirname "$0")/../.."
corpus=${CORPUS:-../shared/corpus}
work=${WORK:-.cache/model}
demo=malware/OTRF/UTICA-ONE-DRIVE.pcap # part of testdata/pcap/demo.pcap, so it stays out of training
for f in train.tar.zst train-2.tar.zst flow_labels.csv manifest.csv; do
  [ -e "$corpus/$f" ] || { echo "make model: $corpus/$f is missing" >&2; exit 1; }
done
mkdir -p "$work/captures"
for archive in train train-2; do
  stamp=$work/$archive.unpacked
  if [ ! "$stamp" -nt "$corpus/$archive.tar.zst" ]; then
    zstd -d --long=27 --stdout "$corpus/$archive.tar.zst" | tar x -C "$work/captures"
    touch "$stamp"
  fi
done
code=0
bin/trench features --workers 1 -o "$work/rows.parquet" --labels "$corpus/flow_labels.csv" --manifest "$corpus/manifest.csv" "$work/captures" 2>"$work/features.log" || code=$?
tail -n 3 "$work/features.log" >&2
[ $code -eq 0 ] || [ $code -eq 3 ] || exit $code # 3: some captures of the corpus are cut
CORPUS=$corpus WORK=$work services/trainer/make-perturbed.sh
perturbed=()
for rows in "$work"/perturbed/*.parquet; do perturbed+=(--perturbed "$(basename "$rows" .parquet)=$rows"); done
PYTHONPATH=services/trainer "${PYTHON:-python3}" -m trench_trainer train --features "$work/rows.parquet" --exclude "$demo" "${perturbed[@]}" --out "$work/bundle"
bin/trench model check "$work/bundle"
rm -rf pkg/model/default
cp -r "$work/bundle" pkg/model/default
du -sh pkg/model/default
