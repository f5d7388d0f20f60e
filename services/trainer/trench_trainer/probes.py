"""Questions put to finished models: which columns they lean on, and what they have learnt beside malice."""

from collections.abc import Sequence

import numpy as np

from trench_trainer import fit, metrics
from trench_trainer.decide import Threshold
from trench_trainer.evaluate import MIN_SOURCE, SHORT_NAME
from trench_trainer.profile import group_of
from trench_trainer.rates import number, share
from trench_trainer.table import Table

SWAPS = 10
PAIRS_OF = 5
WAYS = ("missing", "shuffled", "benign")


def name_swap(
    rows: Table, x: np.ndarray, names: Sequence[str], runs: Sequence[fit.Staged], trees: int, limits: Sequence[Threshold]
) -> dict:
    """Background flows of infected hosts given the sn columns of ordinary visits to names of two labels."""
    background = np.flatnonzero(~rows.malicious & (rows.text["role"] == "background"))
    donors = np.flatnonzero(~rows.malicious & (rows.text["role"] != "background") & (rows.name_labels == SHORT_NAME))
    sn = [i for i, n in enumerate(names) if n.startswith("sn_")]
    out: dict = {"background_flows": len(background), "donor_flows": len(donors), "names_a_flow": SWAPS}
    if not len(background) or not len(donors) or not sn:
        return out
    rng = np.random.default_rng(0)
    drawn = rng.choice(donors, (len(background), SWAPS))
    swapped = np.repeat(x[background], SWAPS, axis=0)
    swapped[:, sn] = x[drawn.ravel()][:, sn]
    was = np.array([run.score(background, x[background], trees) for run in runs])
    now = np.array([run.score(np.repeat(background, SWAPS), swapped, trees) for run in runs])
    n = len(background)
    for t in limits:
        out[t.name] = {
            "own_name": share(float(np.mean(was >= t.margin) * n), n),
            "swapped": share(float(np.mean(now >= t.margin) * n), n),
        }
    return out


def single_features(rows: Table, x: np.ndarray, names: Sequence[str], top: int = 20) -> list[dict]:
    """The columns that separate best alone; a gap counts as a value of its own, on whichever side it does more."""
    y = rows.malicious
    out = []
    for i, name in enumerate(names):
        column = x[:, i].astype(np.float64)
        gap = np.isnan(column)
        best = max(max(a, 1 - a) for a in (metrics.auc(y, np.where(gap, fill, column)) for fill in (-np.inf, np.inf)))
        out.append({"feature": name, "auc": number(best), "nan": number(float(gap.mean()))})
    return sorted(out, key=lambda e: (-e["auc"], e["feature"]))[:top]


def benign_sources(rows: Table) -> list[tuple[str, str]]:
    """Pairs of the largest benign sources that have captures enough to split."""
    good = ~rows.malicious & (rows.text["role"] != "background")
    repo, capture = rows.text["source_repo"][good], rows.text["capture"][good]
    names, counts = np.unique(repo, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    big = [str(names[i]) for i in order if counts[i] >= 2 * MIN_SOURCE and len(set(capture[repo == names[i]])) >= 4][:PAIRS_OF]
    return [(a, b) for i, a in enumerate(big) for b in big[i + 1 :]]


def benign_pairs(rows: Table, bench: fit.Bench, seed: int, trees: int = 75) -> dict:
    """How well the same learner tells two benign sources apart, captures split in halves.

    If that is as easy as telling malicious from benign, a high AUC says only that captures differ.
    """
    good = np.flatnonzero(~rows.malicious & (rows.text["role"] != "background"))
    repo, capture = rows.text["source_repo"], rows.text["capture"]
    pairs = benign_sources(rows)

    def one(pair: tuple[str, str]) -> float:
        at = good[np.isin(repo[good], pair)]
        y = (repo[at] == pair[0]).astype(np.float64)
        rng = np.random.default_rng(seed)
        half = np.zeros(len(at), dtype=int)
        for source in pair:
            own = np.unique(capture[at][repo[at] == source])
            odd = set(rng.permutation(own)[: len(own) // 2])
            half[[c in odd and r == source for c, r in zip(capture[at], repo[at], strict=True)]] = 1
        margin = np.empty(len(at))
        for side in (0, 1):
            learn, test = np.flatnonzero(half != side), np.flatnonzero(half == side)
            w = np.ones(len(learn))
            booster = fit.train(bench.x[at[learn]], y[learn], w, bench.names, trees, fit.params(seed))
            margin[test] = fit.raw(booster, bench.x[at[test]])
        bench.tick()
        return metrics.auc(y, margin)

    done = fit.parallel(one, pairs, bench.jobs)
    return {
        "pairs": [{"sources": list(p), "auc": number(a)} for p, a in zip(pairs, done, strict=True)],
        "mean_auc": number(float(np.mean(done)) if done else None),
    }


def occluded_groups(names: Sequence[str]) -> list[str]:
    """The column groups of a model in its order."""
    return list(dict.fromkeys(group_of(n) for n in names))


def occlusion(
    rows: Table,
    bench: fit.Bench,
    runs: Sequence[fit.Staged],
    trees: int,
    limit: Threshold,
    seed: int,
) -> dict:
    """What finished out-of-fold models lose when a group of columns tells nothing, without training anew.

    Each test row keeps all columns but those of one group, which are `missing` (NaN; 0 for Joy's columns, which know no
    gaps), those of a random test row (`shuffled`), or those of a random benign test row (`benign`: what a client gains
    that copies this much of benign traffic).
    """
    y, x = rows.malicious, bench.x
    gap = np.nan if np.isnan(x).any() else 0.0

    def figures(margins: np.ndarray) -> dict:
        return {
            "roc_auc": number(float(np.mean([metrics.auc(y, m) for m in margins]))),
            "recall": number(float((margins[:, y] >= limit.margin).mean())),
            "fpr": number(float((margins[:, ~y] >= limit.margin).mean())),
        }

    def one(task: tuple[str, str]) -> np.ndarray:
        group, way = task
        columns = np.array([i for i, n in enumerate(bench.names) if group_of(n) == group])
        rng = np.random.default_rng(seed)
        margins = np.empty((len(runs), len(y)))
        for r, run in enumerate(runs):
            for fold, booster in zip(run.folds, run.boosters, strict=True):
                hidden = x[fold.test]
                if way == "missing":
                    hidden[:, columns] = gap
                else:
                    donors = fold.test if way == "shuffled" else fold.test[~y[fold.test]]
                    hidden[:, columns] = x[rng.choice(donors, len(fold.test))][:, columns]
                margins[r, fold.test] = fit.raw(booster, hidden, trees)
        bench.tick()
        return margins

    groups = occluded_groups(bench.names)
    tasks = [(g, way) for g in groups for way in WAYS]
    done = dict(zip(tasks, map(figures, fit.parallel(one, tasks, bench.jobs)), strict=True))
    return {
        "threshold": limit.name,
        "as_it_is": figures(np.array([r.at(trees) for r in runs])),
        "groups": [
            {"group": g, "columns": sum(group_of(n) == g for n in bench.names), **{way: done[g, way] for way in WAYS}}
            for g in groups
        ],
    }
