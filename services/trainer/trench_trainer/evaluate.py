"""Figures of a model on labelled rows, for eval.json: by family, by subset, by benign source.

Everything is out of fold, or of rows that no training has seen. Margins come in shape (partitions, rows).
"""

from collections.abc import Sequence

import numpy as np

from trench_trainer import fit, metrics
from trench_trainer.decide import Threshold
from trench_trainer.rates import FPRS, at_fpr, flagged, number
from trench_trainer.selection import Selection
from trench_trainer.table import Table

BASE_RATES = (1e-3, 1e-4, 1e-5)
FLOWS_A_DAY = 10_000_000
ERAS = (("to 2015", 0, 2015), ("2016", 2016, 2016), ("2017-2020", 2017, 2020), ("from 2021", 2021, 9999))
SHORT_NAME = 2
MIN_SOURCE = 20
HISTOGRAM_SOURCES = 8
HISTOGRAM = np.arange(-12.0, 12.5, 0.5)


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
            entry[at_fpr(f)] = {
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
    repo, year, labels = rows.text["source_repo"], rows.year, rows.name_labels
    names, counts = np.unique(repo[good & (rows.text["role"] != "background")], return_counts=True)
    small = set(names[counts < MIN_SOURCE])
    kinds = {
        "background of infected hosts": good & (rows.text["role"] == "background"),
        "benign/second (odd by design)": good & np.char.startswith(rows.text["capture"], "benign/second/"),
        "no SNI": good & (rows.text["tls_sni"] == ""),
        "names of at most two labels": good & ((labels > 0) & (labels <= SHORT_NAME)),
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
    standing = {g: i for i, g in enumerate(selection.rows.text["group"])}  # a group is in one fold, so any of its rows tells which
    at = np.array([standing.get(g, -1) for g in old.text["group"]])
    margins = np.array([run.score(at, x_old, trees) for run in runs])
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


def histograms(rows: Table, margins: np.ndarray) -> dict:
    """Where the margins of each source lie: flows in each bin, averaged over partitions; the ends take what is beyond."""
    mal, role, repo = rows.malicious, rows.text["role"], rows.text["source_repo"]
    kinds = {f"malicious, {r or 'no role'}": mal & (role == r) for r in np.unique(role[mal])}
    kinds["background of infected hosts"] = ~mal & (role == "background")
    rest = ~mal & (role != "background")
    names, counts = np.unique(repo[rest], return_counts=True)
    big = names[np.argsort(-counts, kind="stable")][:HISTOGRAM_SOURCES]
    kinds |= {str(n): rest & (repo == n) for n in big}
    kinds["other benign sources"] = rest & ~np.isin(repo, big)
    ends = np.clip(margins, HISTOGRAM[0], np.nextafter(HISTOGRAM[-1], 0))
    out = {}
    for name, hit in kinds.items():
        if hit.any():
            counts = np.histogram(ends[:, hit], HISTOGRAM)[0] / len(margins)
            out[name] = {"flows": int(hit.sum()), "counts": [number(c, 4) for c in counts]}
    return {"edges": HISTOGRAM.tolist(), "sources": out}
