"""From out-of-fold margins to verdicts.

The margin of `fpr_t` is the lowest at which at most a share t of the benign flows is flagged, out of fold. One
noisy capture must not set it: a capture of n benign flows counts as min(n, 5) flows, each weighing min(1, 5/n). `certified`
is the exact one-sided 95 % upper bound of the false-positive rate that so many flows allow; it is never below 3/n.
"""

import math
from dataclasses import dataclass

import numpy as np

from trench_trainer import metrics

FLOWS_PER_CAPTURE = 5
TARGETS = (("fpr_1e-2", "suspicious", 1e-2), ("fpr_1e-3", "malicious", 1e-3))


@dataclass(frozen=True)
class Threshold:
    """One verdict and the margin from which a flow gets it."""

    name: str
    verdict: str
    target: float
    margin: float
    certified: float
    n: int
    false_positives: int
    note: str = ""

    def document(self) -> dict:
        """One entry of thresholds.json."""
        out = {
            "name": self.name,
            "verdict": self.verdict,
            "target": self.target,
            "margin": self.margin,
            "certified": self.certified,
            "n": self.n,
            "false_positives": self.false_positives,
        }
        return {**out, "note": self.note} if self.note else out


def capture_weights(captures: np.ndarray, most: int = FLOWS_PER_CAPTURE) -> np.ndarray:
    """What each benign flow counts: min(1, most/flows of its capture)."""
    _, inverse, counts = np.unique(captures, return_inverse=True, return_counts=True)
    return np.minimum(1, most / counts[inverse])


def threshold(margins: np.ndarray, captures: np.ndarray, name: str, verdict: str, target: float) -> Threshold:
    """The threshold of one target from benign margins, shape (partitions, flows)."""
    margins = np.atleast_2d(margins)
    w = capture_weights(captures)
    n = math.floor(w.sum() + 1e-9)
    pooled = margins.ravel()
    pooled_w = np.tile(w / len(margins), len(margins))
    order = np.argsort(-pooled, kind="stable")
    value, above = pooled[order], np.cumsum(pooled_w[order])
    last = np.append(np.diff(value) != 0, True)
    value, above = value[last], above[last]
    within = above <= target * w.sum() * (1 + 1e-9)
    # A flow is flagged from the threshold on, so it lies halfway to the first benign margin that would be too many.
    if within.all():
        margin, share = float(value[-1]), float(above[-1])
    elif within.any():
        i = int(np.flatnonzero(within)[-1])
        margin, share = float((value[i] + value[i + 1]) / 2), float(above[i])
    else:
        margin, share = float(np.nextafter(value[0], np.inf)), 0.0
    k = math.ceil(share - 1e-9)
    certified = metrics.upper_bound(k, n)
    note = ""
    if certified > target:
        note = (
            f"{n} benign flows (at most {FLOWS_PER_CAPTURE} a capture) with {k} false positives certify "
            f"{certified:.2g} at 95 %, not {target:g}"
        )
    return Threshold(name, verdict, target, margin, certified, n, k, note)


def thresholds(margins: np.ndarray, captures: np.ndarray) -> list[Threshold]:
    """All thresholds of a bundle; a stricter one never lies below a looser one."""
    return [threshold(margins, captures, *t) for t in TARGETS]
