"""The pictures of a card, each a function of eval.json."""

from collections.abc import Sequence

from trench_trainer import metrics
from trench_trainer.svg import Canvas, Scale

LEFT, TOP = 64, 64
DASH = "4 4"


def draw(ev: dict) -> dict[str, str]:
    """All pictures by file name."""
    return {
        "roc.svg": roc(ev),
        "reliability.svg": reliability(ev),
        "families.svg": families(ev),
        "scores.svg": scores(ev),
    }


def _titled(width: int, height: int, title: str, about: str) -> Canvas:
    out = Canvas(width, height, title, about)
    out.text(20, 26, title, size=15, bold=True)
    out.text(20, 44, about, size=11, colour="soft")
    return out


def _grid(
    out: Canvas, x: Scale, y: Scale, xs: Sequence[tuple[float, str]], ys: Sequence[tuple[float, str]], titles: tuple[str, str]
) -> None:
    for v, label in xs:
        out.line(x(v), y.start, x(v), y.end)
        out.text(x(v), y.start + 16, label, anchor="middle", size=11, colour="soft")
    for v, label in ys:
        out.line(x.start, y(v), x.end, y(v))
        out.text(x.start - 8, y(v) + 4, label, anchor="end", size=11, colour="soft")
    out.text((x.start + x.end) / 2, y.start + 36, titles[0], anchor="middle", size=12)
    out.text(18, (y.start + y.end) / 2, titles[1], anchor="middle", size=12, turned=True)


def _key(out: Canvas, x: float, y: float, text: str, colour: str, dash: str = "") -> None:
    out.line(x, y, x + 24, y, colour, 2.2, dash)
    out.text(x + 32, y + 4, text)


TENTHS = [(v / 5, f"{20 * v} %") for v in range(6)]


def roc(ev: dict) -> str:
    """Recall against the false-positive rate, whose axis is logarithmic: the left edge is where alerts are bearable."""
    width, height = 640, 440
    out = _titled(
        width, height, "Recall at low false-positive rates", "out of fold; bands: 95 % of a bootstrap that draws whole captures"
    )
    x, y = Scale(1e-3, 1, LEFT, width - 24, log=True), Scale(0, 1, height - 56, TOP)
    least = ev["grouped"]["curves"]["least_certifiable_fpr"]
    if least > x.low:
        out.rect(x.start, y.end, x(least) - x.start, y.start - y.end, "shade")
        out.text(x.start + 6, y.end + 14, f"below {least:.2g}: not certifiable", size=10, colour="soft")
    _grid(out, x, y, [(1e-3, "0.1 %"), (1e-2, "1 %"), (1e-1, "10 %"), (1, "100 %")], TENTHS, ("false-positive rate", "recall"))
    steps = [10 ** (-3 + i / 20) for i in range(61)]
    out.path([(x(v), y(v)) for v in steps], "soft", 1.2, DASH)
    curves = (("grouped", "blue", "family known"), ("left_out", "red", "family left out of training"))
    for key, colour, _ in curves:
        c = ev[key]["curves"]["roc"]
        at = [i for i, f in enumerate(c["fpr"]) if f >= x.low]
        band = [(x(c["fpr"][i]), y(c["high"][i])) for i in at] + [(x(c["fpr"][i]), y(c["low"][i])) for i in reversed(at)]
        out.area(band, colour, 0.13)
    for key, colour, _ in curves:
        c = ev[key]["curves"]["roc"]
        out.path([(x(f), y(r)) for f, r in zip(c["fpr"], c["recall"], strict=True) if f >= x.low], colour, 2.2)
    for i, (key, colour, label) in enumerate(curves):
        auc = ev[key]["subsets"]["all"]["roc_auc"]["value"]
        _key(out, x.start + 20, y.start - 86 + 18 * i, f"{label}, AUC {auc:.4f}", colour)
    _key(out, x.start + 20, y.start - 50, "chance", "soft", DASH)
    return out.document()


def reliability(ev: dict) -> str:
    """Observed share of malicious flows against the predicted probability, with the number of flows beneath."""
    width, height = 480, 520
    c = ev["calibration"]
    bins, partitions = c["per_flow"]["bins"], ev["evaluation"]["partitions"]
    whole, capped = c["per_flow"]["ece"], c["five_a_capture"]["ece"]
    about = f"{c['method']}, fitted on other capture groups; ECE {whole:.3f}, five flows a capture {capped:.3f}"
    out = _titled(width, height, "Calibration", about)
    x, y = Scale(0, 1, LEFT, width - 24), Scale(0, 1, height - 150, TOP)
    _grid(out, x, y, TENTHS, TENTHS, ("", "observed share of malicious flows"))
    out.path([(x(0), y(0)), (x(1), y(1))], "soft", 1.2, DASH)
    out.path([(x(b["predicted"]), y(b["observed"])) for b in bins], "blue", 1.2)
    for b in bins:
        n = b["flows"] / partitions
        low, high = metrics.clopper_pearson(b["observed"] * n, n)
        out.line(x(b["predicted"]), y(low), x(b["predicted"]), y(high), "blue", 1.4)
        out.dot(x(b["predicted"]), y(b["observed"]), 4, "blue")
    most = max(b["flows"] for b in bins) / partitions
    bars = Scale(1, max(most, 10), height - 56, height - 112, log=True)
    for b in bins:
        n = max(b["flows"] / partitions, 1)
        out.rect(x(b["from"]) + 3, bars(n), x(b["to"]) - x(b["from"]) - 6, bars.start - bars(n), "blue", 0.45)
        out.text((x(b["from"]) + x(b["to"])) / 2, bars(n) - 4, f"{n:,.0f}", anchor="middle", size=10, colour="soft")
    out.line(x.start, bars.start, x.end, bars.start, "soft")
    out.text(18, (bars.start + bars.end) / 2, "flows (log)", anchor="middle", size=11, turned=True)
    out.text((x.start + x.end) / 2, height - 34, "predicted probability", anchor="middle", size=12)
    return out.document()


def families(ev: dict) -> str:
    """Recall of each family at one false positive in a hundred, unknown and known, with exact intervals."""
    left, known = ev["left_out"]["families"]["families"], ev["grouped"]["recall_by_family"]
    order = sorted(left, key=lambda name: (-left[name]["flows"], name))
    step, label = 24, 190
    width, height = 720, TOP + 44 + step * len(order) + 56
    about = "recall at 1 % false positives; 95 % Clopper-Pearson intervals, too narrow where flows of a capture are alike"
    out = _titled(width, height, "Recall by family", about)
    x = Scale(0, 1, label + 20, width - 70)
    top, bottom = TOP + 30, height - 52
    for v, text in TENTHS:
        out.line(x(v), top, x(v), bottom)
        out.text(x(v), bottom + 16, text, anchor="middle", size=11, colour="soft")
    out.dot(x.start + 6, TOP + 12, 4.5, "red", hollow=True)
    out.text(x.start + 16, TOP + 16, "family left out of training", size=12)
    out.dot(x.start + 196, TOP + 12, 4.5, "blue")
    out.text(x.start + 206, TOP + 16, "other captures known", size=12)
    out.text(width - 20, TOP + 16, "flows", anchor="end", size=11, colour="soft")
    for i, name in enumerate(order):
        middle = top + step * (i + 0.5)
        if i % 2:
            out.rect(12, middle - step / 2, width - 24, step, "shade", 0.5)
        out.text(label, middle + 4, name, anchor="end", size=12)
        out.text(width - 20, middle + 4, f"{left[name]['flows']:,}", anchor="end", size=11, colour="soft")
        unknown, seen = left[name]["recall_at_1e-2"], known[name]["fpr_1e-2"]
        for value, interval, at, colour in (
            (unknown["value"], unknown["interval"], middle - 5, "red"),
            (seen["rate"], seen["interval"], middle + 5, "blue"),
        ):
            out.line(x(interval[0]), at, x(interval[1]), at, colour, 1.4)
            out.dot(x(value), at, 4, colour, hollow=colour == "red")
    out.text((x.start + x.end) / 2, height - 18, "recall", anchor="middle", size=12)
    return out.document()


def scores(ev: dict) -> str:
    """Where the margins of each source lie, with both thresholds."""
    edges, sources = ev["scores"]["edges"], ev["scores"]["sources"]
    step, label = 40, 240
    width, height = 760, TOP + 34 + step * len(sources) + 56
    out = _titled(width, height, "Scores by source", "margins out of fold; each row scaled by its highest bin")
    x = Scale(edges[0], edges[-1], label + 16, width - 70)
    top, bottom = TOP + 26, height - 52
    for v in range(int(edges[0]), int(edges[-1]) + 1, 4):
        out.line(x(v), top, x(v), bottom)
        out.text(x(v), bottom + 16, f"{v}", anchor="middle", size=11, colour="soft")
    out.text(width - 20, top - 8, "flows", anchor="end", size=11, colour="soft")
    for i, (name, entry) in enumerate(sources.items()):
        base = top + step * (i + 1)
        most = max(entry["counts"]) or 1
        colour = "red" if name.startswith("malicious") else "green" if name.startswith("background") else "blue"
        points = [(x(edges[0]), base)]
        for low, high, n in zip(edges, edges[1:], entry["counts"], strict=False):
            up = base - (step - 8) * n / most
            points += [(x(low), up), (x(high), up)]
        points.append((x(edges[-1]), base))
        out.area(points, colour, 0.35)
        out.path(points, colour, 1.1)
        out.text(label, base - 8, name, anchor="end", size=12)
        out.text(width - 20, base - 8, f"{entry['flows']:,}", anchor="end", size=11, colour="soft")
    for t, anchor in zip(ev["thresholds"], ("end", "start"), strict=True):
        out.line(x(t["margin"]), top - 14, x(t["margin"]), bottom, "ink", 1.2, DASH)
        out.text(x(t["margin"]) + (4 if anchor == "start" else -4), top - 6, t["name"], anchor=anchor, size=11)
    out.text((x.start + x.end) / 2, height - 18, "margin (log odds before calibration)", anchor="middle", size=12)
    return out.document()
