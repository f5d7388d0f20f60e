import json

import numpy as np
import pytest
import synthetic
from conftest import SMALL

from trench_trainer import pipeline, selection, table
from trench_trainer.baselines import JOY_COLUMNS, SAME_COLUMNS
from trench_trainer.errors import TrainerError
from trench_trainer.profile import MONOTONE, PROFILES, group_of
from trench_trainer.progress import Progress


def test_the_same_flows_are_trained_on_in_both_schemas(rows, cisco_file):
    other = selection.select(table.read(cisco_file)).rows
    assert other.text["flow_id"].tolist() == rows.text["flow_id"].tolist()
    assert other.schema.name == "cisco2016"


def test_vectors_are_joined_by_flow(rows, cisco_file):
    cisco = table.read(cisco_file)
    joined = rows.with_vectors_of(cisco)
    at = {f: i for i, f in enumerate(cisco.text["flow_id"])}
    for i in (0, 5, len(rows) - 1):
        np.testing.assert_array_equal(joined.x[i], cisco.x[at[rows.text["flow_id"][i]]])
    with pytest.raises(TrainerError, match=r"3 of .* flows have no row of schema cisco2016"):
        rows.with_vectors_of(cisco.take(np.arange(3, len(cisco))))


def test_a_model_of_joys_columns_is_a_bundle_too(cisco_file, tmp_path):
    options = pipeline.Options(cisco_file, tmp_path / "out", profile="cisco2016", **SMALL)
    ev = pipeline.run(options, Progress(quiet=True))
    assert ev["schema"]["schema"] == "cisco2016"
    assert [g["group"] for g in ev["occlusion"]["groups"]][:2] == ["c16_dport", "c16_pk"]


@pytest.mark.parametrize("profile", ["default", "cisco2016"])
def test_a_profile_wants_rows_of_its_schema(rows_file, cisco_file, tmp_path, profile):
    wrong = cisco_file if profile == "default" else rows_file
    with pytest.raises(TrainerError, match=f"profile {profile} takes rows of schema"):
        pipeline.run(pipeline.Options(wrong, tmp_path / "out", profile=profile, **SMALL), Progress(quiet=True))


def test_joys_columns_stand_beside_the_model(trained):
    baselines = json.loads((trained / "eval.json").read_text())["baselines"]
    assert {SAME_COLUMNS, JOY_COLUMNS} <= set(baselines)


def test_monotone_columns_exist_and_are_in_the_default_profile():
    assert {n for n in synthetic.names() if PROFILES["default"].keeps(n)} >= set(MONOTONE)


def test_groups_of_columns():
    assert [group_of(n) for n in ("ml_0_1", "ch_cs_c02b", "c16_len_0_1", "c16_dur")] == ["ml", "ch", "c16_len", "c16_dur"]
