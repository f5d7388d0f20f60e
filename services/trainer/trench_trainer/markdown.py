"""Markdown of figures."""

from collections.abc import Sequence


def pct(v: float | None) -> str:
    """A share in per cent."""
    return "n/a" if v is None else f"{100 * v:.3g} %"


def num(v: float | None, digits: int = 4) -> str:
    """A number with fixed digits."""
    return "n/a" if v is None else f"{v:.{digits}f}"


def span(pair: Sequence[float | None], form=num) -> str:
    """An interval."""
    return f"{form(pair[0])} to {form(pair[1])}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    out += ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]
    return "\n".join(out)


def rate(entry: dict) -> str:
    """A rate with its interval."""
    if entry["rate"] is None:
        return "no flows"
    return f"{pct(entry['rate'])} ({span(entry['interval'], pct)})"
