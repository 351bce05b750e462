#!/usr/bin/env python3
"""`make bench-demo`: what the demo learns, and that it learns through the noise and not around it. Runs the whole demo for three data
seeds, once with ten times the noise, and once without privacy and with more steps; writes bench/demo.md for people and
build/bench/demo.json. About half an hour on two cores."""
import json
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

RUNS = [  # case, demo.py's arguments
    ("private, data seed 7", ["--seed", "7"]),
    ("private, data seed 8", ["--seed", "8", "--no-answers"]),
    ("private, data seed 9", ["--seed", "9", "--no-answers"]),
    ("ten times the noise", ["--seed", "7", "--replace", "epsilon = 8.0", "noise_multiplier = 4.9", "--no-answers"]),
    ("without privacy", ["--seed", "7", "--privacy", "off"]),
]


def folder_of(case):
    return ROOT / "build/bench" / ("demo-" + case.replace(" ", "-").replace(",", ""))


def main():
    """With arguments: only those cases are run anew; the table has every case that was run."""
    for case, arguments in RUNS:
        if sys.argv[1:] and case not in sys.argv[1:]:
            continue
        out = folder_of(case)
        out.parent.mkdir(parents=True, exist_ok=True)
        print(f"--- {case}", flush=True)
        done = subprocess.run([sys.executable, ROOT / "configs/demo/demo.py", "--out", out, *arguments])
        if done.returncode != 0:
            return done.returncode
    done = [(case, folder_of(case) / "summary.json") for case, _ in RUNS]
    write([(case, json.loads(path.read_text())) for case, path in done if path.exists()])
    return 0


def epsilon_of(summary):
    values = [s["epsilon"] for s in summary["sites"]]
    return "none" if any(isinstance(v, str) for v in values) else f"{max(values):.3f}"


def write(results):
    lines = ["# What the demo learns", "",
             "`make bench-demo` on two cores (" + platform.machine() + "); held-out patients and surface terms, nats a response token; the last round's "
             "adapter. Ratio: tuned loss over base loss, same records, same run.", "",
             "| case | epsilon (delta 1e-5) | base loss | tuned loss | ratio | token accuracy | exact code, other title | general loss | seconds |",
             "|---|---|---|---|---|---|---|---|---|"]
    rows = []
    for case, s in results:
        base, tuned, general = s["base"], s["tuned"], s["general"]
        ratio = tuned["loss"] / base["loss"]
        codes = "-"
        if "other_title" in tuned:
            codes = f"{base['other_title']['exact_code']:.3f} -> {tuned['other_title']['exact_code']:.3f}"
        lines.append(f"| {case} | {epsilon_of(s)} | {base['loss']:.3f} | {tuned['loss']:.3f} | {ratio:.3f} | "
                     f"{base['token_accuracy']:.3f} -> {tuned['token_accuracy']:.3f} | {codes} | "
                     f"{general['base']:.3f} -> {general['tuned']:.3f} | {sum(s['seconds'].values()):.0f} |")
        rows.append({"case": case, "ours": tuned["loss"], "peer": "the base model", "theirs": base["loss"], "unit": "nats a response token", "ratio": ratio})
    (ROOT / "bench/demo.md").write_text("\n".join(lines) + "\n")
    (ROOT / "build/bench/demo.json").write_text(json.dumps(rows, indent=2) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
