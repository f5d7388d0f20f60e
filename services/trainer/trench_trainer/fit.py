"""LightGBM with parameters that repeat byte for byte, and cross-validation over folds in threads.

Every booster runs on one thread and several boosters at once: on tables of this size that is faster than several
threads on one booster, and the result cannot depend on the number of cores.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import lightgbm as lgb
import numpy as np

from trench_trainer import committee, views
from trench_trainer.folds import Fold
from trench_trainer.views import View

PARAMS = {
    "objective": "binary",
    "boosting": "gbdt",
    "num_leaves": 15,
    "max_depth": 8,
    "learning_rate": 0.05,
    "feature_fraction": 0.1,
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
STEP = 50

T = TypeVar("T")
R = TypeVar("R")


def params(seed: int, **changes: object) -> dict:
    """The training parameters with a seed and, for experiments, changes."""
    return {**PARAMS, "seed": seed, **changes}


def train(x: np.ndarray, y: np.ndarray, w: np.ndarray, names: Sequence[str], trees: int, settings: dict) -> lgb.Booster:
    """Trains one booster on float64 rows."""
    data = lgb.Dataset(x, label=y, weight=w, feature_name=list(names), params=settings, categorical_feature=[])
    return lgb.train(settings, data, num_boost_round=trees)


def raw(booster: lgb.Booster, x: np.ndarray, trees: int | None = None, start: int = 0) -> np.ndarray:
    """Margins of rows after the given trees; none for no rows."""
    if not len(x):
        return np.empty(0)
    return booster.predict(x, raw_score=True, start_iteration=start, num_iteration=trees, num_threads=1)


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

    def score(self, at: np.ndarray, x: np.ndarray, trees: int) -> np.ndarray:
        """Margins of changed rows that stand for those at the given positions, each by the booster that did not train on
        its fold; NaN for a position in no fold's test.
        """
        out = np.full(len(at), np.nan)
        for fold, booster in zip(self.folds, self.boosters, strict=True):
            mine = np.isin(at, fold.test)
            out[mine] = raw(booster, x[mine], trees)
        return out


@dataclass(frozen=True)
class Bench:
    """What all fits of a run share: rows, weights, columns, parallelism, views and changed parameters.

    Every model of a run, on a fold or on all rows, is made by `fit`, so none can miss its views. Without views it is one
    model on the rows as they are.
    """

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray
    names: tuple[str, ...]
    jobs: int
    tick: Callable[[], None]
    views: tuple[View, ...] = ()
    changes: Mapping[str, object] = field(default_factory=dict)
    monotone: Mapping[str, int] = field(default_factory=dict)

    def settings(self, seed: int, names: Sequence[str], **changes: object) -> dict:
        """The parameters of one fit on the named columns."""
        out = params(seed, **{**self.changes, **changes})
        if self.monotone:
            out["monotone_constraints"] = [self.monotone.get(n, 0) for n in names]
        return out

    def fit(
        self, rows: np.ndarray | slice, seed: int, trees: int, *, columns: np.ndarray | None = None, **changes: object
    ) -> lgb.Booster:
        """Trains on the rows at the given positions: a committee of the views, whose trees together are that many."""
        names = self.names if columns is None else [self.names[c] for c in columns]
        x = self.x[rows] if columns is None else self.x[rows][:, columns]
        y, w, settings = self.y[rows], self.w[rows], self.settings(seed, names, **changes)
        seen = [v for v in self.views if any(v.sees(n) for n in names)]
        if not seen:
            return train(x, y, w, names, trees, settings)
        members = []
        for view in seen:
            mine = views.augment(views.hide(x, names, view), y, w, names, view, seed)
            members.append(train(*mine, names, trees // len(seen), settings))
        return committee.merge(members)

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
        x = self.x if columns is None else self.x[:, columns]
        stages = trees // STEP
        tasks = [(p, f) for p, folds in enumerate(partitions) for f in range(len(folds))]

        def one(task: tuple[int, int]) -> tuple[np.ndarray, lgb.Booster | None]:
            p, f = task
            fold = partitions[p][f]
            booster = self.fit(fold.train, seeds[p], trees, columns=columns, **changes)
            total = np.zeros(len(fold.test))
            out = np.empty((stages, len(fold.test)))
            for s in range(stages):
                total = total + raw(booster, x[fold.test], STEP, s * STEP)
                out[s] = total
            self.tick()
            return out, booster if keep else None

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
