"""Which of the vector's columns a model uses, and why the others are left out.

A profile is a set of prefixes and names to leave out of the extractor's order. The bundle names the columns it kept, so
a profile is a matter of training alone: the scorer gathers what the bundle asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trench_trainer.errors import TrainerError
from trench_trainer.table import CISCO, TRENCH, Column, Schema

# What tells the age of a client or server rather than its purpose: TLS 1.3 and what came with or after it.
ERA = (
    "ch_pq_hybrid",
    "ch_ext_65037",
    "ch_ext_27",
    "ch_ext_28",
    "ch_ext_34",
    "ch_ext_17513",
    "ch_ext_13172",
    "ch_ext_49",
    "ch_ext_50",
    "ch_ext_51",
    "ch_ext_45",
    "ch_ext_43",
    "ch_ext_42",
    "ch_ext_41",
    "ch_n_keyshares",
    "ch_keyshare_bytes",
    "sh_keyshare_len",
    "sh_hrr",
)
VERSION = ("ch_legacy_ver", "ch_max_ver", "sh_ver", "ch_cs_1301", "ch_cs_1302", "ch_cs_1303")
# Where the direction is certain: more of it never speaks against malice (+1) or for it (-1).
MONOTONE = {
    "ct_self_signed": 1,
    "ct_expired": 1,
    "ct_cn_is_ip": 1,
    "ct_sig_weak": 1,
    "ct_sni_match": -1,
    "sn_is_ip": 1,
    "sn_dyndns": 1,
}
# What tells how a capture was cut rather than what the flow did.
CAPTURE = ("fl_end_class", "fl_retrans_ratio")


@dataclass(frozen=True)
class Profile:
    """A named choice of columns."""

    name: str
    prefixes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    schema: str = TRENCH

    def keeps(self, column: str) -> bool:
        """Whether the profile's models see the column."""
        return not column.startswith(self.prefixes) and column not in self.names

    def choose(self, columns: Sequence[Column]) -> list[int]:
        """Positions of the kept columns in the extractor's order."""
        return [i for i, c in enumerate(columns) if self.keeps(c.name)]

    def require(self, schema: Schema) -> None:
        """Raises TrainerError when the rows are of a schema that the profile does not choose from."""
        if schema.name != self.schema:
            raise TrainerError(
                f"profile {self.name} takes rows of schema {self.schema}, these are {schema.name}; "
                f"write them with `trench features --profile {self.schema}`"
            )


# Joy's length matrix says what sizes and bursts say better, in columns that nobody can read.
_LEFT_OUT = ("sq_", "dn_", "qu_", "ml_")
PROFILES = {
    p.name: p
    for p in (
        Profile("default", _LEFT_OUT, ERA + VERSION + CAPTURE),
        Profile("robust", (*_LEFT_OUT, "ch_cs_", "ch_ext_"), ERA + VERSION + CAPTURE),
        Profile("all"),
        Profile("cisco2016", schema=CISCO),
    )
}


def named(name: str) -> Profile:
    """The profile of that name."""
    if name not in PROFILES:
        raise TrainerError(f"profile {name!r} is unknown; there are {', '.join(sorted(PROFILES))}")
    return PROFILES[name]


def group_of(column: str) -> str:
    """The group that columns are left out, added or hidden by: the prefix, and for Joy's columns its second part."""
    parts = column.split("_")
    return "_".join(parts[:2]) if parts[0] == "c16" else parts[0]
