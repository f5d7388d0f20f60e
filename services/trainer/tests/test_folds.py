import numpy as np
import pytest

from trench_trainer import folds
from trench_trainer.weights import flow_weights


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("make", [folds.grouped, folds.families])
def test_train_and_test_never_share_a_group(rows, make, seed):
    for fold in make(rows, 4, seed):
        group = rows.text["group"]
        assert not set(group[fold.train]) & set(group[fold.test])


@pytest.mark.parametrize("make", [folds.grouped, folds.families])
def test_every_row_is_tested_once(rows, make):
    tested = np.concatenate([f.test for f in make(rows, 4, 1)])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(rows)))


@pytest.mark.parametrize("seed", range(5))
def test_left_out_families_are_in_no_training_row(rows, seed):
    family = rows.text["family"]
    for fold in folds.families(rows, 4, seed):
        tested = set(family[fold.test][rows.malicious[fold.test]])
        assert tested
        assert not tested & set(family[fold.train])


@pytest.mark.parametrize("seed", range(5))
def test_both_classes_are_in_every_fold(rows, seed):
    for fold in folds.grouped(rows, 4, seed):
        for part in (fold.train, fold.test):
            assert 0 < rows.malicious[part].sum() < len(part)


def test_partitions_depend_on_the_seed_alone(rows):
    def tests(seed):
        return [f.test.tolist() for f in folds.grouped(rows, 4, seed)]

    assert tests(1) == tests(1)
    assert tests(1) != tests(2)


def test_more_folds_than_families_become_one_fold_a_family(rows):
    n = len(set(rows.text["family"][rows.malicious]))
    assert len(folds.families(rows, n + 7, 1)) == n


def test_weights_of_a_family_grow_with_the_root_of_its_flows(rows):
    w = flow_weights(rows)
    assert w.mean() == pytest.approx(1)
    family = rows.text["family"]
    big, small = family == "alpha", family == "echo"
    ratio = w[big].sum() / w[small].sum()
    assert ratio == pytest.approx(np.sqrt(big.sum() / small.sum()))
