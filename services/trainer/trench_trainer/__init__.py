"""Trench's trainer: labelled Parquet rows of the Go extractor in, a model bundle out.

The way of a row through the package:

    table    rows.parquet -> Table (vector, identity, labels) and what was left out, with the reason
    profile  which of the vector's columns a model uses
    weights  how much each flow counts
    folds    partitions that never share a capture group, and ones that leave whole families out
    fit      LightGBM on each fold, in threads, byte for byte repeatable
    evaluate margins out of fold -> figures with intervals, baselines, ablations
    decide   calibration and thresholds from the same margins
    bundle   everything above -> a directory whose files are checksummed and moved into place at once
"""

__version__ = "0.1.0"
