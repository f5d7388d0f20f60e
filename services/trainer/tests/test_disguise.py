import numpy as np
import pytest
import synthetic

from trench_trainer import disguise, table

EDGES = (0, 16, 32, 64, 128, 256, 512, 1024, np.inf)


def shape(lengths):
    """The columns of lengths of a flow whose data packets are these, by their definitions."""
    c = np.array([v for v in lengths if v > 0], dtype=float)
    out = {f"sq_len_{i:02d}": (lengths[i] if i < len(lengths) else np.nan) for i in range(16)}
    out |= {"fl_dpk_c": len(c), "fl_dpk_s": len(lengths) - len(c)}
    out |= {"fl_len_mean_c": c.mean(), "fl_len_std_c": c.std(), "fl_len_max_c": c.max()}
    out |= {f"hz_c_{i}": ((c >= EDGES[i]) & (c < EDGES[i + 1])).mean() for i in range(8)}
    bursts = []
    for i, v in enumerate(lengths):
        if i and (v > 0) == (lengths[i - 1] > 0):
            bursts[-1] += v
        else:
            bursts.append(v)
    mine = [b for b in bursts if b > 0]
    out |= {"bu_n": len(bursts), "bu_first_c_bytes": mine[0], "bu_by_mean_c": np.mean(mine), "bu_by_max_c": max(mine)}
    bins = [min(abs(v) // 150, 9) for v in lengths]
    counts = np.zeros((10, 10))
    for a, b in zip(bins, bins[1:] if len(bins) > 1 else bins, strict=False):
        counts[a, b] += 1
    sums = counts.sum(axis=1, keepdims=True)
    out |= {f"ml_{i}_{j}": v for (i, j), v in np.ndenumerate(counts / np.maximum(sums, 1))}
    return out


# Of each flow its label, hello body, name length (0: none), other packets, and whether it shows a chain.
FLOWS = (
    ("malicious", 150, 0, (-1400, -600, 200, -50, 90), 1),
    ("malicious", 150, 12, (), 0),
    ("malicious", 100, 0, (-900, 70, 60, -40, -30, 500, -10), 1),
    ("malicious", 100, 10, (-100, 100) * 8, 1),
    ("benign", 508, 20, (-1400, 93, -200), 1),
)


@pytest.fixture
def rows():
    names = synthetic.names()
    columns = tuple(table.Column(n, "1", n.split("_")[0], 1, n) for n in names)
    schema = table.Schema("trench-v1", "test", table.hash_of(columns), columns)
    at = schema.position()
    x = np.full((len(FLOWS), len(names)), np.nan, dtype=np.float32)
    for row, (label, hello, name, others, chain) in zip(x, FLOWS, strict=True):
        good = label == "benign"
        values = shape((hello + disguise.HEADERS, *others)[:16]) | {"ch_len": hello, "ch_n_ext": 5, "ch_n_alpn": 2 if good else 0}
        values["fl_dpk_c"] += sum(v > 0 for v in others[15:])
        values["fl_dpk_s"] += sum(v < 0 for v in others[15:])
        values |= {"fl_by_c": 3000, "fl_by_s": 5000, "fl_bps_log": np.log1p(64000), "ch_cs_c02b": good, "rc_srv_flight_est": 1000}
        values |= {"sn_present": name > 0, "ct_seen": chain}
        if name:
            values |= {"sn_len": name, "sn_labels": 3, "sn_is_ip": 0}
        if chain:
            values |= {"ct_self_signed": not good, "ct_expired": 0, "ct_chain_bytes": 2800 if good else 800}
            values |= {"ct_sni_match": float(good) if name else np.nan}
        for key, v in values.items():
            row[at[key]] = v
    n = len(FLOWS)
    text = {k: np.full(n, "") for k in (*table.LABELS, "tls_sni")} | {"tls_version": np.full(n, "TLS 1.2")}
    text["label"] = np.array([f[0] for f in FLOWS])
    return table.Table(schema, x, text, np.zeros(n), np.full(n, 2016), np.full(n, 443))


def put_on(rows, name):
    bad = np.flatnonzero(rows.malicious)
    worn = {d.name: d for d in disguise.Wardrobe(rows).disguises()}[name]
    before = rows.x[bad].copy()
    after = worn.put_on(before, bad, np.random.default_rng(0))
    np.testing.assert_array_equal(before, rows.x[bad])
    return {n: after[:, i] for n, i in rows.schema.position().items()}, {n: before[:, i] for n, i in rows.schema.position().items()}


def test_a_browsers_hello_keeps_the_flows_own_name(rows):
    now, _ = put_on(rows, "hello")
    donor = 508 - 9 - 20
    np.testing.assert_array_equal(now["ch_len"], [donor, donor + 9 + 12, donor, donor + 9 + 10])
    np.testing.assert_array_equal(now["ch_n_ext"], [4, 5, 4, 5])
    assert (now["ch_cs_c02b"] == 1).all()
    np.testing.assert_array_equal(now["sn_len"], [np.nan, 12, np.nan, 10])


@pytest.mark.parametrize("flow", [0, 1, 2])
def test_lengths_follow_a_hello_of_another_length_exactly(rows, flow):
    now, _ = put_on(rows, "hello")
    for name, want in shape((int(now["ch_len"][flow]) + disguise.HEADERS, *FLOWS[flow][3])).items():
        assert now[name][flow] == pytest.approx(want, abs=1e-4, nan_ok=True), name
    grown = now["ch_len"][flow] - FLOWS[flow][1]
    assert now["fl_by_c"][flow] == 3000 + grown
    assert now["fl_by_ratio"][flow] == pytest.approx(np.log((3001 + grown) / 5001))
    assert np.expm1(now["fl_bps_log"][flow]) == pytest.approx(8 * (8000 + grown), rel=1e-5)


def test_matrix_of_a_longer_flow_stays(rows):
    now, was = put_on(rows, "hello")
    for name in disguise.MARKOV:
        assert now[name][3] == pytest.approx(was[name][3], nan_ok=True)
    assert now["fl_len_mean_c"][3] > was["fl_len_mean_c"][3]


def test_a_name_is_added_where_there_was_none_or_put_on_every_flow(rows):
    some, was = put_on(rows, "sni")
    every, _ = put_on(rows, "name")
    np.testing.assert_array_equal(some["sn_len"], [20, 12, 20, 10])
    np.testing.assert_array_equal(every["sn_len"], [20, 20, 20, 20])
    np.testing.assert_array_equal(some["ch_len"] - was["ch_len"], [29, 0, 29, 0])
    np.testing.assert_array_equal(every["ch_len"] - was["ch_len"], [29, 8, 29, 10])
    np.testing.assert_array_equal(some["ch_n_ext"], [6, 5, 6, 5])
    np.testing.assert_array_equal(some["sq_len_00"] - was["sq_len_00"], [29, 0, 29, 0])
    np.testing.assert_array_equal(some["ct_sni_match"], [0, np.nan, 0, 0])


def test_a_certificate_replaces_the_chains_that_are_seen(rows):
    now, _ = put_on(rows, "certificate")
    np.testing.assert_array_equal(now["ct_self_signed"], [0, np.nan, 0, 0])
    np.testing.assert_array_equal(now["ct_sni_match"], [np.nan, np.nan, np.nan, 1])
    np.testing.assert_array_equal(now["rc_srv_flight_est"], [3000, 1000, 3000, 3000])


def test_everything_together(rows):
    now, _ = put_on(rows, "all")
    np.testing.assert_array_equal(now["ch_len"], [508] * 4)
    np.testing.assert_array_equal(now["sn_len"], [20] * 4)
    np.testing.assert_array_equal(now["ct_sni_match"], [1, np.nan, 1, 1])


def test_without_donors_there_is_no_disguise(rows):
    assert disguise.Wardrobe(rows.take(np.flatnonzero(rows.malicious))).disguises() == []
