"""The command line: `python -m trench_trainer train|card|golden|check`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from trench_trainer import __version__, bundle, card, golden, pipeline, profile
from trench_trainer.errors import TrainerError
from trench_trainer.progress import Progress


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    root = argparse.ArgumentParser(prog="trench_trainer", description="Trains and inspects Trench's model bundles.")
    root.add_argument("--version", action="version", version=__version__)
    sub = root.add_subparsers(dest="command", required=True)
    defaults = pipeline.Options(Path(), Path())

    train = sub.add_parser("train", help="train on labelled feature rows and write a bundle")
    train.add_argument("--features", type=Path, required=True, metavar="ROWS.parquet")
    train.add_argument("--out", type=Path, required=True, metavar="DIR")
    train.add_argument("--name", default=defaults.name, help="the model's name (%(default)s)")
    train.add_argument("--profile", default=defaults.profile, help=", ".join(sorted(profile.PROFILES)))
    train.add_argument("--seed", type=int, default=defaults.seed)
    train.add_argument(
        "--exclude", action="append", default=[], metavar="CAPTURE", help="keep a capture out of training; repeatable"
    )
    train.add_argument("--folds", type=int, default=defaults.folds)
    train.add_argument("--family-folds", type=int, default=defaults.family_folds)
    train.add_argument("--partitions", type=int, default=defaults.partitions)
    train.add_argument("--ablation-partitions", type=int, default=defaults.ablation_partitions, help="0 leaves it out")
    train.add_argument("--max-trees", type=int, default=defaults.max_trees)
    train.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="fits at once (%(default)s)")
    train.add_argument("--monotone", action="store_true", help="hold the columns whose direction is certain to it")
    train.add_argument("--params", type=Path, metavar="FILE.json", help="parameters that `search` chose")
    train.add_argument("--joy", type=Path, metavar="ROWS.parquet", help="the same flows in schema cisco2016, for the comparison")
    train.add_argument("--lab", type=Path, metavar="ROWS.parquet", help="rows of the stack laboratory: scored, never trained on")
    train.add_argument("--beacons", type=Path, metavar="ROWS.parquet", help="rows of emulated beacons: scored, never trained on")
    train.add_argument("--quiet", action="store_true", help="no progress")

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


def run(argv: Sequence[str]) -> int:
    """Carries out one command; returns the exit code."""
    args = parser().parse_args(argv)
    if args.command == "train":
        pipeline.run(
            pipeline.Options(
                features=args.features,
                out=args.out,
                name=args.name,
                profile=args.profile,
                seed=args.seed,
                exclude=tuple(args.exclude),
                folds=args.folds,
                family_folds=args.family_folds,
                partitions=args.partitions,
                ablation_partitions=args.ablation_partitions,
                max_trees=args.max_trees,
                jobs=args.jobs,
                monotone=args.monotone,
                params=args.params,
                joy=args.joy,
                lab=args.lab,
                beacons=args.beacons,
            ),
            Progress(quiet=args.quiet),
        )
        return 0
    faults = bundle.check(args.bundle)
    if faults:
        raise TrainerError(f"{args.bundle}: " + "; ".join(faults))
    if args.command == "card":
        sys.stdout.write(card.render(json.loads((args.bundle / "eval.json").read_text(encoding="utf-8"))))
    elif args.command == "golden":
        if args.rows < 1:
            raise TrainerError(f"--rows: {args.rows} is below 1")
        golden.write_hard(args.bundle, args.out, args.rows, args.seed, contrib=args.contrib, wide=args.wide)
    else:
        print(f"{args.bundle}: ok")
    return 0


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
