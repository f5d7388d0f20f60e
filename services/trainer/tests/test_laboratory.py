import json

import pyarrow as pa
import pytest
import synthetic
from conftest import SMALL

from trench_trainer import pipeline
from trench_trainer.errors import TrainerError
from trench_trainer.progress import Progress


def test_what_is_flagged_is_told_by_every_column(trained):
    ev = json.loads((trained / "eval.json").read_text())
    lab, beacons = ev["laboratory"], ev["beacons"]
    assert lab["flows"] == 40
    assert list(lab["by"]) == ["stack", "name", "server", "certificate", "session", "behaviour"]
    for values in (*lab["by"].values(), *beacons["by"].values()):
        assert sum(v["fpr_1e-2"]["flows"] for v in values.values()) == 40
    assert list(beacons["by"]["behaviour"]) == ["check-in", "tasking"]
    card = (trained / "card.md").read_text()
    assert "## Stack laboratory" in card
    assert "| behaviour | tasking | 20 |" in card


def train(rows_file, tmp_path, data):
    lab = synthetic.write(data, tmp_path / "lab.parquet")
    options = pipeline.Options(rows_file, tmp_path / "out", lab=lab, **SMALL)
    pipeline.run(options, Progress(quiet=True))


LAB = {f"lab_{c}": ["x"] for c in ("stack", "server", "name", "certificate", "session", "behaviour")}


def changed(data, column, value):
    at = data.column_names.index(column)
    values = data[column].to_pylist()
    values[0] = value
    return data.set_column(at, column, pa.array(values))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda lab, rows: changed(lab, "flow_id", rows["flow_id"][0].as_py()), "flow_id .* is in training"),
        (lambda lab, rows: changed(lab, "capture", rows["capture"][0].as_py()), "capture .* is in training"),
        (lambda lab, _: changed(lab, "label", "malicious"), "label 'malicious', all rows must be benign"),
        (lambda lab, _: lab.drop_columns(["lab_stack"]), "missing columns: lab_stack"),
        (lambda lab, _: synthetic.cisco(lab), r"wrong schema: the rows \(cisco2016\) lack"),
    ],
)
def test_wrong_laboratories_are_refused_before_training(corpus, rows_file, tmp_path, spoil, message):
    lab = synthetic.laboratory(corpus, "benign", **LAB)
    with pytest.raises(TrainerError, match=message):
        train(rows_file, tmp_path, spoil(lab, corpus))
    assert not (tmp_path / "out").exists()
