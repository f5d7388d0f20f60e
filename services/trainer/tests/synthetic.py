"""Synthetic feature rows: the true column names, realistic gaps, and groups, families and sources as a corpus has them.

The values carry a class signal (client library and certificate of a family, absent names) and a source signal, so that
a model learns something and a split by group is harder than a split by flow. Nothing here describes real traffic.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NAMES_SHA256_PREFIX = "87b2fb31143d1d77"

SUITES = (
    "1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 c009 c00a c023 c024 c027 c028 009c 009d 002f 0035 003c "
    "003d 000a 0005 0004 009e 009f 0033 0039 0067 006b"
).split()
EXTENSIONS = "5 10 11 13 16 18 21 22 23 27 28 34 35 41 42 43 45 49 50 51 13172 17513 65037 65281".split()
SCALARS = {
    "fl": "dur_log pk_c pk_s by_c by_s dpk_c dpk_s by_ratio pk_ratio bps_log len_mean_c len_mean_s len_std_c len_std_s "
    "len_max_c len_max_s iat_rtt_p50 iat_rtt_p90 retrans_ratio end_class",
    "bu": "n turns by_mean_c by_mean_s by_max_c by_max_s pk_mean_c pk_mean_s gap_rtt_p50 first_c_bytes",
    "rc": "n_c n_s app_n_c app_n_s app_by_c app_by_s app_len_c_0 app_len_c_1 app_len_c_2 app_len_c_3 app_len_s_0 "
    "app_len_s_1 app_len_s_2 app_len_s_3 srv_flight_est alert_n ccs_n len_distinct_ratio len_mode_frac app_len_std_c "
    "app_len_std_s len_mod16_frac",
    "ch": "len legacy_ver max_ver n_cs n_ext n_groups n_sigalgs n_alpn alpn_class sid_len grease n_weak_cs frac_aead "
    "frac_pfs n_keyshares keyshare_bytes pq_hybrid ext_unknown_n padding_len scsv",
    "sh": "seen ver cs_class cs_aead cs_pfs cs_weak n_ext alpn_class group_class keyshare_len hrr resumed ticket "
    "ocsp_staple ske_len cke_bits alert_level hs_complete hs_rounds cert_req",
    "ct": "seen chain_n chain_bytes leaf_bytes valid_days age_days remain_days expired self_signed ca_flag san_n "
    "san_wild_n sni_match subj_rdn_n issuer_rdn_n cn_len cn_is_ip cn_entropy key_type key_bits sig_weak sct_n",
    "sn": "present is_ip len labels maxlabel_len digit_ratio hyphen_n entropy vowel_ratio max_cons_run bigram_ll "
    "punycode tld_class dyndns",
    "dn": "seen age_s name_eq_sni n_a n_aaaa cname_depth ttl_min ttl_max name_len digit_n nonalnum_n nx_rate_5m",
    "qu": "is_quic version_class dcid_len scid_len token_len retry zero_rtt tp_n",
}
FLAGS = set(
    "ch_grease ch_scsv sh_seen sh_cs_aead sh_cs_pfs sh_cs_weak sh_hrr sh_resumed sh_ticket sh_ocsp_staple "
    "sh_hs_complete sh_cert_req ct_expired ct_self_signed ct_ca_flag ct_sni_match ct_cn_is_ip ct_sig_weak sn_is_ip "
    "sn_punycode sn_dyndns dn_seen dn_name_eq_sni qu_is_quic qu_retry qu_zero_rtt".split()
)


def names() -> list[str]:
    """The 372 column names of trench-v1 in their order."""

    def scalars(group: str) -> list[str]:
        return [f"{group}_{name}" for name in SCALARS[group].split()]

    out = scalars("fl")
    out += [f"sq_len_{i:02}" for i in range(16)] + [f"sq_iat_{i:02}" for i in range(16)]
    out += [f"ml_{i}_{j}" for i in range(10) for j in range(10)]
    out += [f"hz_{d}_{i}" for d in "cs" for i in range(8)]
    out += scalars("bu") + scalars("rc")
    out += [f"bd_{i:02}" for i in range(16)] + ["bd_mean", "bd_std", "bd_entropy", "bd_chi2"]
    out += [f"ch_cs_{s}" for s in SUITES] + [f"ch_ext_{e}" for e in EXTENSIONS] + scalars("ch")
    for group in ("sh", "ct", "sn", "dn", "qu"):
        out += scalars(group)
    assert hashlib.sha256("\n".join(out).encode()).hexdigest().startswith(NAMES_SHA256_PREFIX)
    return out


def schema(version: str = "synthetic") -> dict:
    """The schema document that the extractor puts into the file's metadata."""
    columns = [
        {
            "name": name,
            "unit": "1",
            "group": name.split("_")[0],
            "doc": f"Synthetic {name}.",
            "revision": 1,
            "digest": hashlib.sha256(f"{name}\x001".encode()).hexdigest(),
        }
        for name in names()
    ]
    whole = hashlib.sha256("\n".join(c["digest"] for c in columns).encode()).hexdigest()
    return {"schema": "trench-v1", "version": version, "hash": whole, "columns": columns}


class Maker:
    """Draws rows source by source: each client stack has its own habits, each family its own server."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.names = names()
        self.at = {name: i for i, name in enumerate(self.names)}
        self.x: list[np.ndarray] = []
        self.meta: list[dict] = []
        width = len(self.names)
        self.scale = self.rng.uniform(0.5, 4, width)
        self.tilt = self.rng.normal(0, 0.7, width) * (self.rng.random(width) < 0.25)

    def add(self, n: int, *, label: str, role: str, family: str, group: str, repo: str, captures: int, year: int):
        """Appends n rows of one group."""
        habit = self.rng.normal(0, 0.8, len(self.names)) + (self.tilt if label == "malicious" else 0)
        for i in range(n):
            capture = f"{'malware' if label == 'malicious' else 'benign'}/{repo}/{group}-{i % captures}.pcap"
            row, named = self._row(habit, label, year)
            self.x.append(row)
            self.meta.append(
                {
                    "label": label,
                    "role": role,
                    "family": family,
                    "group": group,
                    "source_repo": repo,
                    "capture": capture,
                    "year": year,
                    "sni": f"name{i}.example.org" if named else None,
                    "ja3": hashlib.md5(f"{repo}{i % 3}".encode()).hexdigest(),
                    "port": 443 if self.rng.random() < (0.7 if label == "malicious" else 0.95) else 8443,
                }
            )

    def _row(self, habit: np.ndarray, label: str, year: int) -> tuple[np.ndarray, bool]:
        rng, at = self.rng, self.at
        z = habit + rng.normal(0, 1, len(habit))
        row = np.exp(np.clip(z, -4, 4)) * self.scale
        for name, i in at.items():
            if name in FLAGS or name.startswith(("ch_cs_", "ch_ext_")):
                row[i] = z[i] > 0.3
            elif name.startswith(("ml_", "hz_")) or name.endswith(("_ratio", "_frac")) or name.startswith("bd_"):
                row[i] = 1 / (1 + np.exp(-z[i])) if z[i] > -0.5 else 0.0
            elif name.endswith(("_n", "_len", "_c", "_s", "_bytes", "labels", "_class", "_days")):
                row[i] = np.floor(row[i])
        row[at["ch_legacy_ver"]] = 0x0303
        row[at["ch_max_ver"]] = 0x0304 if year > 2018 else 0x0303
        named = rng.random() < (0.55 if label == "malicious" else 0.85)
        row[at["sn_present"]] = named
        row[at["ct_seen"]] = rng.random() < 0.6
        row[at["sn_labels"]] = rng.integers(2, 5)

        def hide(prefix: str, keep: str = "") -> None:
            for name, i in at.items():
                if name.startswith(prefix) and name != keep:
                    row[i] = np.nan

        hide("qu_")
        if not named:
            hide("sn_", "sn_present")
        if row[at["ct_seen"]] == 0:
            hide("ct_", "ct_seen")
        if rng.random() < 0.15:
            hide("ct_")
        if rng.random() < 0.1:
            hide("sh_")
            hide("rc_app")
            hide("bd_")
        if rng.random() < 0.5:
            hide("dn_", "dn_seen")
        for i in range(int(rng.integers(4, 16)), 16):
            row[at[f"sq_len_{i:02}"]] = row[at[f"sq_iat_{i:02}"]] = np.nan
        return row, named

    def table(self, doc: dict | None = None) -> pa.Table:
        """The rows as a table with the extractor's columns and metadata."""
        x = np.asarray(self.x, dtype=np.float32)
        n = len(self.meta)
        ts = [
            int(np.datetime64(f"{m['year']}-03-01T00:00:00", "ns").astype(np.int64)) + i * 1_000_000_007
            for i, m in enumerate(self.meta)
        ]
        cols: dict[str, pa.Array] = {
            "source": pa.array([m["capture"] for m in self.meta]),
            "flow_id": pa.array([hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in range(n)]),
            "part": pa.array(np.zeros(n, np.int32)),
            "ts": pa.array(ts, pa.timestamp("ns", tz="UTC")),
            "ts_end": pa.array([t + 10**9 for t in ts], pa.timestamp("ns", tz="UTC")),
            "proto": pa.array(["tcp"] * n),
            "app_proto": pa.array(["tls"] * n),
            "client_ip": pa.array(["192.0.2.1"] * n),
            "client_port": pa.array(np.arange(n, dtype=np.int32) % 60000),
            "server_ip": pa.array(["198.51.100.1"] * n),
            "server_port": pa.array(np.array([m["port"] for m in self.meta], np.int32)),
            "tls_version": pa.array(["1.3" if m["year"] > 2018 else "1.2" for m in self.meta]),
            "tls_sni": pa.array([m["sni"] for m in self.meta], pa.string()),
            "ja3": pa.array([m["ja3"] for m in self.meta]),
            "ja4": pa.array([None] * n, pa.string()),
        }
        for i, name in enumerate(self.names):
            cols[name] = pa.array(x[:, i])
        for key in ("label", "role", "family", "group", "source_repo", "capture"):
            cols[key] = pa.array([m[key] for m in self.meta])
        cols["split"] = pa.array(["train"] * n)
        return pa.table(cols).replace_schema_metadata({"trench.schema": json.dumps(doc or schema())})


def corpus(seed: int = 7, size: float = 1.0) -> pa.Table:
    """A small corpus: nine families in fourteen groups, twelve benign sources, some background of infected hosts."""
    maker = Maker(seed)

    def many(n: int) -> int:
        return max(2, round(n * size))

    families = [("alpha", 120, 3), ("bravo", 60, 2), ("charlie", 30, 2), ("delta", 24, 2)]
    families += [(name, n, 1) for name, n in (("echo", 12), ("foxtrot", 8), ("golf", 6), ("hotel", 4), ("india", 3))]
    for i, (family, n, groups) in enumerate(families):
        for g in range(groups):
            role = "delivery" if family in ("delta", "golf") else "c2"
            repo = "malware/archive" if i % 2 else "malware/lab"
            group = f"{family}-{g}"
            maker.add(many(n // groups), label="malicious", role=role, family=family, group=group, repo=repo,
                      captures=2, year=2016 + i % 4)  # fmt: skip
            if g == 0:
                maker.add(many(6), label="benign", role="background", family="", group=group, repo=repo,
                          captures=1, year=2016 + i % 4)  # fmt: skip
    for i, n in enumerate((200, 120, 80, 60, 40, 30, 20, 15, 12, 10, 8, 5)):
        maker.add(many(n), label="benign", role="", family="", group=f"site-{i}", repo=f"site/{i}",
                  captures=max(1, n // 6), year=2014 + i)  # fmt: skip
    return maker.table()


def write(table: pa.Table, path: Path) -> Path:
    """Writes a table where a test can read it back."""
    pq.write_table(table, path, compression="zstd")
    return path


def cisco(corpus: pa.Table, seed: int = 3) -> pa.Table:
    """The same flows with some columns of schema cisco2016: no gaps, and suites wherever the ClientHello was seen."""
    rng = np.random.default_rng(seed)
    malicious = np.array(corpus["label"].to_pylist()) == "malicious"
    seen = ~np.isnan(corpus["ch_len"].to_numpy())
    chosen = ["c16_dport", "c16_pk_in", "c16_by_out", "c16_len_0_0", "c16_time_0_0", "c16_bd_000", "c16_cs_002f", "c16_cs_c02b"]
    columns = [
        {"name": n, "unit": "1", "group": "c16", "revision": 1, "digest": hashlib.sha256(n.encode()).hexdigest()} for n in chosen
    ]
    whole = hashlib.sha256("\n".join(c["digest"] for c in columns).encode()).hexdigest()
    doc = {"schema": "cisco2016", "version": "synthetic", "hash": whole, "columns": columns}
    keep = [c for c in corpus.column_names if c not in set(names())]
    out = corpus.select(keep)
    for i, name in enumerate(chosen):
        values = rng.normal(0, 1, len(malicious)) + malicious * (i % 3)
        if name.startswith("c16_cs_"):
            values = np.where(seen, 1.0, 0.0)
        out = out.append_column(name, pa.array(np.abs(values).astype(np.float32)))
    return out.replace_schema_metadata({"trench.schema": json.dumps(doc)})


def laboratory(corpus: pa.Table, label: str, **extra: list[str]) -> pa.Table:
    """Rows as a laboratory writes them: flows and captures of their own, and columns that say what each flow was."""
    n = min(40, corpus.num_rows)
    out = corpus.slice(0, n)
    changed = {
        "flow_id": [hashlib.sha256(f"{label} lab {i}".encode()).hexdigest()[:32] for i in range(n)],
        "capture": [f"lab/{label}.pcap"] * n,
        "label": [label] * n,
        "source_repo": [f"lab/{label}"] * n,
        "split": ["lab"] * n,
    }
    for name, values in changed.items():
        out = out.set_column(out.column_names.index(name), name, pa.array(values))
    for name, values in extra.items():
        out = out.append_column(name, pa.array([values[i % len(values)] for i in range(n)]))
    return out.replace_schema_metadata(corpus.schema.metadata)
