"""One LightGBM model whose margin is the mean of several models' margins.

LightGBM's text lists the trees one after the other, so models over the same columns become one by listing the trees of
all in turn, every value divided by their number.
"""

import re
from collections.abc import Sequence
from itertools import zip_longest

import lightgbm as lgb

# The tree of one leaf that adds nothing: it takes the turns of a member that found no more to split.
_NOTHING = "num_leaves=1\nnum_cat=0\nleaf_value=0\nleaf_count=1\nis_linear=0\nshrinkage=1\n\n\n"
_SCALED = ("leaf_value", "internal_value", "shrinkage")


def merge(members: Sequence[lgb.Booster]) -> lgb.Booster:
    """The committee of boosters; after n trees of each it is the mean of the members after n trees."""
    if len(members) == 1:
        return members[0]
    texts = [m.model_to_string(num_iteration=-1) for m in members]
    heads, trees = zip(*(_split(t) for t in texts), strict=True)
    turns = [tree for turn in zip_longest(*trees, fillvalue=_NOTHING) for tree in turn]
    blocks = [f"Tree={i}\n{_scale(tree, len(members))}" for i, tree in enumerate(turns)]
    head = re.sub(r"^tree_sizes=.*$", "tree_sizes=" + " ".join(str(len(b)) for b in blocks), heads[0], flags=re.MULTILINE)
    infos = [re.search(r"^feature_infos=(.*)$", h, flags=re.MULTILINE)[1].split(" ") for h in heads]
    # A column that a member did not see is "none" there; its range is that of a member that saw it.
    known = [next((i for i in info if i != "none"), "none") for info in zip(*infos, strict=True)]
    head = re.sub(r"^feature_infos=.*$", lambda _: "feature_infos=" + " ".join(known), head, flags=re.MULTILINE)
    tail = texts[0][texts[0].index("end of trees") :]  # the parameters, which the members share
    return lgb.Booster(model_str=head + "".join(blocks) + tail)


def _split(text: str) -> tuple[str, list[str]]:
    """The header and the trees without their first line."""
    body = text[: text.index("end of trees")]
    head, *trees = re.split(r"^Tree=\d+\n", body, flags=re.MULTILINE)
    return head, trees


def _scale(tree: str, by: int) -> str:
    lines = tree.split("\n")
    for i, line in enumerate(lines):
        key, _, values = line.partition("=")
        if key in _SCALED:
            lines[i] = f"{key}=" + " ".join(repr(float(v) / by) for v in values.split(" "))
    return "\n".join(lines)
