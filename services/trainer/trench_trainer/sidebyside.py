"""`evaluate`: the search and the long tables, side by side on the same folds, written into a document.

Everything is kept in journals as it is worked out, so a run that was stopped goes on where it was. The document's part
between the marks is written anew; the rest of it is left alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trench_trainer import ablation, baselines, bundle, decide, evaluate, fit, metrics, probes, profile, search, views
from trench_trainer.errors import TrainerError
from trench_trainer.journal import Journal, key_of
from trench_trainer.markdown import num, pct, table
from trench_trainer.pipeline import choose_trees
from trench_trainer.progress import Progress
from trench_trainer.rates import at_fpr, number
from trench_trainer.study import Chosen, Options, Study, prepare

BEGIN, END = "<!-- side by side: begin -->", "<!-- side by side: end -->"


def run(options: Options, trials: int, work: Path, document: Path, progress: Progress) -> None:
    """Searches, fills the tables and writes them into the document; options.out receives the chosen parameters."""
    options.validate()
    if options.joy is None:
        raise TrainerError("--joy: the rows of schema cisco2016 are needed")
    before, after = _around(document)
    study = prepare(options, progress)
    choice = search.search(study, trials, work / "search.jsonl")
    progress.note(choice.by)
    options.out.write_text(bundle.document(choice.document()), encoding="utf-8")
    study = replace(
        study,
        chosen=Chosen(choice.params, choice.by),
        bench=replace(study.bench, changes=choice.params),
        everything=replace(study.everything, changes=choice.params),
    )
    journal = Journal(work / "tables.jsonl", key_of(study))
    results = {}
    for name, entry in entries(study).items():
        if name not in journal:
            progress.note(f"{name} …")
        results[name] = journal.once(name, entry)
        progress.note(f"{name}: fauc {results[name]['fauc']:.4f}")
    rules = journal.once("trivial rules", lambda: baselines.trivial(study.rows, study.bench.w, study.grouped, study.left))
    trees = results[DEFAULT]["trees"]
    columns = {name: journal.once(f"columns: {name}", lambda c=c: retrained(study, c, trees)) for c, name in columns_of(study)}
    text = render(study, choice, results, rules, columns)
    document.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")
    progress.note(f"{document}: tables written")


DEFAULT = "Trench, profile `default`"


def entries(study: Study) -> dict[str, Callable[[], dict]]:
    """What stands side by side, each with how it is worked out."""

    def chosen(name: str) -> fit.Bench:
        columns = profile.named(name).choose(study.rows.schema.columns)
        return replace(study.everything, x=study.everything.x[:, columns], names=tuple(study.everything.names[c] for c in columns))

    default = chosen("default")
    benches = {
        DEFAULT: default,
        "Trench, profile `robust`": chosen("robust"),
        "Trench, `default` with monotone columns": replace(default, monotone=profile.MONOTONE),
        "Trench, `default`, transplants and one model": replace(default, views=views.VIEWS[:1]),
        "Trench, `default`, rows as they are and one model": replace(default, views=()),
        "Trench, all columns": chosen("all"),
        "LightGBM on Joy's 649 columns, profile `cisco2016`": study.joy_bench(),
    }
    if study.bench.changes:
        benches["Trench, `default` before the search"] = replace(default, changes={})
    out: dict[str, Callable[[], dict]] = {name: lambda b=b: boosted(study, b) for name, b in benches.items()}
    regressions = {
        "l1 logistic regression, Joy's 649 columns": study.joy_bench(),
        "l1 logistic regression, columns of `default`": default,
    }
    for name, bench in regressions.items():
        out[name] = lambda b=bench: regressed(study, b)
    return out


def boosted(study: Study, bench: fit.Bench) -> dict:
    """A LightGBM model on all partitions of both kinds of fold, with the number of trees that `train` would take."""
    rows, most = study.rows, study.options.max_trees
    study.progress.phase("fits", sum(map(len, (*study.grouped, *study.left))))
    runs = bench.cross(study.grouped, study.seeds, trees=most, keep=True)
    left = bench.cross(study.left, study.seeds, trees=most)
    trees, _, _ = choose_trees(rows, bench.w, runs, left)
    margins = np.array([r.at(trees) for r in runs])
    limits = decide.thresholds(margins[:, ~rows.malicious], rows.text["capture"][~rows.malicious])
    background = ~rows.malicious & (rows.text["role"] == "background")
    swap = probes.name_swap(rows, bench.x, bench.names, runs, trees, limits)
    return {
        **baselines.figures(rows, margins, np.array([r.at(trees) for r in left])),
        "columns": len(bench.names),
        "trees": trees,
        "background": number(float((margins[:, background] >= limits[0].margin).mean())) if background.any() else None,
        "name_swap": swap["fpr_1e-2"]["swapped"]["rate"] if "fpr_1e-2" in swap else None,
    }


def regressed(study: Study, bench: fit.Bench) -> dict:
    """The logistic regression on all partitions."""
    study.progress.phase("regressions", sum(map(len, (*study.grouped, *study.left))))
    found = baselines.regression(study.rows, bench, study.grouped, study.left)
    return {**found, "columns": len(bench.names)}


def columns_of(study: Study) -> Sequence[tuple[frozenset[int], str]]:
    """The choices of columns to retrain with."""
    return list(ablation.choices(study).items())


def retrained(study: Study, columns: frozenset[int], trees: int) -> dict:
    """One choice of columns, families left out, on all partitions."""
    study.progress.phase("fits", sum(map(len, study.left)))
    runs = study.everything.cross(study.left, study.seeds, trees=trees, columns=np.array(sorted(columns)))
    margins = np.array([r.at(trees) for r in runs])
    families = evaluate.left_out_families(study.rows, margins)
    return {
        "columns": len(columns),
        "fauc": families["fauc"],
        "fauc_sd": families["fauc_sd"],
        "roc_auc": number(float(np.mean([metrics.auc(study.rows.malicious, m) for m in margins]))),
        at_fpr(1e-2): families["recall_averaged_over_families"][at_fpr(1e-2)],
    }


HEAD = (
    "",
    "columns",
    "trees",
    "ROC-AUC",
    "recall at FPR 1e-2",
    "recall at FPR 1e-3",
    "fauc",
    "sd",
    "family recall at FPR 1e-2",
    "background flagged",
    "name swap flagged",
)


def render(study: Study, choice: search.Choice, results: dict, rules: dict, columns: dict) -> str:
    """The document's part."""
    o, y = study.options, study.rows.malicious
    lines = []
    for name, r in {**results, **rules}.items():
        each = r["fauc_of_partitions"]
        lines.append(
            (
                name,
                r.get("columns", ""),
                r.get("trees", ""),
                num(r["roc_auc"]),
                pct(r[at_fpr(1e-2)]),
                pct(r[at_fpr(1e-3)]),
                num(r["fauc"]),
                num(float(np.std(each, ddof=1)) if len(each) > 1 else None),
                pct(r["family_recall"][at_fpr(1e-2)]),
                *(pct(r[k]) if k in r else "" for k in ("background", "name_swap")),
            )
        )
    base = next(iter(columns.values()))["fauc"]
    worth = [
        (name, c["columns"], num(c["fauc"]), num(c["fauc_sd"]), f"{c['fauc'] - base:+.4f}", num(c["roc_auc"]), pct(c[at_fpr(1e-2)]))
        for name, c in columns.items()
    ]
    return "\n".join(
        [
            "",
            f"{int(y.sum())} malicious and {int((~y).sum())} benign flows. Partitions: {o.partitions}, of {o.folds} grouped folds "
            f"for ROC-AUC and recall of flows and of {len(study.left[0])} folds that leave families out for fauc and family "
            "recall; sd over partitions. Flagged are background flows of infected hosts, with their own names and with others', at "
            "the threshold for 1 in 100.",
            "",
            table(HEAD, lines),
            "",
            f"Parameters: {choice.by}.",
            "",
            "Columns left out and added, retrained with families left out:",
            "",
            table(("columns", "n", "fauc", "sd", "change", "ROC-AUC", "family recall at FPR 1e-2"), worth),
            "",
        ]
    )


def _around(document: Path) -> tuple[str, str]:
    """The document's text before and after the marks."""
    text = document.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise TrainerError(f"{document}: needs one line {BEGIN} and one line {END} after it")
    return text[: text.index(BEGIN)], text[text.index(END) + len(END) :]
