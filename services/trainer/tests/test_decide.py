import numpy as np
import pytest

from trench_trainer import decide, metrics


def test_threshold_flags_at_most_its_target():
    margins = np.arange(1000.0)
    t = decide.threshold(margins, np.arange(1000).astype(str), "fpr_1e-2", "suspicious", 1e-2)
    assert (margins >= t.margin).sum() == 10
    assert t.margin == 989.5
    assert (t.n, t.false_positives) == (1000, 10)
    assert t.certified == pytest.approx(metrics.upper_bound(10, 1000))


def test_one_capture_counts_as_five_flows():
    margins = np.concatenate([np.full(500, 9.0), np.arange(995.0) / 1000])
    captures = np.array(["noisy"] * 500 + [str(i) for i in range(995)])
    assert decide.capture_weights(captures).sum() == pytest.approx(1000)
    t = decide.threshold(margins, captures, "fpr_1e-2", "suspicious", 1e-2)
    assert (t.n, t.false_positives) == (1000, 10)
    assert (margins[500:] >= t.margin).sum() == 5


def test_a_target_beyond_n_says_so():
    t = decide.threshold(np.arange(200.0), np.arange(200).astype(str), "fpr_1e-3", "malicious", 1e-3)
    assert t.false_positives == 0
    assert t.margin > 199
    assert t.certified == pytest.approx(3 / 200, rel=0.01)
    assert "200 benign flows" in t.note
    assert t.document()["note"] == t.note


def test_a_certified_target_has_no_note():
    margins = np.concatenate([np.zeros(4000), [1.0]])
    t = decide.threshold(margins, np.arange(4001).astype(str), "fpr_1e-3", "malicious", 1e-3)
    assert t.certified < 1.5e-3
    exact = decide.Threshold("x", "y", 1e-3, 0.0, 5e-4, 9000, 0)
    assert "note" not in exact.document()


def test_ties_are_flagged_or_left_together():
    margins = np.array([3.0] * 20 + [0.0] * 980)
    t = decide.threshold(margins, np.arange(1000).astype(str), "fpr_1e-2", "suspicious", 1e-2)
    assert (margins >= t.margin).sum() == 0
    assert t.margin > 3


def test_partitions_are_averaged():
    one = np.arange(1000.0)
    t = decide.threshold(np.array([one, one + 1]), np.arange(1000).astype(str), "fpr_1e-2", "suspicious", 1e-2)
    assert t.n == 1000
    assert ((one >= t.margin).sum() + (one + 1 >= t.margin).sum()) / 2 <= 10


def test_thresholds_are_ordered():
    rng = np.random.default_rng(0)
    margins = rng.normal(0, 1, (3, 2000))
    low, high = decide.thresholds(margins, rng.integers(0, 600, 2000).astype(str))
    assert (low.name, low.verdict, high.name, high.verdict) == ("fpr_1e-2", "suspicious", "fpr_1e-3", "malicious")
    assert low.margin < high.margin
