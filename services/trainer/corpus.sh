# Sourced by the scripts beside it: the corpus as feature rows.
# Environment: CORPUS (the archives and labels), WORK (kept between runs; default .cache/model).
corpus=${CORPUS:-../shared/corpus}
work=${WORK:-.cache/model}
demo=malware/OTRF/UTICA-ONE-DRIVE.pcap # part of testdata/pcap/demo.pcap, so it stays out of training

# unpack: the training archives, once.
unpack() {
  local f archive stamp
  for f in train.tar.zst train-2.tar.zst flow_labels.csv manifest.csv; do
    [ -e "$corpus/$f" ] || { echo "${0##*/}: $corpus/$f is missing" >&2; exit 1; }
  done
  mkdir -p "$work/captures"
  for archive in train train-2; do
    stamp=$work/$archive.unpacked
    if [ ! "$stamp" -nt "$corpus/$archive.tar.zst" ]; then
      zstd -d --long=27 --stdout "$corpus/$archive.tar.zst" | tar x -C "$work/captures"
      touch "$stamp"
    fi
  done
}

# rows PROFILE FILE [DIR]: labelled feature rows of the captures in DIR (all of the corpus).
rows() {
  local code=0
  bin/trench features --profile "$1" --workers 1 -o "$2" --labels "$corpus/flow_labels.csv" --manifest "$corpus/manifest.csv" "${3:-$work/captures}" 2>"$work/features.log" || code=$?
  tail -n 3 "$work/features.log" >&2
  [ $code -eq 0 ] || [ $code -eq 3 ] || exit $code # 3: some captures of the corpus are cut
}

# trainer COMMAND …: the trainer.
trainer() {
  PYTHONPATH=services/trainer "${PYTHON:-python3}" -m trench_trainer "$@"
}
