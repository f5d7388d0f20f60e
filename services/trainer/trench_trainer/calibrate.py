"""From a margin to a probability, by the method that is right on captures it was not fitted on.

`platt` is a sigmoid with two parameters; `isotonic` is the best rising step function, drawn as lines between the middles
of its steps. Both are fitted on margins out of fold, and a flow may count as much as any other or less where its capture,
group or family has many. Which method and which weights a bundle gets, and how well calibrated it is said to be, is
decided by cross-fitting: capture groups are dealt to PARTS, and the flows of a part get their probability from a
calibrator fitted on the other parts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sklearn.isotonic import isotonic_regression

from trench_trainer import metrics
from trench_trainer.decide import capture_weights
from trench_trainer.rates import number
from trench_trainer.table import Table

PARTS = 20
GROUP_FLOWS = 20
# What the choice is made by: populations in which one lab or one banker does not speak for all, and the plain one.
POPULATIONS = ("per_flow", "as_weighed", "five_a_capture")


class Calibration(Protocol):
    """A rising function from margins to probabilities."""

    def probability(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated probabilities."""

    def document(self) -> dict:
        """The content of calibration.json."""


@dataclass(frozen=True)
class Platt:
    """p = 1/(1+exp(-(a*margin+b)))."""

    a: float
    b: float

    def probability(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated probabilities."""
        return 1 / (1 + np.exp(-np.clip(self.a * margin + self.b, -500, 500)))

    def document(self) -> dict:
        """The content of calibration.json."""
        return {"method": "platt", "a": self.a, "b": self.b}


@dataclass(frozen=True)
class Isotonic:
    """Straight lines between knots (margin, probability), constant beyond the ends."""

    knots: tuple[tuple[float, float], ...]

    def probability(self, margin: np.ndarray) -> np.ndarray:
        """Calibrated probabilities."""
        at, p = np.array(self.knots).T
        return np.interp(margin, at, p)

    def document(self) -> dict:
        """The content of calibration.json."""
        return {"method": "isotonic", "knots": [list(k) for k in self.knots]}


def fit_platt(y: np.ndarray, margin: np.ndarray, w: np.ndarray) -> Platt:
    """Maximum likelihood by Newton's method, with Platt's smoothed targets so that a separable table stays finite."""
    y = y.astype(np.float64)
    positive, negative = (w * y).sum(), (w * (1 - y)).sum()
    target = np.where(y == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    a, b = 1.0, 0.0
    design = np.column_stack([margin, np.ones_like(margin)])

    def loss(a: float, b: float) -> float:
        z = a * margin + b
        return float((w * (np.logaddexp(0, z) - target * z)).sum())

    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(a * margin + b, -500, 500)))
        gradient = design.T @ (w * (p - target))
        hessian = design.T @ (design * (w * p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        scale, here = 1.0, loss(a, b)
        while loss(a - scale * step[0], b - scale * step[1]) > here and scale > 1e-6:
            scale /= 2
        a, b = a - scale * step[0], b - scale * step[1]
        if np.abs(scale * step).max() < 1e-10:
            break
    return Platt(float(a), float(b))


def fit_isotonic(y: np.ndarray, margin: np.ndarray, w: np.ndarray) -> Isotonic:
    """Pools neighbours that fall, then joins the middles of the steps.

    Each step counts one more flow, half malicious, so that no probability is 0 or 1.
    """
    order = np.argsort(margin, kind="stable")
    margin, y, w = margin[order], y[order].astype(np.float64), w[order]
    value, first = np.unique(margin, return_index=True)
    weight, positive = np.add.reduceat(w, first), np.add.reduceat(w * y, first)
    level = isotonic_regression(positive / weight, sample_weight=weight)
    start = np.flatnonzero(np.append(True, np.diff(level) > 0))
    total, bad = np.add.reduceat(weight, start), np.add.reduceat(positive, start)
    middle = np.add.reduceat(weight * value, start) / total
    smoothed = isotonic_regression((bad + 0.5) / (total + 1), sample_weight=total)
    knots = tuple((float(m), float(p)) for m, p in zip(middle, smoothed, strict=True))
    if len(knots) == 1:
        knots = (knots[0], (float(np.nextafter(knots[0][0], np.inf)), knots[0][1]))
    return Isotonic(knots)


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Calibration]] = {"platt": fit_platt, "isotonic": fit_isotonic}


@dataclass(frozen=True)
class Calibrated:
    """The calibration of a bundle and what cross-fitting says of it."""

    calibration: Calibration
    figures: dict


def weightings(rows: Table, w: np.ndarray) -> dict[str, np.ndarray]:
    """What a flow may count, each with mean 1; `w` are the weights of training."""
    out = {
        "per_flow": np.ones(len(rows)),
        "as_weighed": w,
        "five_a_capture": capture_weights(rows.text["capture"]),
        "twenty_a_group": capture_weights(rows.text["group"], GROUP_FLOWS),
    }
    return {name: v / v.mean() for name, v in out.items()}


def choose(rows: Table, margins: np.ndarray, w: np.ndarray, seed: int) -> Calibrated:
    """The method and weights with the least cross-fitted calibration error, averaged over POPULATIONS.

    Margins are those out of fold, shape (partitions, rows).
    """
    y = rows.malicious
    counts = weightings(rows, w)
    part = _parts(rows.text["group"], seed)
    target = np.tile(y.astype(np.float64), len(margins))
    candidates = []
    best: tuple[float, str, str, np.ndarray] | None = None
    for method, fit in METHODS.items():
        for name, weight in counts.items():
            p = _cross_fitted(fit, y, margins, weight, part)
            bins = {k: metrics.reliability(target, p, np.tile(counts[k], len(margins))) for k in POPULATIONS}
            error = float(np.mean([metrics.ece(b) for b in bins.values()]))
            candidates.append({"method": method, "weights": name, "ece": {k: number(metrics.ece(b)) for k, b in bins.items()}})
            if best is None or error < best[0] - 1e-12:
                best = (error, method, name, p)
    _, method, name, p = best
    weight = np.tile(counts[name], len(margins))
    chosen = METHODS[method](np.tile(y, len(margins)), margins.ravel(), weight)
    said = {
        "method": method,
        "weights": name,
        "cross_fitted_parts": int(part.max()) + 1,
        "candidates": candidates,
    }
    for k in POPULATIONS:
        said[k] = figures(target, p, np.tile(counts[k], len(margins)))
    return Calibrated(chosen, said)


def _parts(group: np.ndarray, seed: int) -> np.ndarray:
    _, at = np.unique(group, return_inverse=True)
    groups = int(at.max()) + 1
    return (np.random.default_rng(seed).permutation(groups) % min(PARTS, groups))[at]


def _cross_fitted(
    fit: Callable[[np.ndarray, np.ndarray, np.ndarray], Calibration],
    y: np.ndarray,
    margins: np.ndarray,
    weight: np.ndarray,
    part: np.ndarray,
) -> np.ndarray:
    p = np.empty_like(margins)
    n = len(margins)
    for k in range(int(part.max()) + 1):
        out = part == k
        known = ~out
        made = fit(np.tile(y[known], n), margins[:, known].ravel(), np.tile(weight[known], n))
        p[:, out] = made.probability(margins[:, out])
    return p.ravel()


def figures(target: np.ndarray, p: np.ndarray, weight: np.ndarray) -> dict:
    """Brier score, log loss, expected calibration error and the bins that it is over."""
    bins = metrics.reliability(target, p, weight)
    sure = np.clip(p, 1e-12, 1 - 1e-12)
    loss = -np.where(target == 1, np.log(sure), np.log(1 - sure))
    return {
        "brier": number(metrics.brier(target, p, weight)),
        "log_loss": number(float(np.average(loss, weights=weight))),
        "ece": number(metrics.ece(bins)),
        "bins": [{k: (v if k == "flows" else number(v)) for k, v in b.items()} for b in bins],
    }


def load(doc: dict) -> Calibration:
    """The calibration that a bundle holds; raises KeyError or ValueError on another document."""
    if doc["method"] == "platt":
        return Platt(float(doc["a"]), float(doc["b"]))
    if doc["method"] == "isotonic":
        return Isotonic(tuple((float(m), float(p)) for m, p in doc["knots"]))
    raise ValueError(f"calibration method {doc['method']!r}")
