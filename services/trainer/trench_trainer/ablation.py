"""What columns are worth: models retrained with groups of columns left out or added, families left out."""

import numpy as np

from trench_trainer import evaluate, metrics, profile
from trench_trainer.rates import number
from trench_trainer.study import Study


def ablation(study: Study, trees: int) -> dict:
    """Retrains with column groups left out or added, families left out, on some of the partitions."""
    options, rows, bench = study.options, study.rows, study.everything
    partitions = study.left[: options.ablation_partitions]
    out: dict = {"partitions": len(partitions), "trees": trees, "variants": []}
    if not partitions:
        return out
    distinct = choices(study)
    study.progress.phase("columns left out and added", len(distinct) * sum(map(len, partitions)))
    first = None
    for cols, name in distinct.items():
        done = bench.cross(partitions, study.seeds, trees=trees, columns=np.array(sorted(cols)))
        margins = np.array([r.at(trees) for r in done])
        left_out = evaluate.left_out_families(rows, margins)
        first = left_out["fauc"] if first is None else first
        out["variants"].append(
            {
                "variant": name,
                "columns": len(cols),
                "fauc": left_out["fauc"],
                "fauc_change": number(left_out["fauc"] - first),
                "roc_auc": number(float(np.mean([metrics.auc(rows.malicious, m) for m in margins]))),
                "recall": left_out["recall_averaged_over_families"]["recall_at_1e-2"],
            }
        )
    return out


def choices(study: Study) -> dict[frozenset[int], str]:
    """The distinct choices of columns, the profile's own first, with their names."""
    options, rows, names = study.options, study.rows, study.everything.names
    base = set(study.columns)

    def having(prefixes: tuple[str, ...] = (), exact: tuple[str, ...] = ()) -> set[int]:
        return {i for i, n in enumerate(names) if n.startswith(prefixes) or n in exact}

    variants = {f"profile {options.profile}": base}
    for group in dict.fromkeys(profile.group_of(n) for n in study.names):
        variants[f"without {group}"] = base - {i for i, n in enumerate(names) if profile.group_of(n) == group}
    added = {
        "with ml": having(("ml_",)),
        "with sq": having(("sq_",)),
        "with dn": having(("dn_",)),
        "with TLS versions": having(exact=profile.VERSION),
        "with era columns": having(exact=profile.ERA),
        "with TLS versions and era columns": having(exact=profile.VERSION + profile.ERA),
        "with how the capture ended": having(exact=profile.CAPTURE),
    }
    variants |= {k: base | v for k, v in added.items()}
    if rows.schema.name == profile.named("robust").schema:
        variants["profile robust (also no suite or extension bits)"] = set(profile.named("robust").choose(rows.schema.columns))
    variants["all columns"] = set(range(len(names)))
    distinct: dict[frozenset[int], str] = {}
    for name, cols in variants.items():
        if cols:
            distinct.setdefault(frozenset(cols), name)
    return distinct
