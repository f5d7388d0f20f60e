import numpy as np

from trench_trainer import fit, folds
from trench_trainer.weights import flow_weights


def bench(rows, **changes):
    x, y = rows.x.astype(np.float64), rows.malicious.astype(np.float64)
    names = tuple(c.name for c in rows.schema.columns)
    return fit.Bench(x, y, flow_weights(rows), names, 2, lambda: None, **changes)


def test_every_fit_passes_through_the_augmentation_and_no_test_row_does(rows):
    seen = []

    def twice(x, y, w, names, seed):
        seen.append((len(x), len(names), seed))
        return np.concatenate([x, x]), np.concatenate([y, y]), np.concatenate([w / 2, w / 2])

    parts = [folds.grouped(rows, 3, 1)]
    b = bench(rows, augment=twice)
    run = b.cross(parts, [7], trees=25, columns=np.arange(40))[0]
    b.fit(slice(None), 9, 25)
    assert sorted(seen) == sorted([(len(f.train), 40, 7) for f in parts[0]] + [(len(rows), len(b.names), 9)])
    assert run.margins.shape == (1, len(rows))
    assert not np.isnan(run.margins).any()


def test_changed_parameters_reach_the_model(rows):
    text = bench(rows, changes={"num_leaves": 5}).fit(slice(None), 1, 25).model_to_string()
    assert "[num_leaves: 5]" in text
    assert "[num_leaves: 31]" in bench(rows).fit(slice(None), 1, 25).model_to_string()


def test_a_monotone_column_never_lowers_the_margin(rows):
    b = bench(rows, monotone={"ct_valid_days": 1})
    at = b.names.index("ct_valid_days")
    booster = b.fit(slice(None), 1, 50)
    base = np.repeat(b.x[:50], 20, axis=0)
    base[:, at] = np.tile(np.linspace(0, np.nanmax(b.x[:, at]), 20), 50)
    margins = fit.raw(booster, base).reshape(50, 20)
    assert (np.diff(margins, axis=1) >= -1e-12).all()
    assert booster.feature_importance()[at] > 0
