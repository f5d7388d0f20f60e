"""Sections of a card: where the model errs and what it leans on. Each is a function of eval.json."""

from trench_trainer.markdown import num, pct, rate, table

METHODS = {"platt": "Platt's sigmoid", "isotonic": "Isotonic regression"}
WEIGHTS = {
    "per_flow": "every flow alike",
    "as_weighed": "flows weighed as in training",
    "five_a_capture": "a capture counting as at most five flows",
    "twenty_a_group": "a capture group counting as at most twenty flows",
}


def benign_rates(b: dict) -> str:
    """The table of false positives by kind, era and source."""
    rows = [("all benign", b["all"]["fpr_1e-2"]["flows"], rate(b["all"]["fpr_1e-2"]), rate(b["all"]["fpr_1e-3"]))]
    for kind in ("kinds", "eras", "sources"):
        rows += [(name, e["fpr_1e-2"]["flows"], rate(e["fpr_1e-2"]), rate(e["fpr_1e-3"])) for name, e in b[kind].items()]
    return table(("source", "flows", "flagged at `fpr_1e-2`", "flagged at `fpr_1e-3`"), rows)


def benign(ev: dict) -> str:
    """False positives by source."""
    lines = [
        "## False positives by benign source",
        "",
        "The source's own group out of training; Clopper-Pearson intervals in brackets. Every flow counts here, so a capture of "
        'many flagged flows lifts "all benign" above the target that was set with at most five flows a capture.',
        "",
        benign_rates(ev["grouped"]["benign"]),
        "",
        "![scores by source](scores.svg)",
    ]
    cut = ev["cut_at_active_timeout"]
    if cut["rows"]:
        lines += [
            "",
            f"Earlier reports of long flows, cut at the active time-out ({cut['rows']} rows): malicious "
            f"{rate(cut['malicious']['fpr_1e-2'])}, benign {rate(cut['benign']['fpr_1e-2'])} reach `fpr_1e-2`.",
        ]
    else:
        lines += ["", "The table holds no earlier reports of long flows, so rows cut at the active time-out could not be tested."]
    return "\n".join(lines)


def shortcuts(ev: dict) -> str:
    """What the model learnt beside malice."""
    s, pairs = ev["name_swap"], ev["benign_pairs"]
    lines = [
        "## Known shortcuts",
        "",
        "What such a model learns is in part a client library that malware uses together with a name that is absent or short. "
        "Benign library clients on bare domains are rare in the corpus, so the true false-positive rate is higher than any "
        "figure here.",
        "",
    ]
    if "fpr_1e-2" in s:
        lines += [
            f"*Name swap*: {s['background_flows']} background flows of infected hosts, each given the name columns of "
            f"{s['names_a_flow']} ordinary visits to names of two labels. Flagged at `fpr_1e-2`: "
            f"{rate(s['fpr_1e-2']['own_name'])} with their own name, **{rate(s['fpr_1e-2']['swapped'])}** with the other; at "
            f"`fpr_1e-3` {rate(s['fpr_1e-3']['own_name'])} and {rate(s['fpr_1e-3']['swapped'])}. The goal is at most 5 %.",
        ]
    else:
        lines += ["*Name swap*: the corpus held no background flows or no donors."]
    if pairs["pairs"]:
        lines += [
            "",
            f"*Benign against benign*: the same learner tells two benign sources apart with a mean AUC of "
            f"**{num(pairs['mean_auc'])}**, halves split by capture; malicious against benign, grouped, is "
            f"{num(ev['grouped']['subsets']['all']['roc_auc']['value'])}. Where the two are close, a high AUC says no more than "
            "that captures differ.",
            "",
            table(("sources", "AUC"), [(" / ".join(p["sources"]), num(p["auc"])) for p in pairs["pairs"]]),
        ]
    lines += [
        "",
        "Columns that separate best alone (a gap counts as a value), not out of fold:",
        "",
        table(
            ("feature", "AUC", "not observed"),
            [(f"`{f['feature']}`", num(f["auc"]), pct(f["nan"])) for f in ev["single_features"]],
        ),
    ]
    return "\n".join(lines)


def columns(ev: dict) -> str:
    """What columns are worth."""
    a = ev["ablation"]
    rows = [
        (v["variant"], v["columns"], num(v["fauc"]), f"{v['fauc_change']:+.4f}", num(v["roc_auc"]), pct(v["recall"]))
        for v in a["variants"]
    ]
    return "\n".join(
        [
            "## Columns: what hiding, leaving out and adding does",
            "",
            *_occlusion(ev["occlusion"]),
            "",
            f"Retrained with each choice of columns, families left out, {a['partitions']} partitions with {a['trees']} trees. "
            "Gaps of fauc under about .01 are noise.",
            "",
            table(
                ("columns", "n", "fauc", "change", "ROC-AUC, families left out", "recall at FPR 1e-2 averaged over families"),
                rows,
            ),
            "",
            "Left out of the profile: the packet sequence `sq` (its first gap is the path's round trip), `dn` (says how a capture "
            "was made), `qu` (QUIC is not trained on yet), TLS versions and what came with TLS 1.3 (a calendar: malicious "
            "captures are older), and how a flow's capture ended (`fl_end_class`, `fl_retrans_ratio`).",
        ]
    )


def _occlusion(o: dict) -> list[str]:
    as_it_is = o["as_it_is"]
    rows = [("nothing hidden", "", *(num(as_it_is["roc_auc"]),) * 3, pct(as_it_is["recall"]), pct(as_it_is["fpr"]))]
    for g in o["groups"]:
        aucs = (num(g[way]["roc_auc"]) for way in ("missing", "shuffled", "benign"))
        rows.append((f"`{g['group']}`", g["columns"], *aucs, pct(g["benign"]["recall"]), pct(g["benign"]["fpr"])))
    return [
        "Hidden from the finished out-of-fold models, which lean on what they learnt: the columns of a group are missing, those of "
        f"another flow, or those of another benign flow; recall and false positives at `{o['threshold']}` with a benign flow's.",
        "",
        table(("hidden", "n", "AUC, missing", "AUC, another flow's", "AUC, a benign flow's", "recall", "false positives"), rows),
    ]


def calibration(ev: dict) -> str:
    """How far the probability can be believed."""
    c = ev["calibration"]
    rows = [
        (f"{b['from']:.1f} to {b['to']:.1f}", b["flows"], num(b["predicted"], 3), num(b["observed"], 3))
        for b in c["per_flow"]["bins"]
    ]
    counts = {"per_flow": "every flow alike", "as_weighed": "as weighed in training", "five_a_capture": "five flows a capture"}
    figures = [(title, num(c[k]["ece"]), num(c[k]["brier"]), num(c[k]["log_loss"])) for k, title in counts.items()]
    return "\n".join(
        [
            "## Calibration",
            "",
            f"{METHODS[c['method']]} on margins out of fold, {WEIGHTS[c['weights']]}. The figures are cross-fitted: a flow's "
            f"probability comes from a calibrator fitted without its capture group ({c['cross_fitted_parts']} parts). Method and "
            f"weights are the best of {len(c['candidates'])} by the cross-fitted ECE, averaged over the three lines.",
            "",
            table(("flows counted", "ECE", "Brier", "log loss"), figures),
            "",
            "![calibration](reliability.svg)",
            "",
            f"The probability is that of a corpus in which {pct(ev['data']['malicious'] / ev['data']['rows'])} of the flows are "
            "malicious: on real traffic read it as a rank.",
            "",
            table(("probability", "flows (all partitions)", "predicted", "observed"), rows),
        ]
    )


STACKS = """## Stack laboratory

Real benign clients of every common TLS stack against servers of their own, on one network on one day. Scored by the finished \
model, never trained on. The goal is at most 2 % flagged."""
BEACONS = """## Beacons

Emulated malicious clients, made by hand: their makers know what the model looks at, so this says what is missed rather than \
how much is found. Scored by the finished model, never trained on."""


def laboratories(ev: dict) -> list[str]:
    """The sections of the laboratories that were given."""
    given = (("laboratory", STACKS), ("beacons", BEACONS))
    return ["\n".join([head, "", *_laboratory(ev[key])]) for key, head in given if key in ev]


def _laboratory(lab: dict) -> list[str]:
    left = ", ".join(f"{k}: {v}" for k, v in sorted(lab["left_out"].items())) or "nothing"
    rows = [("**all**", "", lab["flows"], rate(lab["all"]["fpr_1e-2"]), rate(lab["all"]["fpr_1e-3"]))]
    for column, values in lab["by"].items():
        rows += [(column, v, e["fpr_1e-2"]["flows"], rate(e["fpr_1e-2"]), rate(e["fpr_1e-3"])) for v, e in values.items()]
    return [
        table(("by", "", "flows", "flagged at `fpr_1e-2`", "flagged at `fpr_1e-3`"), rows),
        "",
        f"Not scored: {left}.",
    ]
