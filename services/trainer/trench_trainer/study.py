"""A study: the rows, columns and folds on which everything of a run is trained and measured."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trench_trainer import fit, folds, profile, selection, table, views
from trench_trainer.errors import TrainerError
from trench_trainer.progress import Progress
from trench_trainer.weights import flow_weights

# What `search` draws from.
SEARCHED: Mapping[str, Sequence[object]] = {
    "num_leaves": (7, 15, 31, 63),
    "max_depth": (4, 6, 8, 12),
    "learning_rate": (0.02, 0.03, 0.05, 0.08),
    "feature_fraction": (0.1, 0.15, 0.25, 0.4, 0.6),
    "bagging_fraction": (0.5, 0.7, 0.85),
    "lambda_l2": (0.0, 1.0, 5.0, 20.0, 50.0),
    "min_data_in_leaf": (5, 10, 20, 40),
    "max_bin": (63, 127, 255),
    "path_smooth": (0.0, 1.0, 10.0),
    "extra_trees": (False, True),
}


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
    monotone: bool = False
    params: Path | None = None
    perturbed: tuple[tuple[str, Path], ...] = ()
    joy: Path | None = None
    lab: Path | None = None
    beacons: Path | None = None

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
class Chosen:
    """Parameters that a search chose, and how, as `search` writes them."""

    params: Mapping[str, object]
    by: str


@dataclass(frozen=True)
class Study:
    """The rows of a run, the chosen columns, and the folds on which everything is measured."""

    options: Options
    progress: Progress
    selection: selection.Selection
    columns: list[int]
    everything: fit.Bench
    bench: fit.Bench
    chosen: Chosen | None
    joy: table.Table | None
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

    def joy_bench(self) -> fit.Bench:
        """The same flows with Joy's columns."""
        names = tuple(c.name for c in self.joy.schema.columns)
        return replace(self.bench, x=self.joy.x.astype(np.float64), names=names, monotone={})


def prepare(options: Options, progress: Progress) -> Study:
    """Reads and selects the rows and deals them to folds."""
    chosen = read_params(options.params) if options.params else None
    progress.note(f"reading {options.features}")
    picked = selection.select(table.read(options.features), options.exclude)
    rows = picked.rows
    selection.require(rows, options.folds)
    which = profile.named(options.profile)
    which.require(rows.schema)
    joy = None
    if options.joy:
        joy = table.read(options.joy)
        profile.named("cisco2016").require(joy.schema)
        joy = rows.with_vectors_of(joy)
    columns = which.choose(rows.schema.columns)
    names = tuple(c.name for c in rows.schema.columns)
    x, y, w = rows.x.astype(np.float64), rows.malicious.astype(np.float64), flow_weights(rows)
    progress.note(
        f"{len(rows)} of {picked.read} rows: {int(y.sum())} malicious, {int((1 - y).sum())} benign; "
        f"{len(columns)} of {len(names)} columns"
    )
    seeds = [options.seed + 101 * p for p in range(options.partitions)]
    grouped = [folds.grouped(rows, options.folds, s) for s in seeds]
    left = [folds.families(rows, options.family_folds, s) for s in seeds]
    for fold in (f for part in (*grouped, *left) for f in part):
        if not (0 < y[fold.train].sum() < len(fold.train)):
            raise TrainerError("too few groups: a fold's training rows hold one class only; try fewer folds")

    def bench(columns: np.ndarray, names: tuple[str, ...]) -> fit.Bench:
        return fit.Bench(
            columns,
            y,
            w,
            names,
            options.jobs,
            progress.step,
            views=views.VIEWS,
            changes=chosen.params if chosen else {},
            monotone=profile.MONOTONE if options.monotone else {},
        )

    return Study(
        options=options,
        progress=progress,
        selection=picked,
        columns=columns,
        everything=bench(x, names),
        bench=bench(x[:, columns], tuple(names[c] for c in columns)),
        chosen=chosen,
        joy=joy,
        seeds=seeds,
        grouped=grouped,
        left=left,
    )


def read_params(path: Path) -> Chosen:
    """Reads the parameters that `search` wrote."""
    try:
        doc = json.loads(path.read_text(encoding="utf-8"))
        params, by, start = doc["params"], doc["chosen_by"], doc["start"]
        unknown = sorted(set(params) - set(SEARCHED))
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise TrainerError(f"{path}: holds no parameters as `search` writes them: {err!r}") from err
    if unknown:
        raise TrainerError(f"{path}: parameters that no search chooses: {', '.join(unknown)}")
    if start != fit.PARAMS:
        raise TrainerError(f"{path}: was chosen beside other start parameters than those of now; search anew")
    return Chosen(params, str(by))


def rows_digest(rows: table.Table) -> str:
    """Names a set of labelled rows, whatever their vectors: equal digests mean that figures can be paired."""
    text = rows.text
    lines = ("\t".join(t) for t in zip(text["flow_id"], text["label"], text["family"], text["group"], text["capture"], strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def capture_digest(capture: str) -> str:
    """A short name for a capture, by which a later evaluation knows that it was trained on."""
    return hashlib.sha256(capture.encode()).hexdigest()[:10]


def describe_data(picked: selection.Selection, exclude: Sequence[str]) -> dict:
    """Counts for eval.json."""
    rows, mal = picked.rows, picked.rows.malicious
    observed = (~np.isnan(rows.x)).any(axis=0)

    def distinct(key: str, mask: np.ndarray) -> int:
        return len(set(rows.text[key][mask]))

    def years(mask: np.ndarray) -> list[int]:
        known = rows.year[mask & (rows.year > 1990)]
        return [int(known.min()), int(known.max())] if len(known) else [0, 0]

    return {
        "read": picked.read,
        "rows": len(rows),
        "rows_digest": rows_digest(rows),
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
        "shared_vectors": picked.shared_vectors,
        "unobserved_columns": [c.name for c, seen in zip(rows.schema.columns, observed, strict=True) if not seen],
        "left_out": picked.left_out,
        "capture_digests": sorted({capture_digest(c) for c in rows.text["capture"]}),
        "excluded_captures": sorted(exclude),
    }
