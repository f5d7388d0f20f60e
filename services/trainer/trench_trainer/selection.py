"""Which rows are trained on, what is left out by reason, and what no honest split could be made of.

A split by capture group holds only while a flow, a capture and all its copies are in one group. So a table is refused when
a flow occurs twice, when a flow or a capture is in two groups, and when one file name with the same vectors is in two.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trench_trainer.errors import TrainerError
from trench_trainer.table import Table

LABORATORY = "lab/"
ANY = "any"


@dataclass(frozen=True)
class Selection:
    """What is trained on, what was put aside, and what was left out by reason."""

    rows: Table
    held_out: Table
    superseded: Table
    read: int
    left_out: dict[str, int] = field(default_factory=dict)
    shared_vectors: int = 0


def select(table: Table, exclude: Sequence[str] = (), split: str = "train") -> Selection:
    """Keeps labelled TLS flows of a split (ANY: of all) whose ClientHello was seen, one row a flow."""
    left = Counter()
    keep = np.ones(len(table), dtype=bool)

    def drop(mask: np.ndarray, reason: str) -> None:
        hit = keep & mask
        if hit.any():
            left[reason] += int(hit.sum())
            keep[hit] = False

    label, proto = table.text["label"], table.text["app_proto"]
    for name in sorted(set(label) - {"malicious", "benign"}):
        drop(label == name, f"label {name}" if name else "no label")
    if split != ANY:
        drop(table.text["split"] != split, f"not in split {split}")
    for name in sorted(set(proto) - {"tls"}):
        drop(proto == name, f"protocol {name or 'unknown'}")
    drop(~table.hello, "no ClientHello seen")

    held = np.zeros(len(table), dtype=bool)
    for name in exclude:
        hit = table.text["capture"] == name
        if not hit.any():
            raise TrainerError(f"--exclude {name}: no row of that capture in the table")
        held |= hit
    held &= keep
    drop(held, "excluded capture")

    old = _superseded(table, keep)
    drop(old, "earlier report of the same flow")
    _refuse_duplicates(table, keep)
    rows = table.take(np.flatnonzero(keep))
    nameless = rows.malicious & (rows.text["family"] == "")
    rows.text["family"][nameless] = "unnamed"
    return Selection(
        rows=rows,
        held_out=table.take(np.flatnonzero(held)),
        superseded=table.take(np.flatnonzero(old)),
        read=len(table),
        left_out=dict(left),
        shared_vectors=_shared_vectors(rows),
    )


def require(rows: Table, folds: int) -> None:
    """Raises TrainerError when the rows cannot carry an honest grouped split into that many folds."""
    lab = np.char.startswith(rows.text["source_repo"], LABORATORY)
    if lab.any():
        raise TrainerError(f"{int(lab.sum())} rows of the stack laboratory: they measure false positives and are never trained on")
    lost = rows.text["group"] == ""
    if lost.any():
        raise TrainerError(f"{int(lost.sum())} labelled rows have no group; is the manifest complete?")
    _refuse_leaks(rows)
    mal = rows.malicious
    for name, mask in (("malicious", mal), ("benign", ~mal)):
        if not mask.any():
            raise TrainerError(f"one class only: no {name} flow is left to train on")
        groups = len(set(rows.text["group"][mask]))
        if groups < folds:
            raise TrainerError(
                f"too few groups: {name} flows come from {groups} capture groups, {folds} folds need at least {folds}"
            )


def _superseded(table: Table, keep: np.ndarray) -> np.ndarray:
    last: dict[tuple[str, str], int] = {}
    ids, captures = table.text["flow_id"], table.text["capture"]
    at = np.flatnonzero(keep)
    for i in at:
        key = (captures[i], ids[i])
        last[key] = max(last.get(key, -1), int(table.part[i]))
    old = np.zeros(len(table), dtype=bool)
    for i in at:
        old[i] = table.part[i] < last[(captures[i], ids[i])]
    return old


def _refuse_duplicates(table: Table, keep: np.ndarray) -> None:
    first: dict[str, int] = {}
    text = table.text
    for i in np.flatnonzero(keep):
        j = first.setdefault(text["flow_id"][i], int(i))
        if j == i:
            continue
        where = f"flow {text['flow_id'][i]} is"
        here, there = text["capture"][i], text["capture"][j]
        if text["label"][i] != text["label"][j]:
            raise TrainerError(f"{where} {text['label'][j]} in {there} and {text['label'][i]} in {here}")
        if text["group"][i] != text["group"][j]:
            raise TrainerError(f"leaked group: {where} in groups {text['group'][j]} ({there}) and {text['group'][i]} ({here})")
        raise TrainerError(
            f"duplicated row: {where} twice among the last reports, in {there} and {here}; was a capture read twice?"
        )


def _refuse_leaks(rows: Table) -> None:
    groups: dict[str, str] = {}
    seen: dict[tuple[str, bytes], int] = {}
    for i, (capture, group) in enumerate(zip(rows.text["capture"], rows.text["group"], strict=True)):
        if groups.setdefault(capture, group) != group:
            raise TrainerError(f"leaked group: capture {capture} is in groups {groups[capture]} and {group}")
        file = capture.rsplit("/", 1)[-1]
        j = seen.setdefault((file, hashlib.sha256(rows.x[i].tobytes()).digest()), i)
        if rows.text["group"][j] != group:
            raise TrainerError(
                f"leaked group: {rows.text['capture'][j]} in group {rows.text['group'][j]} and {capture} in group {group} hold the "
                "same vector under one file name; give copies of a capture one group"
            )


def _shared_vectors(rows: Table) -> int:
    seen: dict[bytes, set[str]] = {}
    for i in range(len(rows)):
        key = hashlib.sha256(rows.x[i].tobytes()).digest()
        seen.setdefault(key, set()).add(rows.text["group"][i])
    return sum(len(groups) > 1 for groups in seen.values())
