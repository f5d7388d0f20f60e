"""What benign training traffic looks like, feature by feature, for drift and for "usual range" in reasons.

`edges` are inner cut points: a value v falls into the bin numbered by how many edges are <= v, so there is one more count
than there are edges and nothing falls outside. NaN is not counted in the bins; its share is `nan`.
"""

import numpy as np

QUANTILES = (("p01", 0.01), ("p05", 0.05), ("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
BINS = 10


def _short(v: float) -> float:
    return float(f"{v:.7g}")


def histogram(values: np.ndarray, bins: int = BINS) -> dict:
    """Inner edges at distinct quantiles and the counts between them."""
    edges = np.unique([_short(v) for v in np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])])
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def describe(x: np.ndarray, names: list[str], benign_margins: np.ndarray) -> dict:
    """The content of reference.json from benign rows and their out-of-fold margins."""
    features = {}
    for i, name in enumerate(names):
        column = x[:, i].astype(np.float64)
        seen = column[~np.isnan(column)]
        entry: dict = {"nan": _short(1 - len(seen) / len(column))}
        if len(seen):
            entry |= {key: _short(v) for (key, _), v in zip(QUANTILES, _quantiles(seen), strict=True)}
            entry |= histogram(seen)
        features[name] = entry
    return {"rows": len(x), "features": features, "score": histogram(benign_margins, 20)}


def _quantiles(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, [q for _, q in QUANTILES])
