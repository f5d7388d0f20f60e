"""`compare A B`: two models side by side, with paired differences wherever both were measured on the same rows.

Three degrees of pairing. With rows, both bundles score them now, and a difference has the interval of a bootstrap that
draws the same captures for both. Without, two eval.json of the same rows, folds and seeds are paired family by family (a
bootstrap over families) and partition by partition (Student's t). Else figures merely stand beside each other.

B is worse in a figure when the whole interval of the paired difference is on the worse side.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from trench_trainer import examine, metrics, model, rates, selection, table
from trench_trainer.errors import TrainerError
from trench_trainer.markdown import table as markdown_table
from trench_trainer.rates import at_fpr, number

ROUNDS = 1000
# What is compared of two eval.json: title, where it is, and whether more is better.
FIGURES = (
    ("ROC-AUC, grouped", ("grouped", "subsets", "all", "roc_auc", "value"), True),
    ("ROC-AUC, family left out", ("left_out", "subsets", "all", "roc_auc", "value"), True),
    ("fauc", ("left_out", "families", "fauc"), True),
    ("family recall at FPR 1e-2, left out", ("left_out", "families", "recall_averaged_over_families", at_fpr(1e-2)), True),
    ("benign flagged at fpr_1e-2", ("grouped", "benign", "all", "fpr_1e-2", "rate"), False),
    ("background flagged at fpr_1e-2", ("grouped", "benign", "kinds", "background of infected hosts", "fpr_1e-2", "rate"), False),
    ("name swap flagged at fpr_1e-2", ("name_swap", "fpr_1e-2", "swapped", "rate"), False),
    ("stack laboratory flagged at fpr_1e-2", ("laboratory", "all", "fpr_1e-2", "rate"), False),
    ("ECE", ("calibration", "per_flow", "ece"), False),
    ("ROC-AUC", ("scored", "subsets", "all", "roc_auc", "value"), True),
    ("fauc of these rows", ("scored", "fauc"), True),
    ("recall averaged over families at fpr_1e-2", ("scored", "family_recall_fpr_1e-2"), True),
    ("benign flagged at fpr_1e-2, these rows", ("scored", "benign", "all", "fpr_1e-2", "rate"), False),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One figure of both models; the interval is of the paired difference, where there is one."""

    title: str
    a: float | None
    b: float | None
    more_is_better: bool
    interval: tuple[float, float] | None = None

    @property
    def worse(self) -> bool:
        """Whether B is surely worse."""
        if self.interval is None:
            return False
        low, high = self.interval
        return high < 0 if self.more_is_better else low > 0


@dataclass(frozen=True)
class Comparison:
    """All lines and what has to be known to read them."""

    lines: list[Line]
    note: str

    @property
    def worse(self) -> list[str]:
        """The figures in which B is surely worse."""
        return [x.title for x in self.lines if x.worse]


def run(a: Path, b: Path, features: Path | None, split: str, seed: int) -> Comparison:
    """Compares two bundles on rows, or two bundles or eval.json by what they say."""
    if features is not None:
        models, rows = (model.load(a), model.load(b)), selection.select(table.read(features), split=split).rows
        known = [examine.trained_on(m, rows) for m in models]
        note = f"{len(rows)} flows scored by both"
        if any(k != 0 for k in known):
            told = ["an unknown number" if k is None else str(k) for k in known]
            note += f"; A was trained on the captures of {told[0]} of them, B of {told[1]}: no fair test"
        return Comparison(on_rows(*models, rows, seed), note)
    one, two = read_evaluation(a), read_evaluation(b)
    lines = [Line(title, _at(one, path), _at(two, path), more) for title, path, more in FIGURES]
    lines = [x for x in lines if x.a is not None or x.b is not None]
    if not lines:
        raise TrainerError(f"{a} and {b} have no figure in common with what is compared")
    if not _same_rows(one, two):
        return Comparison(lines, "measured on different rows, folds or seeds: nothing can be paired")
    return Comparison(_paired(one, two, lines, seed), "measured on the same rows, folds and seeds")


def read_evaluation(path: Path) -> dict:
    """The eval.json of a bundle, or a file of its kind."""
    if path.is_dir():
        return model.load(path).evaluation
    try:
        doc = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise TrainerError(f"{path}: cannot be read as JSON: {err}") from err
    if not isinstance(doc, dict) or "data" not in doc:
        raise TrainerError(f"{path}: is no eval.json")
    return doc


def on_rows(a: model.Model, b: model.Model, rows: table.Table, seed: int) -> list[Line]:
    """Both models on the same rows, each at its own thresholds."""
    y = rows.malicious
    if not 0 < y.sum() < len(y):
        raise TrainerError("one class only: the rows to compare on need malicious and benign flows")
    margins = [m.margins(rows) for m in (a, b)]
    ranked = [rates.headline(y, m) for m in margins]
    families, at = np.unique(rows.text["family"][y], return_inverse=True)
    limits = [{t.name: t.margin for t in m.limits} for m in (a, b)]
    names = [n for n in limits[0] if n in limits[1]]

    def figures(which: int, w: np.ndarray | None) -> np.ndarray:
        weight = np.ones(len(y)) if w is None else w
        out = list(ranked[which](w))
        for name in names:
            hit = margins[which] >= limits[which][name]
            of = np.bincount(at, weight[y], len(families))
            found = np.bincount(at, weight[y] * hit[y], len(families))
            out.append(float(np.mean(found[of > 0] / of[of > 0])) if of.any() else np.nan)
            benign = weight[~y].sum()
            out.append(float((weight[~y] * hit[~y]).sum() / benign) if benign else np.nan)
        return np.array(out)

    titles = [(name.replace("_", " "), True) for name in rates.HEADLINE]
    for name in names:
        titles += [(f"recall averaged over families at own {name}", True), (f"benign flagged at own {name}", False)]
    points = [figures(i, None) for i in (0, 1)]
    drawn = np.array([figures(1, w) - figures(0, w) for w in metrics.by_capture(rows.text["capture"], ROUNDS, seed)])
    lines = []
    for i, (title, more) in enumerate(titles):
        values = drawn[~np.isnan(drawn[:, i]), i]
        lines.append(Line(title, float(points[0][i]), float(points[1][i]), more, _middle(values)))
    return lines


def render(comparison: Comparison, a: str, b: str) -> str:
    """The comparison as a table."""
    rows = []
    for x in comparison.lines:
        change = "" if x.a is None or x.b is None else f"{x.b - x.a:+.4f}"
        interval = "not paired" if x.interval is None else f"{x.interval[0]:+.4f} to {x.interval[1]:+.4f}"
        said = "worse" if x.worse else "better" if _better(x) else ""
        rows.append((x.title, _told(x.a), _told(x.b), change, interval, said))
    head = ("figure", a, b, "change", "95 % of the paired change", "B is")
    return f"{comparison.note}\n\n{markdown_table(head, rows)}\n"


def _told(v: float | None) -> str:
    return "n/a" if v is None else f"{v:.4f}"


def _better(x: Line) -> bool:
    return x.interval is not None and Line(x.title, x.b, x.a, x.more_is_better, (-x.interval[1], -x.interval[0])).worse


def _at(doc: dict, path: tuple[str, ...]) -> float | None:
    for key in path:
        if not isinstance(doc, dict) or key not in doc:
            return None
        doc = doc[key]
    return doc


def _same_rows(one: dict, two: dict) -> bool:
    keys = (("data", "rows_digest"), ("evaluation",), ("model", "seed"))
    return all(_at(one, k) == _at(two, k) for k in keys)


def _paired(one: dict, two: dict, lines: list[Line], seed: int) -> list[Line]:
    """Adds the intervals that families and partitions allow."""
    families = [_at(e, ("left_out", "families", "families")) for e in (one, two)]
    parts = [_at(e, ("left_out", "families", "fauc_of_partitions")) for e in (one, two)]
    if None in families or None in parts:
        return lines
    out = []
    for x in lines:
        interval = None
        if x.title == "fauc":
            change = np.array([families[1][f]["auc"] - families[0][f]["auc"] for f in families[0]])
            interval = _widest(_over_families(change, seed), _over_partitions(np.subtract(parts[1], parts[0])))
        elif x.title.startswith("family recall"):
            key = at_fpr(1e-2)
            change = np.array([families[1][f][key]["value"] - families[0][f][key]["value"] for f in families[0]])
            interval = _over_families(change, seed)
        out.append(Line(x.title, x.a, x.b, x.more_is_better, interval))
    return out


def _over_families(change: np.ndarray, seed: int) -> tuple[float, float]:
    drawn = np.random.default_rng(seed).integers(len(change), size=(ROUNDS, len(change)))
    return _middle(change[drawn].mean(axis=1))


def _over_partitions(change: np.ndarray) -> tuple[float, float] | None:
    n = len(change)
    if n < 2:
        return None
    half = float(student.ppf(0.975, n - 1) * np.std(change, ddof=1) / np.sqrt(n))
    return float(change.mean()) - half, float(change.mean()) + half


def _widest(a: tuple[float, float], b: tuple[float, float] | None) -> tuple[float, float]:
    return a if b is None else (min(a[0], b[0]), max(a[1], b[1]))


def _middle(values: np.ndarray) -> tuple[float, float] | None:
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return number(float(low)), number(float(high))
