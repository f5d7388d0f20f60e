"""The whole of `train`: rows in, bundle out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np

from trench_trainer import bundle, card, decide, evaluate, fit, folds, golden, metrics, profile, reference, table
from trench_trainer.errors import TrainerError
from trench_trainer.progress import Progress
from trench_trainer.weights import flow_weights

# Less than a tenth of the seed noise of fauc.
TOLERANCE = 0.001


@dataclass(frozen=True)
class Options:
    """What a training run can be told."""

    features: Path
    out: Path
    name: str = "default"
    profile: str = "default"
    seed: int = 1
    exclude: tuple[str, ...] = ()
    folds: int = 5
    family_folds: int = 6
    partitions: int = 3
    ablation_partitions: int = 2
    max_trees: int = fit.MAX_TREES
    jobs: int = 2

    def validate(self) -> None:
        """Raises TrainerError naming every fault."""
        faults = []
        if self.folds < 2:
            faults.append(f"--folds: {self.folds} is below 2")
        if self.family_folds < 2:
            faults.append(f"--family-folds: {self.family_folds} is below 2")
        if self.partitions < 1:
            faults.append(f"--partitions: {self.partitions} is below 1")
        if not 0 <= self.ablation_partitions <= self.partitions:
            faults.append(f"--ablation-partitions: {self.ablation_partitions} is not within 0 and --partitions")
        if self.max_trees < fit.STEP or self.max_trees % fit.STEP:
            faults.append(f"--max-trees: {self.max_trees} is not a multiple of {fit.STEP}")
        if self.jobs < 1:
            faults.append(f"--jobs: {self.jobs} is below 1")
        if not 0 <= self.seed < 2**31 - 1000:
            faults.append(f"--seed: {self.seed} is not within 0 and {2**31 - 1001}")
        if not self.name:
            faults.append("--name: must not be empty")
        if faults:
            raise TrainerError("; ".join(faults))


@dataclass(frozen=True)
class Study:
    """The rows of a run, the chosen columns, and the folds on which everything is measured."""

    options: Options
    progress: Progress
    selection: table.Selection
    columns: list[int]
    everything: fit.Bench
    bench: fit.Bench
    seeds: list[int]
    grouped: list[list[folds.Fold]]
    left: list[list[folds.Fold]]

    @property
    def rows(self) -> table.Table:
        """What is trained on."""
        return self.selection.rows

    @property
    def names(self) -> list[str]:
        """The model's columns in its order."""
        return list(self.bench.names)


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
    platt: decide.Platt
    limits: list[decide.Threshold]


def run(options: Options, progress: Progress) -> dict:
    """Trains, evaluates and writes the bundle; returns the content of eval.json."""
    options.validate()
    profile.named(options.profile)
    bundle.prepare(options.out)
    study = prepare(options, progress)
    fitted = train(study)
    progress.note("model, calibration and thresholds are set; evaluating")
    schema = describe_schema(study, fitted)
    ev = measure(study, fitted, schema)
    files = render(study, fitted, schema, ev)
    size = bundle.write(options.out, files)
    progress.note(f"{options.out}: {size} bytes in {len(files) + 1} files")
    return ev


def prepare(options: Options, progress: Progress) -> Study:
    """Reads and selects the rows and deals them to folds."""
    progress.note(f"reading {options.features}")
    selection = table.select(table.read(options.features), options.exclude)
    rows = selection.rows
    table.require(rows, options.folds)
    columns = profile.named(options.profile).choose(rows.schema.columns)
    names = tuple(c.name for c in rows.schema.columns)
    x, y, w = rows.x.astype(np.float64), rows.malicious.astype(np.float64), flow_weights(rows)
    progress.note(
        f"{len(rows)} of {selection.read} rows: {int(y.sum())} malicious, {int((1 - y).sum())} benign; "
        f"{len(columns)} of {len(names)} columns"
    )
    seeds = [options.seed + 101 * p for p in range(options.partitions)]
    grouped = [folds.grouped(rows, options.folds, s) for s in seeds]
    left = [folds.families(rows, options.family_folds, s) for s in seeds]
    for fold in (f for part in (*grouped, *left) for f in part):
        if not (0 < y[fold.train].sum() < len(fold.train)):
            raise TrainerError("too few groups: a fold's training rows hold one class only; try fewer folds")
    return Study(
        options=options,
        progress=progress,
        selection=selection,
        columns=columns,
        everything=fit.Bench(x, y, w, names, options.jobs, progress.step),
        bench=fit.Bench(x[:, columns], y, w, tuple(names[c] for c in columns), options.jobs, progress.step),
        seeds=seeds,
        grouped=grouped,
        left=left,
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
    booster = bench.fit(slice(None), options.seed, trees)
    margins = np.array([r.at(trees) for r in runs])
    benign = ~rows.malicious
    return Fitted(
        booster=booster,
        trees=trees,
        chosen_by=chosen_by,
        stages=stages,
        runs=runs,
        margins=margins,
        margins_left=np.array([r.at(trees) for r in lofo]),
        platt=decide.fit_platt(np.tile(bench.y, len(margins)), margins.ravel(), np.ones(margins.size)),
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
            "params": fit.params(options.seed),
            "seed": options.seed,
        },
    }


def measure(study: Study, fitted: Fitted, schema: dict) -> dict:
    """The content of eval.json."""
    options, rows, bench, progress = study.options, study.rows, study.bench, study.progress
    limits, platt, margins = fitted.limits, fitted.platt, fitted.margins
    ev: dict = {
        "schema": {k: schema[k] for k in ("schema", "hash", "extractor_version")},
        "model": {
            "name": options.name,
            "profile": options.profile,
            "trees": fitted.trees,
            "trees_chosen_by": fitted.chosen_by,
            "features": len(study.columns),
            "vector": len(rows.schema.columns),
            "seed": options.seed,
            "params": {k: v for k, v in fit.PARAMS.items() if k != "verbosity"},
        },
        "evaluation": {
            "folds": options.folds,
            "family_folds": len(study.left[0]),
            "partitions": options.partitions,
            "bootstrap_rounds": evaluate.ROUNDS,
        },
        "data": describe_data(study.selection, options.exclude),
        "trees": fitted.stages,
    }
    subsets = evaluate.subsets(rows)
    progress.phase("intervals", 2 * len(subsets))
    for key, m in (("grouped", margins), ("left_out", fitted.margins_left)):
        ranked = {}
        for name, keep in subsets.items():
            ranked[name] = evaluate.ranking(rows.malicious, m, rows.text["capture"], keep, seed=options.seed)
            progress.step()
        ev[key] = {"subsets": ranked}
    ev["grouped"]["recall_by_family"] = evaluate.recall_by_family(rows, margins, limits)
    ev["grouped"]["benign"] = evaluate.benign_rates(rows, margins, limits)
    ev["left_out"]["families"] = evaluate.left_out_families(rows, fitted.margins_left)
    ev["thresholds"] = [{**t.document(), "probability": float(platt.probability(t.margin))} for t in limits]
    recall = {t.name: float((margins[:, rows.malicious] >= t.margin).mean()) for t in limits}
    ev["precision"] = evaluate.precision(limits, recall)
    ev["calibration"] = {"fitted": "per flow", **evaluate.calibration(rows, margins, bench.w, platt)}
    ev["name_swap"] = evaluate.name_swap(rows, bench.x, study.names, fitted.runs, fitted.trees, limits)
    old, held = (t.x[:, study.columns].astype(np.float64) for t in (study.selection.superseded, study.selection.held_out))
    ev["cut_at_active_timeout"] = evaluate.cut_rows(study.selection, old, fitted.runs, fitted.trees, limits)
    scored = fitted.booster.predict(held, raw_score=True, num_threads=1) if len(held) else np.empty(0)
    ev["held_out"] = evaluate.held_out(study.selection, scored, limits)
    ev["single_features"] = evaluate.single_features(rows, study.everything.x, study.everything.names)
    progress.phase("l1 logistic regression", len(study.grouped[0]) + len(study.left[0]))
    ev["baselines"] = evaluate.trivial(rows, bench.w, study.grouped, study.left)
    ev["baselines"]["l1 logistic regression, same columns"] = evaluate.logistic(rows, bench, study.grouped, study.left)
    progress.phase("benign against benign", len(evaluate.benign_sources(rows)))
    ev["benign_pairs"] = evaluate.benign_pairs(rows, bench, options.seed)
    ev["ablation"] = ablation(study, fitted.trees)
    return ev


def render(study: Study, fitted: Fitted, schema: dict, ev: dict) -> dict[str, str]:
    """The bundle's files."""
    rows, names, x = study.rows, study.names, study.bench.x
    picked = x[golden.pick(x, rows.malicious, golden.ROWS, study.options.seed)]
    expected = fitted.booster.predict(picked, raw_score=True, num_threads=1)
    benign = ~rows.malicious
    ref = reference.describe(rows.x[benign][:, study.columns], names, fitted.margins[:, benign].mean(axis=0))
    return {
        "model.txt": fitted.booster.model_to_string(),
        "schema.json": bundle.document(schema),
        "calibration.json": bundle.document(fitted.platt.document()),
        "thresholds.json": bundle.document({"thresholds": [t.document() for t in fitted.limits]}),
        "reference.json": bundle.document(ref, compact=True),
        "eval.json": bundle.document(ev),
        "card.md": card.render(ev),
        "golden.tsv": "\n".join(golden.lines(names, picked, expected)) + "\n",
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
                "log_loss": evaluate.number(float(np.mean(losses))),
                "roc_auc": evaluate.number(float(np.mean([metrics.auc(rows.malicious, r.margins[s]) for r in runs]))),
                "fauc": evaluate.number(float(np.mean([evaluate.fauc(rows, r.margins[s]) for r in lofo]))),
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


def describe_data(selection: table.Selection, exclude: Sequence[str]) -> dict:
    """Counts for eval.json."""
    rows, mal = selection.rows, selection.rows.malicious
    observed = (~np.isnan(rows.x)).any(axis=0)

    def distinct(key: str, mask: np.ndarray) -> int:
        return len(set(rows.text[key][mask]))

    def years(mask: np.ndarray) -> list[int]:
        known = rows.year[mask & (rows.year > 1990)]
        return [int(known.min()), int(known.max())] if len(known) else [0, 0]

    return {
        "read": selection.read,
        "rows": len(rows),
        "malicious": int(mal.sum()),
        "benign": int((~mal).sum()),
        "families": distinct("family", mal),
        "malicious_groups": distinct("group", mal),
        "malicious_captures": distinct("capture", mal),
        "benign_groups": distinct("group", ~mal),
        "benign_sources": distinct("source_repo", ~mal),
        "benign_captures": distinct("capture", ~mal),
        "years_malicious": years(mal),
        "years_benign": years(~mal),
        "shared_vectors": selection.shared_vectors,
        "unobserved_columns": [c.name for c, seen in zip(rows.schema.columns, observed, strict=True) if not seen],
        "left_out": selection.left_out,
        "excluded_captures": sorted(exclude),
    }


def ablation(study: Study, trees: int) -> dict:
    """Retrains with column groups left out or added, families left out, on some of the partitions."""
    options, rows, bench, columns = study.options, study.rows, study.everything, study.columns
    partitions = study.left[: options.ablation_partitions]
    out: dict = {"partitions": len(partitions), "trees": trees, "variants": []}
    if not partitions:
        return out
    names = bench.names
    base = set(columns)

    def having(prefixes: tuple[str, ...] = (), exact: tuple[str, ...] = ()) -> set[int]:
        return {i for i, n in enumerate(names) if n.startswith(prefixes) or n in exact}

    variants = {f"profile {options.profile}": base}
    for group in dict.fromkeys(n.split("_")[0] for n in (names[c] for c in columns)):
        variants[f"without {group}"] = base - having((f"{group}_",))
    added = {
        "with sq": having(("sq_",)),
        "with dn": having(("dn_",)),
        "with TLS versions": having(exact=profile.VERSION),
        "with era columns": having(exact=profile.ERA),
        "with TLS versions and era columns": having(exact=profile.VERSION + profile.ERA),
        "with how the capture ended": having(exact=profile.CAPTURE),
    }
    variants |= {k: base | v for k, v in added.items()}
    variants["profile robust (also no suite or extension bits)"] = set(profile.named("robust").choose(rows.schema.columns))
    variants["all columns"] = set(range(len(names)))
    distinct: dict[frozenset[int], str] = {}
    for name, cols in variants.items():
        if cols:
            distinct.setdefault(frozenset(cols), name)
    study.progress.phase("columns left out and added", len(distinct) * sum(map(len, partitions)))
    first = None
    for cols, name in distinct.items():
        done = bench.cross(partitions, study.seeds, trees=trees, columns=np.array(sorted(cols)))
        margins = np.array([r.at(trees) for r in done])
        left_out = evaluate.left_out_families(rows, margins)
        first = left_out["fauc"] if first is None else first
        out["variants"].append(
            {
                "variant": name,
                "columns": len(cols),
                "fauc": left_out["fauc"],
                "fauc_change": evaluate.number(left_out["fauc"] - first),
                "roc_auc": evaluate.number(float(np.mean([metrics.auc(rows.malicious, m) for m in margins]))),
                "recall": left_out["recall_averaged_over_families"]["recall_at_1e-2"],
            }
        )
    return out
