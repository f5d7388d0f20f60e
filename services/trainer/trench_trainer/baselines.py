"""What the model must beat: rules of one fact, a JA3 list, and l1 logistic regressions on its columns and on Joy's."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from trench_trainer import fit, metrics
from trench_trainer.evaluate import left_out_families
from trench_trainer.folds import Fold
from trench_trainer.rates import at_fpr, number
from trench_trainer.table import Table

PRIOR = 1.0
L1_STRENGTH = 0.1
SAME_COLUMNS = "l1 logistic regression, same columns"
JOY_COLUMNS = "l1 logistic regression, Joy's 649 columns"


def rules(rows: Table) -> dict[str, np.ndarray]:
    """Scores that need no training."""
    return {
        "no SNI": (rows.text["tls_sni"] == "").astype(float),
        "port is not 443": (rows.port != 443).astype(float),
    }


def lookups(rows: Table) -> dict[str, np.ndarray]:
    """Categories whose share of malicious flows in the training folds is the score."""
    return {
        "capture year alone": rows.year.astype(str),
        "TLS version alone": rows.text["tls_version"],
        "JA3 alone": rows.text["ja3"],
    }


def encode(category: np.ndarray, y: np.ndarray, w: np.ndarray, folds: Sequence[Fold]) -> np.ndarray:
    """Out of fold, the log odds of malicious in the training rows of the same category, shrunk to none."""
    out = np.full(len(y), np.nan)
    names, code = np.unique(category, return_inverse=True)
    for fold in folds:
        bad = np.bincount(code[fold.train], w[fold.train] * y[fold.train], len(names))
        good = np.bincount(code[fold.train], w[fold.train] * (1 - y[fold.train]), len(names))
        prior = np.log(bad.sum() / good.sum())
        odds = np.log((bad + PRIOR * bad.sum() / (bad + good).sum()) / (good + PRIOR * good.sum() / (bad + good).sum()))
        seen = (bad + good) > 0
        out[fold.test] = np.where(seen[code[fold.test]], odds[code[fold.test]], prior)
    return out


def ja3_list(rows: Table, folds: Sequence[Fold]) -> np.ndarray:
    """1 where the JA3 was malicious in the training rows at least once: how a block list works."""
    out = np.full(len(rows), np.nan)
    ja3, mal = rows.text["ja3"], rows.malicious
    for fold in folds:
        listed = set(ja3[fold.train][mal[fold.train]]) - {""}
        out[fold.test] = [float(v in listed) for v in ja3[fold.test]]
    return out


def logistic(x: np.ndarray, y: np.ndarray, w: np.ndarray, fold: Fold) -> np.ndarray:
    """Margins of an l1 logistic regression on the fold's test rows."""
    x = np.sign(x) * np.log1p(np.abs(x))
    seen = ~np.isnan(x[fold.train])
    n = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, x[fold.train], 0).sum(axis=0) / n
    sd = np.sqrt(np.where(seen, (x[fold.train] - mean) ** 2, 0).sum(axis=0) / n)
    z = np.nan_to_num((x - mean) / np.where(sd > 0, sd, 1), nan=0.0)
    gaps = np.isnan(x)
    partly = gaps[fold.train].any(axis=0) & ~gaps[fold.train].all(axis=0)
    # Columns of one group are observed or not together: one indicator for each distinct pattern.
    _, first = np.unique(gaps[fold.train][:, partly], axis=1, return_index=True)
    z = np.column_stack([z, gaps[:, np.flatnonzero(partly)[first]].astype(float)])
    model = LogisticRegression(l1_ratio=1, solver="liblinear", C=L1_STRENGTH, max_iter=200, tol=1e-3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(z[fold.train], y[fold.train], sample_weight=w[fold.train])
    return model.decision_function(z[fold.test])


def trivial(rows: Table, w: np.ndarray, grouped: Sequence[Sequence[Fold]], left: Sequence[Sequence[Fold]]) -> dict[str, dict]:
    """The rules of one fact on the same folds as the model."""
    y = rows.malicious.astype(np.float64)

    def both(score: Callable[[Sequence[Fold]], np.ndarray]) -> dict:
        return figures(rows, np.array([score(folds) for folds in grouped]), np.array([score(folds) for folds in left]))

    out = {name: both(lambda _, s=score: s) for name, score in rules(rows).items()}
    out |= {name: both(lambda folds, c=category: encode(c, y, w, folds)) for name, category in lookups(rows).items()}
    out["JA3 block list"] = both(lambda folds: ja3_list(rows, folds))
    return out


def regression(rows: Table, bench: fit.Bench, grouped: Sequence[Sequence[Fold]], left: Sequence[Sequence[Fold]]) -> dict:
    """The l1 logistic regression on the bench's columns, on the given partitions."""
    # One after another: liblinear's random numbers are one stream of the process, which threads would share.
    margins = []
    for partitions in (grouped, left):
        margins.append(np.full((len(partitions), len(bench.y)), np.nan))
        for p, part in enumerate(partitions):
            for fold in part:
                margins[-1][p, fold.test] = logistic(bench.x, bench.y, bench.w, fold)
                bench.tick()
    return figures(rows, *margins)


def figures(rows: Table, grouped: np.ndarray, left: np.ndarray) -> dict:
    """What every entry of the comparison has: a ranking of known and of unknown families."""
    y = rows.malicious
    ranked = [metrics.Ranking(y, m) for m in grouped]
    families = left_out_families(rows, left)
    return {
        "roc_auc": number(float(np.mean([r.auc() for r in ranked]))),
        "pr_auc": number(float(np.mean([r.average_precision() for r in ranked]))),
        at_fpr(1e-2): number(float(np.mean([r.recall_at(1e-2) for r in ranked]))),
        at_fpr(1e-3): number(float(np.mean([r.recall_at(1e-3) for r in ranked]))),
        "fauc": families["fauc"],
        "fauc_of_partitions": families["fauc_of_partitions"],
        "family_recall": families["recall_averaged_over_families"],
        "family_auc": {name: e["auc"] for name, e in families["families"].items()},
    }
