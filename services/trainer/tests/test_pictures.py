import json
import xml.etree.ElementTree as ET

import pytest

from trench_trainer import pictures, svg


def test_pictures_are_a_function_of_the_evaluation(trained):
    ev = json.loads((trained / "eval.json").read_text())
    for name, text in pictures.draw(ev).items():
        assert (trained / name).read_text() == text
        root = ET.fromstring(text)
        assert root.tag.endswith("svg")
        assert "nan" not in text
        assert f"({name})" in (trained / "card.md").read_text()


def test_every_family_and_source_is_named(trained):
    ev = json.loads((trained / "eval.json").read_text())
    for name in ev["left_out"]["families"]["families"]:
        assert f">{name}</text>" in (trained / "families.svg").read_text()
    for name in ev["scores"]["sources"]:
        assert f">{name}</text>" in (trained / "scores.svg").read_text()


def test_text_is_escaped():
    out = svg.Canvas(10, 10, "a & b", '<"x">')
    out.text(0, 0, "<script>")
    assert ET.fromstring(out.document())[-1].text == "<script>"


def test_a_scale_keeps_values_within_its_ends():
    log = svg.Scale(1e-3, 1, 0, 300, log=True)
    assert [log(v) for v in (1e-3, 1e-2, 1)] == pytest.approx([0, 100, 300])
    assert log(0) == pytest.approx(0)
    assert svg.Scale(0, 1, 100, 0)(2) == pytest.approx(0)
