"""LightGBM with parameters that repeat byte for byte, and cross-validation over folds in threads.

Every booster runs on one thread and several boosters at once: on tables of this size that is faster than several
threads on one booster, and the result cannot depend on the number of cores.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import lightgbm as lgb
import numpy as np

from trench_trainer.folds import Fold

PARAMS = {
    "objective": "binary",
    "boosting": "gbdt",
    "num_leaves": 31,
    "max_depth": 8,
    "learning_rate": 0.05,
    "feature_fraction": 0.25,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "min_data_in_leaf": 10,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
MAX_TREES = 600
STEP = 25

T = TypeVar("T")
R = TypeVar("R")


def params(seed: int, **changes: object) -> dict:
    """The training parameters with a seed and, for experiments, changes."""
    return {**PARAMS, "seed": seed, **changes}


def train(x: np.ndarray, y: np.ndarray, w: np.ndarray, names: Sequence[str], trees: int, settings: dict) -> lgb.Booster:
    """Trains one booster on float64 rows."""
    data = lgb.Dataset(x, label=y, weight=w, feature_name=list(names), params=settings, categorical_feature=[])
    return lgb.train(settings, data, num_boost_round=trees)


def parallel(work: Callable[[T], R], items: Sequence[T], jobs: int) -> list[R]:
    """Maps in threads and keeps the order."""
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        return list(pool.map(work, items))


@dataclass(frozen=True)
class Staged:
    """Out-of-fold margins of one partition after every STEP trees: shape (stages, rows)."""

    margins: np.ndarray
    boosters: tuple[lgb.Booster, ...]
    folds: tuple[Fold, ...]

    def at(self, trees: int) -> np.ndarray:
        """Margins of all rows after that many trees; NaN where a row is in no fold's test."""
        return self.margins[trees // STEP - 1]


@dataclass(frozen=True)
class Bench:
    """What all fits of a run share: rows, weights, columns, parallelism."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray
    names: tuple[str, ...]
    jobs: int
    tick: Callable[[], None]

    def cross(
        self,
        partitions: Sequence[Sequence[Fold]],
        seeds: Sequence[int],
        *,
        trees: int = MAX_TREES,
        columns: np.ndarray | None = None,
        keep: bool = False,
        **changes: object,
    ) -> list[Staged]:
        """Cross-validates over each partition with its seed; `columns` are positions in x."""
        columns = np.arange(self.x.shape[1]) if columns is None else columns
        x = self.x[:, columns]
        names = [self.names[c] for c in columns]
        stages = trees // STEP
        tasks = [(p, f) for p, folds in enumerate(partitions) for f in range(len(folds))]

        def one(task: tuple[int, int]) -> tuple[np.ndarray, lgb.Booster]:
            p, f = task
            fold = partitions[p][f]
            settings = params(seeds[p], **changes)
            booster = train(x[fold.train], self.y[fold.train], self.w[fold.train], names, trees, settings)
            total = np.zeros(len(fold.test))
            out = np.empty((stages, len(fold.test)))
            for s in range(stages):
                total = total + booster.predict(
                    x[fold.test], raw_score=True, start_iteration=s * STEP, num_iteration=STEP, num_threads=1
                )
                out[s] = total
            self.tick()
            return out, booster

        done = parallel(one, tasks, self.jobs)
        result = []
        for p, folds in enumerate(partitions):
            margins = np.full((stages, len(self.y)), np.nan)
            boosters = []
            for (q, f), (out, booster) in zip(tasks, done, strict=True):
                if q == p:
                    margins[:, folds[f].test] = out
                    boosters.append(booster)
            result.append(Staged(margins, tuple(boosters) if keep else (), tuple(folds)))
        return result
