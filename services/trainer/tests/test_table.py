import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import synthetic

from trench_trainer import selection, table
from trench_trainer.errors import TrainerError


def replace(data: pa.Table, column: str, values: object) -> pa.Table:
    """The table with one column's content exchanged."""
    at = data.column_names.index(column)
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    return data.set_column(at, column, array)


def edited(data: pa.Table, column: str, changes: dict[int, object]) -> pa.Table:
    """The table with some cells of one column exchanged."""
    values = data[column].to_pylist()
    for i, v in changes.items():
        values[i] = v
    return replace(data, column, pa.array(values, data[column].type))


def selected(data: pa.Table, tmp_path: Path, exclude: tuple[str, ...] = ()) -> selection.Selection:
    """What is left of a table."""
    return selection.select(table.read(synthetic.write(data, tmp_path / "rows.parquet")), exclude)


def test_reads_vector_in_schema_order_and_keeps_gaps(corpus, rows):
    assert [c.name for c in rows.schema.columns] == synthetic.names()
    corpus = corpus.sort_by([("capture", "ascending"), ("flow_id", "ascending")])
    want = np.column_stack([corpus[n].to_numpy() for n in synthetic.names()])
    np.testing.assert_array_equal(rows.x, want)
    assert np.isnan(rows.column("qu_is_quic")).all()


def test_subset_hash_is_over_digests_in_order(rows):
    some = [rows.schema.columns[i] for i in (5, 2, 9)]
    want = hashlib.sha256("\n".join([some[0].digest, some[1].digest, some[2].digest]).encode()).hexdigest()
    assert table.hash_of(some) == want
    assert table.hash_of(some[::-1]) != want


@pytest.mark.parametrize("kind", ["timestamp", "nanoseconds"])
def test_year_of_both_time_types(corpus, tmp_path, kind):
    data = corpus if kind == "timestamp" else replace(corpus, "ts", pc.cast(corpus["ts"], pa.int64()))
    got = table.read(synthetic.write(data, tmp_path / "rows.parquet")).year
    assert set(got) == set(pc.unique(pc.year(corpus["ts"])).to_pylist())


def test_counts_what_is_left_out_once_and_with_its_reason(corpus, tmp_path):
    data = edited(corpus, "label", {0: "ambiguous", 1: "unknown", 2: "none", 3: ""})
    data = edited(data, "split", {4: "test"})
    data = edited(data, "app_proto", {5: "quic", 6: "dtls"})
    data = edited(data, "ch_len", {7: None})
    got = selected(data, tmp_path)
    assert got.left_out == {
        "label ambiguous": 1,
        "label unknown": 1,
        "label none": 1,
        "no label": 1,
        "not in split train": 1,
        "protocol quic": 1,
        "protocol dtls": 1,
        "no ClientHello seen": 1,
    }
    assert len(got.rows) + sum(got.left_out.values()) == got.read == len(corpus)


def test_excluded_capture_is_held_out_whole(corpus, tmp_path):
    name = corpus["capture"][0].as_py()
    n = corpus["capture"].to_pylist().count(name)
    got = selected(corpus, tmp_path, (name,))
    assert got.left_out == {"excluded capture": n}
    assert len(got.held_out) == n
    assert name not in set(got.rows.text["capture"])


def test_excluding_an_absent_capture_is_an_error(corpus, tmp_path):
    with pytest.raises(TrainerError, match="no row of that capture"):
        selected(corpus, tmp_path, ("malware/typo.pcap",))


def test_only_the_last_report_of_a_flow_is_trained_on(corpus, tmp_path):
    late = edited(corpus.slice(0, 1), "part", {0: 1})
    got = selected(pa.concat_tables([corpus, late]), tmp_path)
    assert got.left_out == {"earlier report of the same flow": 1}
    assert got.superseded.part.tolist() == [0]
    flow = corpus["flow_id"][0].as_py()
    assert got.rows.part[got.rows.text["flow_id"] == flow].tolist() == [1]


def test_a_final_row_that_is_there_twice_is_refused(corpus, tmp_path):
    with pytest.raises(
        TrainerError, match=r"duplicated row: flow .* is twice among the last reports, in .*; was a capture read twice"
    ):
        selected(pa.concat_tables([corpus, corpus.slice(3, 2)]), tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("label", "benign", r"is malicious in .* and benign in"), ("group", "elsewhere", r"leaked group: flow .* is in groups")],
)
def test_a_flow_of_two_labels_or_groups_is_refused(corpus, tmp_path, column, value, message):
    other = edited(corpus.slice(0, 1), column, {0: value})
    with pytest.raises(TrainerError, match=message):
        selected(pa.concat_tables([corpus, other]), tmp_path)


def test_a_capture_in_two_groups_is_refused(corpus, tmp_path):
    got = selected(edited(corpus, "group", {0: "elsewhere"}), tmp_path)
    with pytest.raises(TrainerError, match=r"leaked group: capture .* is in groups .* and "):
        selection.require(got.rows, 3)


def test_a_copied_capture_in_two_groups_is_refused(corpus, tmp_path):
    name = corpus["capture"][0].as_py().rsplit("/", 1)[-1]
    copy = edited(corpus.slice(0, 1), "flow_id", {0: "other"})
    copy = edited(edited(copy, "group", {0: "elsewhere"}), "capture", {0: f"copies/{name}"})
    got = selected(pa.concat_tables([corpus, copy]), tmp_path)
    with pytest.raises(TrainerError, match=r"leaked group: .* hold the same vector under one file name"):
        selection.require(got.rows, 3)


def test_rows_of_the_laboratory_are_never_trained_on(corpus, tmp_path):
    got = selected(edited(corpus, "source_repo", {0: "lab/curl"}), tmp_path)
    with pytest.raises(TrainerError, match="1 rows of the stack laboratory"):
        selection.require(got.rows, 3)


def test_vectors_of_several_groups_are_counted(corpus, tmp_path):
    other = edited(edited(corpus.slice(0, 1), "flow_id", {0: "other"}), "group", {0: "elsewhere"})
    assert selected(corpus, tmp_path).shared_vectors == 0
    assert selected(pa.concat_tables([corpus, other]), tmp_path).shared_vectors == 1


def with_schema(data: pa.Table, change) -> pa.Table:
    """The table with an edited schema document."""
    doc = synthetic.schema()
    change(doc)
    return data.replace_schema_metadata({"trench.schema": json.dumps(doc)})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.replace_schema_metadata({}), "no 'trench.schema'"),
        (lambda d: d.replace_schema_metadata({"trench.schema": "{"}), "cannot be read"),
        (
            lambda d: with_schema(d, lambda s: s.update(schema="trench-v9")),
            "schema 'trench-v9', this trainer reads 'trench-v1' and",
        ),
        (lambda d: with_schema(d, lambda s: s.update(hash="00")), "is not the hash over"),
        (lambda d: with_schema(d, lambda s: s.update(columns=[])), "lists no columns"),
        (lambda d: with_schema(d, lambda s: s["columns"].append(s["columns"][0])), "names a column twice"),
        (lambda d: d.drop_columns(["ja3", "bd_03"]), "missing columns: ja3, bd_03"),
        (lambda d: d.drop_columns(["group"]), "missing label columns: group; run .* --labels"),
        (lambda d: replace(d, "fl_pk_c", pc.cast(d["fl_pk_c"], pa.float64())), "fl_pk_c is double"),
        (lambda d: d.slice(0, 0), "holds no rows"),
    ],
)
def test_wrong_files_are_refused_with_the_reason(corpus, tmp_path, spoil, message):
    path = synthetic.write(spoil(corpus), tmp_path / "rows.parquet")
    with pytest.raises(TrainerError, match=message):
        table.read(path)


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_text("hello")
    with pytest.raises(TrainerError, match="cannot be read as Parquet"):
        table.read(path)


def test_one_class_only_is_refused(rows):
    for mask, absent in ((rows.malicious, "benign"), (~rows.malicious, "malicious")):
        with pytest.raises(TrainerError, match=f"one class only: no {absent} flow"):
            selection.require(rows.take(np.flatnonzero(mask)), 3)


def test_too_few_groups_are_refused(rows):
    with pytest.raises(TrainerError, match="too few groups: malicious flows come from 14 capture groups"):
        selection.require(rows, 15)


def test_rows_without_a_group_are_refused(corpus, tmp_path):
    got = selected(edited(corpus, "group", {0: "", 9: None}), tmp_path)
    with pytest.raises(TrainerError, match="2 labelled rows have no group"):
        selection.require(got.rows, 3)
