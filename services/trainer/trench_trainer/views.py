"""Views and blocks: how a model is kept from resting on one thing that its corpus happened to show.

A vector falls into blocks that an adversary, a library or a decade changes independently: the hellos, the certificate,
the name, the behaviour. The malicious flows of any corpus are few and alike, so a learner takes their blocks together as
what malice is, and what it never saw as malicious (TLS 1.3, another library, another kind of name) as proof of innocence.
Two things speak against that, both fixed before any fold is looked at:

    committee    two models are trained, one on all columns and one on hello and name alone; the margin is their mean
    transplants  beside the malicious rows a model learns from copies in which some blocks come from benign rows, so that
                 each block counts by itself; beside the benign rows, from copies with one block of another benign row,
                 so that an unusual combination of usual blocks is no alarm

The trees of the two models take turns in the finished one, each leaf halved: its first 2n trees are the committee of n trees.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from trench_trainer.profile import group_of

# What a malicious copy weighs beside its original, for each way of replacing blocks.
MALICIOUS_COPY = 0.3
# How many rows are copied at most for each way; more are drawn by weight.
MALICIOUS_ROWS = 700
BENIGN_ROWS = 3000


@dataclass(frozen=True)
class View:
    """What one model of the committee sees, as blocks of column groups, and how much its benign copies weigh."""

    name: str
    blocks: tuple[tuple[str, ...], ...]
    benign_copy: float

    def sees(self, column: str) -> bool:
        """Whether the view holds the column."""
        return any(group_of(column) in block for block in self.blocks)


VIEWS = (
    View(
        "everything",
        (("ch", "sh", "qu"), ("ct",), ("sn", "dn"), ("fl", "sq", "ml", "hz", "bu", "rc", "bd")),
        benign_copy=0.4,
    ),
    View("hello and name", (("ch",), ("sn",)), benign_copy=0.0),
)


def hide(x: np.ndarray, names: Sequence[str], view: View) -> np.ndarray:
    """The rows with every column that the view does not hold missing, so that no tree splits on it."""
    x = x.copy()
    x[:, [not view.sees(n) for n in names]] = np.nan
    return x


def augment(
    x: np.ndarray, y: np.ndarray, w: np.ndarray, names: Sequence[str], view: View, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The training rows of a view and their transplants.

    Donors are benign rows, drawn by weight. Copies of a class weigh together a fixed share of its originals.
    """
    rng = np.random.default_rng(seed)
    blocks = [np.flatnonzero([group_of(n) in block for n in names]) for block in view.blocks]
    blocks = [b for b in blocks if len(b)]
    bad, good = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    parts = [(x, y, w)]

    def transplant(rows: np.ndarray, most: int, replaced: Sequence[np.ndarray], share: float) -> None:
        total = w[rows].sum()
        if len(rows) > most:
            rows = rng.choice(rows, most, p=w[rows] / total)
            weight = np.full(most, total / most)
        else:
            weight = w[rows]
        copies = x[rows]
        donors = rng.choice(good, len(rows), p=w[good] / w[good].sum())
        for block in replaced:
            copies[:, block] = x[donors][:, block]
        parts.append((copies, y[rows], weight * share))

    for n in range(1, len(blocks)):
        for replaced in combinations(blocks, n):
            transplant(bad, MALICIOUS_ROWS, replaced, MALICIOUS_COPY)
    if view.benign_copy and len(blocks) > 1:
        for block in blocks:
            transplant(good, BENIGN_ROWS, [block], view.benign_copy)
    xs, ys, ws = zip(*parts, strict=True)
    return np.vstack(xs), np.concatenate(ys), np.concatenate(ws)
