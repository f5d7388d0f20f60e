"""A finished bundle as a scorer: what `eval`, `compare` and the laboratory put their rows to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np

from trench_trainer import bundle, calibrate, fit
from trench_trainer.decide import Threshold
from trench_trainer.errors import TrainerError
from trench_trainer.table import Table


@dataclass(frozen=True)
class Model:
    """Trees, columns, calibration and thresholds, frozen."""

    schema: dict
    booster: lgb.Booster
    calibration: calibrate.Calibration
    limits: list[Threshold]
    evaluation: dict

    def margins(self, rows: Table) -> np.ndarray:
        """Raw scores of all rows."""
        return fit.raw(self.booster, gather(rows, self.schema["features"]))


def load(directory: Path) -> Model:
    """Reads a bundle after checking it against its sums."""
    faults = bundle.check(directory)
    if faults:
        raise TrainerError(f"{directory}: " + "; ".join(faults))

    def document(name: str) -> dict:
        return json.loads((directory / name).read_text(encoding="utf-8"))

    try:
        return Model(
            schema=document("schema.json"),
            booster=lgb.Booster(model_str=(directory / "model.txt").read_text(encoding="utf-8")),
            calibration=calibrate.load(document("calibration.json")),
            limits=[Threshold(**t) for t in document("thresholds.json")["thresholds"]],
            evaluation=document("eval.json"),
        )
    except (ValueError, KeyError, TypeError, lgb.basic.LightGBMError) as err:
        raise TrainerError(f"{directory}: is no bundle of this trainer: {err!r}") from err


def gather(rows: Table, features: Sequence[dict]) -> np.ndarray:
    """The columns that a model asks for, in its order; refused where one means something else by now."""
    at = rows.schema.position()
    absent = [f["name"] for f in features if f["name"] not in at]
    if absent:
        raise TrainerError(
            f"wrong schema: the rows ({rows.schema.name}) lack {len(absent)} of the model's columns, such as {absent[0]}"
        )
    changed = [f["name"] for f in features if rows.schema.columns[at[f["name"]]].digest != f["digest"]]
    if changed:
        raise TrainerError(f"wrong schema: {len(changed)} columns are computed otherwise than in training, such as {changed[0]}")
    return rows.x[:, [at[f["name"]] for f in features]].astype(np.float64)
