"""Rows made in a laboratory, put to the finished model and never trained on: one network and one day would teach the place.

The stack laboratory is benign: clients of every common TLS stack on servers of their own. The beacons are malicious:
emulations whose traffic is made by hand. Their files have the columns of labelled rows and some that say what each flow
was, by which the rates are told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trench_trainer import selection, table
from trench_trainer.decide import Threshold
from trench_trainer.errors import TrainerError
from trench_trainer.rates import flagged
from trench_trainer.table import Table


@dataclass(frozen=True)
class Kind:
    """A sort of laboratory: the label that all of its rows bear and the columns that tell them apart."""

    option: str
    label: str
    columns: tuple[str, ...]


STACKS = Kind("--lab", "benign", ("lab_stack", "lab_name", "lab_server", "lab_certificate", "lab_session", "lab_behaviour"))
BEACONS = Kind("--beacons", "malicious", ("lab_behaviour", "lab_stack", "lab_name", "lab_certificate"))


def read(path: Path, kind: Kind, training: Table) -> selection.Selection:
    """The rows that can be scored; raises TrainerError where one is also trained on or bears another label."""
    everything = table.read(path, kind.columns)
    other = set(everything.text["label"]) - {kind.label}
    if other:
        raise TrainerError(f"{kind.option} {path}: label {str(min(other))!r}, all rows must be {kind.label}")
    for key in ("flow_id", "capture"):
        shared = set(everything.text[key]) & set(training.text[key])
        if shared:
            raise TrainerError(f"{kind.option} {path}: {key} {min(shared)} is in training; a laboratory is never trained on")
    return selection.select(everything, split=selection.ANY)


def measure(picked: selection.Selection, kind: Kind, margins: np.ndarray, limits: Sequence[Threshold]) -> dict:
    """The rate at which flows reach each threshold: all, and by what each column says."""
    rows = picked.rows
    out: dict = {
        "flows": len(rows),
        "left_out": picked.left_out,
        "all": flagged(margins, limits, np.ones(len(rows), dtype=bool)),
        "by": {},
    }
    for column in kind.columns:
        values = rows.text[column]
        out["by"][column.removeprefix("lab_")] = {
            str(v) or "none": flagged(margins, limits, values == v) for v in np.unique(values)
        }
    return out
