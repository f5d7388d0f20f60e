"""Results of long runs, one JSON line each, so that a run that was stopped goes on where it was.

    {"key": "<hash of rows, options and code>", "id": "trial 7", "result": {...}}

Lines of another key belong to another run and are left alone. A last line that was cut by a crash is dropped.
"""

import hashlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path

from trench_trainer import committee, fit, folds, views, weights
from trench_trainer.errors import TrainerError
from trench_trainer.study import Study


class Journal:
    """The results of one key in a file."""

    def __init__(self, path: Path, key: str):
        self._path, self._key = path, key
        self._results: dict[str, dict] = {}
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            path.write_bytes(whole)
        for n, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                if entry["key"] == key:
                    self._results[entry["id"]] = entry["result"]
            except (ValueError, KeyError, TypeError) as err:
                raise TrainerError(f"{path}: line {n} is no result of a run: {err!r}") from err

    def __contains__(self, name: str) -> bool:
        return name in self._results

    def once(self, name: str, work: Callable[[], dict]) -> dict:
        """The result of that name; worked out and written down when it is not there yet."""
        if name not in self._results:
            # Through JSON, so that a fresh result is what a later run will read.
            line = json.dumps({"key": self._key, "id": name, "result": work()}, allow_nan=False)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as f:
                f.write(line + "\n")
            self._results[name] = json.loads(line)["result"]
        return self._results[name]


def key_of(study: Study, **more: object) -> str:
    """Names everything that a result depends on: rows and vectors, folds, parameters, views, and the code of all."""
    options, bench = study.options, study.bench
    digest = hashlib.sha256()
    for source in sorted({Path(inspect.getfile(part)) for part in (fit, folds, weights, views, committee)}):
        digest.update(source.read_bytes())
    text = study.rows.text
    for key in ("flow_id", "label", "family", "group", "capture", "source_repo"):
        digest.update("\n".join(text[key]).encode())
    digest.update(study.everything.x.tobytes())
    if study.joy is not None:
        digest.update(study.joy.x.tobytes())
    plain = {
        "folds": options.folds,
        "family_folds": options.family_folds,
        "partitions": options.partitions,
        "seed": options.seed,
        "max_trees": options.max_trees,
        "columns": list(bench.names),
        "views": [v.name for v in bench.views],
        "params": bench.settings(options.seed, bench.names),
        **more,
    }
    digest.update(json.dumps(plain, sort_keys=True).encode())
    return digest.hexdigest()[:32]
