"""card.md: what eval.json says, for a reader; a function of eval.json and nothing else."""

from collections import Counter

from trench_trainer import caveats, robustness
from trench_trainer.baselines import JOY_COLUMNS
from trench_trainer.markdown import num, pct, rate, span, table


def render(ev: dict) -> str:
    """The whole card."""
    parts = [
        _head(ev),
        _data(ev),
        _ranking(ev),
        _families(ev),
        _rules(ev),
        _thresholds(ev),
        caveats.benign(ev),
        *caveats.laboratories(ev),
        caveats.shortcuts(ev),
        *(["\n".join(robustness.card(ev["robustness"]))] if "robustness" in ev else []),
        caveats.columns(ev),
        caveats.calibration(ev),
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
            *(
                [f"- a committee of {len(m['views'])} models, which see {' and '.join(m['views'])}, its margin their mean"]
                if m.get("views")
                else []
            ),
            f"- {m['trees']} trees of at most {m['params']['num_leaves']} leaves over {m['features']} of the {m['vector']} columns "
            f"of {schema['schema']}, profile `{m['profile']}`, seed {m['seed']}",
            f"- column hash {schema['hash'][:16]}, extractor {schema['extractor_version']}",
            f"- number of trees: {m['trees_chosen_by']}",
            f"- parameters: {', '.join(f'{k} {v}' for k, v in sorted(m['params'].items()))}",
            *([f"- parameters chosen by {m['params_chosen_by']}"] if "params_chosen_by" in m else []),
            *([f"- monotone: {', '.join(f'{k} {v:+d}' for k, v in m['monotone'].items())}"] if "monotone" in m else []),
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
                for threshold, reached in entry.items():
                    rows.append((name, label, reached["flows"], threshold, rate(reached)))
        lines.append(table(("capture", "label", "flows", "threshold", "reach it"), rows))
        lines += ["", "Other captures of the same group are in training: this is no test of an unknown family."]
    return "\n".join(lines)


def _ranking(ev: dict) -> str:
    rows = []
    for kind, title in (("grouped", "grouped"), ("left_out", "family left out")):
        rows += [(title, *row) for row in ranked(ev[kind]["subsets"])]
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
                ("folds", *RANKED),
                rows,
            ),
            "",
            "![recall at low false-positive rates](roc.svg)",
            "",
            "Per-flow figures are those of the largest families: the next table weighs families alike. Columns, parameters and the "
            "number of trees were chosen by fauc on folds of this corpus, so every figure here is a little better than on captures "
            "that no choice has seen.",
        ]
    )


RANKED = ("flows", "malicious", "benign", "ROC-AUC", "PR-AUC", "recall at FPR 1e-2", "recall at FPR 1e-3")


def ranked(subsets: dict) -> list[list[object]]:
    """The rows of a table of rankings by subset."""
    out = []
    for name, r in subsets.items():
        if "roc_auc" not in r:
            continue
        cells: list[object] = [name.replace("_", " "), r["malicious"], r["benign"]]
        for key in ("roc_auc", "pr_auc", "recall_at_1e-2", "recall_at_1e-3"):
            v = r[key]
            form = pct if key.startswith("recall") else num
            cells.append("not certifiable" if v["value"] is None else f"{form(v['value'])} ({span(v['by_capture'], form)})")
        out.append(cells)
    return out


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
                num(f["auc"]),
                f"{pct(f['recall_at_1e-2']['value'])} ({span(f['recall_at_1e-2']['interval'], pct)})",
                rate(k["fpr_1e-2"]),
                rate(k["fpr_1e-3"]),
            )
        )
    avg = left["recall_averaged_over_families"]
    sd = "" if left["fauc_sd"] is None else f", sd {left['fauc_sd']:.4f}"
    return "\n".join(
        [
            "## Families",
            "",
            f"fauc, the mean over families of a family's AUC against all benign flows with that family left out of training: "
            f"**{left['fauc']:.4f}** (partitions {', '.join(num(v) for v in left['fauc_of_partitions'])}{sd}). Recall "
            f"averaged over left-out families: {pct(avg['recall_at_1e-2'])} at FPR 1e-2, {pct(avg['recall_at_1e-3'])} at "
            "FPR 1e-3. Families of one to three flows say next to nothing by themselves.",
            "",
            "![recall by family](families.svg)",
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
        (name, num(b["roc_auc"]), num(b["pr_auc"]), pct(b["recall_at_1e-2"]), num(b["fauc"])) for name, b in ev["baselines"].items()
    ]
    g = ev["grouped"]["subsets"]["all"]
    rows.insert(
        0,
        (
            "**this model**",
            num(g["roc_auc"]["value"]),
            num(g["pr_auc"]["value"]),
            pct(g["recall_at_1e-2"]["value"]),
            num(ev["left_out"]["families"]["fauc"]),
        ),
    )
    return "\n".join(
        [
            "## Beside trivial rules",
            "",
            "Same rows, same folds. Where a rule of one fact comes near, the corpus is easy, not the model good. The l1 logistic "
            "regressions saw one partition." + ("" if JOY_COLUMNS in ev["baselines"] else " Joy's 649 columns were not given."),
            "",
            table(("", "ROC-AUC", "PR-AUC", "recall at FPR 1e-2", "fauc"), rows),
        ]
    )


def _thresholds(ev: dict) -> str:
    rows = [
        (t["name"], t["verdict"], f"{t['target']:g}", f"{t['margin']:.4f}", num(t["probability"], 3), t["n"],
         t["false_positives"], f"{t['certified']:.2g}")
        for t in ev["thresholds"]
    ]  # fmt: skip
    notes = [f"`{t['name']}`: {t['note']}." for t in ev["thresholds"] if t.get("note")]
    worth = [
        (p["threshold"], f"{p['base_rate']:g}", f"{p['fpr']:.2g} ({p['fpr_is']})", pct(p["precision"]),
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
