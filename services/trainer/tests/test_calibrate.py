import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from trench_trainer import calibrate


def test_platt_agrees_with_unpenalised_logistic_regression():
    rng = np.random.default_rng(1)
    margin = rng.normal(0, 2, 20000)
    y = rng.random(20000) < 1 / (1 + np.exp(-(0.7 * margin - 0.4)))
    platt = calibrate.fit_platt(y, margin, np.ones(20000))
    want = LogisticRegression(C=np.inf, tol=1e-10).fit(margin[:, None], y)
    assert platt.a == pytest.approx(want.coef_[0, 0], abs=2e-3)
    assert platt.b == pytest.approx(want.intercept_[0], abs=2e-3)
    assert platt.probability(np.array([0.0]))[0] == pytest.approx(1 / (1 + np.exp(-platt.b)))


def test_platt_stays_finite_on_separable_margins():
    y = np.array([0] * 50 + [1] * 50, dtype=bool)
    platt = calibrate.fit_platt(y, np.where(y, 5.0, -5.0), np.ones(100))
    assert 0 < platt.a < 10
    assert platt.probability(np.array([5.0]))[0] < 1


def steps(seed=0, n=4000):
    rng = np.random.default_rng(seed)
    margin = rng.normal(0, 2, n)
    p = np.where(margin < -1, 0.02, np.where(margin < 1, 0.4, 0.97))
    return rng.random(n) < p, margin


def test_isotonic_knots_rise_and_follow_the_shares():
    y, margin = steps()
    made = calibrate.fit_isotonic(y, margin, np.ones(len(y)))
    at, p = np.array(made.knots).T
    assert (np.diff(at) > 0).all()
    assert (np.diff(p) >= 0).all()
    assert p.min() > 0
    assert p.max() < 1
    assert made.probability(np.array([-3.0, 0.0, 3.0])) == pytest.approx([0.02, 0.4, 0.97], abs=0.06)
    assert made.probability(np.array([-1e9, 1e9])) == pytest.approx([p[0], p[-1]])


def test_isotonic_of_one_value_is_flat():
    made = calibrate.fit_isotonic(np.array([True, False, False, False]), np.zeros(4), np.ones(4))
    assert len(made.knots) == 2
    assert made.probability(np.array([-1.0, 0.0, 1.0])) == pytest.approx([0.3, 0.3, 0.3])


@pytest.mark.parametrize("fit", calibrate.METHODS.values())
def test_a_calibration_survives_its_document(fit):
    y, margin = steps()
    made = fit(y, margin, np.ones(len(y)))
    assert calibrate.load(made.document()) == made
    with pytest.raises(ValueError, match="method 'beta'"):
        calibrate.load({"method": "beta"})


def test_the_choice_is_by_groups_that_the_calibrator_did_not_see(rows):
    rng = np.random.default_rng(0)
    margins = np.array([np.where(rows.malicious, 2.0, -2.0) + rng.normal(0, 2, len(rows)) for _ in range(2)])
    made = calibrate.choose(rows, margins, np.ones(len(rows)), 1)
    ece = [np.mean(list(c["ece"].values())) for c in made.figures["candidates"]]
    assert len(ece) == 8
    chosen = [(c["method"], c["weights"]) for c in made.figures["candidates"]][int(np.argmin(ece))]
    assert chosen == (made.figures["method"], made.figures["weights"])
    assert sum(b["flows"] for b in made.figures["per_flow"]["bins"]) == margins.size
    # Where a group is a law of its own, calibration says so out of fold and hides it within.
    group = np.unique(rows.text["group"], return_inverse=True)[1]
    own = np.array([rng.permutation(group.max() + 1)[group] * 1.0 for _ in range(2)])
    fitted = calibrate.fit_isotonic(np.tile(rows.malicious, 2), own.ravel(), np.ones(own.size))
    within = calibrate.figures(np.tile(rows.malicious, 2) * 1.0, fitted.probability(own.ravel()), np.ones(own.size))
    assert calibrate.choose(rows, own, np.ones(len(rows)), 1).figures["per_flow"]["log_loss"] > within["log_loss"]
