import json

import numpy as np
import pytest

from trench_trainer import reference


def outside(row, others):
    """What the Go side counts, column by column."""
    n = 0
    for i, v in enumerate(row):
        seen = others[:, i][~np.isnan(others[:, i])]
        if np.isnan(v):
            n += len(seen) == len(others)
        else:
            n += len(seen) == 0 or v < seen.min() or v > seen.max()
    return n


def test_rows_are_held_against_the_other_groups_alone():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (120, 9)).astype(np.float32)
    x[rng.random(x.shape) < 0.02] = np.nan
    x[:4, 5] = np.nan
    x[:, 7] = np.nan
    x[3, 7] = 1
    groups = np.array(["a"] * 4 + ["b"] * 40 + ["c"] * 76)
    got = reference.outside_other_groups(x, groups)
    want = [outside(x[i], x[groups != groups[i]]) for i in range(len(x))]
    assert got.tolist() == want
    assert max(want) > 1


@pytest.mark.parametrize(("strange", "limit"), [(0, 1), (1, 1), (2, 7)])
def test_limit_is_the_least_that_one_row_in_a_thousand_exceeds(strange, limit):
    counts = np.array([7] * strange + [1] * (1500 - strange))
    assert reference.extrapolation_limit(counts, np.ones(1500)) == limit


def test_training_ranges_are_exact_and_of_both_classes(trained, rows):
    ref = json.loads((trained / "reference.json").read_text())
    kept = rows.text["capture"] != "malware/malware/lab/alpha-0-0.pcap"
    for name, f in ref["features"].items():
        column = rows.column(name)[kept].astype(np.float64)
        assert f["train"]["nan"] == bool(np.isnan(column).any())
        if not np.isnan(column).all():
            assert (f["train"]["min"], f["train"]["max"]) == (np.nanmin(column), np.nanmax(column)), name
    assert ref["extrapolation"]["limit"] >= 0
