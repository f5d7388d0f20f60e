from dataclasses import replace

import numpy as np

from trench_trainer import decide, fit, folds, probes
from trench_trainer.weights import flow_weights


def test_hiding_the_only_group_that_tells_anything_leaves_nothing(rows):
    y = rows.malicious
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (len(y), 4))
    x[:, 0] += 6 * y
    x[0, 3] = np.nan
    bench = fit.Bench(x, y * 1.0, flow_weights(rows), ("ch_a", "ch_b", "sn_a", "sn_b"), 2, lambda: None)
    runs = bench.cross([folds.grouped(rows, 3, 1)], [1], trees=50, keep=True)
    margins = np.array([r.at(50) for r in runs])
    limit = decide.thresholds(margins[:, ~y], rows.text["capture"][~y])[0]
    found = probes.occlusion(rows, bench, runs, 50, limit, 1)
    ch, sn = found["groups"]
    assert found["as_it_is"]["roc_auc"] > 0.99
    assert (ch["group"], ch["columns"], sn["group"]) == ("ch", 2, "sn")
    for way in probes.WAYS:
        assert 0.3 < ch[way]["roc_auc"] < 0.7, way
        assert sn[way]["roc_auc"] > 0.98, way
    assert ch["benign"]["recall"] < 0.1
    assert probes.occlusion(rows, replace(bench, jobs=1), runs, 50, limit, 1) == found
    np.testing.assert_array_equal(bench.x, x)
