"""Partitions of the rows in which train and test never share a capture group.

Two kinds. `grouped` deals whole groups to folds: what a model meets at test time comes from captures it never saw, though
perhaps of families it knows. `families` deals whole families (and benign groups) to folds: at test time a family is
wholly new, and every group that carries it stays out of training, with all that was captured beside it.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from trench_trainer.table import Table


@dataclass(frozen=True)
class Fold:
    """Positions of the rows to train on and to test on."""

    train: np.ndarray
    test: np.ndarray


def grouped(rows: Table, k: int, seed: int) -> list[Fold]:
    """Each group is in one fold's test; both classes are spread over the folds."""
    group, mal = rows.text["group"], rows.malicious
    dealt = _deal(group, np.column_stack([mal, ~mal]), k, seed)
    at = np.array([dealt[g] for g in group])
    return [Fold(np.flatnonzero(at != f), np.flatnonzero(at == f)) for f in range(k)]


def families(rows: Table, k: int, seed: int) -> list[Fold]:
    """Each family and each benign group is in one fold's test, and its groups are in none of that fold's training."""
    group, family, mal = rows.text["group"], rows.text["family"], rows.malicious
    k = min(k, len(set(family[mal])))
    bad = _deal(family[mal], np.ones((int(mal.sum()), 1)), k, seed)
    good = _deal(group[~mal], np.ones((int((~mal).sum()), 1)), k, seed + 1)
    at = np.array([bad[family[i]] if mal[i] else good[group[i]] for i in range(len(rows))])
    out = []
    for f in range(k):
        test = at == f
        train = ~test & ~np.isin(group, np.unique(group[test]))
        out.append(Fold(np.flatnonzero(train), np.flatnonzero(test)))
    return out


def _deal(units: Sequence[Hashable], load: np.ndarray, k: int, seed: int) -> dict[Hashable, int]:
    """Deals units to k folds, large ones first with some chance in the order, each to the fold that lacks most."""
    rng = np.random.default_rng(seed)
    names, inverse = np.unique(np.asarray(units), return_inverse=True)
    sizes = np.zeros((len(names), load.shape[1]))
    np.add.at(sizes, inverse, load)
    # Square roots, as in the weights: one giant group must not push every other group into the remaining folds.
    sizes = np.sqrt(sizes)
    sizes /= np.maximum(sizes.sum(axis=0), 1)
    order = np.argsort(-sizes.max(axis=1) * rng.uniform(0.6, 1.4, len(names)), kind="stable")
    filled = np.zeros((k, load.shape[1]))
    out = {}
    for u in order:
        after = filled + sizes[u]
        cost = (after**2).sum(axis=1) - (filled**2).sum(axis=1)
        best = np.flatnonzero(np.isclose(cost, cost.min(), rtol=1e-9, atol=1e-15))
        f = int(rng.choice(best))
        filled[f] = after[f]
        out[names[u]] = f
    return out
