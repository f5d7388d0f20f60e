import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from trench_trainer import metrics


@pytest.fixture
def scored():
    rng = np.random.default_rng(3)
    y = rng.random(400) < 0.3
    margin = np.round(rng.normal(0, 1, 400) + y, 1)
    return y, margin, rng.integers(0, 4, 400).astype(float)


def test_auc_and_average_precision_agree_with_scikit_learn_on_ties_and_weights(scored):
    y, margin, w = scored
    ranked = metrics.Ranking(y, margin)
    assert ranked.auc() == pytest.approx(roc_auc_score(y, margin))
    assert ranked.auc(w) == pytest.approx(roc_auc_score(y, margin, sample_weight=w))
    assert ranked.average_precision() == pytest.approx(average_precision_score(y, margin))
    assert ranked.average_precision(w) == pytest.approx(average_precision_score(y, margin, sample_weight=w))


def test_infinite_margins_tie():
    y = np.array([True, False, True, False])
    assert metrics.auc(y, np.full(4, -np.inf)) == 0.5
    assert metrics.auc(y, np.array([np.inf, 0, np.inf, -np.inf])) == 1


def test_recall_at_counts_flows_above_the_allowed_false_positives():
    y = np.array([1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], dtype=bool)
    ranked = metrics.Ranking(y, -np.arange(12.0))
    assert ranked.recall_at(0.0) == pytest.approx(2 / 3)
    assert ranked.recall_at(1 / 9) == pytest.approx(1)
    assert ranked.recall_at(0.1) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.3084971),
        (10, 10, 0.6915029, 1.0),
        (5, 10, 0.1870860, 0.8129140),
        (1, 100, 0.0002532, 0.0544594),
        (8, 20, 0.1911901, 0.6394574),
    ],
)
def test_clopper_pearson_known_values(k, n, low, high):
    got = metrics.clopper_pearson(k, n)
    assert got == pytest.approx((low, high), abs=5e-7)


def test_upper_bound_of_no_event_is_about_three_over_n():
    for n in (30, 300, 3000):
        assert metrics.upper_bound(0, n) == pytest.approx(1 - 0.05 ** (1 / n))
        assert metrics.upper_bound(0, n) == pytest.approx(3 / n, rel=0.06)
    assert metrics.upper_bound(0, 0) == 1


def test_bootstrap_draws_whole_captures():
    captures = np.array(["a", "a", "b", "c", "c", "c"])
    w = metrics.by_capture(captures, 50, 1)
    assert (w[:, 0] == w[:, 1]).all()
    assert (w[:, 3] == w[:, 5]).all()
    assert (w[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert len(np.unique(w, axis=0)) > 5


def test_calibration_figures_of_a_known_table():
    y = np.array([0, 0, 1, 1.0])
    p = np.array([0.05, 0.05, 0.95, 0.55])
    bins = metrics.reliability(y, p, np.ones(4))
    assert [b["flows"] for b in bins] == [2, 1, 1]
    assert metrics.ece(bins) == pytest.approx((2 * 0.05 + 0.45 + 0.05) / 4)
    assert metrics.brier(y, p, np.ones(4)) == pytest.approx((2 * 0.05**2 + 0.45**2 + 0.05**2) / 4)


def test_curves_agree_with_the_single_figures(scored):
    y, margin, w = scored
    ranked = metrics.Ranking(y, margin)
    grid = np.array([0.0, 0.003, 0.05, 0.2, 1.0])
    assert ranked.roc(grid) == pytest.approx([ranked.recall_at(f) for f in grid])
    assert ranked.roc(grid, w) == pytest.approx([ranked.recall_at(f, w) for f in grid])
    flagged = margin >= np.sort(margin[y])[::-1][y.sum() // 2 - 1]
    assert ranked.precision_at(np.array([0.5])) == pytest.approx([y[flagged].mean()])
    assert ranked.precision_at(np.array([1.0])) == pytest.approx([y[margin >= margin[y].min()].mean()])
