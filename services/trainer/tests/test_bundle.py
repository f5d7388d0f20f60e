import hashlib
import json
import shutil
import subprocess
import sys

import lightgbm as lgb
import numpy as np
import pytest
import synthetic
from conftest import SMALL

from trench_trainer import bundle, fit, golden, pipeline, profile
from trench_trainer.__main__ import run
from trench_trainer.errors import TrainerError
from trench_trainer.progress import Progress


def load(directory, name):
    return json.loads((directory / name).read_text())


def read_golden(path):
    head, *lines = path.read_text().splitlines()
    return head.split("\t"), np.array([[float(v) for v in line.split("\t")] for line in lines])


def test_bundle_is_complete_and_matches_its_sums(trained):
    assert sorted(p.name for p in trained.iterdir()) == sorted([*bundle.FILES, *bundle.PICTURES, bundle.SUMS])
    lines = (trained / bundle.SUMS).read_text().splitlines()
    names = [line.split("  ")[1] for line in lines]
    assert names == sorted(bundle.FILES + bundle.PICTURES)
    for line in lines:
        want, name = line.split("  ")
        assert hashlib.sha256((trained / name).read_bytes()).hexdigest() == want
    assert bundle.check(trained) == []
    assert sum(p.stat().st_size for p in trained.iterdir()) <= 3 << 20


def test_check_names_what_is_broken(trained, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for p in trained.iterdir():
        (broken / p.name).write_bytes(p.read_bytes())
    (broken / "model.txt").write_text("tree\n")
    (broken / "card.md").unlink()
    assert bundle.check(broken) == ["card.md: missing", "model.txt: checksum differs"]


def test_same_rows_and_seed_give_the_same_bytes_in_any_order_on_any_number_of_threads(corpus, rows_file, tmp_path):
    shuffled = corpus.take(np.random.default_rng(3).permutation(corpus.num_rows))
    other_order = synthetic.write(shuffled, tmp_path / "shuffled.parquet")
    for name, jobs, file in (("one", 1, rows_file), ("two", 2, other_order)):
        options = pipeline.Options(file, tmp_path / name, **{**SMALL, "jobs": jobs})
        pipeline.run(options, Progress(quiet=True))
    for name in (*bundle.FILES, *bundle.PICTURES, bundle.SUMS):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    other = pipeline.Options(rows_file, tmp_path / "three", seed=2, **SMALL)
    pipeline.run(other, Progress(quiet=True))
    assert (tmp_path / "one" / "model.txt").read_bytes() != (tmp_path / "three" / "model.txt").read_bytes()


def test_schema_names_the_models_columns_and_their_hash(trained):
    schema = load(trained, "schema.json")
    names = [f["name"] for f in schema["features"]]
    booster = lgb.Booster(model_file=str(trained / "model.txt"))
    assert booster.feature_name() == names
    assert names == [n for n in synthetic.names() if profile.PROFILES["default"].keeps(n)]
    whole = {c["name"]: c["digest"] for c in synthetic.schema()["columns"]}
    assert schema["hash"] == hashlib.sha256("\n".join(whole[n] for n in names).encode()).hexdigest()
    assert schema["excluded_captures"] == ["malware/malware/lab/alpha-0-0.pcap"]
    assert schema["trained"]["rows"] == schema["trained"]["malicious"] + schema["trained"]["benign"]
    assert set(schema["features"][0]) == {"name", "unit", "group", "revision", "digest"}


def test_default_profile_leaves_out_paths_captures_and_the_calendar(trained):
    names = {f["name"] for f in load(trained, "schema.json")["features"]}
    assert not {n for n in names if n.startswith(("sq_", "dn_", "qu_", "ml_"))}
    assert not names & {"ch_pq_hybrid", "ch_ext_65037", "sh_ver", "ch_max_ver", "fl_end_class"}
    assert {"ch_cs_c02b", "ct_self_signed", "sn_labels", "hz_c_0", "bd_entropy"} <= names


def test_model_is_plain_for_other_engines(trained):
    text = (trained / "model.txt").read_text()
    assert "\nobjective=binary sigmoid:1\n" in text
    assert "num_cat=0" in text
    assert "is_linear=0" in text
    for line in text.splitlines():
        assert not line.startswith("num_cat=") or line == "num_cat=0"
        assert not line.startswith("is_linear=") or line == "is_linear=0"


def test_golden_margins_are_the_models(trained):
    head, values = read_golden(trained / "golden.tsv")
    booster = lgb.Booster(model_file=str(trained / "model.txt"))
    assert head == [*booster.feature_name(), "margin"]
    assert len(values) >= 64
    x = values[:, :-1].astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(booster.predict(x, raw_score=True), values[:, -1])
    assert np.isnan(x).mean(axis=1).max() > 0.1
    assert values[:, -1].min() < 0 < values[:, -1].max()


def test_golden_features_restore_the_rows(trained, rows):
    head, values = read_golden(trained / "golden.tsv")
    at = [synthetic.names().index(n) for n in head[:-1]]
    have = {r.tobytes() for r in np.nan_to_num(rows.x[:, at], nan=-1e30)}
    for row in np.nan_to_num(values[:, :-1].astype(np.float32), nan=np.float32(-1e30)):
        assert row.tobytes() in have


def test_reference_counts_every_benign_row(trained):
    ref = load(trained, "reference.json")
    assert (trained / "reference.json").stat().st_size <= 200_000
    for name, f in ref["features"].items():
        assert len(f["counts"]) == len(f["edges"]) + 1, name
        assert sum(f["counts"]) == round(ref["rows"] * (1 - f["nan"])), name
        assert f["p01"] <= f["p50"] <= f["p99"], name
    assert sum(ref["score"]["counts"]) == ref["rows"]


def test_thresholds_and_calibration_have_their_keys(trained):
    low, high = load(trained, "thresholds.json")["thresholds"]
    assert {k: low[k] for k in ("name", "verdict", "target")} == {
        "name": "fpr_1e-2",
        "verdict": "suspicious",
        "target": 0.01,
    }
    assert high["name"] == "fpr_1e-3"
    assert low["margin"] <= high["margin"]
    assert low["n"] > 0
    calibration = load(trained, "calibration.json")
    assert calibration["method"] == load(trained, "eval.json")["calibration"]["method"]
    assert calibration["a"] > 0 if calibration["method"] == "platt" else len(calibration["knots"]) > 1


def test_evaluation_holds_every_part(trained):
    ev = load(trained, "eval.json")
    for kind in ("grouped", "left_out"):
        assert {"all", "c2", "delivery", "with_sni"} <= set(ev[kind]["subsets"])
        figure = ev[kind]["subsets"]["all"]["roc_auc"]
        assert figure["by_capture"][0] <= figure["value"] <= figure["by_capture"][1]
    assert set(ev["left_out"]["families"]["families"]) == set(ev["grouped"]["recall_by_family"])
    assert {"no SNI", "port is not 443", "capture year alone", "TLS version alone", "JA3 block list"} < set(ev["baselines"])
    assert len(ev["single_features"]) == 20
    assert ev["name_swap"]["background_flows"] > 0
    assert ev["benign_pairs"]["pairs"]
    variants = [v["variant"] for v in ev["ablation"]["variants"]]
    assert variants[0] == "profile default"
    assert {"without ch", "with sq", "all columns"} <= set(variants)
    assert set(ev["held_out"]) == {"malware/malware/lab/alpha-0-0.pcap"}
    assert all(p["precision"] < 1 for p in ev["precision"])


def test_number_of_trees_is_the_least_within_tolerance_of_the_best_fauc(rows):
    rng = np.random.default_rng(0)
    good, poor = np.where(rows.malicious, 5.0, -5.0), rng.normal(0, 1, len(rows))
    flat = fit.Staged(np.array([poor, poor, poor, poor]), (), ())
    rising = fit.Staged(np.array([poor, good, good + 1, poor]), (), ())
    trees, chosen_by, stages = pipeline.choose_trees(rows, np.ones(len(rows)), [flat], [rising])
    assert trees == 2 * fit.STEP
    assert "within 0.001 of the best" in chosen_by
    assert [s["trees"] for s in stages] == [50, 100, 150, 200]
    assert stages[1]["fauc"] == 1


def test_columns_without_a_value_are_listed(trained):
    ev = load(trained, "eval.json")
    unobserved = ev["data"]["unobserved_columns"]
    assert [n for n in unobserved if n.startswith("qu_")] == [n for n in synthetic.names() if n.startswith("qu_")]
    assert not {"ch_len", "dn_seen", "sn_len"} & set(unobserved)
    assert "8 of `qu`" in (trained / "card.md").read_text()


def test_what_n_cannot_certify_is_not_printed(trained):
    ev = load(trained, "eval.json")
    figure = ev["grouped"]["subsets"]["all"]["recall_at_1e-3"]
    assert figure["value"] is None
    assert "cannot certify" in figure["note"]


def test_card_is_a_function_of_the_evaluation(trained, capsys):
    assert run(["card", "--bundle", str(trained)]) == 0
    assert capsys.readouterr().out == (trained / "card.md").read_text()


def test_a_bundle_replaces_an_older_one_and_nothing_else(trained, tmp_path):
    files = {name: (trained / name).read_text() for name in bundle.FILES + bundle.PICTURES}
    out = tmp_path / "default"
    bundle.write(out, files)
    bundle.write(out, {**files, "card.md": "# new\n"})
    assert (out / "card.md").read_text() == "# new\n"
    assert [p.name for p in tmp_path.iterdir()] == ["default"]
    other = tmp_path / "home"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    with pytest.raises(TrainerError, match="holds other files"):
        bundle.write(other, files)
    with pytest.raises(TrainerError, match="more than"):
        bundle.write(tmp_path / "big", {**files, "card.md": "x" * (3 << 20)})
    assert not (tmp_path / "big").exists()


def test_hard_rows_sit_on_thresholds_and_carry_contributions(trained, tmp_path):
    out = tmp_path / "hard.tsv"
    argv = ["golden", "--bundle", str(trained), "--rows", "200", "--out", str(out), "--contrib"]
    assert run(argv) == 0
    head, values = read_golden(out)
    n = (len(head) - 2) // 2
    assert head[n] == "margin"
    assert head[-1] == "contrib_expected"
    x = values[:, :n].astype(np.float32).astype(np.float64)
    margin, contrib = values[:, n], values[:, n + 1 :]
    booster = lgb.Booster(model_file=str(trained / "model.txt"))
    np.testing.assert_array_equal(booster.predict(x, raw_score=True), margin)
    np.testing.assert_allclose(contrib.sum(axis=1), margin, atol=1e-9)
    assert np.isinf(x).any()
    points = golden.split_points((trained / "model.txt").read_text(), n)
    used = [f for f in range(n) if len(points[f])]
    assert used
    assert all(np.isin(x[:, f], points[f].astype(np.float32)).any() for f in used)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 1, "max_trees": 10}, "--folds: 1 is below 2; --max-trees: 10"),
        ({"profile": "robots"}, "profile 'robots' is unknown"),
        ({"name": ""}, "--name"),
    ],
)
def test_wrong_options_are_named(rows_file, tmp_path, changes, message):
    with pytest.raises(TrainerError, match=message):
        pipeline.run(pipeline.Options(rows_file, tmp_path / "out", **changes), Progress(quiet=True))


def test_errors_end_the_command_with_one_line(tmp_path):
    argv = [sys.executable, "-m", "trench_trainer", "train", "--features", "absent.parquet", "--out", str(tmp_path / "x")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("trench_trainer: absent.parquet: cannot be read")
    assert "Traceback" not in done.stderr


def test_the_card_of_another_version_is_a_clear_error(trained, tmp_path):
    old = shutil.copytree(trained, tmp_path / "old")
    ev = load(old, "eval.json")
    del ev["occlusion"]
    files = {p.name: p.read_text(encoding="utf-8") for p in old.iterdir() if p.name != "SHA256SUMS"}
    files["eval.json"] = json.dumps(ev)
    bundle.write(old, files)
    with pytest.raises(TrainerError, match=r"eval.json: is not what .*occlusion"):
        run(["card", "--bundle", str(old)])
