import numpy as np
import pytest

from trench_trainer import committee, fit, folds, views
from trench_trainer.weights import flow_weights

PLAIN = {**fit.params(1), "min_data_in_leaf": 5}


@pytest.fixture(scope="module")
def table(rows):
    x, y = rows.x.astype(np.float64), rows.malicious.astype(np.float64)
    return x, y, flow_weights(rows), [c.name for c in rows.schema.columns]


def test_a_committee_is_the_mean_of_its_members_at_every_stage(table):
    x, y, w, names = table
    members = [fit.train(views.hide(x, names, v), y, w, names, 20, PLAIN) for v in views.VIEWS]
    merged = committee.merge(members)
    assert merged.num_trees() == 40
    for n in (1, 7, 20):
        mean = np.mean([fit.raw(m, x, n) for m in members], axis=0)
        assert np.abs(fit.raw(merged, x, 2 * n) - mean).max() < 1e-12
    assert committee.merge(members[:1]) is members[0]
    contributions = merged.predict(x[:20], pred_contrib=True)
    assert np.abs(contributions.sum(axis=1) - fit.raw(merged, x[:20])).max() < 1e-9


def test_a_member_that_found_no_more_to_split_stays_as_it_is(table):
    x, y, w, names = table
    short, long = (fit.train(x, y, w, names, n, PLAIN) for n in (3, 10))
    merged = committee.merge([short, long])
    assert merged.num_trees() == 20
    mean = (fit.raw(short, x) + fit.raw(long, x)) / 2
    assert np.abs(fit.raw(merged, x) - mean).max() < 1e-12


@pytest.mark.parametrize("view", views.VIEWS, ids=lambda v: v.name)
def test_transplants_are_whole_blocks_of_benign_rows(table, view):
    x, y, w, names = table
    hidden = views.hide(x, names, view)
    assert np.isnan(hidden[:, [not view.sees(n) for n in names]]).all()
    xs, ys, ws = views.augment(hidden, y, w, names, view, 3)
    n = len(x)
    assert np.array_equal(xs[:n], hidden, equal_nan=True)
    assert np.array_equal(ys[:n], y)
    assert np.array_equal(ws[:n], w)
    blocks = [[i for i, name in enumerate(names) if name.split("_")[0] in block] for block in view.blocks]
    blocks = [b for b in blocks if b]
    ways = 2 ** len(blocks) - 2
    assert ws[n:][ys[n:] == 1].sum() == pytest.approx(ways * views.MALICIOUS_COPY * w[y == 1].sum())
    assert ws[n:][ys[n:] == 0].sum() == pytest.approx(len(blocks) * view.benign_copy * w[y == 0].sum())
    known = [{hidden[i, b].tobytes(): bool(y[i]) for i in range(n - 1, -1, -1)} for b in blocks]
    for row in xs[n :: max(1, len(xs) // 200)]:
        assert all(row[b].tobytes() in k for b, k in zip(blocks, known, strict=True)), "a block of no row"


def test_same_seed_same_rows(table):
    x, y, w, names = table
    first, again, other = (views.augment(x, y, w, names, views.VIEWS[1], s) for s in (1, 1, 2))
    assert np.array_equal(first[0], again[0], equal_nan=True)
    assert not np.array_equal(first[0], other[0], equal_nan=True)


def test_no_tree_of_a_view_splits_on_what_it_does_not_see(table):
    x, y, w, names = table
    bench = fit.Bench(x, y, w, tuple(names), 1, lambda: None, views=views.VIEWS[1:])
    gains = bench.fit(slice(None), 1, 20).feature_importance("gain")
    assert {n.split("_")[0] for n, g in zip(names, gains, strict=True) if g > 0} <= {"ch", "sn"}


def test_no_row_of_another_fold_is_trained_on(rows, table, monkeypatch):
    x, y, w, names = table
    seen = []
    real = views.augment
    monkeypatch.setattr(views, "augment", lambda *a: seen.append((len(a[0]), a[4].name, a[5])) or real(*a))
    parts = [folds.grouped(rows, 3, 1)]
    bench = fit.Bench(x, y, w, tuple(names), 2, lambda: None, views=views.VIEWS)
    run = bench.cross(parts, [7], trees=fit.STEP, columns=np.arange(len(names)))[0]
    assert sorted(seen) == sorted((len(f.train), v.name, 7) for f in parts[0] for v in views.VIEWS)
    assert run.margins.shape == (1, len(rows))
    assert not np.isnan(run.margins).any()


def test_columns_of_no_view_make_one_plain_model(table):
    x, y, w, names = table
    joy = tuple(f"c16_{n}" for n in names)
    with_views, without = (fit.Bench(x, y, w, joy, 1, lambda: None, views=v).fit(slice(None), 1, 10) for v in (views.VIEWS, ()))
    assert with_views.model_to_string() == without.model_to_string()
