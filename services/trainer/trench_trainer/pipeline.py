"""The whole of `train`: rows in, bundle out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np

from trench_trainer import (
    ablation,
    baselines,
    bundle,
    calibrate,
    card,
    decide,
    evaluate,
    fit,
    golden,
    laboratory,
    metrics,
    model,
    pictures,
    probes,
    profile,
    rates,
    reference,
    robustness,
    table,
)
from trench_trainer.progress import Progress
from trench_trainer.rates import number
from trench_trainer.selection import Selection
from trench_trainer.study import Options, Study, describe_data, prepare

# Less than a tenth of the seed noise of fauc.
TOLERANCE = 0.001


@dataclass(frozen=True)
class Laboratories:
    """Rows that the finished model is put to, where given."""

    stacks: Selection | None
    beacons: Selection | None


@dataclass(frozen=True)
class Fitted:
    """The final model and the margins out of fold from which the rest of the bundle follows."""

    booster: lgb.Booster
    trees: int
    chosen_by: str
    stages: list[dict]
    runs: list[fit.Staged]
    margins: np.ndarray
    margins_left: np.ndarray
    calibrated: calibrate.Calibrated
    limits: list[decide.Threshold]


def run(options: Options, progress: Progress) -> dict:
    """Trains, evaluates and writes the bundle; returns the content of eval.json."""
    options.validate()
    profile.named(options.profile)
    bundle.prepare(options.out)
    study = prepare(options, progress)
    labs = open_laboratories(study)
    fitted = train(study)
    progress.note("model, calibration and thresholds are set; evaluating")
    schema = describe_schema(study, fitted)
    ev = measure(study, fitted, schema, labs)
    files = render(study, fitted, schema, ev)
    size = bundle.write(options.out, files)
    progress.note(f"{options.out}: {size} bytes in {len(files) + 1} files")
    return ev


def open_laboratories(study: Study) -> Laboratories:
    """Reads the laboratories' rows before minutes of training, so that a wrong file is refused at once."""
    features = [asdict(study.rows.schema.columns[c]) for c in study.columns]

    def opened(path: Path | None, kind: laboratory.Kind) -> Selection | None:
        if path is None:
            return None
        picked = laboratory.read(path, kind, study.rows)
        model.gather(picked.rows, features)
        return picked

    return Laboratories(
        opened(study.options.lab, laboratory.STACKS),
        opened(study.options.beacons, laboratory.BEACONS),
    )


def train(study: Study) -> Fitted:
    """Cross-validates, chooses the number of trees, trains on all rows, and sets calibration and thresholds."""
    rows, bench, options = study.rows, study.bench, study.options
    study.progress.phase("grouped folds", sum(map(len, study.grouped)))
    runs = bench.cross(study.grouped, study.seeds, trees=options.max_trees, keep=True)
    study.progress.phase("folds without a family", sum(map(len, study.left)))
    lofo = bench.cross(study.left, study.seeds, trees=options.max_trees)
    trees, chosen_by, stages = choose_trees(rows, bench.w, runs, lofo)
    study.progress.note(f"{trees} trees")
    margins = np.array([r.at(trees) for r in runs])
    benign = ~rows.malicious
    return Fitted(
        booster=bench.fit(slice(None), options.seed, trees),
        trees=trees,
        chosen_by=chosen_by,
        stages=stages,
        runs=runs,
        margins=margins,
        margins_left=np.array([r.at(trees) for r in lofo]),
        calibrated=calibrate.choose(rows, margins, bench.w, options.seed),
        limits=decide.thresholds(margins[:, benign], rows.text["capture"][benign]),
    )


def describe_schema(study: Study, fitted: Fitted) -> dict:
    """The content of schema.json."""
    rows, options = study.rows, study.options
    kept = [rows.schema.columns[c] for c in study.columns]
    return {
        "schema": rows.schema.name,
        "name": options.name,
        "hash": table.hash_of(kept),
        "extractor_version": rows.schema.version,
        "features": [asdict(c) for c in kept],
        "excluded_captures": sorted(options.exclude),
        "trained": {
            "rows": len(rows),
            "malicious": int(rows.malicious.sum()),
            "benign": int((~rows.malicious).sum()),
            "profile": options.profile,
            "trees": fitted.trees,
            "params": study.bench.settings(options.seed, study.names),
            "seed": options.seed,
        },
    }


def measure(study: Study, fitted: Fitted, schema: dict, labs: Laboratories) -> dict:
    """The content of eval.json."""
    options, rows, bench, progress = study.options, study.rows, study.bench, study.progress
    limits, margins, calibration = fitted.limits, fitted.margins, fitted.calibrated.calibration
    captures = rows.text["capture"]
    ev: dict = {
        "schema": {k: schema[k] for k in ("schema", "hash", "extractor_version")},
        "model": describe_model(study, fitted),
        "evaluation": {
            "folds": options.folds,
            "family_folds": len(study.left[0]),
            "partitions": options.partitions,
            "bootstrap_rounds": rates.ROUNDS,
        },
        "data": describe_data(study.selection, options.exclude),
        "trees": fitted.stages,
    }
    subsets = evaluate.subsets(rows)
    progress.phase("intervals", 2 * (len(subsets) + 1))
    for key, m in (("grouped", margins), ("left_out", fitted.margins_left)):
        ranked = {}
        for name, keep in subsets.items():
            ranked[name] = rates.ranking(rows.malicious, m, captures, keep, seed=options.seed)
            progress.step()
        ev[key] = {"subsets": ranked, "curves": rates.curves(rows.malicious, m, captures, seed=options.seed)}
        progress.step()
    ev["grouped"]["recall_by_family"] = evaluate.recall_by_family(rows, margins, limits)
    ev["grouped"]["benign"] = evaluate.benign_rates(rows, margins, limits)
    ev["left_out"]["families"] = evaluate.left_out_families(rows, fitted.margins_left)
    ev["scores"] = evaluate.histograms(rows, margins)
    ev["thresholds"] = [{**t.document(), "probability": float(calibration.probability(np.array(t.margin)))} for t in limits]
    recall = {t.name: float((margins[:, rows.malicious] >= t.margin).mean()) for t in limits}
    ev["precision"] = evaluate.precision(limits, recall)
    ev["calibration"] = fitted.calibrated.figures
    ev["name_swap"] = probes.name_swap(rows, bench.x, study.names, fitted.runs, fitted.trees, limits)
    if rows.schema.name == table.TRENCH:  # what disguises know to change
        rewritten = robustness.load(options.perturbed, rows.schema)
        ev["robustness"] = robustness.measure(rows, study.names, fitted.runs, fitted.trees, limits, rewritten)
    old, held = (t.x[:, study.columns].astype(np.float64) for t in (study.selection.superseded, study.selection.held_out))
    ev["cut_at_active_timeout"] = evaluate.cut_rows(study.selection, old, fitted.runs, fitted.trees, limits)
    ev["held_out"] = evaluate.held_out(study.selection, fit.raw(fitted.booster, held), limits)
    for key, picked, kind in (("laboratory", labs.stacks, laboratory.STACKS), ("beacons", labs.beacons, laboratory.BEACONS)):
        if picked is not None:
            scored = fit.raw(fitted.booster, model.gather(picked.rows, schema["features"]))
            ev[key] = laboratory.measure(picked, kind, scored, limits)
    ev["single_features"] = probes.single_features(rows, study.everything.x, study.everything.names)
    progress.phase("columns hidden from finished models", len(probes.occluded_groups(study.names)) * len(probes.WAYS))
    ev["occlusion"] = probes.occlusion(rows, bench, fitted.runs, fitted.trees, limits[0], options.seed)
    ev["baselines"] = compare_baselines(study)
    progress.phase("benign against benign", len(probes.benign_sources(rows)))
    ev["benign_pairs"] = probes.benign_pairs(rows, bench, options.seed)
    ev["ablation"] = ablation.ablation(study, fitted.trees)
    return ev


def describe_model(study: Study, fitted: Fitted) -> dict:
    """What was trained, for eval.json."""
    options = study.options
    settings = study.bench.settings(options.seed, study.names)
    out = {
        "name": options.name,
        "profile": options.profile,
        "trees": fitted.trees,
        "trees_chosen_by": fitted.chosen_by,
        "views": [v.name for v in study.bench.views],
        "features": len(study.columns),
        "vector": len(study.rows.schema.columns),
        "seed": options.seed,
        "params": {k: v for k, v in settings.items() if k not in ("verbosity", "seed", "monotone_constraints")},
    }
    if study.chosen:
        out["params_chosen_by"] = study.chosen.by
    if options.monotone:
        out["monotone"] = {n: d for n, d in profile.MONOTONE.items() if n in study.names}
    return out


def compare_baselines(study: Study) -> dict:
    """Trivial rules on all partitions; the logistic regressions, which take longer, on one of each kind."""
    rows, bench = study.rows, study.bench
    out = baselines.trivial(rows, bench.w, study.grouped, study.left)
    regressions = {baselines.SAME_COLUMNS: bench}
    if study.joy is not None:
        regressions[baselines.JOY_COLUMNS] = study.joy_bench()
    study.progress.phase("l1 logistic regression", len(regressions) * (len(study.grouped[0]) + len(study.left[0])))
    for name, on in regressions.items():
        out[name] = baselines.regression(rows, on, study.grouped[:1], study.left[:1])
    return out


def render(study: Study, fitted: Fitted, schema: dict, ev: dict) -> dict[str, str]:
    """The bundle's files."""
    rows, names, x = study.rows, study.names, study.bench.x
    picked = x[golden.pick(x, rows.malicious, golden.ROWS, study.options.seed)]
    expected = fit.raw(fitted.booster, picked)
    ref = reference.describe(
        rows.x[:, study.columns],
        names,
        rows.malicious,
        fitted.margins[:, ~rows.malicious].mean(axis=0),
        rows.text["group"],
        rows.text["capture"],
    )
    return {
        "model.txt": fitted.booster.model_to_string(),
        "schema.json": bundle.document(schema),
        "calibration.json": bundle.document(fitted.calibrated.calibration.document()),
        "thresholds.json": bundle.document({"thresholds": [t.document() for t in fitted.limits]}),
        "reference.json": bundle.document(ref, compact=True),
        "eval.json": bundle.document(ev),
        "card.md": card.render(ev),
        "golden.tsv": "\n".join(golden.lines(names, picked, expected)) + "\n",
        **pictures.draw(ev),
    }


def choose_trees(
    rows: table.Table, w: np.ndarray, runs: Sequence[fit.Staged], lofo: Sequence[fit.Staged]
) -> tuple[int, str, list[dict]]:
    """The fewest trees whose fauc, families left out, is within TOLERANCE of the best stage's.

    The log loss over grouped folds stops several times earlier, on what is certain of itself and wrong; calibration mends
    that afterwards, while the ranking of unknown families goes on improving.
    """
    sign = np.where(rows.malicious, -1.0, 1.0)
    stages = []
    for s in range(len(runs[0].margins)):
        losses = [np.average(np.logaddexp(0, sign * r.margins[s]), weights=w) for r in runs]
        stages.append(
            {
                "trees": (s + 1) * fit.STEP,
                "log_loss": number(float(np.mean(losses))),
                "roc_auc": number(float(np.mean([metrics.auc(rows.malicious, r.margins[s]) for r in runs]))),
                "fauc": number(float(np.mean([evaluate.fauc(rows, r.margins[s]) for r in lofo]))),
            }
        )
    most = max(e["fauc"] for e in stages)
    best = next(e for e in stages if e["fauc"] >= most - TOLERANCE)
    least = min(stages, key=lambda e: (e["log_loss"], e["trees"]))["trees"]
    by = (
        f"the fewest whose fauc is within {TOLERANCE:g} of the best, looked at every {fit.STEP} trees up to "
        f"{stages[-1]['trees']} (the weighted log loss over grouped folds is least at {least})"
    )
    return best["trees"], by, stages
