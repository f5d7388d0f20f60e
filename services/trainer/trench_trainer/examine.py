"""`eval`: a finished bundle on labelled rows, at the thresholds and with the calibration that it was given."""

from pathlib import Path

import numpy as np

from trench_trainer import caveats, evaluate, model, rates, selection, table
from trench_trainer.calibrate import figures
from trench_trainer.card import RANKED, ranked
from trench_trainer.decide import capture_weights
from trench_trainer.errors import TrainerError
from trench_trainer.markdown import num, pct, rate
from trench_trainer.markdown import table as markdown_table
from trench_trainer.progress import Progress
from trench_trainer.rates import number
from trench_trainer.study import capture_digest, describe_data


def run(bundle: Path, features: Path, split: str, seed: int, progress: Progress) -> dict:
    """The figures of a bundle on the labelled rows of a file."""
    frozen = model.load(bundle)
    progress.note(f"reading {features}")
    picked = selection.select(table.read(features), split=split)
    if not len(picked.rows):
        raise TrainerError(f"{features}: no labelled TLS flow with a ClientHello in split {split}")
    progress.note(f"{len(picked.rows)} of {picked.read} rows")
    return measure(frozen, picked, seed)


def trained_on(frozen: model.Model, rows: table.Table) -> int | None:
    """How many rows are of captures that the model was trained on; None where its bundle does not say."""
    if "capture_digests" not in frozen.evaluation["data"]:
        return None
    known = set(frozen.evaluation["data"]["capture_digests"])
    return sum(capture_digest(c) in known for c in rows.text["capture"])


def measure(frozen: model.Model, picked: selection.Selection, seed: int) -> dict:
    """The content of the file that `eval --out` writes."""
    rows, limits = picked.rows, frozen.limits
    margins = frozen.margins(rows)[None, :]
    y, captures = rows.malicious, rows.text["capture"]
    both = 0 < y.sum() < len(y)
    scored: dict = {
        "subsets": {name: rates.ranking(y, margins, captures, keep, seed=seed) for name, keep in evaluate.subsets(rows).items()},
        "recall": rates.flagged(margins, limits, y),
        "recall_by_family": evaluate.recall_by_family(rows, margins, limits),
        "benign": evaluate.benign_rates(rows, margins, limits),
        "scores": evaluate.histograms(rows, margins),
    }
    if both:
        scored["curves"] = rates.curves(y, margins, captures, seed=seed)
        scored["family_auc"] = {k: number(v) for k, v in evaluate.family_aucs(rows, margins).items()}
        scored["fauc"] = number(evaluate.fauc(rows, margins))
    for t in limits:
        by_family = [e[t.name]["rate"] for e in scored["recall_by_family"].values()]
        scored[f"family_recall_{t.name}"] = number(float(np.mean(by_family))) if by_family else None
    p = frozen.calibration.probability(margins[0])
    weights = {"per_flow": np.ones(len(y)), "five_a_capture": capture_weights(captures)}
    return {
        "schema": frozen.evaluation["schema"],
        "model": frozen.evaluation["model"],
        "data": describe_data(picked, ()),
        "trained_on": trained_on(frozen, rows),
        "scored": scored,
        "thresholds": frozen.evaluation["thresholds"],
        "precision": evaluate.precision(limits, {t.name: scored["recall"][t.name]["rate"] or 0.0 for t in limits}),
        "calibration": {name: figures(y.astype(np.float64), p, w) for name, w in weights.items()},
    }


def render(ev: dict) -> str:
    """The figures for a reader."""
    m, d, s = ev["model"], ev["data"], ev["scored"]
    parts = [
        f"# {m['name']} on {d['rows']} flows",
        f"{d['malicious']} malicious ({d['families']} families) and {d['benign']} benign flows of {d['benign_sources']} sources. "
        f"{m['trees']} trees, profile `{m['profile']}`, at the thresholds frozen in the bundle.",
    ]
    if ev["trained_on"] is None:
        parts.append("The bundle does not say which captures it was trained on: whether this is a test is not known.")
    elif ev["trained_on"]:
        parts.append(f"**{ev['trained_on']} of these flows are of captures that the model was trained on**: no test of anything.")
    if "fauc" in s:
        parts += ["## Ranking", markdown_table(RANKED, ranked(s["subsets"]))]
    if d["malicious"]:
        rows = [
            (name, e["fpr_1e-2"]["flows"], num(s.get("family_auc", {}).get(name)), rate(e["fpr_1e-2"]), rate(e["fpr_1e-3"]))
            for name, e in sorted(s["recall_by_family"].items(), key=lambda t: -t[1]["fpr_1e-2"]["flows"])
        ]
        mean = (pct(s["family_recall_fpr_1e-2"]), pct(s["family_recall_fpr_1e-3"]))
        rows.insert(0, ("**mean over families**", d["malicious"], num(s.get("fauc")), *mean))
        head = ("family", "flows", "AUC", "reach `fpr_1e-2`", "reach `fpr_1e-3`")
        parts += ["## Recall at the frozen thresholds", markdown_table(head, rows)]
    if d["benign"]:
        parts += ["## False positives at the frozen thresholds", caveats.benign_rates(s["benign"])]
    c = ev["calibration"]["per_flow"]
    parts.append(f"Calibration: ECE {num(c['ece'])}, Brier {num(c['brier'])}, log loss {num(c['log_loss'])}, every flow alike.")
    return "\n\n".join(parts) + "\n"
