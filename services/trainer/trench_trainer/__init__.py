"""Trench's trainer: labelled Parquet rows of the Go extractor in, a model bundle out.

The way of a row through the package:

    table      rows.parquet -> Table (vector, identity, labels), of either schema
    selection  which rows are trained on, what was left out, and what no honest split could be made of
    profile    which of the vector's columns a model uses
    weights    how much each flow counts
    folds      partitions that never share a capture group, and ones that leave whole families out
    study      the above together: what everything of a run is trained and measured on
    views      what each model of the committee sees, and the transplants that it learns from
    fit        LightGBM on each fold, in threads, byte for byte repeatable, in one place
    rates      margins out of fold -> rates, rankings and curves with intervals; evaluate, probes, baselines, ablation use them
    decide     thresholds, and calibrate the probability, from the same margins
    laboratory rows that the finished model is put to and that are never trained on
    pipeline   all of it for `train`; card, caveats and pictures tell it, functions of eval.json
    bundle     everything above -> a directory whose files are checksummed and moved into place at once
    model      a bundle -> a scorer; examine (`eval`) and compare put rows to it
    search     hyper-parameters within the folds; sidebyside the long tables; journal keeps both across stops
"""

__version__ = "0.1.0"
