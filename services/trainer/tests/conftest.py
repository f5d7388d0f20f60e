import sys
from pathlib import Path

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import synthetic

from trench_trainer import pipeline, selection, table
from trench_trainer.progress import Progress

SMALL = {"folds": 3, "family_folds": 3, "partitions": 1, "ablation_partitions": 0, "max_trees": 50, "jobs": 2}


@pytest.fixture(scope="session")
def corpus() -> pa.Table:
    """A small synthetic corpus."""
    return synthetic.corpus(size=0.6)


@pytest.fixture(scope="session")
def rows_file(corpus: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus as the extractor would write it."""
    return synthetic.write(corpus, tmp_path_factory.mktemp("rows") / "rows.parquet")


@pytest.fixture(scope="session")
def rows(rows_file: Path) -> table.Table:
    """The rows that are trained on."""
    return selection.select(table.read(rows_file)).rows


@pytest.fixture(scope="session")
def cisco_file(corpus: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same flows in schema cisco2016."""
    return synthetic.write(synthetic.cisco(corpus), tmp_path_factory.mktemp("cisco") / "cisco.parquet")


@pytest.fixture(scope="session")
def lab_file(corpus: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of a stack laboratory."""
    columns = {f"lab_{c}": [f"{c} one", f"{c} two"] for c in ("stack", "server", "name", "certificate", "session", "behaviour")}
    return synthetic.write(synthetic.laboratory(corpus, "benign", **columns), tmp_path_factory.mktemp("lab") / "rows.parquet")


@pytest.fixture(scope="session")
def beacon_file(corpus: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of emulated beacons."""
    columns = {f"lab_{c}": ["check-in", "tasking"] for c in ("behaviour", "stack", "name", "certificate")}
    rows = synthetic.laboratory(corpus, "malicious", **columns)
    return synthetic.write(rows, tmp_path_factory.mktemp("beacons") / "beacons.parquet")


@pytest.fixture(scope="session")
def trained(rows_file: Path, cisco_file: Path, lab_file: Path, beacon_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with every part of the evaluation, one capture kept out."""
    out = tmp_path_factory.mktemp("bundle") / "default"
    small = {**SMALL, "ablation_partitions": 1, "max_trees": 50}
    exclude = ("malware/malware/lab/alpha-0-0.pcap",)
    given = {"joy": cisco_file, "lab": lab_file, "beacons": beacon_file}
    pipeline.run(pipeline.Options(rows_file, out, exclude=exclude, **given, **small), Progress(quiet=True))
    return out
