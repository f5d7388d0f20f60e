"""How much each flow counts in training, so that no capture, family or source owns the model."""

import numpy as np

from trench_trainer.table import Table


def flow_weights(rows: Table) -> np.ndarray:
    """1/sqrt(flows of the family) for malicious flows, 1/sqrt(flows of the source) for benign ones; the mean is 1."""
    key = np.where(
        rows.malicious,
        np.char.add("family ", rows.text["family"]),
        np.char.add("source ", rows.text["source_repo"]),
    )
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    weight = 1 / np.sqrt(counts[inverse])
    return weight / weight.mean()
