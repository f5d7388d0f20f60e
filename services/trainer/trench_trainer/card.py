"""card.md: what eval.json says, for a reader; a function of eval.json and nothing else."""

from collections import Counter
from collections.abc import Sequence

from trench_trainer import robustness


def _pct(v: float | None) -> str:
    return "n/a" if v is None else f"{100 * v:.3g} %"


def _num(v: float | None, digits: int = 4) -> str:
    return "n/a" if v is None else f"{v:.{digits}f}"


def _range(pair: Sequence[float | None], form=_num) -> str:
    return f"{form(pair[0])} to {form(pair[1])}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    out += ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]
    return "\n".join(out)


def _rate(entry: dict) -> str:
    if entry["rate"] is None:
        return "no flows"
    return f"{_pct(entry['rate'])} ({_range(entry['interval'], _pct)})"


def render(ev: dict) -> str:
    """The whole card."""
    parts = [
        _head(ev),
        _data(ev),
        _ranking(ev),
        _families(ev),
        _rules(ev),
        _thresholds(ev),
        _benign(ev),
        _shortcuts(ev),
        "\n".join(robustness.card(ev["robustness"])),
        _columns(ev),
        _calibration(ev),
        _limits(ev),
    ]
    return "\n\n".join(parts) + "\n"


def _head(ev: dict) -> str:
    m, schema = ev["model"], ev["schema"]
    return "\n".join(
        [
            f"# Model card: {m['name']}",
            "",
            "Gradient-boosted trees over what stays visible of an encrypted flow. The score says how much a TLS flow resembles "
            "the malicious flows of the training corpus rather than its benign ones; it does not say that a host is infected.",
            "",
            f"- {m['trees']} trees of at most {m['params']['num_leaves']} leaves over {m['features']} of the {m['vector']} columns "
            f"of {schema['schema']}, profile `{m['profile']}`, seed {m['seed']}",
            f"- column hash {schema['hash'][:16]}, extractor {schema['extractor_version']}",
            f"- number of trees: {m['trees_chosen_by']}",
            f"- parameters: {', '.join(f'{k} {v}' for k, v in sorted(m['params'].items()))}",
        ]
    )


def _data(ev: dict) -> str:
    d = ev["data"]
    left = ", ".join(f"{k}: {v}" for k, v in sorted(d["left_out"].items(), key=lambda t: -t[1])) or "nothing"
    lines = [
        "## Data",
        "",
        f"{d['rows']} TLS flows: {d['malicious']} malicious ({d['families']} families, {d['malicious_groups']} capture "
        f"groups) and {d['benign']} benign ({d['benign_sources']} sources, {d['benign_groups']} groups).",
        f"{d['read']} rows were read. Left out: {left}.",
        f"{d['shared_vectors']} feature vectors occur in more than one capture group.",
        "Each malicious flow weighs 1/sqrt(flows of its family), each benign flow 1/sqrt(flows of its source).",
    ]
    if d["unobserved_columns"]:
        groups = Counter(name.split("_")[0] for name in d["unobserved_columns"])
        lines.append("Columns that no row has a value for: " + ", ".join(f"{n} of `{g}`" for g, n in groups.items()) + ".")
    if d["excluded_captures"]:
        lines += ["", "Captures kept out of training on purpose, and what the finished model makes of them:", ""]
        rows = []
        for name in d["excluded_captures"]:
            for label, entry in ev["held_out"].get(name, {}).items():
                for threshold, rate in entry.items():
                    rows.append((name, label, rate["flows"], threshold, _rate(rate)))
        lines.append(table(("capture", "label", "flows", "threshold", "reach it"), rows))
        lines += ["", "Other captures of the same group are in training: this is no test of an unknown family."]
    return "\n".join(lines)


def _ranking(ev: dict) -> str:
    rows = []
    for kind, title in (("grouped", "grouped"), ("left_out", "family left out")):
        for name, r in ev[kind]["subsets"].items():
            if "roc_auc" not in r:
                continue
            cells: list[object] = [title, name.replace("_", " "), r["malicious"], r["benign"]]
            for key in ("roc_auc", "pr_auc", "recall_at_1e-2", "recall_at_1e-3"):
                v = r[key]
                if v["value"] is None:
                    cells.append("not certifiable")
                else:
                    form = _pct if key.startswith("recall") else _num
                    cells.append(f"{form(v['value'])} ({_range(v['by_capture'], form)})")
            rows.append(cells)
    n = ev["evaluation"]
    return "\n".join(
        [
            "## Out of fold",
            "",
            f"Folds never share a capture group. *Grouped*: {n['folds']} folds, {n['partitions']} partitions; other captures "
            f"of a family may be known. *Family left out*: {n['family_folds']} folds, {n['partitions']} partitions; the "
            "flow's whole family and all that was captured beside it are unknown. In brackets the 95 % interval of a "
            f"bootstrap over captures ({n['bootstrap_rounds']} rounds); eval.json has Clopper-Pearson intervals too, which are "
            "narrower than the truth because flows of one capture resemble each other.",
            "",
            table(
                ("folds", "flows", "malicious", "benign", "ROC-AUC", "PR-AUC", "recall at FPR 1e-2", "recall at FPR 1e-3"),
                rows,
            ),
            "",
            "Per-flow figures are those of the largest families: the next table weighs families alike. Columns, parameters and the "
            "number of trees were chosen by fauc on folds of this corpus, so every figure here is a little better than on captures "
            "that no choice has seen.",
        ]
    )


def _families(ev: dict) -> str:
    left, known = ev["left_out"]["families"], ev["grouped"]["recall_by_family"]
    rows = []
    for name, f in sorted(left["families"].items(), key=lambda t: -t[1]["flows"]):
        k = known[name]
        rows.append(
            (
                name,
                f["flows"],
                f["groups"],
                _num(f["auc"]),
                f"{_pct(f['recall_at_1e-2']['value'])} ({_range(f['recall_at_1e-2']['interval'], _pct)})",
                _rate(k["fpr_1e-2"]),
                _rate(k["fpr_1e-3"]),
            )
        )
    avg = left["recall_averaged_over_families"]
    sd = "" if left["fauc_sd"] is None else f", sd {left['fauc_sd']:.4f}"
    return "\n".join(
        [
            "## Families",
            "",
            f"fauc, the mean over families of a family's AUC against all benign flows with that family left out of training: "
            f"**{left['fauc']:.4f}** (partitions {', '.join(_num(v) for v in left['fauc_of_partitions'])}{sd}). Recall "
            f"averaged over left-out families: {_pct(avg['recall_at_1e-2'])} at FPR 1e-2, {_pct(avg['recall_at_1e-3'])} at "
            "FPR 1e-3. Families of one to three flows say next to nothing by themselves.",
            "",
            table(
                (
                    "family",
                    "flows",
                    "groups",
                    "AUC, left out",
                    "recall at FPR 1e-2, left out",
                    "recall at `fpr_1e-2`, grouped",
                    "recall at `fpr_1e-3`, grouped",
                ),
                rows,
            ),
        ]
    )


def _rules(ev: dict) -> str:
    rows = [
        (name, _num(b["roc_auc"]), _num(b["pr_auc"]), _pct(b["recall_at_1e-2"]), _num(b["fauc"]))
        for name, b in ev["baselines"].items()
    ]
    g = ev["grouped"]["subsets"]["all"]
    rows.insert(
        0,
        (
            "**this model**",
            _num(g["roc_auc"]["value"]),
            _num(g["pr_auc"]["value"]),
            _pct(g["recall_at_1e-2"]["value"]),
            _num(ev["left_out"]["families"]["fauc"]),
        ),
    )
    return "\n".join(
        [
            "## Beside trivial rules",
            "",
            "Same rows, same folds. Where a rule of one fact comes near, the corpus is easy, not the model good. The l1 logistic "
            "regression uses the model's own columns; it is not Joy's 649-column vector.",
            "",
            table(("", "ROC-AUC", "PR-AUC", "recall at FPR 1e-2", "fauc"), rows),
        ]
    )


def _thresholds(ev: dict) -> str:
    rows = [
        (t["name"], t["verdict"], f"{t['target']:g}", f"{t['margin']:.4f}", _num(t["probability"], 3), t["n"],
         t["false_positives"], f"{t['certified']:.2g}")
        for t in ev["thresholds"]
    ]  # fmt: skip
    notes = [f"`{t['name']}`: {t['note']}." for t in ev["thresholds"] if t.get("note")]
    worth = [
        (p["threshold"], f"{p['base_rate']:g}", f"{p['fpr']:.2g} ({p['fpr_is']})", _pct(p["precision"]),
         f"{p['false_alarms_a_day']:,}")
        for p in ev["precision"]
    ]  # fmt: skip
    return "\n".join(
        [
            "## Thresholds, and what an alert is worth",
            "",
            "Set on benign flows out of fold. A capture counts as at most five flows, so that none sets a threshold alone. "
            "*Certified* is the upper 95 % bound that so many flows allow; even no false positive in n flows bounds the rate "
            "only at 3/n.",
            "",
            table(("name", "verdict", "target", "margin", "probability", "n", "false positives", "certified"), rows),
            "",
            *notes,
            "",
            "Precision with the grouped recall of this corpus, and false alarms in 10 million flows a day:",
            "",
            table(("threshold", "base rate", "FPR", "precision", "false alarms a day"), worth),
        ]
    )


def _benign(ev: dict) -> str:
    b = ev["grouped"]["benign"]
    rows = [("all benign", b["all"]["fpr_1e-2"]["flows"], _rate(b["all"]["fpr_1e-2"]), _rate(b["all"]["fpr_1e-3"]))]
    for kind in ("kinds", "eras", "sources"):
        rows += [(name, e["fpr_1e-2"]["flows"], _rate(e["fpr_1e-2"]), _rate(e["fpr_1e-3"])) for name, e in b[kind].items()]
    lines = [
        "## False positives by benign source",
        "",
        "The source's own group out of training; Clopper-Pearson intervals in brackets. Every flow counts here, so a capture of "
        'many flagged flows lifts "all benign" above the target that was set with at most five flows a capture.',
        "",
        table(("source", "flows", "flagged at `fpr_1e-2`", "flagged at `fpr_1e-3`"), rows),
    ]
    cut = ev["cut_at_active_timeout"]
    if cut["rows"]:
        lines += [
            "",
            f"Earlier reports of long flows, cut at the active time-out ({cut['rows']} rows): malicious "
            f"{_rate(cut['malicious']['fpr_1e-2'])}, benign {_rate(cut['benign']['fpr_1e-2'])} reach `fpr_1e-2`.",
        ]
    else:
        lines += ["", "The table holds no earlier reports of long flows, so rows cut at the active time-out could not be tested."]
    return "\n".join(lines)


def _shortcuts(ev: dict) -> str:
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
            f"{_rate(s['fpr_1e-2']['own_name'])} with their own name, **{_rate(s['fpr_1e-2']['swapped'])}** with the other; at "
            f"`fpr_1e-3` {_rate(s['fpr_1e-3']['own_name'])} and {_rate(s['fpr_1e-3']['swapped'])}. The goal is at most 5 %.",
        ]
    else:
        lines += ["*Name swap*: the corpus held no background flows or no donors."]
    if pairs["pairs"]:
        lines += [
            "",
            f"*Benign against benign*: the same learner tells two benign sources apart with a mean AUC of "
            f"**{_num(pairs['mean_auc'])}**, halves split by capture; malicious against benign, grouped, is "
            f"{_num(ev['grouped']['subsets']['all']['roc_auc']['value'])}. Where the two are close, a high AUC says no more than "
            "that captures differ.",
            "",
            table(("sources", "AUC"), [(" / ".join(p["sources"]), _num(p["auc"])) for p in pairs["pairs"]]),
        ]
    lines += [
        "",
        "Columns that separate best alone (a gap counts as a value), not out of fold:",
        "",
        table(
            ("feature", "AUC", "not observed"),
            [(f"`{f['feature']}`", _num(f["auc"]), _pct(f["nan"])) for f in ev["single_features"]],
        ),
    ]
    return "\n".join(lines)


def _columns(ev: dict) -> str:
    a = ev["ablation"]
    rows = [
        (v["variant"], v["columns"], _num(v["fauc"]), f"{v['fauc_change']:+.4f}", _num(v["roc_auc"]), _pct(v["recall"]))
        for v in a["variants"]
    ]
    return "\n".join(
        [
            "## Columns: what leaving out and adding does",
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


def _calibration(ev: dict) -> str:
    c = ev["calibration"]
    rows = [
        (f"{b['from']:.1f} to {b['to']:.1f}", b["flows"], _num(b["predicted"], 3), _num(b["observed"], 3))
        for b in c["per_flow"]["bins"]
    ]
    return "\n".join(
        [
            "## Calibration",
            "",
            f"Platt's sigmoid on out-of-fold margins, fitted {c['fitted']}. Per flow: Brier {_num(c['per_flow']['brier'])}, ECE "
            f"{_num(c['per_flow']['ece'])}; with the weights of training: Brier {_num(c['as_weighed']['brier'])}, ECE "
            f"{_num(c['as_weighed']['ece'])}. The probability is that of a corpus in which "
            f"{_pct(ev['data']['malicious'] / ev['data']['rows'])} of the flows are malicious: on real traffic read it as a rank.",
            "",
            table(("probability", "flows (all partitions)", "predicted", "observed"), rows),
        ]
    )


def _limits(ev: dict) -> str:
    d = ev["data"]
    return "\n".join(
        [
            "## Limits",
            "",
            f"- Malicious captures are of {d['years_malicious'][0]}-{d['years_malicious'][1]}, benign ones of "
            f"{d['years_benign'][0]}-{d['years_benign'][1]}; newer malware and its TLS 1.3 are not in the corpus.",
            "- TLS over TCP with a ClientHello only; DTLS, QUIC and flows seen from the middle are not scored by what was learnt "
            "here.",
            "- A family of which no relative was in training may go unseen: the left-out column says how often.",
            "- Thresholds come from this corpus's benign traffic. Another site's false-positive rate is another.",
        ]
    )
