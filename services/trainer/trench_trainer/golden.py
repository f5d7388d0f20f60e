"""Rows with their expected margins, so that another engine can prove that it reads the model alike.

golden.tsv: a header of the feature names in the model's order and `margin`, then one row a line. Features are printed with
nine significant digits, which is enough to restore a float32, margins with seventeen, which restores a float64.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import lightgbm as lgb
import numpy as np

ROWS = 96


def pick(x: np.ndarray, malicious: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Positions of rows of both classes, half of each class those with most gaps."""
    rng = np.random.default_rng(seed)
    gaps = np.isnan(x).sum(axis=1)
    out: list[int] = []
    for mask in (malicious, ~malicious):
        at = np.flatnonzero(mask)
        want = min(rows // 2, len(at))
        sparse = at[np.argsort(-gaps[at], kind="stable")][: want // 2]
        rest = np.setdiff1d(at, sparse)
        out += sparse.tolist() + rng.choice(rest, want - len(sparse), replace=False).tolist()
    return np.array(sorted(out))


def lines(
    names: list[str], x: np.ndarray, margins: np.ndarray, extra: np.ndarray | None = None, *, wide: bool = False
) -> Iterable[str]:
    """The lines of a golden file; extra holds contribution columns, one a feature and the expected value."""
    digits = 17 if wide else 9
    head = [*names, "margin"]
    if extra is not None:
        head += [f"contrib_{n}" for n in names] + ["contrib_expected"]
    yield "\t".join(head)
    for i in range(len(x)):
        row = [f"{v:.{digits}g}" for v in x[i]] + [f"{margins[i]:.17g}"]
        if extra is not None:
            row += [f"{v:.17g}" for v in extra[i]]
        yield "\t".join(row)


def split_points(model: str, features: int) -> list[np.ndarray]:
    """The distinct thresholds of each feature in a LightGBM model text."""
    found: list[set[float]] = [set() for _ in range(features)]
    for which, where in re.findall(r"^split_feature=(.*)\n(?:.*\n)*?threshold=(.*)$", model, re.MULTILINE):
        for f, t in zip(which.split(), where.split(), strict=True):
            found[int(f)].add(float(t))
    return [np.array(sorted(s)) for s in found]


def hard_rows(points: list[np.ndarray], rows: int, seed: int, *, wide: bool = False) -> np.ndarray:
    """Rows made to break a tree walker: values at and beside thresholds, NaN, infinities, zeros, denormals, extremes."""
    rng = np.random.default_rng(seed)
    tiny = np.finfo(np.float32).smallest_subnormal
    odd = np.array([0.0, -0.0, tiny, -tiny, 1e-35, -1e-35, 3.4e38, -3.4e38, np.inf, -np.inf, 1.0, -1.0])
    x = np.empty((rows, len(points)))
    for f, p in enumerate(points):
        base = p if len(p) else np.array([0.0, 1.0])
        at = rng.choice(base, rows)
        kind = rng.random(rows)
        narrow = at.astype(np.float32)
        up = np.nextafter(at, np.inf) if wide else np.nextafter(narrow, np.float32(np.inf)).astype(np.float64)
        down = np.nextafter(at, -np.inf) if wide else np.nextafter(narrow, np.float32(-np.inf)).astype(np.float64)
        share = rng.random(rows)
        between = at * share + rng.choice(base, rows) * (1 - share)
        column = np.select([kind < 0.25, kind < 0.4, kind < 0.55, kind < 0.9], [at, up, down, between], 0.0)
        column = np.where(kind >= 0.9, rng.choice(odd, rows), column)
        x[:, f] = np.where(rng.random(rows) < 0.2, np.nan, column)
    return x if wide else x.astype(np.float32).astype(np.float64)


def write_hard(bundle: Path, out: Path, rows: int, seed: int, *, contrib: bool = False, wide: bool = False) -> None:
    """Writes hard rows for a bundle's model with LightGBM's raw scores and, on demand, its contributions."""
    text = (bundle / "model.txt").read_text(encoding="utf-8")
    booster = lgb.Booster(model_str=text)
    names = booster.feature_name()
    x = hard_rows(split_points(text, len(names)), rows, seed, wide=wide)
    margins = booster.predict(x, raw_score=True, num_threads=1)
    extra = booster.predict(x, pred_contrib=True, num_threads=1) if contrib else None
    with out.open("w", encoding="utf-8") as f:
        for line in lines(names, x, margins, extra, wide=wide):
            f.write(line + "\n")
