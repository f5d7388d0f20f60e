"""Writes a bundle: every file, SHA256SUMS over them, moved into place at once."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from trench_trainer.errors import TrainerError

SUMS = "SHA256SUMS"
FILES = (
    "model.txt",
    "schema.json",
    "calibration.json",
    "thresholds.json",
    "reference.json",
    "eval.json",
    "card.md",
    "golden.tsv",
)
PICTURES = ("roc.svg", "reliability.svg", "families.svg", "scores.svg")
MAX_BYTES = 3 << 20


def document(content: dict, *, compact: bool = False) -> str:
    """JSON text without NaN, readable or compact, ending in a newline."""
    if compact:
        return json.dumps(content, allow_nan=False, separators=(",", ":")) + "\n"
    return json.dumps(content, allow_nan=False, indent=1) + "\n"


def prepare(out: Path) -> None:
    """Raises TrainerError now rather than after minutes of training when out cannot become a bundle."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise TrainerError(f"{out}: exists and is not a directory")
    if out.is_dir() and any(out.iterdir()) and not (out / SUMS).is_file():
        raise TrainerError(f"{out}: holds other files and no {SUMS}; give a new directory or an older bundle")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise TrainerError(f"{out}: {err}") from err


def write(out: Path, files: dict[str, str]) -> int:
    """Writes all files beside out, then renames; returns the bundle's size in bytes."""
    prepare(out)
    if sorted(files) != sorted(FILES + PICTURES):
        raise TrainerError(f"a bundle holds {', '.join(FILES + PICTURES)}; got {', '.join(sorted(files))}")
    data = {name: text.encode("utf-8") for name, text in files.items()}
    sums = "".join(f"{hashlib.sha256(data[name]).hexdigest()}  {name}\n" for name in sorted(data))
    data[SUMS] = sums.encode("ascii")
    size = sum(len(d) for d in data.values())
    if size > MAX_BYTES:
        raise TrainerError(f"the bundle would be {size} bytes, more than {MAX_BYTES}")
    temp = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        temp.chmod(0o755)
        for name, content in data.items():
            with (temp / name).open("wb") as f:
                f.write(content)
                f.flush()
                os.fsync(f.fileno())
        _swap(temp, out)
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    return size


def _swap(temp: Path, out: Path) -> None:
    if not out.exists():
        temp.rename(out)
        return
    old = out.with_name(f".{out.name}.old-{os.getpid()}")
    out.rename(old)
    try:
        temp.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old)


def check(directory: Path) -> list[str]:
    """What is wrong with a bundle's files; empty when all are there and match their sums."""
    try:
        lines = (directory / SUMS).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        return [f"{SUMS}: {err}"]
    faults = []
    listed = dict(_sums(lines))
    faults += [f"{name}: not listed in {SUMS}" for name in FILES if name not in listed]
    for name, want in listed.items():
        path = directory / name
        if not path.is_file():
            faults.append(f"{name}: missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != want:
            faults.append(f"{name}: checksum differs")
    return faults


def _sums(lines: list[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        want, _, name = line.partition("  ")
        yield name, want
