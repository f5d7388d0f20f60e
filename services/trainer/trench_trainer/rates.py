"""Rates, rankings and curves with the interval that their n allows.

Margins come in shape (partitions, rows): a figure is computed on each partition and averaged, and an interval is that of
the average under a bootstrap that draws whole captures.
"""

from collections.abc import Callable, Sequence

import numpy as np

from trench_trainer import metrics
from trench_trainer.decide import Threshold

ROUNDS = 300
FPRS = (1e-2, 1e-3)
ROC_GRID = np.concatenate([[0.0], np.geomspace(1e-3, 1, 61)])
PR_GRID = np.linspace(0.02, 1, 50)


def number(v: float | None, digits: int = 6) -> float | None:
    """A figure for JSON: short, and null where there is none."""
    if v is None or not np.isfinite(v):
        return None
    return float(f"{v:.{digits}g}")


def at_fpr(fpr: float) -> str:
    """The key of the recall at a false-positive rate: recall_at_1e-2."""
    return f"recall_at_{fpr:.0e}".replace("e-0", "e-")


def share(k: float, n: float) -> dict:
    """A rate with its exact interval; what n cannot certify is not claimed."""
    low, high = metrics.clopper_pearson(k, n)
    out = {"flows": int(n), "flagged": number(k), "rate": number(k / n if n else None)}
    out["interval"] = [number(low), number(high)]
    if n and k == 0:
        out["bound_3_over_n"] = number(min(1.0, 3 / n))
    return out


def flagged(margins: np.ndarray, limits: Sequence[Threshold], hit: np.ndarray) -> dict:
    """The rate at which flows reach each threshold, averaged over partitions."""
    margins = np.atleast_2d(margins)
    n = int(hit.sum())
    return {t.name: share(float((margins[:, hit] >= t.margin).sum() / len(margins)), n) for t in limits}


def _middle(values: np.ndarray) -> list[float | None]:
    """The middle 95 % of bootstrap rounds, without those that lacked a class."""
    values = values[~np.isnan(values)]
    return [number(v) for v in np.quantile(values, [0.025, 0.975])] if len(values) else [None, None]


def headline(y: np.ndarray, margins: np.ndarray) -> Callable[[np.ndarray | None], np.ndarray]:
    """AUC, average precision and the recalls as a function of row weights, averaged over partitions."""
    ranked = [metrics.Ranking(y, m) for m in np.atleast_2d(margins)]
    return lambda w: np.mean([[r.auc(w), r.average_precision(w), *(r.recall_at(f, w) for f in FPRS)] for r in ranked], axis=0)


HEADLINE = ("roc_auc", "pr_auc", *(at_fpr(f) for f in FPRS))


def ranking(y: np.ndarray, margins: np.ndarray, captures: np.ndarray, keep: np.ndarray | None = None, *, seed: int = 0) -> dict:
    """AUC, average precision and recall at fixed false-positive rates, with bootstrap and exact intervals."""
    margins = np.atleast_2d(margins)
    keep = np.ones(len(y), dtype=bool) if keep is None else keep
    keep = keep & ~np.isnan(margins).any(axis=0)
    y, margins, captures = y[keep], margins[:, keep], captures[keep]
    n, bad = len(y), int(y.sum())
    out: dict = {"malicious": bad, "benign": n - bad}
    if not bad or bad == n:
        return out
    figures = headline(y, margins)
    points = figures(None)
    drawn = np.array([figures(w) for w in metrics.by_capture(captures, ROUNDS, seed)])
    for i, name in enumerate(HEADLINE):
        out[name] = {"value": number(points[i]), "by_capture": _middle(drawn[:, i])}
        if name.startswith("recall"):
            exact = metrics.clopper_pearson(points[i] * bad, bad)
            out[name]["clopper_pearson"] = [number(exact[0]), number(exact[1])]
    for f in FPRS:
        if metrics.upper_bound(0, n - bad) > f:
            out[at_fpr(f)] = {"value": None, "note": f"{n - bad} benign flows cannot certify a false-positive rate of {f:g}"}
    return out


def curves(y: np.ndarray, margins: np.ndarray, captures: np.ndarray, *, seed: int = 0) -> dict:
    """Points of ROC and precision-recall curves, averaged over partitions, with the bootstrap band by capture."""
    ranked = [metrics.Ranking(y, m) for m in np.atleast_2d(margins)]

    def both(w: np.ndarray | None) -> np.ndarray:
        return np.mean([np.concatenate([r.roc(ROC_GRID, w), r.precision_at(PR_GRID, w)]) for r in ranked], axis=0)

    points = both(None)
    drawn = np.array([both(w) for w in metrics.by_capture(captures, ROUNDS, seed)])
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    n = len(ROC_GRID)

    def short(values: np.ndarray) -> list[float | None]:
        return [number(v, 4) for v in values]

    return {
        "roc": {"fpr": short(ROC_GRID), "recall": short(points[:n]), "low": short(low[:n]), "high": short(high[:n])},
        "pr": {"recall": short(PR_GRID), "precision": short(points[n:]), "low": short(low[n:]), "high": short(high[n:])},
        "least_certifiable_fpr": number(metrics.upper_bound(0, float((~y).sum())), 3),
    }
