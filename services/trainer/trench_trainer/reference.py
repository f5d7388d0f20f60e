"""What training traffic looks like, feature by feature: for drift, for "usual range" in reasons, and for extrapolation.

Of benign rows: `edges` are inner cut points: a value v falls into the bin numbered by how many edges are <= v, so there is
one more count than there are edges and nothing falls outside. NaN is not counted in the bins; its share is `nan`.

Of rows of both classes: `train` is the range, exact, and whether a missing value was seen. A value is outside when it is
below `min`, above `max`, missing where none ever was, or present where all were missing. `extrapolation.limit` is how many
columns of a row may be outside before the row counts as unlike all that was trained on: the least number that at most one
in a thousand training rows exceed when a row's own group is left out of the ranges, each capture counting as at most five.
"""

from collections.abc import Callable

import numpy as np

from trench_trainer.decide import capture_weights

QUANTILES = (("p01", 0.01), ("p05", 0.05), ("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
BINS = 10
BEYOND = 1e-3


def _short(v: float) -> float:
    return float(f"{v:.7g}")


def histogram(values: np.ndarray, bins: int = BINS) -> dict:
    """Inner edges at distinct quantiles and the counts between them."""
    edges = np.unique([_short(v) for v in np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])])
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def describe(
    x: np.ndarray, names: list[str], malicious: np.ndarray, benign_margins: np.ndarray, groups: np.ndarray, captures: np.ndarray
) -> dict:
    """The content of reference.json from training rows and the out-of-fold margins of the benign ones."""
    benign = x[~malicious]
    features = {}
    for i, name in enumerate(names):
        column = benign[:, i].astype(np.float64)
        seen = column[~np.isnan(column)]
        entry: dict = {"nan": _short(1 - len(seen) / len(column))}
        if len(seen):
            entry |= {key: _short(v) for (key, _), v in zip(QUANTILES, _quantiles(seen), strict=True)}
            entry |= histogram(seen)
        features[name] = entry | {"train": _range(x[:, i].astype(np.float64))}
    return {
        "rows": len(benign),
        "features": features,
        "score": histogram(benign_margins, 20),
        "extrapolation": {"limit": extrapolation_limit(outside_other_groups(x, groups), capture_weights(captures))},
    }


def outside_other_groups(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Of each row, how many columns lie outside what the rows of all other groups span."""
    _, at = np.unique(groups, return_inverse=True)
    n = int(at.max()) + 1
    low, high = np.full((n, x.shape[1]), np.inf), np.full((n, x.shape[1]), -np.inf)
    gaps = np.zeros((n, x.shape[1]), dtype=bool)
    for g in range(n):
        mine = x[at == g]
        missing = np.isnan(mine)
        low[g], high[g] = np.where(missing, np.inf, mine).min(axis=0), np.where(missing, -np.inf, mine).max(axis=0)
        gaps[g] = missing.any(axis=0)
    out = np.empty(len(x), dtype=np.int64)
    many_gaps = gaps.sum(axis=0)
    for g in range(n):
        mine = x[at == g]
        others = np.arange(n) != g
        missing = np.isnan(mine)
        unknown_gap = missing & (many_gaps == gaps[g])
        out[at == g] = (unknown_gap | (mine < _extreme(low, others, np.min)) | (mine > _extreme(high, others, np.max))).sum(axis=1)
    return out


def _extreme(values: np.ndarray, others: np.ndarray, of: Callable[..., np.ndarray]) -> np.ndarray:
    return of(values[others], axis=0) if others.any() else values[0]


def extrapolation_limit(outside: np.ndarray, weight: np.ndarray) -> int:
    """The least k such that at most a share BEYOND of the weight lies in rows with more than k columns outside."""
    by_count = np.bincount(outside, weight)
    more = weight.sum() - np.cumsum(by_count)
    return int(np.flatnonzero(more <= BEYOND * weight.sum() + 1e-9)[0])


def _range(column: np.ndarray) -> dict:
    seen = column[~np.isnan(column)]
    out = {"min": float(seen.min()), "max": float(seen.max())} if len(seen) else {}
    return {**out, "nan": len(seen) < len(column)}


def _quantiles(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, [q for _, q in QUANTILES])
