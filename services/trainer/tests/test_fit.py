import numpy as np

from trench_trainer import fit
from trench_trainer.weights import flow_weights


def bench(rows, **changes):
    x, y = rows.x.astype(np.float64), rows.malicious.astype(np.float64)
    names = tuple(c.name for c in rows.schema.columns)
    return fit.Bench(x, y, flow_weights(rows), names, 2, lambda: None, **changes)


def test_changed_parameters_reach_the_model(rows):
    text = bench(rows, changes={"num_leaves": 5}).fit(slice(None), 1, 25).model_to_string()
    assert "[num_leaves: 5]" in text
    assert "[num_leaves: 15]" in bench(rows).fit(slice(None), 1, 25).model_to_string()


def test_a_monotone_column_never_lowers_the_margin(rows):
    b = bench(rows, monotone={"ct_valid_days": 1})
    at = b.names.index("ct_valid_days")
    booster = b.fit(slice(None), 1, 100, columns=np.array([at, at + 1]))
    base = np.repeat(b.x[:50, [at, at + 1]], 20, axis=0)
    base[:, 0] = np.tile(np.linspace(0, np.nanmax(b.x[:, at]), 20), 50)
    margins = fit.raw(booster, base).reshape(50, 20)
    assert (np.diff(margins, axis=1) >= -1e-12).all()
    assert booster.feature_importance()[0] > 0
