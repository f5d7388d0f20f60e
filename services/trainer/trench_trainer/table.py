"""Reads the extractor's Parquet file.

The file holds identity columns, the feature vector (float32, NaN = not observed) and, when `trench features` was given
labels, the label columns. Its metadata carries the schema document under `trench.schema`:

    {"schema": "trench-v1", "version": "...", "hash": "<hex>",
     "columns": [{"name", "unit", "group", "doc", "revision", "digest"}, ...]}

Two schemas are read: `trench-v1`, and `cisco2016`, the 649 columns of Joy's classifier, which knows no missing values.

The hash over any ordered set of columns is sha256(digest "\\n" digest "\\n" ...) with newlines between, none at the end.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trench_trainer.errors import TrainerError

TRENCH = "trench-v1"
CISCO = "cisco2016"
SCHEMAS = (TRENCH, CISCO)
METADATA_KEY = b"trench.schema"
IDENTITY = ("flow_id", "part", "ts", "app_proto", "server_port", "tls_version", "tls_sni", "ja3")
LABELS = ("label", "role", "family", "group", "source_repo", "capture", "split")
HELLO = "ch_len"
CISCO_SUITES = "c16_cs_"


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

    def with_vectors_of(self, other: "Table") -> "Table":
        """These rows with the vector that another file has for the same flows."""
        at = {key: i for i, key in enumerate(zip(other.text["flow_id"], other.part.tolist(), strict=True))}
        want = list(zip(self.text["flow_id"], self.part.tolist(), strict=True))
        absent = sum(key not in at for key in want)
        if absent:
            raise TrainerError(
                f"{absent} of {len(want)} flows have no row of schema {other.schema.name}; write both files from the same captures"
            )
        rows = other.x[[at[key] for key in want]]
        return Table(schema=other.schema, x=rows, text=self.text, part=self.part, year=self.year, port=self.port)

    @property
    def hello(self) -> np.ndarray:
        """True where the ClientHello was seen: Joy's columns show it by its cipher suites alone."""
        if HELLO in self.schema.position():
            return ~np.isnan(self.column(HELLO))
        suites = [i for i, c in enumerate(self.schema.columns) if c.name.startswith(CISCO_SUITES)]
        return (self.x[:, suites] > 0).any(axis=1)

    @property
    def name_labels(self) -> np.ndarray:
        """How many labels the name in the ClientHello has; 0 without a name."""
        return np.array([len(name.rstrip(".").split(".")) if name else 0 for name in self.text["tls_sni"]])

    @property
    def malicious(self) -> np.ndarray:
        """True where the label is malicious."""
        return self.text["label"] == "malicious"


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
    if schema.name not in SCHEMAS:
        raise TrainerError(f"{path}: schema {schema.name!r}, this trainer reads {' and '.join(map(repr, SCHEMAS))}")
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


def read(path: Path, extra: Sequence[str] = ()) -> Table:
    """Reads a whole file, with further text columns on demand.

    Raises TrainerError where it is not what `trench features --labels` writes.
    """
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
    further = [c for c in extra if c not in have]
    if further:
        raise TrainerError(f"{path}: missing columns: {_some(further)}")
    if schema.name == TRENCH and HELLO not in schema.position():
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
    keys = [c for c in IDENTITY if c not in ("part", "ts", "server_port")] + [*LABELS, *extra]
    return Table(
        schema=schema,
        x=x,
        text={key: _strings(data[key]) for key in keys},
        part=pc.fill_null(data["part"], 0).to_numpy().astype(np.int64),
        year=_years(data["ts"]),
        port=pc.fill_null(data["server_port"], 0).to_numpy().astype(np.int64),
    )


def _some(items: list[str], n: int = 8) -> str:
    more = f" and {len(items) - n} more" if len(items) > n else ""
    return ", ".join(items[:n]) + more
