from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic

from trench_trainer import decide, fit, folds, robustness, table
from trench_trainer.errors import TrainerError

TREES = 50


@pytest.fixture(scope="module")
def measured(rows):
    """What `measure` needs besides rewritten rows, and what it says without any."""
    names = tuple(c.name for c in rows.schema.columns)
    y = rows.malicious.astype(np.float64)
    bench = fit.Bench(rows.x.astype(np.float64), y, np.ones(len(y)), names, 2, lambda: None)
    runs = bench.cross([folds.grouped(rows, 3, 1)], [1], trees=TREES, keep=True)
    margins = np.array([r.at(TREES) for r in runs])
    limits = decide.thresholds(margins[:, ~rows.malicious], rows.text["capture"][~rows.malicious])
    arguments = (rows, names, runs, TREES, limits)
    return arguments, margins, robustness.measure(*arguments, {})


def test_recall_before_any_change_is_that_out_of_fold(rows, measured):
    (*_, limits), margins, section = measured
    for t in limits:
        want = float((margins[:, rows.malicious] >= t.margin).mean())
        assert section["unchanged"][t.name]["per_flow"]["value"] == pytest.approx(want, rel=1e-5)
        families = [
            float((margins[:, rows.malicious & (rows.text["family"] == f)] >= t.margin).mean())
            for f in np.unique(rows.text["family"][rows.malicious])
        ]
        assert section["unchanged"][t.name]["over_families"]["value"] == pytest.approx(np.mean(families), rel=1e-5)
    assert section["seen"] == []
    assert section["adversary"][-1]["title"] == "name, hello and certificate"


def test_the_same_rows_change_nothing_in_any_order(rows, measured):
    arguments, _, _ = measured
    shuffled = rows.take(np.random.default_rng(1).permutation(len(rows)))
    (entry,) = robustness.measure(*arguments, {"loss-1": shuffled})["seen"]
    assert entry["unscored"] == entry["benign"]["unscored"] == 0
    for kinds in entry["recall"].values():
        for figure in kinds.values():
            assert figure["change"] == {"value": 0, "interval": [0, 0]}
    for rate in entry["benign"]["rates"].values():
        assert rate["before"] == rate["after"]


def test_flows_that_cannot_be_scored_are_missed(rows, measured):
    arguments, _, _ = measured
    left = rows.take(np.flatnonzero(rows.text["family"] != "alpha"))
    blind = rows.take(np.arange(len(rows)))
    blind.x[:, rows.schema.position()["ch_len"]] = np.nan
    section = robustness.measure(*arguments, {"first-5": left, "first-10": blind})
    none, some = section["seen"]
    assert some["unscored"] == int((rows.text["family"] == "alpha").sum())
    assert none["unscored"] == int(rows.malicious.sum())
    assert none["benign"]["flows"] == int((~rows.malicious).sum())
    for name in section["unchanged"]:
        assert none["recall"][name]["per_flow"]["value"] == 0
        assert none["benign"]["rates"][name]["after"]["flagged"] == 0
        assert some["recall"][name]["per_flow"]["change"]["value"] < 0


def test_an_adversary_is_measured_on_malicious_flows_and_goes_on_from_rewritten_captures(rows, measured):
    arguments, _, alone = measured
    gone = rows.take(np.flatnonzero(rows.text["family"] != "alpha"))
    section = robustness.measure(*arguments, {"delay-and-pad": gone})
    first, *_, last = section["adversary"]
    assert "benign" not in first
    assert last["title"] == "name, hello and certificate, waits and random padding"
    assert last["unscored"] == first["unscored"] > 0
    assert [e["title"] for e in section["adversary"][1:-1]] == [e["title"] for e in alone["adversary"][:-1]]


def test_the_last_report_of_a_flow_is_taken(rows):
    parts = rows.take(np.array([0, 0, 0, 1]))
    parts.part[:] = [0, 2, 1, 0]
    parts.x[:, 0] = [10, 12, 11, 20]
    found, x = robustness.matched(rows, np.array([0, 1, 2]), parts)
    assert found.tolist() == [True, True, False]
    assert x[:2, 0].tolist() == [12, 20]
    assert np.isnan(x[2]).all()


def test_a_row_is_scored_by_models_that_did_not_see_it(rows):
    class Says:
        def __init__(self, margin):
            self.margin = margin

        def predict(self, x, **_):
            return np.full(len(x), self.margin)

    part = folds.grouped(rows, 3, 1)
    run = fit.Staged(np.empty(0), tuple(Says(float(i)) for i in range(3)), tuple(part))
    limits = [decide.Threshold("t", "v", 0.1, 1.5, 0.1, 1, 0)]
    section = robustness.measure(rows, [c.name for c in rows.schema.columns], [run], TREES, limits, {})
    bad = rows.malicious
    assert section["unchanged"]["t"]["per_flow"]["value"] == pytest.approx(bad[part[2].test].sum() / bad.sum(), rel=1e-5)


def test_the_card_has_a_line_for_each_change(rows, measured):
    arguments, _, alone = measured
    section = robustness.measure(*arguments, {"first-5": rows, "pad-256": rows})
    text = "\n".join(robustness.card(section))
    for entry in (*section["seen"], *section["adversary"]):
        assert f"| {entry['title']} | 0 |" in text
    assert "Benign flows that reach the thresholds" in text
    assert "(+0.0; +0.0 to +0.0)" in text
    assert "Seeing less" not in "\n".join(robustness.card(alone))


def test_the_bundles_card_has_the_section(trained):
    assert "\n## Robustness\n" in (trained / "card.md").read_text()


def test_arguments_are_checked(rows, rows_file, tmp_path):
    assert robustness.argument(f"loss-1={rows_file}") == ("loss-1", rows_file)
    with pytest.raises(TrainerError, match="'loss-9' is unknown; there are first-20"):
        robustness.argument(f"loss-9={rows_file}")
    with pytest.raises(TrainerError, match="no such file"):
        robustness.argument("loss-1=absent.parquet")
    other = synthetic.corpus(size=0.1).replace_schema_metadata(None)
    with pytest.raises(TrainerError, match=r"no 'trench.schema'"):
        robustness.load([("loss-1", synthetic.write(other, tmp_path / "other.parquet"))], rows.schema)
    changed = replace(rows.schema, hash="0" * 64)
    with pytest.raises(TrainerError, match="other columns"):
        robustness.load([("loss-1", rows_file)], changed)
    assert isinstance(robustness.load([("loss-1", rows_file)], rows.schema)["loss-1"], table.Table)


def test_the_script_makes_what_is_known():
    script = (Path(__file__).parents[1] / "make-perturbed.sh").read_text()
    listed = script.split("<<'END'\n")[1].split("\nEND\n")[0]
    assert [line.split()[0] for line in listed.splitlines()] == list(robustness.REWRITINGS)
