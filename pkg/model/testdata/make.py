#!/usr/bin/env python3
"""Writes the fixtures of this folder with LightGBM 4.7.0 and numpy: python make.py

bundle/    a bundle over 40 columns of trench-v1, trained on made-up data
edge.tsv   rows at every threshold and its neighbours, with infinities, denormals
           and missing values: columns, margin, contributions (pred_contrib)
"""
import gzip
import hashlib
import json
import os

import lightgbm as lgb
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
out = os.path.join(here, "bundle")
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(20)

with open(os.path.join(here, "trench-v1.txt")) as f:
    schema = f.read().split()
# The order differs from the schema's, so that gathering is tested.
last = ["sn_present", "ct_self_signed"]
names = list(rng.permutation([n for n in schema if n.startswith(("sn_", "ct_", "rc_app")) and n not in last])[:38]) + last
n = 4000
x = np.empty((n, len(names)), dtype=np.float32)
for j, name in enumerate(names):
    kind = j % 5
    if name in ("sn_present", "ct_self_signed", "ct_expired", "sn_is_ip", "ct_seen"):
        x[:, j] = rng.integers(0, 2, n)
    elif kind == 0:
        x[:, j] = rng.normal(0, 3, n)
    elif kind == 1:
        x[:, j] = rng.integers(0, 20, n)
    elif kind == 2:
        x[:, j] = rng.exponential(800, n)
    elif kind == 3:
        x[:, j] = np.where(rng.random(n) < 0.6, 0, rng.random(n))
    else:
        x[:, j] = rng.integers(-3, 4, n) / 4
    if j % 3:  # every third column is always observed: missing type None
        x[rng.random(n) < 0.25, j] = np.nan
w = rng.normal(0, 1, len(names))
z = (np.nan_to_num((x - np.nanmean(x, 0)) / np.nanstd(x, 0)) * w).sum(1) + 2 * np.isnan(x[:, 1])
y = (z + rng.normal(0, 2, n) > np.quantile(z, 0.8)).astype(int)

booster = lgb.train(
    dict(objective="binary", num_leaves=15, max_depth=6, learning_rate=0.1, min_data_in_leaf=10, feature_fraction=0.5,
         bagging_fraction=0.7, bagging_freq=1, lambda_l2=5, seed=7, deterministic=True, force_row_wise=True, num_threads=1, verbose=-1),
    lgb.Dataset(x, y, feature_name=names), 40)
text = booster.model_to_string()


def write(name, body):
    with open(os.path.join(out, name), "w") as f:
        f.write(body)


def cell(v):
    return "nan" if np.isnan(v) else "%.9g" % v


margin = booster.predict(x, raw_score=True)
write("model.txt", text)
write("schema.json", json.dumps({
    "schema": "trench-v1", "name": "fixture", "hash": hashlib.sha256("\n".join(names).encode()).hexdigest(),
    "extractor_version": "test", "excluded_captures": ["malware/one.pcap"], "trained": {"rows": n},
    "features": [{"name": m, "unit": "", "group": m[:2], "revision": 1, "digest": hashlib.sha256(m.encode()).hexdigest()} for m in names],
}, indent=1) + "\n")
write("calibration.json", json.dumps({"method": "platt", "a": 1.1, "b": -0.2}) + "\n")
benign = np.sort(margin[y == 0])


def threshold(name, verdict, target):
    m = float(benign[int(len(benign) * (1 - target))])
    return {"name": name, "verdict": verdict, "target": target, "margin": m, "certified": target * 2, "n": len(benign),
            "false_positives": int((benign >= m).sum())}


write("thresholds.json", json.dumps({"thresholds": [
    threshold("fpr_1e-2", "suspicious", 1e-2), threshold("fpr_1e-3", "malicious", 1e-3)]}, indent=1) + "\n")
ref = {}
for j, m in enumerate(names):
    v = x[y == 0, j]
    q = np.nanquantile(v, [.01, .05, .5, .95, .99])
    ref[m] = dict(zip(["p01", "p05", "p50", "p95", "p99"], map(float, q))) | {"nan": float(np.isnan(v).mean())}
write("reference.json", json.dumps({"features": ref, "score": {}}, indent=1) + "\n")
write("eval.json", "{}\n")
write("card.md", "# fixture\n\nMade-up data, for tests only.\n")
write("golden.tsv", "\t".join(names + ["margin"]) + "\n" + "".join(
    "\t".join([cell(v) for v in x[i]] + ["%.17g" % margin[i]]) + "\n" for i in range(64)))
files = sorted(f for f in os.listdir(out) if f != "SHA256SUMS")
write("SHA256SUMS", "".join(
    "%s  %s\n" % (hashlib.sha256(open(os.path.join(out, f), "rb").read()).hexdigest(), f) for f in files))

# Edge rows: one or several columns of an ordinary row replaced.
thresholds = {}
feature = None
for line in text.splitlines():
    key, _, value = line.partition("=")
    if key == "split_feature":
        feature = [int(v) for v in value.split()]
    elif key == "threshold":
        for f, v in zip(feature, value.split()):
            thresholds.setdefault(f, set()).add(float(v))
tiny = [0.0, -0.0, 1e-45, -1e-45, 1e-38, -1e-38, 1e-36, -1e-36, 1e-35, -1e-35, 1.0000001e-35, -1.0000001e-35, 9.9999e-36, 2e-35, -2e-35]
special = [np.nan, np.inf, -np.inf, 3.4028235e38, -3.4028235e38] + tiny
rows = []
for j in range(len(names)):
    values = list(special)
    for t in sorted(thresholds.get(j, ())):
        f = np.float32(t)
        values += [t, f, np.nextafter(f, np.float32(np.inf)), np.nextafter(f, np.float32(-np.inf)), np.nextafter(t, np.inf), np.nextafter(t, -np.inf)]
    for v in values:
        r = x[rng.integers(0, n)].astype(np.float64)
        r[j] = v
        rows.append(r)
for _ in range(150):
    r = x[rng.integers(0, n)].astype(np.float64)
    for j in rng.integers(0, len(names), 12):
        r[j] = special[rng.integers(0, len(special))]
    rows.append(r)
rows.append(np.full(len(names), np.nan))
rows.append(np.zeros(len(names)))
rows = np.array(rows)
keep = np.sort(rng.permutation(len(rows))[:450])
keep = np.union1d(keep, np.arange(len(rows) - 152, len(rows)))
rows = rows[keep]
raw = booster.predict(rows, raw_score=True)
contrib = booster.predict(rows, pred_contrib=True)
body = "\t".join(names + ["margin"] + ["phi_" + m for m in names] + ["phi_expected"]) + "\n"
for r, m, c in zip(rows, raw, contrib):
    body += "\t".join(repr(float(v)) for v in [*r, m, *c]) + "\n"
with open(os.path.join(here, "edge.tsv.gz"), "wb") as f:
    f.write(gzip.compress(body.encode(), mtime=0))
print(len(rows), "edge rows;", text.count("Tree="), "trees;", len(set().union(*thresholds.values())), "thresholds")
