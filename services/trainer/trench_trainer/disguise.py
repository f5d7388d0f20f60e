"""Whole vectors of malicious flows as they would be behind another hello, name or certificate.

What is put on is drawn from benign flows that are no background traffic of infected hosts. A flow keeps what it cannot
choose and what hangs on more than that: the server's answer, times, and all packets but the first.

- *A browser's hello*: the `ch_` columns of a flow that offers at least two application protocols, as browsers do, and whose
  version is the flow's own or TLS 1.3. Its length is that with the name that the flow itself sends.
- *A name*: the `sn_` columns of a visit to a name of two or three labels. A certificate is not for a name that was added.
- *A valid certificate*: the `ct_` columns of a chain that is not self-signed, not expired and for its name, where the flow
  shows a chain. The packets that carry it keep their lengths, and the key exchange its own.

A hello of another length changes the first packet. Where the hello fills it (in all but one malicious flow of the training
corpus), sums, means, deviations and histogram follow exactly; the Markov matrix does for flows of at most 16 data packets
and stays as it was for longer ones. The largest packet and burst are those of before unless the first one is larger.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trench_trainer.table import Table

HEADERS = 9  # of the record and the message around a ClientHello's body
NAME_HEADERS = 9  # what a server_name extension takes beside the name
SEQUENCE = tuple(f"sq_len_{i:02d}" for i in range(16))
SIZE_EDGES = (16, 32, 64, 128, 256, 512, 1024)
SIZES = tuple(f"hz_c_{i}" for i in range(len(SIZE_EDGES) + 1))
BIN, BINS = 150, 10
MARKOV = tuple(f"ml_{i}_{j}" for i in range(BINS) for j in range(BINS))


@dataclass(frozen=True)
class Disguise:
    """A change of whole vectors `x` that stand for the rows at positions `at`."""

    name: str
    title: str
    put_on: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


class Wardrobe:
    """Disguises made of the benign flows of a table."""

    def __init__(self, rows: Table):
        self._rows = rows
        self._at = rows.schema.position()
        plain = ~rows.malicious & (rows.text["role"] != "background")
        self._browsers = plain & (rows.column("ch_n_alpn") >= 2) & (rows.column("sn_present") == 1)
        self._named = plain & np.isin(rows.column("sn_labels"), (2, 3)) & (rows.column("sn_is_ip") == 0)
        self._certified = (
            plain & (rows.column("ct_self_signed") == 0) & (rows.column("ct_expired") == 0) & (rows.column("ct_sni_match") == 1)
        )

    def disguises(self) -> list[Disguise]:
        """What the table has benign flows for, the last one being everything together."""
        named, browsers, certified = self._named.any(), self._browsers.any(), self._certified.any()
        out = (
            (named, Disguise("sni", "a name of two or three labels where there was none", self.missing_name)),
            (named, Disguise("name", "a name of two or three labels on every flow", self.name)),
            (browsers, Disguise("hello", "the hello of a browser", self.hello)),
            (certified, Disguise("certificate", "a valid certificate", self.certificate)),
            (named and browsers and certified, Disguise("all", "name, hello and certificate", self.all)),
        )
        return [disguise for possible, disguise in out if possible]

    def name(self, x: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Every flow sends an ordinary name."""
        out, sn = x.copy(), self._group("sn_")
        out[:, sn] = self._rows.x[rng.choice(np.flatnonzero(self._named), len(at))][:, sn]
        out[:, self._at["ch_len"]] += self._name_bytes(out) - self._name_bytes(x)
        out[:, self._at["ch_n_ext"]] += self._get(out, "sn_present") - self._get(x, "sn_present")
        added = (self._get(x, "sn_present") == 0) & (self._get(x, "ct_seen") == 1)
        out[added, self._at["ct_sni_match"]] = 0
        return self._resized(x, out)

    def missing_name(self, x: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Flows that send no name send an ordinary one."""
        return np.where((self._get(x, "sn_present") == 0)[:, None], self.name(x, at, rng), x)

    def hello(self, x: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Every flow sends a browser's hello."""
        out, ch = x.copy(), self._group("ch_")
        known = self._rows.text["tls_version"]
        for version in np.unique(known[at]):
            mine = np.flatnonzero(known[at] == version)
            donors = np.flatnonzero(self._browsers & np.isin(known, (version, "TLS 1.3")))
            if not len(donors):
                donors = np.flatnonzero(self._browsers)
            worn = self._rows.x[rng.choice(donors, len(mine))]
            out[np.ix_(mine, ch)] = worn[:, ch]
            out[mine, self._at["ch_len"]] += self._name_bytes(x[mine]) - self._name_bytes(worn)
            out[mine, self._at["ch_n_ext"]] += self._get(x[mine], "sn_present") - self._get(worn, "sn_present")
        return self._resized(x, out)

    def certificate(self, x: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Every chain that is seen is valid and for the flow's name."""
        out, ct = x.copy(), self._group("ct_")
        shown = np.flatnonzero(self._get(x, "ct_seen") == 1)
        out[np.ix_(shown, ct)] = self._rows.x[rng.choice(np.flatnonzero(self._certified), len(at))][shown][:, ct]
        longer = self._get(out, "ct_chain_bytes") - self._get(x, "ct_chain_bytes")
        flight = self._at["rc_srv_flight_est"]
        out[shown, flight] = np.maximum(0, out[shown, flight] + np.nan_to_num(longer[shown]))
        out[self._get(x, "sn_present") == 0, self._at["ct_sni_match"]] = np.nan
        return out

    def all(self, x: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Name, hello and certificate together."""
        return self.certificate(self.hello(self.name(x, at, rng), at, rng), at, rng)

    def _group(self, prefix: str) -> list[int]:
        return [i for name, i in self._at.items() if name.startswith(prefix)]

    def _get(self, x: np.ndarray, name: str) -> np.ndarray:
        return x[:, self._at[name]]

    def _name_bytes(self, x: np.ndarray) -> np.ndarray:
        return np.where(self._get(x, "sn_present") == 1, NAME_HEADERS + np.nan_to_num(self._get(x, "sn_len")), 0)

    def _resized(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Lets the columns of lengths follow the hello's new length."""
        first, hello = self._get(before, SEQUENCE[0]), self._get(before, "ch_len")
        grown = self._get(after, "ch_len") - hello
        mine = np.flatnonzero((first == hello + HEADERS) & (grown != 0))
        v = {name: after[mine, i].astype(np.float64) for name, i in self._at.items() if name.startswith(("fl_", "bu_", "hz_c_"))}
        old = first[mine].astype(np.float64)
        grown = grown[mine].astype(np.float64)
        new, n = old + grown, v["fl_dpk_c"]
        total = v["fl_by_c"] + v["fl_by_s"]
        v["fl_by_c"] += grown
        v["fl_by_ratio"] = np.log((v["fl_by_c"] + 1) / (v["fl_by_s"] + 1))
        v["fl_bps_log"] = np.log1p(np.expm1(v["fl_bps_log"]) * (1 + grown / total))
        squares = n * (v["fl_len_std_c"] ** 2 + v["fl_len_mean_c"] ** 2) - old**2 + new**2
        v["fl_len_mean_c"] += grown / n
        v["fl_len_std_c"] = np.sqrt(np.maximum(0, squares / n - v["fl_len_mean_c"] ** 2))
        v["fl_len_max_c"] = np.where((v["fl_len_max_c"] == old) & (n == 1), new, np.maximum(v["fl_len_max_c"], new))
        burst = v["bu_first_c_bytes"]
        alone = np.ceil(v["bu_n"] / 2) == 1
        v["bu_by_max_c"] = np.where(alone, burst + grown, np.maximum(v["bu_by_max_c"], burst + grown))
        v["bu_by_mean_c"] += grown / np.ceil(v["bu_n"] / 2)
        v["bu_first_c_bytes"] = burst + grown
        for at, sign in ((old, -1), (new, 1)):
            for i, name in enumerate(SIZES):
                v[name] += sign * (np.digitize(at, SIZE_EDGES) == i) / n
        for name, values in v.items():
            after[mine, self._at[name]] = values
        after[mine, self._at[SEQUENCE[0]]] = new
        self._recount(after, mine)
        return after

    def _recount(self, x: np.ndarray, mine: np.ndarray) -> None:
        """Fills the Markov matrices of flows whose packets are all in the sequence."""
        lengths = x[:, [self._at[name] for name in SEQUENCE]]
        packets = self._get(x, "fl_dpk_c") + self._get(x, "fl_dpk_s")
        whole = mine[(~np.isnan(lengths)).sum(axis=1)[mine] == packets[mine]]
        at = np.minimum(np.abs(lengths[whole]) // BIN, BINS - 1)
        at[packets[whole] == 1, 1] = at[packets[whole] == 1, 0]  # a single packet counts as followed by itself
        counts = np.zeros((len(whole), BINS, BINS))
        for i in range(len(SEQUENCE) - 1):
            row = np.flatnonzero(~np.isnan(at[:, i + 1]))
            np.add.at(counts, (row, at[row, i].astype(int), at[row, i + 1].astype(int)), 1)
        sums = counts.sum(axis=2, keepdims=True)
        x[np.ix_(whole, [self._at[name] for name in MARKOV])] = (counts / np.maximum(sums, 1)).reshape(len(whole), len(MARKOV))
