"""What the model loses when less is seen of a flow, and when an adversary changes what is cheap to change.

Two ways to find out. *Rewritten captures*: the training captures are rewritten (`pkg/internal/perturb`) and go through the
extractor again; their rows are joined with those trained on by capture and flow id, which rewriting keeps. *Disguises*:
vectors of malicious flows are changed, with DRAWS draws of what is put on (disguise.py). Models may have been trained on the
benign flow that it comes from: whoever hides takes what is common.

A row is scored by boosters that did not see its capture group. A flow that shows no ClientHello any more cannot be scored
and counts as not flagged. Intervals of recall are those of a bootstrap over captures, and a change is measured within it;
intervals of false positives are Clopper-Pearson's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trench_trainer import fit, metrics
from trench_trainer.decide import Threshold
from trench_trainer.disguise import Wardrobe
from trench_trainer.errors import TrainerError
from trench_trainer.markdown import pct, table
from trench_trainer.rates import ROUNDS, number, share
from trench_trainer.table import HELLO, Schema, Table, read

DRAWS = 5


@dataclass(frozen=True)
class Rewriting:
    """One way in which captures were rewritten; an adversary's is measured on malicious flows alone."""

    title: str
    adverse: bool


REWRITINGS = {
    "first-20": Rewriting("first 20 packets only", False),
    "first-10": Rewriting("first 10 packets only", False),
    "first-5": Rewriting("first 5 packets only", False),
    "loss-1": Rewriting("1 % of the packets lost", False),
    "loss-3": Rewriting("3 % of the packets lost", False),
    "loss-5": Rewriting("5 % of the packets lost", False),
    "delay": Rewriting("client waits up to 2 s before each turn", True),
    "pad-256": Rewriting("encrypted records padded to multiples of 256 bytes", True),
    "pad-random": Rewriting("encrypted records padded by up to 1 KiB at random", True),
    "delay-and-pad": Rewriting("waits and random padding", True),
}
# What "everything together" starts from.
WORST = "delay-and-pad"


def argument(text: str) -> tuple[str, Path]:
    """Reads one NAME=FILE of the command line."""
    name, _, file = text.partition("=")
    if name not in REWRITINGS:
        raise TrainerError(f"--perturbed {text}: {name!r} is unknown; there are {', '.join(REWRITINGS)}")
    if not Path(file).is_file():
        raise TrainerError(f"--perturbed {text}: no such file")
    return name, Path(file)


def load(files: Sequence[tuple[str, Path]], schema: Schema) -> dict[str, Table]:
    """Reads the rows of rewritten captures; their vector has to be that of the rows trained on."""
    out = {}
    for name, path in files:
        out[name] = read(path)
        if out[name].schema.hash != schema.hash:
            raise TrainerError(f"{path}: other columns than the rows trained on; extract both with the same trench")
    return out


def matched(rows: Table, at: np.ndarray, other: Table) -> tuple[np.ndarray, np.ndarray]:
    """For the rows at the given positions the vectors of the same flows in another table, the last report of each.

    The first result says which were found as TLS with a ClientHello; the vectors of the others are gaps.
    """
    usable = np.flatnonzero((other.text["app_proto"] == "tls") & ~np.isnan(other.column(HELLO)))
    place: dict[tuple[str, str], int] = {}
    for i in usable[np.argsort(other.part[usable], kind="stable")]:
        place[other.text["capture"][i], other.text["flow_id"][i]] = int(i)
    flows = zip(rows.text["capture"][at], rows.text["flow_id"][at], strict=True)
    where = np.array([place.get(flow, -1) for flow in flows], dtype=int)
    x = np.full((len(at), rows.x.shape[1]), np.nan, dtype=np.float32)
    x[where >= 0] = other.x[where[where >= 0]]
    return where >= 0, x


def measure(
    rows: Table,
    names: Sequence[str],
    runs: Sequence[fit.Staged],
    trees: int,
    limits: Sequence[Threshold],
    rewritten: Mapping[str, Table],
) -> dict:
    """Recall and false positives before and after each change; `names` are the model's columns."""
    models = _Models(rows, names, runs, trees, limits)
    bad = np.flatnonzero(rows.malicious)
    # Benign flows of captures that were rewritten: one of which nothing is left in one way is found in another.
    captures = sorted(set().union(*(t.text["capture"] for t in rewritten.values())))
    good = np.flatnonzero(~rows.malicious & np.isin(rows.text["capture"], captures))
    recall = _Recall(rows, bad, models.flag(bad, rows.x[bad]), limits)
    seen, adversary = [], []
    start, scored = rows.x[bad], np.ones(len(bad), dtype=bool)
    for name, rewriting in REWRITINGS.items():
        if name not in rewritten:
            continue
        found, x = matched(rows, bad, rewritten[name])
        entry = recall.entry(rewriting.title, models.flag(bad, x) * found, found)
        if rewriting.adverse:
            adversary.append(entry)
        else:
            seen.append(entry | {"benign": _false_positives(rows, models, good, rewritten[name], limits)})
        if name == WORST:
            start, scored = x, found
    for disguise in Wardrobe(rows).disguises():
        together = disguise.name == "all"
        x, found = (start, scored) if together else (rows.x[bad], np.ones(len(bad), dtype=bool))
        title = f"{disguise.title}, {REWRITINGS[WORST].title}" if together and WORST in rewritten else disguise.title
        drawn = [models.flag(bad, disguise.put_on(x, bad, np.random.default_rng(d))) for d in range(DRAWS)]
        adversary.append(recall.entry(title, np.mean(drawn, axis=0) * found, found))
    return {
        "flows": len(bad),
        "families": len(set(rows.text["family"][bad])),
        "captures": len(set(rows.text["capture"][bad])),
        "draws": DRAWS,
        "bootstrap_rounds": ROUNDS,
        "unchanged": recall.before,
        "seen": seen,
        "adversary": adversary,
    }


class _Models:
    """The boosters of each partition and the thresholds."""

    def __init__(self, rows: Table, names: Sequence[str], runs: Sequence[fit.Staged], trees: int, limits: Sequence[Threshold]):
        position = rows.schema.position()
        self._columns = [position[n] for n in names]
        self._runs, self._trees = runs, trees
        self._margins = np.array([[t.margin] for t in limits])

    def flag(self, at: np.ndarray, x: np.ndarray) -> np.ndarray:
        """By threshold and row the share of partitions that flag whole vectors standing for the rows at these positions."""
        x = x[:, self._columns].astype(np.float64)
        return np.mean([run.score(at, x, self._trees) >= self._margins for run in self._runs], axis=0)


class _Recall:
    """Recall of malicious flows, per flow and averaged over families, before and after a change."""

    def __init__(self, rows: Table, bad: np.ndarray, before: np.ndarray, limits: Sequence[Threshold]):
        _, family = np.unique(rows.text["family"][bad], return_inverse=True)
        self._family = np.eye(family.max() + 1)[family]
        # The first weighs every capture once, the others are the bootstrap's.
        self._w = np.vstack([np.ones(len(bad)), metrics.by_capture(rows.text["capture"][bad], ROUNDS, 0)])
        self._names = [t.name for t in limits]
        self._before = [self._figures(flags) for flags in before]
        self.before = {
            name: {kind: _described(values) for kind, values in figures.items()}
            for name, figures in zip(self._names, self._before, strict=True)
        }

    def _figures(self, flags: np.ndarray) -> dict[str, np.ndarray]:
        weight, hits = self._w @ self._family, (self._w * flags) @ self._family
        known = weight > 0
        each = hits / np.where(known, weight, 1)
        return {
            "per_flow": hits.sum(axis=1) / weight.sum(axis=1),
            "over_families": (each * known).sum(axis=1) / known.sum(axis=1),
        }

    def entry(self, title: str, flags: np.ndarray, found: np.ndarray) -> dict:
        """One change: how many flows cannot be scored any more, recall by threshold, and by how much it changed."""
        out: dict = {"title": title, "unscored": int((~found).sum()), "recall": {}}
        for name, was, flag in zip(self._names, self._before, flags, strict=True):
            now = self._figures(flag)
            out["recall"][name] = {
                kind: _described(values) | {"change": _described(values - was[kind])} for kind, values in now.items()
            }
        return out


def _described(values: np.ndarray) -> dict:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return {"value": number(float(values[0])), "interval": [number(float(low)), number(float(high))]}


def _false_positives(rows: Table, models: _Models, good: np.ndarray, other: Table, limits: Sequence[Threshold]) -> dict:
    """How many of the benign flows reach the thresholds, before and after."""
    found, x = matched(rows, good, other)
    before, after = models.flag(good, rows.x[good]), models.flag(good, x) * found
    out: dict = {"flows": len(good), "unscored": int((~found).sum()), "rates": {}}
    for t, was, now in zip(limits, before, after, strict=True):
        out["rates"][t.name] = {"before": share(float(was.sum()), len(good)), "after": share(float(now.sum()), len(good))}
    return out


def card(section: dict) -> list[str]:
    """The card's lines about it."""
    intro = (
        f"{section['flows']} malicious flows of {section['families']} families in {section['captures']} captures, scored by "
        "models that did not see their capture group. Recall is per flow and averaged over families; in brackets by how many "
        f"points it changed, with the 95 % interval of a bootstrap over captures ({section['bootstrap_rounds']} rounds). Flows "
        "without a ClientHello are not scored and count as missed."
    )
    lines = ["## Robustness", "", intro, ""]
    parts = (
        ("seen", "*Seeing less.* The training captures were rewritten and went through the extractor again."),
        (
            "adversary",
            "*An adversary who changes what is cheap.* Waits and padding (of both sides) were written into the captures; names, "
            f"hellos and certificates are those of benign flows, {section['draws']} draws a flow, in the rows.",
        ),
    )
    for key, text in parts:
        if section[key]:
            lines += [text, "", _recall_table(section["unchanged"], section[key]), ""]
    benign = [e for e in section["seen"] if "benign" in e]
    if benign:
        lines += ["Benign flows that reach the thresholds when less is seen of them:", "", _benign_table(benign), ""]
    return lines[:-1]


def _recall_table(unchanged: dict, entries: Sequence[dict]) -> str:
    kinds = (("per_flow", "per flow"), ("over_families", "over families"))
    head = ["change", "not scored", *(f"`{t}`, {text}" for t in unchanged for _, text in kinds)]
    rows = [["none", "0", *(pct(unchanged[t][kind]["value"]) for t in unchanged for kind, _ in kinds)]]
    for e in entries:
        cells = [e["recall"][t][kind] for t in unchanged for kind, _ in kinds]
        rows.append([e["title"], str(e["unscored"]), *(f"{pct(c['value'])} ({_points(c['change'])})" for c in cells)])
    return table(head, rows)


def _benign_table(entries: Sequence[dict]) -> str:
    limits = list(entries[0]["benign"]["rates"])
    head = ["change", "flows", "not scored", *(f"`{t}`, {when}" for t in limits for when in ("before", "after"))]
    rows = []
    for e in entries:
        b = e["benign"]
        rates = [b["rates"][t][when] for t in limits for when in ("before", "after")]
        cells = [f"{pct(r['rate'])} ({pct(r['interval'][0])} to {pct(r['interval'][1])})" for r in rates]
        rows.append([e["title"], str(b["flows"]), str(b["unscored"]), *cells])
    return table(head, rows)


def _points(change: dict) -> str:
    low, high = change["interval"]
    return f"{100 * change['value']:+.1f}; {100 * low:+.1f} to {100 * high:+.1f}"
