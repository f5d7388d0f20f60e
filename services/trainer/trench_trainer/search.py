"""Hyper-parameters, chosen within grouped folds only: a seeded random search that can be stopped and resumed.

Trial 0 has the parameters as they are; each further trial draws every parameter of SPACE at random, by the seed and its own
number alone, so that more trials continue fewer. A trial's figure is fauc with families left out, averaged over the
partitions, at the number of trees that `train` would take. The best trial replaces the parameters only when it is better by
more than noise: by more than MARGIN and by more than twice the standard error of the difference on the same partitions.

Whatever is chosen here was chosen on these folds: the figures of the chosen model on them flatter it, and its card says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trench_trainer import bundle, evaluate, fit
from trench_trainer.errors import TrainerError
from trench_trainer.journal import Journal, key_of
from trench_trainer.progress import Progress
from trench_trainer.rates import at_fpr, number
from trench_trainer.study import SEARCHED, Options, Study, prepare

MARGIN = 0.001


@dataclass(frozen=True)
class Choice:
    """The trial that won, and why."""

    trial: int
    params: Mapping[str, object]
    by: str

    def document(self) -> dict:
        """What `train --params` reads."""
        return {"params": dict(self.params), "chosen_by": self.by, "start": fit.PARAMS}


def run(options: Options, trials: int, resume: Path, progress: Progress) -> Choice:
    """Searches and writes the choice to options.out."""
    options.validate()
    if trials < 1:
        raise TrainerError(f"--trials: {trials} is below 1")
    if options.out.exists() and not options.out.is_file():
        raise TrainerError(f"{options.out}: is not a file")
    choice = search(prepare(options, progress), trials, resume)
    options.out.write_text(bundle.document(choice.document()), encoding="utf-8")
    progress.note(f"{options.out}: {choice.by}")
    return choice


def search(study: Study, trials: int, resume: Path) -> Choice:
    """Runs the trials that the journal lacks and chooses among all."""
    journal = Journal(resume, key_of(study, search=1))
    results = []
    for i in range(trials):
        name = f"trial {i}"
        if name not in journal:
            study.progress.phase(name, sum(map(len, study.left)))
        result = journal.once(name, lambda i=i: trial(study, draw(study.options.seed, i)))
        results.append(result)
        study.progress.note(f"{name}: fauc {result['fauc']:.4f} at {result['trees']} trees, {_told(result['params'])}")
    return choose(results, study.options.seed)


def draw(seed: int, i: int) -> dict[str, object]:
    """The parameters of a trial; those of trial 0 are none."""
    if i == 0:
        return {}
    rng = np.random.default_rng([seed, i])
    return {name: values[int(rng.integers(len(values)))] for name, values in SEARCHED.items()}


def trial(study: Study, params: Mapping[str, object]) -> dict:
    """One set of parameters on all partitions, families left out."""
    runs = study.bench.cross(study.left, study.seeds, trees=study.options.max_trees, **params)
    stages = [np.array([r.margins[s] for r in runs]) for s in range(len(runs[0].margins))]
    by_stage = [evaluate.fauc(study.rows, m) for m in stages]
    best = next(s for s, v in enumerate(by_stage) if v >= max(by_stage) - MARGIN)
    families = evaluate.left_out_families(study.rows, stages[best])
    return {
        "params": dict(params),
        "trees": (best + 1) * fit.STEP,
        "fauc": number(by_stage[best]),
        "fauc_of_partitions": families["fauc_of_partitions"],
        at_fpr(1e-2): families["recall_averaged_over_families"][at_fpr(1e-2)],
    }


def choose(results: Sequence[dict], seed: int) -> Choice:
    """The best trial where it beats trial 0 by more than noise, else trial 0."""
    if len(results) == 1:
        return Choice(0, {}, "no search: the start parameters as they are")
    at = max(range(len(results)), key=lambda i: (results[i]["fauc"], -i))
    best, start = results[at], results[0]
    gain = np.array(best["fauc_of_partitions"]) - np.array(start["fauc_of_partitions"])
    n = len(gain)
    error = float(np.std(gain, ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
    said = (
        f"a random search of {len(results)} trials (seed {seed}) by fauc on {n} partitions of these rows: the best has "
        f"{best['fauc']:.4f}, the start {start['fauc']:.4f}"
    )
    if at and gain.mean() > max(MARGIN, 2 * error):
        return Choice(at, best["params"], f"{said}, which is more than noise (standard error {error:.4f}): trial {at}")
    return Choice(0, {}, f"{said}: no more than noise, so the start parameters stay")


def _told(params: Mapping[str, object]) -> str:
    return ", ".join(f"{k} {v}" for k, v in params.items()) or "parameters as they are"
