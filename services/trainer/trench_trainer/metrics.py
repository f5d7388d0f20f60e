"""Figures over margins, each with sample weights, so that a bootstrap by capture is a change of weights."""

import numpy as np
from scipy.stats import beta


class Ranking:
    """Rows sorted once by falling margin; every weighted figure is then a cumulative sum."""

    def __init__(self, y: np.ndarray, margin: np.ndarray):
        order = np.argsort(-margin, kind="stable")
        self._order = order
        self._y = y[order].astype(np.float64)
        sorted_margin = margin[order]
        # The last row of each run of equal margins: ties are taken or left together.
        self._ends = np.flatnonzero(np.append(sorted_margin[1:] != sorted_margin[:-1], True))
        self.margins = sorted_margin[self._ends]

    def curve(self, w: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Weighted true and false positives when everything down to each distinct margin is flagged."""
        w = np.ones(len(self._y)) if w is None else w[self._order]
        tp = np.cumsum(w * self._y)[self._ends]
        fp = np.cumsum(w * (1 - self._y))[self._ends]
        return tp, fp

    def auc(self, w: np.ndarray | None = None) -> float:
        """Area under the ROC curve; NaN when a class is absent."""
        tp, fp = self.curve(w)
        if tp[-1] <= 0 or fp[-1] <= 0:
            return float("nan")
        tpr, fpr = np.append(0, tp / tp[-1]), np.append(0, fp / fp[-1])
        return float(np.trapezoid(tpr, fpr))

    def average_precision(self, w: np.ndarray | None = None) -> float:
        """Area under the precision-recall curve as average precision."""
        tp, fp = self.curve(w)
        if tp[-1] <= 0:
            return float("nan")
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.nan_to_num(tp / (tp + fp))
        return float(np.sum(np.diff(np.append(0, tp)) / tp[-1] * precision))

    def recall_at(self, fpr: float, w: np.ndarray | None = None) -> float:
        """Highest recall at which the false-positive rate stays at or below fpr."""
        tp, fp = self.curve(w)
        if tp[-1] <= 0 or fp[-1] <= 0:
            return float("nan")
        ok = fp <= fpr * fp[-1] * (1 + 1e-12)
        return float(tp[ok][-1] / tp[-1]) if ok.any() else 0.0

    def roc(self, fprs: np.ndarray, w: np.ndarray | None = None) -> np.ndarray:
        """The highest recall at each false-positive rate."""
        tp, fp = self.curve(w)
        if tp[-1] <= 0 or fp[-1] <= 0:
            return np.full(len(fprs), np.nan)
        at = np.searchsorted(fp, fprs * fp[-1] * (1 + 1e-12), side="right")
        return np.append(0, tp / tp[-1])[at]

    def precision_at(self, recalls: np.ndarray, w: np.ndarray | None = None) -> np.ndarray:
        """The precision where each recall is first reached."""
        tp, fp = self.curve(w)
        if tp[-1] <= 0:
            return np.full(len(recalls), np.nan)
        at = np.minimum(np.searchsorted(tp, recalls * tp[-1] * (1 - 1e-12)), len(tp) - 1)
        return tp[at] / (tp[at] + fp[at])


def auc(y: np.ndarray, margin: np.ndarray) -> float:
    """Area under the ROC curve."""
    return Ranking(y, margin).auc()


def clopper_pearson(k: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a share; (0, 1) when n is 0."""
    if n <= 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if k <= 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k >= n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high


def upper_bound(k: float, n: float, level: float = 0.95) -> float:
    """Exact one-sided upper bound of a share: about 3/n at level .95 when k is 0."""
    if n <= 0 or k >= n:
        return 1.0
    return float(beta.ppf(level, k + 1, n - k))


def by_capture(captures: np.ndarray, rounds: int, seed: int) -> np.ndarray:
    """Bootstrap weights, shape (rounds, rows): how often each row's capture was drawn."""
    names, inverse = np.unique(captures, return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rounds)
    return drawn[:, inverse].astype(np.float64)


def reliability(y: np.ndarray, p: np.ndarray, w: np.ndarray, bins: int = 10) -> list[dict]:
    """Mean prediction and share of malicious flows in equal-width bins of the prediction."""
    at = np.minimum((p * bins).astype(int), bins - 1)
    out = []
    for b in range(bins):
        hit = at == b
        weight = w[hit].sum()
        if weight > 0:
            out.append(
                {
                    "from": b / bins,
                    "to": (b + 1) / bins,
                    "flows": int(hit.sum()),
                    "weight": float(weight / w.sum()),
                    "predicted": float(np.average(p[hit], weights=w[hit])),
                    "observed": float(np.average(y[hit], weights=w[hit])),
                }
            )
    return out


def ece(bins: list[dict]) -> float:
    """Expected calibration error: the mean gap of a reliability table, weighted by share."""
    return float(sum(b["weight"] * abs(b["predicted"] - b["observed"]) for b in bins))


def brier(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Weighted mean squared error of the probability."""
    return float(np.average((p - y) ** 2, weights=w))
