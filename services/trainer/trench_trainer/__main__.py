"""The command line: `python -m trench_trainer train|eval|compare|search|evaluate|card|check|golden`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from trench_trainer import (
    __version__,
    bundle,
    card,
    compare,
    examine,
    golden,
    pipeline,
    profile,
    robustness,
    search,
    selection,
    sidebyside,
)
from trench_trainer.errors import TrainerError
from trench_trainer.progress import Progress
from trench_trainer.study import Options

TRIALS = 40


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    root = argparse.ArgumentParser(prog="trench_trainer", description="Trains and inspects Trench's model bundles.")
    root.add_argument("--version", action="version", version=__version__)
    sub = root.add_subparsers(dest="command", required=True)
    defaults = Options(Path(), Path())

    train = sub.add_parser("train", help="train on labelled feature rows and write a bundle")
    _studied(train, defaults, partitions=defaults.partitions)
    train.add_argument("--out", type=Path, required=True, metavar="DIR")
    train.add_argument("--name", default=defaults.name, help="the model's name (%(default)s)")
    train.add_argument("--ablation-partitions", type=int, default=defaults.ablation_partitions, help="0 leaves it out")
    train.add_argument("--monotone", action="store_true", help="hold the columns whose direction is certain to it")
    train.add_argument("--params", type=Path, metavar="FILE.json", help="parameters that `search` chose")
    train.add_argument("--joy", type=Path, metavar="ROWS.parquet", help="the same flows in schema cisco2016, for the comparison")
    train.add_argument(
        "--perturbed",
        action="append",
        default=[],
        type=robustness.argument,
        metavar="NAME=ROWS.parquet",
        help="rows of rewritten captures, for the evaluation; repeatable",
    )
    train.add_argument("--lab", type=Path, metavar="ROWS.parquet", help="rows of the stack laboratory: scored, never trained on")
    train.add_argument("--beacons", type=Path, metavar="ROWS.parquet", help="rows of emulated beacons: scored, never trained on")

    measure = sub.add_parser("eval", help="a bundle's figures on labelled rows, at its own thresholds")
    measure.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    measure.add_argument("--features", type=Path, required=True, metavar="ROWS.parquet")
    measure.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures as JSON too")
    _scored(measure)

    versus = sub.add_parser("compare", help="two bundles or two eval.json side by side")
    versus.add_argument("a", type=Path, metavar="A")
    versus.add_argument("b", type=Path, metavar="B")
    versus.add_argument("--features", type=Path, metavar="ROWS.parquet", help="score these rows with both bundles")
    versus.add_argument("--fail-if-worse", action="store_true", help="exit code 1 when B is surely worse in a figure")
    _scored(versus)

    tune = sub.add_parser("search", help="choose hyper-parameters within grouped folds")
    _studied(tune, defaults, partitions=defaults.partitions)
    tune.add_argument("--trials", type=int, default=TRIALS)
    tune.add_argument("--resume", type=Path, required=True, metavar="FILE.jsonl", help="where trials are kept and taken up from")
    tune.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="the choice, for train --params")

    tables = sub.add_parser("evaluate", help="search, then write the long tables into a document")
    _studied(tables, defaults, partitions=5)
    tables.add_argument("--joy", type=Path, required=True, metavar="ROWS.parquet", help="the same flows in schema cisco2016")
    tables.add_argument("--trials", type=int, default=TRIALS)
    tables.add_argument("--work", type=Path, required=True, metavar="DIR", help="results are kept here and taken up from here")
    tables.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="the chosen parameters")
    tables.add_argument("--document", type=Path, required=True, metavar="FILE.md", help="has the marks between which tables go")

    show = sub.add_parser("card", help="print a bundle's card, rendered from its eval.json")
    show.add_argument("--bundle", type=Path, required=True, metavar="DIR")

    check = sub.add_parser("check", help="check a bundle's files against SHA256SUMS")
    check.add_argument("--bundle", type=Path, required=True, metavar="DIR")

    hard = sub.add_parser("golden", help="write rows that are hard on a tree walker, with LightGBM's raw scores")
    hard.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    hard.add_argument("--rows", type=int, default=2000)
    hard.add_argument("--out", type=Path, required=True, metavar="FILE.tsv")
    hard.add_argument("--seed", type=int, default=1)
    hard.add_argument("--contrib", action="store_true", help="append LightGBM's contributions")
    hard.add_argument("--wide", action="store_true", help="values beyond float32, printed with 17 digits")
    return root


def _studied(command: argparse.ArgumentParser, defaults: Options, partitions: int) -> None:
    """The options of what is done on the folds of a table."""
    command.add_argument("--features", type=Path, required=True, metavar="ROWS.parquet")
    command.add_argument("--profile", default=defaults.profile, help=", ".join(sorted(profile.PROFILES)))
    command.add_argument("--seed", type=int, default=defaults.seed)
    command.add_argument(
        "--exclude", action="append", default=[], metavar="CAPTURE", help="keep a capture out of training; repeatable"
    )
    command.add_argument("--folds", type=int, default=defaults.folds)
    command.add_argument("--family-folds", type=int, default=defaults.family_folds)
    command.add_argument("--partitions", type=int, default=partitions)
    command.add_argument("--max-trees", type=int, default=defaults.max_trees)
    command.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="fits at once (%(default)s)")
    command.add_argument("--quiet", action="store_true", help="no progress")


def _scored(command: argparse.ArgumentParser) -> None:
    """The options of what is done with finished bundles on rows."""
    command.add_argument("--split", default=selection.ANY, help="train, test or %(default)s")
    command.add_argument("--seed", type=int, default=1, help="of the bootstrap")
    command.add_argument("--quiet", action="store_true", help="no progress")


def run(argv: Sequence[str]) -> int:
    """Carries out one command; returns the exit code."""
    args = vars(parser().parse_args(argv))
    command, quiet = args.pop("command"), args.pop("quiet", False)
    return COMMANDS[command](args, Progress(quiet=quiet))


def _options(args: dict) -> Options:
    lists = ("exclude", "perturbed")
    return Options(**{**args, **{k: tuple(args[k]) for k in lists if k in args}})


def _train(args: dict, progress: Progress) -> int:
    pipeline.run(_options(args), progress)
    return 0


def _eval(args: dict, progress: Progress) -> int:
    ev = examine.run(args["bundle"], args["features"], args["split"], args["seed"], progress)
    if args["out"]:
        args["out"].write_text(bundle.document(ev), encoding="utf-8")
    sys.stdout.write(examine.render(ev))
    return 0


def _compare(args: dict, progress: Progress) -> int:  # noqa: ARG001
    found = compare.run(args["a"], args["b"], args["features"], args["split"], args["seed"])
    sys.stdout.write(compare.render(found, "A", "B"))
    if args["fail_if_worse"] and found.worse:
        raise TrainerError(f"B is worse in {len(found.worse)} figures: {', '.join(found.worse)}")
    return 0


def _search(args: dict, progress: Progress) -> int:
    trials, resume = args.pop("trials"), args.pop("resume")
    search.run(_options({**args, "ablation_partitions": 0}), trials, resume, progress)
    return 0


def _evaluate(args: dict, progress: Progress) -> int:
    trials, work, document = (args.pop(k) for k in ("trials", "work", "document"))
    sidebyside.run(_options({**args, "ablation_partitions": 0}), trials, work, document, progress)
    return 0


def _intact(directory: Path) -> Path:
    faults = bundle.check(directory)
    if faults:
        raise TrainerError(f"{directory}: " + "; ".join(faults))
    return directory


def _card(args: dict, progress: Progress) -> int:  # noqa: ARG001
    path = _intact(args["bundle"]) / "eval.json"
    try:
        text = card.render(json.loads(path.read_text(encoding="utf-8")))
    except (KeyError, ValueError) as err:
        raise TrainerError(f"{path}: is not what this version's card is made from: {err!r}") from err
    sys.stdout.write(text)
    return 0


def _check(args: dict, progress: Progress) -> int:  # noqa: ARG001
    print(f"{_intact(args['bundle'])}: ok")
    return 0


def _golden(args: dict, progress: Progress) -> int:  # noqa: ARG001
    if args["rows"] < 1:
        raise TrainerError(f"--rows: {args['rows']} is below 1")
    directory = _intact(args["bundle"])
    golden.write_hard(directory, args["out"], args["rows"], args["seed"], contrib=args["contrib"], wide=args["wide"])
    return 0


COMMANDS = {
    "train": _train,
    "eval": _eval,
    "compare": _compare,
    "search": _search,
    "evaluate": _evaluate,
    "card": _card,
    "check": _check,
    "golden": _golden,
}


def main() -> None:
    """Entry point: errors with a cause become one line and exit code 1."""
    try:
        sys.exit(run(sys.argv[1:]))
    except (TrainerError, OSError) as err:
        print(f"trench_trainer: {err}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("trench_trainer: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
