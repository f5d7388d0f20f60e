"""Figures for eval.json: everything is out of fold, and every rate has the interval its n allows.

Margins come in shape (partitions, rows): a figure is computed on each partition and averaged, and an interval is that of
the average under a bootstrap that draws whole captures.
"""

from collections.abc import Sequence

import numpy as np

from trench_trainer import baselines, fit, metrics
from trench_trainer.decide import Platt, Threshold
from trench_trainer.folds import Fold
from trench_trainer.table import Selection, Table

ROUNDS = 300
FPRS = (1e-2, 1e-3)
BASE_RATES = (1e-3, 1e-4, 1e-5)
FLOWS_A_DAY = 10_000_000
ERAS = (("to 2015", 0, 2015), ("2016", 2016, 2016), ("2017-2020", 2017, 2020), ("from 2021", 2021, 9999))
BROWSER_LABELS = 2
SWAPS = 10
MIN_SOURCE = 20
PAIRS_OF = 5


def number(v: float | None, digits: int = 6) -> float | None:
    """A figure for JSON: short, and null where there is none."""
    if v is None or not np.isfinite(v):
        return None
    return float(f"{v:.{digits}g}")


def share(k: float, n: float) -> dict:
    """A rate with its exact interval; what n cannot certify is not claimed."""
    low, high = metrics.clopper_pearson(k, n)
    out = {"flows": int(n), "flagged": number(k), "rate": number(k / n if n else None)}
    out["interval"] = [number(low), number(high)]
    if n and k == 0:
        out["bound_3_over_n"] = number(min(1.0, 3 / n))
    return out


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
    sorted_ = [metrics.Ranking(y, m) for m in margins]

    def figures(w: np.ndarray | None) -> np.ndarray:
        each = [[r.auc(w), r.average_precision(w), *(r.recall_at(f, w) for f in FPRS)] for r in sorted_]
        return np.mean(each, axis=0)

    points = figures(None)
    drawn = np.array([figures(w) for w in metrics.by_capture(captures, ROUNDS, seed)])
    names = ("roc_auc", "pr_auc", *(f"recall_at_{f:.0e}".replace("e-0", "e-") for f in FPRS))
    for i, name in enumerate(names):
        values = drawn[:, i][~np.isnan(drawn[:, i])]
        low, high = np.quantile(values, [0.025, 0.975]) if len(values) else (np.nan, np.nan)
        out[name] = {"value": number(points[i]), "by_capture": [number(low), number(high)]}
        if name.startswith("recall"):
            exact = metrics.clopper_pearson(points[i] * bad, bad)
            out[name]["clopper_pearson"] = [number(exact[0]), number(exact[1])]
    for f in FPRS:
        if metrics.upper_bound(0, n - bad) > f:
            key = f"recall_at_{f:.0e}".replace("e-0", "e-")
            out[key] = {"value": None, "note": f"{n - bad} benign flows cannot certify a false-positive rate of {f:g}"}
    return out


def family_aucs(rows: Table, margins: np.ndarray) -> dict[str, float]:
    """Of each family, the AUC of its flows against all benign flows, averaged over partitions."""
    margins = np.atleast_2d(margins)
    mal = rows.malicious
    benign = [np.sort(m[~mal & ~np.isnan(m)]) for m in margins]
    out = {}
    for family in np.unique(rows.text["family"][mal]):
        hit = mal & (rows.text["family"] == family)
        values = []
        for m, b in zip(margins, benign, strict=True):
            low = np.searchsorted(b, m[hit], side="left")
            high = np.searchsorted(b, m[hit], side="right")
            values.append(float(np.mean((low + high) / 2 / len(b))))
        out[str(family)] = float(np.mean(values))
    return out


def fauc(rows: Table, margins: np.ndarray) -> float:
    """The mean over families of their AUC against all benign flows."""
    return float(np.mean(list(family_aucs(rows, margins).values())))


def left_out_families(rows: Table, margins: np.ndarray) -> dict:
    """Leave-one-family-out: fauc over partitions, and each family's AUC and recall with its interval."""
    mal, family = rows.malicious, rows.text["family"]
    each = [fauc(rows, m) for m in margins]
    aucs = family_aucs(rows, margins)
    limits = {f: [np.quantile(m[~mal], 1 - f, method="higher") for m in margins] for f in FPRS}
    per = {}
    for name in aucs:
        hit = mal & (family == name)
        n = int(hit.sum())
        entry: dict = {
            "flows": n,
            "groups": len(set(rows.text["group"][hit])),
            "auc": number(aucs[name]),
        }
        for f in FPRS:
            recall = float(np.mean([np.mean(m[hit] > t) for m, t in zip(margins, limits[f], strict=True)]))
            low, high = metrics.clopper_pearson(recall * n, n)
            entry[f"recall_at_{f:.0e}".replace("e-0", "e-")] = {
                "value": number(recall),
                "interval": [number(low), number(high)],
            }
        per[name] = entry
    return {
        "fauc": number(float(np.mean(each))),
        "fauc_of_partitions": [number(v) for v in each],
        "fauc_sd": number(float(np.std(each, ddof=1)) if len(each) > 1 else None),
        "recall_averaged_over_families": {
            key: number(float(np.mean([e[key]["value"] for e in per.values()]))) for key in ("recall_at_1e-2", "recall_at_1e-3")
        },
        "families": per,
    }


def flagged(margins: np.ndarray, limits: Sequence[Threshold], hit: np.ndarray) -> dict:
    """The rate at which flows reach each threshold, averaged over partitions."""
    n = int(hit.sum())
    return {t.name: share(float((margins[:, hit] >= t.margin).sum() / len(margins)), n) for t in limits}


def subsets(rows: Table) -> dict[str, np.ndarray]:
    """The subsets whose ranking is reported apart: each holds its malicious flows and the benign ones they face."""
    mal, role, sni = rows.malicious, rows.text["role"], rows.text["tls_sni"] != ""
    return {
        "all": np.ones(len(rows), dtype=bool),
        "c2": ~mal | (role == "c2"),
        "delivery": ~mal | (role == "delivery"),
        "with_sni": sni,
        "without_sni": ~sni,
        "against_background_of_infected_hosts": mal | (role == "background"),
        "captured_2016_to_2020": (rows.year >= 2016) & (rows.year <= 2020),
    }


def recall_by_family(rows: Table, margins: np.ndarray, limits: Sequence[Threshold]) -> dict:
    """Recall at the bundle's thresholds, other captures of the family known."""
    out = {}
    for name in np.unique(rows.text["family"][rows.malicious]):
        hit = rows.malicious & (rows.text["family"] == name)
        out[str(name)] = flagged(margins, limits, hit)
    return out


def benign_rates(rows: Table, margins: np.ndarray, limits: Sequence[Threshold]) -> dict:
    """False-positive rates at the bundle's thresholds by source, era and kind."""
    good = ~rows.malicious
    repo, year = rows.text["source_repo"], rows.year
    names, counts = np.unique(repo[good & (rows.text["role"] != "background")], return_counts=True)
    small = set(names[counts < MIN_SOURCE])
    kinds = {
        "background of infected hosts": good & (rows.text["role"] == "background"),
        "benign/second (odd by design)": good & np.char.startswith(rows.text["capture"], "benign/second/"),
        "no SNI": good & (rows.text["tls_sni"] == ""),
        "names of at most two labels": good & (rows.column("sn_labels") <= BROWSER_LABELS),
    }
    by_source = {
        str(n): flagged(margins, limits, good & (repo == n) & (rows.text["role"] != "background"))
        for n in names[np.argsort(-counts, kind="stable")]
        if n not in small
    }
    by_source[f"{len(small)} sources of fewer than {MIN_SOURCE} flows"] = flagged(
        margins, limits, good & np.isin(repo, list(small)) & (rows.text["role"] != "background")
    )
    return {
        "all": flagged(margins, limits, good),
        "kinds": {k: flagged(margins, limits, m) for k, m in kinds.items()},
        "eras": {name: flagged(margins, limits, good & (year >= a) & (year <= b)) for name, a, b in ERAS},
        "sources": by_source,
    }


def name_swap(
    rows: Table, x: np.ndarray, names: Sequence[str], runs: Sequence[fit.Staged], trees: int, limits: Sequence[Threshold]
) -> dict:
    """Background flows of infected hosts given the sn columns of ordinary visits to names of two labels."""
    background = np.flatnonzero(~rows.malicious & (rows.text["role"] == "background"))
    donors = np.flatnonzero(~rows.malicious & (rows.text["role"] != "background") & (rows.column("sn_labels") == BROWSER_LABELS))
    sn = [i for i, n in enumerate(names) if n.startswith("sn_")]
    out: dict = {"background_flows": len(background), "donor_flows": len(donors), "names_a_flow": SWAPS}
    if not len(background) or not len(donors) or not sn:
        return out
    rng = np.random.default_rng(0)
    drawn = rng.choice(donors, (len(background), SWAPS))
    before, after = [], []
    for run in runs:
        for fold, booster in zip(run.folds, run.boosters, strict=True):
            mine = np.flatnonzero(np.isin(background, fold.test))
            if not len(mine):
                continue
            plain = x[background[mine]]
            swapped = np.repeat(plain, SWAPS, axis=0)
            swapped[:, sn] = x[drawn[mine].ravel()][:, sn]
            before.append(booster.predict(plain, raw_score=True, num_iteration=trees, num_threads=1))
            after.append(booster.predict(swapped, raw_score=True, num_iteration=trees, num_threads=1))
    was, now = np.concatenate(before), np.concatenate(after)
    n = len(background)
    for t in limits:
        out[t.name] = {
            "own_name": share(float(np.mean(was >= t.margin) * n), n),
            "swapped": share(float(np.mean(now >= t.margin) * n), n),
        }
    return out


def trivial(rows: Table, w: np.ndarray, grouped: Sequence[Sequence[Fold]], left: Sequence[Sequence[Fold]]) -> dict[str, dict]:
    """The rules of one fact on the same folds as the model."""
    y = rows.malicious.astype(np.float64)
    out = {}
    for name, score in baselines.rules(rows).items():
        out[name] = _baseline(rows, np.atleast_2d(score), np.atleast_2d(score))
    for name, category in baselines.lookups(rows).items():
        out[name] = _baseline(
            rows,
            np.array([baselines.encode(category, y, w, folds) for folds in grouped]),
            np.array([baselines.encode(category, y, w, folds) for folds in left]),
        )
    out["JA3 block list"] = _baseline(
        rows,
        np.array([baselines.ja3_list(rows, folds) for folds in grouped]),
        np.array([baselines.ja3_list(rows, folds) for folds in left]),
    )
    return out


def logistic(rows: Table, bench: fit.Bench, grouped: Sequence[Sequence[Fold]], left: Sequence[Sequence[Fold]]) -> dict:
    """The l1 logistic regression on the model's own columns, on one partition of each kind."""
    margins = {kind: np.full(len(bench.y), np.nan) for kind in ("grouped", "left")}
    # One after another: liblinear's random numbers are one stream of the process, which threads would share.
    for kind, part in (("grouped", grouped[0]), ("left", left[0])):
        for fold in part:
            margins[kind][fold.test] = baselines.logistic(bench.x, bench.y, bench.w, fold)
            bench.tick()
    return _baseline(rows, margins["grouped"][None, :], margins["left"][None, :])


def _baseline(rows: Table, grouped: np.ndarray, left: np.ndarray) -> dict:
    y = rows.malicious
    ranked = [metrics.Ranking(y, m) for m in grouped]
    return {
        "roc_auc": number(float(np.mean([r.auc() for r in ranked]))),
        "pr_auc": number(float(np.mean([r.average_precision() for r in ranked]))),
        "recall_at_1e-2": number(float(np.mean([r.recall_at(1e-2) for r in ranked]))),
        "fauc": number(fauc(rows, left)),
    }


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
            margin[test] = booster.predict(bench.x[at[test]], raw_score=True, num_threads=1)
        bench.tick()
        return metrics.auc(y, margin)

    done = fit.parallel(one, pairs, bench.jobs)
    return {
        "pairs": [{"sources": list(p), "auc": number(a)} for p, a in zip(pairs, done, strict=True)],
        "mean_auc": number(float(np.mean(done)) if done else None),
    }


def calibration(rows: Table, margins: np.ndarray, w: np.ndarray, platt: Platt) -> dict:
    """Brier score and expected calibration error out of fold, per flow and as weighed in training."""
    y = np.tile(rows.malicious.astype(np.float64), len(margins))
    p = platt.probability(margins.ravel())
    out = {}
    for name, weight in (("per_flow", np.ones(len(y))), ("as_weighed", np.tile(w, len(margins)))):
        bins = metrics.reliability(y, p, weight)
        out[name] = {
            "brier": number(metrics.brier(y, p, weight)),
            "ece": number(metrics.ece(bins)),
            "bins": [{k: (v if k == "flows" else number(v)) for k, v in b.items()} for b in bins],
        }
    return out


def precision(limits: Sequence[Threshold], recall: dict[str, float]) -> list[dict]:
    """What an alert is worth where malicious flows are rare, at the threshold's target and at what n certifies."""
    out = []
    for t in limits:
        for rate in BASE_RATES:
            for kind, fpr in (("target", t.target), ("certified", t.certified)):
                hits, alarms = recall[t.name] * rate, fpr * (1 - rate)
                out.append(
                    {
                        "threshold": t.name,
                        "base_rate": rate,
                        "fpr": number(fpr),
                        "fpr_is": kind,
                        "precision": number(hits / (hits + alarms) if hits + alarms else 0.0),
                        "false_alarms_a_day": round(alarms * FLOWS_A_DAY),
                    }
                )
    return out


def cut_rows(selection: Selection, x_old: np.ndarray, runs: Sequence[fit.Staged], trees: int, limits: Sequence[Threshold]) -> dict:
    """Reports at the active time-out, scored by the models that did not see their group."""
    old = selection.superseded
    out: dict = {"rows": len(old)}
    if not len(old):
        return out
    group = selection.rows.text["group"]
    margins = np.full((len(runs), len(old)), np.nan)
    for r, run in enumerate(runs):
        for fold, booster in zip(run.folds, run.boosters, strict=True):
            mine = np.isin(old.text["group"], np.unique(group[fold.test]))
            if mine.any():
                margins[r, mine] = booster.predict(x_old[mine], raw_score=True, num_iteration=trees, num_threads=1)
    known = ~np.isnan(margins).any(axis=0)
    out["malicious"] = flagged(margins, limits, known & old.malicious)
    out["benign"] = flagged(margins, limits, known & ~old.malicious)
    return out


def held_out(selection: Selection, margins: np.ndarray, limits: Sequence[Threshold]) -> dict:
    """The excluded captures, scored by the final model."""
    rows = selection.held_out
    out = {}
    for capture in np.unique(rows.text["capture"]):
        for label in ("malicious", "benign"):
            hit = (rows.text["capture"] == capture) & (rows.text["label"] == label)
            if hit.any():
                out.setdefault(str(capture), {})[label] = flagged(margins[None, :], limits, hit)
    return out
