import pytest
from conftest import SMALL

from trench_trainer import sidebyside, study
from trench_trainer.__main__ import run
from trench_trainer.errors import TrainerError
from trench_trainer.progress import Progress


def test_tables_go_between_the_marks_and_are_worked_out_once(rows_file, cisco_file, tmp_path, monkeypatch):
    doc = tmp_path / "model.md"
    doc.write_text(f"before\n{sidebyside.BEGIN}\nyesterday\n{sidebyside.END}\nafter\n")
    argv = ["evaluate", "--features", str(rows_file), "--joy", str(cisco_file), "--trials", "1", "--work", str(tmp_path / "work")]
    argv += ["--out", str(tmp_path / "params.json"), "--document", str(doc), "--quiet", "--partitions", "1", "--folds", "3"]
    argv += ["--family-folds", "3", "--max-trees", "50"]
    assert run(argv) == 0
    text = doc.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "yesterday" not in text
    for name in (
        "profile `default`",
        "profile `robust`",
        "`cisco2016`",
        "Joy's 649 columns",
        "columns of `default`",
        "no SNI",
        "without ch",
    ):
        assert name in text

    def never(*_):
        raise AssertionError("worked out twice")

    for name in ("boosted", "regressed", "retrained"):
        monkeypatch.setattr(sidebyside, name, never)
    monkeypatch.setattr(sidebyside.search, "trial", never)
    assert run(argv) == 0
    assert doc.read_text() == text


@pytest.mark.parametrize("text", ["", f"{sidebyside.END} {sidebyside.BEGIN}", sidebyside.BEGIN * 2 + sidebyside.END])
def test_a_document_without_marks_is_refused_before_the_work(rows_file, cisco_file, tmp_path, text):
    doc = tmp_path / "model.md"
    doc.write_text(text)
    options = study.Options(rows_file, tmp_path / "params.json", joy=cisco_file, **SMALL)
    with pytest.raises(TrainerError, match="needs one line"):
        sidebyside.run(options, 1, tmp_path, doc, Progress(quiet=True))
