import json
from dataclasses import replace

import pytest
from conftest import SMALL

from trench_trainer import fit, journal, search, study
from trench_trainer.__main__ import run
from trench_trainer.errors import TrainerError
from trench_trainer.progress import Progress


@pytest.fixture(scope="module")
def made(rows_file, tmp_path_factory):
    options = study.Options(
        rows_file, tmp_path_factory.mktemp("search") / "params.json", **{**SMALL, "partitions": 2, "max_trees": 50}
    )
    return study.prepare(options, Progress(quiet=True))


def test_a_stopped_search_goes_on_where_it_was(made, tmp_path, monkeypatch):
    whole = search.search(made, 3, tmp_path / "whole.jsonl")
    search.search(made, 2, tmp_path / "part.jsonl")
    with (tmp_path / "part.jsonl").open("a") as f:
        f.write('{"key": "cut by a cra')
    tried = []
    real = search.trial
    monkeypatch.setattr(search, "trial", lambda s, p: tried.append(p) or real(s, p))
    assert search.search(made, 3, tmp_path / "part.jsonl") == whole
    assert len(tried) == 1
    assert (tmp_path / "part.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_trials_depend_on_seed_and_number_alone():
    assert search.draw(1, 0) == {}
    assert search.draw(1, 7) == search.draw(1, 7)
    assert search.draw(1, 7) != search.draw(1, 8) != search.draw(2, 8)
    assert set(search.draw(1, 7)) == set(study.SEARCHED)


def test_another_key_is_another_run(made):
    key = journal.key_of(made)
    assert journal.key_of(made) == key
    leaves = replace(made, bench=replace(made.bench, changes={"num_leaves": 7}))
    plain = replace(made, bench=replace(made.bench, views=()))
    longer = replace(made, options=replace(made.options, max_trees=100))
    assert len({key, *(journal.key_of(s) for s in (leaves, plain, longer))}) == 4


def test_a_spoilt_journal_is_refused_with_its_line(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"key": "a", "id": "x", "result": {}}\nnonsense\n')
    with pytest.raises(TrainerError, match=r"j.jsonl: line 2 is no result"):
        journal.Journal(path, "a")


def result(params, *partitions):
    return {"params": params, "fauc": sum(partitions) / len(partitions), "fauc_of_partitions": list(partitions)}


def test_the_start_stays_unless_the_best_is_better_by_more_than_noise():
    start = result({}, 0.95, 0.96, 0.97)
    clear = result({"num_leaves": 7}, 0.97, 0.98, 0.991)
    noisy = result({"num_leaves": 63}, 0.99, 0.94, 0.975)
    assert search.choose([start, noisy, clear], 1).params == {"num_leaves": 7}
    stays = search.choose([start, noisy], 1)
    assert (stays.trial, stays.params) == (0, {})
    assert "no more than noise" in stays.by
    assert search.choose([start], 1).trial == 0
    assert search.choose([result({}, 0.9), result({"num_leaves": 7}, 0.99)], 1).trial == 0


def test_chosen_parameters_reach_the_bundle_and_its_card(rows_file, tmp_path):
    params = tmp_path / "params.json"
    params.write_text(json.dumps({"params": {"num_leaves": 7}, "chosen_by": "a search of two trials", "start": fit.PARAMS}))
    small = [a for k, v in SMALL.items() for a in (f"--{k.replace('_', '-')}", str(v))]
    argv = ["train", "--features", str(rows_file), "--out", str(tmp_path / "out"), "--params", str(params), "--quiet", *small]
    assert run(argv) == 0
    assert "[num_leaves: 7]" in (tmp_path / "out/model.txt").read_text()
    assert "parameters chosen by a search of two trials" in (tmp_path / "out/card.md").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "holds no parameters"),
        ('{"params": {"objective": "rank"}, "chosen_by": "", "start": {}}', "no search chooses: objective"),
        ('{"params": {}, "chosen_by": "", "start": {"num_leaves": 2}}', "beside other start parameters"),
    ],
)
def test_other_parameters_are_refused(tmp_path, text, message):
    path = tmp_path / "params.json"
    path.write_text(text)
    with pytest.raises(TrainerError, match=message):
        study.read_params(path)
