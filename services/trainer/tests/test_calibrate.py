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
