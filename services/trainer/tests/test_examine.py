import hashlib
import json

import numpy as np
import pytest
import synthetic
from conftest import SMALL

from trench_trainer import compare, examine, fit, model, pipeline
from trench_trainer.__main__ import run
from trench_trainer.errors import TrainerError
from trench_trainer.progress import Progress


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    """Labelled rows of captures that no model here was trained on."""
    rows = synthetic.corpus(seed=8, size=0.4)
    at = rows.column_names.index("capture")
    rows = rows.set_column(at, "capture", [["later/" + c for c in rows["capture"].to_pylist()]])
    return synthetic.write(rows.replace_schema_metadata(synthetic_metadata()), tmp_path_factory.mktemp("later") / "rows.parquet")


def synthetic_metadata():
    return {"trench.schema": json.dumps(synthetic.schema())}


@pytest.fixture(scope="module")
def poor(rows_file, tmp_path_factory):
    """A bundle that is worse by intent: its trees can hold one split."""
    params = tmp_path_factory.mktemp("poor") / "params.json"
    params.write_text(json.dumps({"params": {"num_leaves": 2, "learning_rate": 0.001}, "chosen_by": "malice", "start": fit.PARAMS}))
    out = params.parent / "bundle"
    exclude = ("malware/malware/lab/alpha-0-0.pcap",)
    options = pipeline.Options(rows_file, out, params=params, exclude=exclude, **{**SMALL, "max_trees": 50})
    pipeline.run(options, Progress(quiet=True))
    return out


def test_figures_are_those_of_the_frozen_thresholds(trained, later, tmp_path, capsys):
    out = tmp_path / "eval.json"
    assert run(["eval", "--bundle", str(trained), "--features", str(later), "--out", str(out), "--quiet"]) == 0
    ev = json.loads(out.read_text())
    assert ev["trained_on"] == 0
    frozen = model.load(trained)
    low = frozen.limits[0]
    benign = ev["scored"]["benign"]["all"][low.name]
    rows = pipeline.table.read(later)
    hit = frozen.margins(rows) >= low.margin
    assert benign["flagged"] == (hit & ~rows.malicious).sum()
    assert benign["interval"][0] <= benign["rate"] <= benign["interval"][1]
    recall = ev["scored"]["recall_by_family"]["alpha"][low.name]
    assert recall["flagged"] == (hit & (rows.text["family"] == "alpha")).sum()
    assert "## Recall at the frozen thresholds" in capsys.readouterr().out


def test_rows_that_were_trained_on_are_told(trained, rows_file, capsys):
    assert run(["eval", "--bundle", str(trained), "--features", str(rows_file), "--quiet"]) == 0
    assert "are of captures that the model was trained on**" in capsys.readouterr().out


def test_a_bundle_that_does_not_say_what_it_was_trained_on(trained, rows):
    frozen = model.load(trained)
    del frozen.evaluation["data"]["capture_digests"]
    assert examine.trained_on(frozen, rows) is None


def test_rows_of_one_class_have_no_ranking(trained, later, tmp_path, capsys):
    rows = pipeline.table.pq.read_table(later)
    benign = rows.filter(pipeline.table.pc.equal(rows["label"], "benign"))
    path = synthetic.write(benign, tmp_path / "benign.parquet")
    assert run(["eval", "--bundle", str(trained), "--features", str(path), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "## False positives" in text
    assert "## Ranking" not in text
    with pytest.raises(TrainerError, match="one class only"):
        run(["compare", str(trained), str(trained), "--features", str(path)])


def test_rows_of_another_schema_are_refused(trained, cisco_file, later, tmp_path):
    with pytest.raises(TrainerError, match=r"wrong schema: the rows \(cisco2016\) lack"):
        run(["eval", "--bundle", str(trained), "--features", str(cisco_file), "--quiet"])
    doc = synthetic.schema()
    doc["columns"][5]["digest"] = "00"
    digests = "\n".join(c["digest"] for c in doc["columns"])
    doc["hash"] = hashlib.sha256(digests.encode()).hexdigest()
    rows = pipeline.table.pq.read_table(later).replace_schema_metadata({"trench.schema": json.dumps(doc)})
    path = synthetic.write(rows, tmp_path / "changed.parquet")
    with pytest.raises(TrainerError, match="1 columns are computed otherwise than in training"):
        run(["eval", "--bundle", str(trained), "--features", str(path), "--quiet"])


def test_a_directory_that_is_no_bundle_is_refused(tmp_path, later):
    with pytest.raises(TrainerError, match="SHA256SUMS"):
        run(["eval", "--bundle", str(tmp_path), "--features", str(later), "--quiet"])


def test_a_bundle_is_no_worse_than_itself(trained, later, capsys):
    for more in ([], ["--features", str(later)]):
        assert run(["compare", str(trained), str(trained), "--fail-if-worse", *more]) == 0
        assert "worse |" not in capsys.readouterr().out
    same = compare.run(trained, trained, later, "any", 1)
    assert all(x.interval == (0, 0) for x in same.lines)


def test_a_worse_bundle_fails_in_pairs_on_rows(trained, poor, later):
    with pytest.raises(TrainerError, match=r"B is worse in .*roc auc"):
        run(["compare", str(trained), str(poor), "--features", str(later), "--fail-if-worse"])
    assert run(["compare", str(poor), str(trained), "--features", str(later), "--fail-if-worse"]) == 0


def test_a_worse_bundle_fails_in_pairs_of_families(poor, tmp_path):
    doc = json.loads((poor / "eval.json").read_text())
    path = tmp_path / "eval.json"
    for f in doc["left_out"]["families"]["families"].values():
        f["auc"] -= 0.4
    doc["left_out"]["families"]["fauc"] -= 0.4
    path.write_text(json.dumps(doc))
    found = compare.run(poor, path, None, "any", 1)
    assert found.note == "measured on the same rows, folds and seeds"
    assert found.worse == ["fauc"]


def test_other_rows_are_not_paired(trained, tmp_path):
    doc = json.loads((trained / "eval.json").read_text())
    doc["data"]["rows_digest"] = "other"
    doc["left_out"]["families"]["fauc"] = 0.1
    path = tmp_path / "eval.json"
    path.write_text(json.dumps(doc))
    found = compare.run(trained, path, None, "any", 1)
    assert found.worse == []
    assert "nothing can be paired" in found.note
    assert "not paired" in compare.render(found, "A", "B")


@pytest.mark.parametrize(("text", "message"), [("[]", "is no eval.json"), ("{", "cannot be read as JSON")])
def test_other_files_are_no_evaluations(trained, tmp_path, text, message):
    path = tmp_path / "eval.json"
    path.write_text(text)
    with pytest.raises(TrainerError, match=message):
        compare.run(trained, path, None, "any", 1)


def test_margins_are_the_boosters(trained, later):
    frozen = model.load(trained)
    rows = pipeline.table.read(later)
    names = [f["name"] for f in frozen.schema["features"]]
    x = np.column_stack([rows.column(n) for n in names]).astype(np.float64)
    np.testing.assert_array_equal(frozen.margins(rows), frozen.booster.predict(x, raw_score=True))
