"""Reads the extractor's Parquet file and decides which of its rows are trained on.

The file holds identity columns, the feature vector (float32, NaN = not observed) and, when `trench features` was given
labels, the label columns. Its metadata carries the schema document under `trench.schema`:

    {"schema": "trench-v1", "version": "...", "hash": "<hex>",
     "columns": [{"name", "unit", "group", "doc", "revision", "digest"}, ...]}

The hash over any ordered set of columns is sha256(digest "\\n" digest "\\n" ...) with newlines between, none at the end.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trench_trainer.errors import TrainerError

SCHEMA = "trench-v1"
METADATA_KEY = b"trench.schema"
IDENTITY = ("flow_id", "part", "ts", "app_proto", "server_port", "tls_version", "tls_sni", "ja3")
LABELS = ("label", "role", "family", "group", "source_repo", "capture", "split")
HELLO = "ch_len"


@dataclass(frozen=True)
class Column:
    """One feature as the extractor describes it."""

    name: str
    unit: str
    group: str
    revision: int
    digest: str


@dataclass(frozen=True)
class Schema:
    """The extractor's whole ordered feature table."""

    name: str
    version: str
    hash: str
    columns: tuple[Column, ...]

    def position(self) -> dict[str, int]:
        """Column positions by name."""
        return {c.name: i for i, c in enumerate(self.columns)}


def hash_of(columns: Sequence[Column]) -> str:
    """The hash over columns in their given order."""
    return hashlib.sha256("\n".join(c.digest for c in columns).encode()).hexdigest()


@dataclass(frozen=True)
class Table:
    """Rows as arrays of equal length; x keeps the extractor's float32."""

    schema: Schema
    x: np.ndarray
    text: dict[str, np.ndarray]
    part: np.ndarray
    year: np.ndarray
    port: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def column(self, name: str) -> np.ndarray:
        """One feature over all rows."""
        return self.x[:, self.schema.position()[name]]

    def take(self, rows: np.ndarray) -> "Table":
        """The rows at the given positions."""
        return Table(
            schema=self.schema,
            x=self.x[rows],
            text={k: v[rows] for k, v in self.text.items()},
            part=self.part[rows],
            year=self.year[rows],
            port=self.port[rows],
        )

    @property
    def malicious(self) -> np.ndarray:
        """True where the label is malicious."""
        return self.text["label"] == "malicious"


@dataclass(frozen=True)
class Selection:
    """What is trained on, what was put aside, and what was left out by reason."""

    rows: Table
    held_out: Table
    superseded: Table
    read: int
    left_out: dict[str, int] = field(default_factory=dict)
    shared_vectors: int = 0


def _schema(metadata: dict[bytes, bytes] | None, path: Path) -> Schema:
    raw = (metadata or {}).get(METADATA_KEY)
    if raw is None:
        raise TrainerError(f"{path}: no 'trench.schema' in the file's metadata; write it with `trench features -o`")
    try:
        doc = json.loads(raw)
        schema = Schema(
            name=doc["schema"],
            version=doc["version"],
            hash=doc["hash"],
            columns=tuple(Column(c["name"], c["unit"], c["group"], int(c["revision"]), c["digest"]) for c in doc["columns"]),
        )
    except (ValueError, KeyError, TypeError) as err:
        raise TrainerError(f"{path}: metadata 'trench.schema' cannot be read: {err!r}") from err
    if schema.name != SCHEMA:
        raise TrainerError(f"{path}: schema {schema.name!r}, this trainer reads {SCHEMA!r}")
    if not schema.columns:
        raise TrainerError(f"{path}: the schema lists no columns")
    if len({c.name for c in schema.columns}) != len(schema.columns):
        raise TrainerError(f"{path}: the schema names a column twice")
    if hash_of(schema.columns) != schema.hash:
        raise TrainerError(f"{path}: the schema's hash {schema.hash[:12]} is not the hash over its columns' digests")
    return schema


def _strings(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    return np.array(pc.fill_null(pc.cast(column, pa.string()), "").to_pylist(), dtype=object).astype(str)


def _years(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_timestamp(column.type):
        return pc.fill_null(pc.year(column), 0).to_numpy().astype(np.int64)
    ns = pc.fill_null(pc.cast(column, pa.int64()), 0).to_numpy()
    return ns.astype("datetime64[ns]").astype("datetime64[Y]").astype(np.int64) + 1970


def read(path: Path) -> Table:
    """Reads a whole file; raises TrainerError where it is not what `trench features --labels` writes."""
    try:
        data = pq.read_table(path)
    except (OSError, pa.ArrowException) as err:
        raise TrainerError(f"{path}: cannot be read as Parquet: {err}") from err
    schema = _schema(data.schema.metadata, path)
    have = set(data.column_names)
    missing = [c for c in IDENTITY if c not in have] + [c.name for c in schema.columns if c.name not in have]
    if missing:
        raise TrainerError(f"{path}: missing columns: {_some(missing)}")
    unlabelled = [c for c in LABELS if c not in have]
    if unlabelled:
        raise TrainerError(
            f"{path}: missing label columns: {_some(unlabelled)}; run `trench features` with --labels and --manifest"
        )
    if HELLO not in schema.position():
        raise TrainerError(f"{path}: the schema has no column {HELLO}")
    if data.num_rows == 0:
        raise TrainerError(f"{path}: holds no rows")
    # Several extracting workers write rows in any order; the bundle must not depend on it.
    data = data.sort_by([(key, "ascending") for key in ("capture", "flow_id", "part")])

    x = np.empty((data.num_rows, len(schema.columns)), dtype=np.float32)
    for i, c in enumerate(schema.columns):
        column = data[c.name]
        if not pa.types.is_float32(column.type):
            raise TrainerError(f"{path}: column {c.name} is {column.type}, want float")
        x[:, i] = pc.fill_null(column, float("nan")).to_numpy()
    keys = [c for c in IDENTITY if c not in ("part", "ts", "server_port")] + list(LABELS)
    return Table(
        schema=schema,
        x=x,
        text={key: _strings(data[key]) for key in keys},
        part=pc.fill_null(data["part"], 0).to_numpy().astype(np.int64),
        year=_years(data["ts"]),
        port=pc.fill_null(data["server_port"], 0).to_numpy().astype(np.int64),
    )


def select(table: Table, exclude: Sequence[str] = ()) -> Selection:
    """Keeps labelled TLS flows of the training split whose ClientHello was seen, one row a flow."""
    left = Counter()
    keep = np.ones(len(table), dtype=bool)

    def drop(mask: np.ndarray, reason: str) -> None:
        hit = keep & mask
        if hit.any():
            left[reason] += int(hit.sum())
            keep[hit] = False

    label, proto = table.text["label"], table.text["app_proto"]
    for name in sorted(set(label) - {"malicious", "benign"}):
        drop(label == name, f"label {name}" if name else "no label")
    drop(table.text["split"] != "train", "not in the training split")
    for name in sorted(set(proto) - {"tls"}):
        drop(proto == name, f"protocol {name or 'unknown'}")
    drop(np.isnan(table.column(HELLO)), "no ClientHello seen")

    held = np.zeros(len(table), dtype=bool)
    for name in exclude:
        hit = table.text["capture"] == name
        if not hit.any():
            raise TrainerError(f"--exclude {name}: no row of that capture in the table")
        held |= hit
    held &= keep
    drop(held, "excluded capture")

    old = _superseded(table, keep)
    drop(old, "earlier report of the same flow")
    drop(_duplicates(table, keep), "duplicated flow")

    lost = keep & (table.text["group"] == "")
    if lost.any():
        raise TrainerError(f"{int(lost.sum())} labelled rows have no group; is the manifest complete?")
    rows = table.take(np.flatnonzero(keep))
    nameless = rows.malicious & (rows.text["family"] == "")
    rows.text["family"][nameless] = "unnamed"
    return Selection(
        rows=rows,
        held_out=table.take(np.flatnonzero(held)),
        superseded=table.take(np.flatnonzero(old)),
        read=len(table),
        left_out=dict(left),
        shared_vectors=_shared_vectors(rows),
    )


def require(rows: Table, folds: int) -> None:
    """Raises TrainerError when the rows cannot carry a grouped split into that many folds."""
    mal = rows.malicious
    for name, mask in (("malicious", mal), ("benign", ~mal)):
        if not mask.any():
            raise TrainerError(f"one class only: no {name} flow is left to train on")
        groups = len(set(rows.text["group"][mask]))
        if groups < folds:
            raise TrainerError(
                f"too few groups: {name} flows come from {groups} capture groups, {folds} folds need at least {folds}"
            )


def _superseded(table: Table, keep: np.ndarray) -> np.ndarray:
    last: dict[tuple[str, str], int] = {}
    ids, captures = table.text["flow_id"], table.text["capture"]
    at = np.flatnonzero(keep)
    for i in at:
        key = (captures[i], ids[i])
        last[key] = max(last.get(key, -1), int(table.part[i]))
    old = np.zeros(len(table), dtype=bool)
    for i in at:
        old[i] = table.part[i] < last[(captures[i], ids[i])]
    return old


def _duplicates(table: Table, keep: np.ndarray) -> np.ndarray:
    first: dict[str, int] = {}
    again = np.zeros(len(table), dtype=bool)
    for i in np.flatnonzero(keep):
        j = first.setdefault(table.text["flow_id"][i], int(i))
        if j == i:
            continue
        if table.text["label"][i] != table.text["label"][j]:
            raise TrainerError(
                f"flow {table.text['flow_id'][i]} is {table.text['label'][j]} in {table.text['capture'][j]} "
                f"and {table.text['label'][i]} in {table.text['capture'][i]}"
            )
        again[i] = True
    return again


def _shared_vectors(rows: Table) -> int:
    seen: dict[bytes, set[str]] = {}
    for i in range(len(rows)):
        key = hashlib.sha256(rows.x[i].tobytes()).digest()
        seen.setdefault(key, set()).add(rows.text["group"][i])
    return sum(len(groups) > 1 for groups in seen.values())


def _some(items: list[str], n: int = 8) -> str:
    more = f" and {len(items) - n} more" if len(items) > n else ""
    return ", ".join(items[:n]) + more
