#!/usr/bin/env python3
"""`make bench-forecast`: what `sotto-client train` says beforehand of a step's time and of the peak of its memory, against what 20 steps then took.
SmolLM2-135M, rank 8 on all linear layers, records of about 128 tokens, all cores. Writes bench/forecast.md and build/bench/forecast.json.

    bench/forecast.py [--cells B1-fp32,B8-bf16-AB-checkpointed,...]     cells that are done are kept; the table has every one of them"""
import argparse
import json
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build/bench/forecast"
MODEL = ROOT / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf"
# units in a step - precision of the base - what differs from B alone, all activations kept, a dense base
CELLS = ["B1-fp32", "B1-bf16", "B1-bf16-checkpointed", "B4-fp32-AB", "B4-fp32-checkpointed", "B8-fp32", "B8-bf16",
         "B8-bf16-AB-checkpointed", "B8-bf16-quantized", "B16-bf16"]
STEPS = 20
PLAN = """
run = "{run}"
[model]
precision = "{precision}"
[privacy]
noise_multiplier = 4.0
unit = "record"
clip_norm = 0.3
expected_batch = {units}
sampling = "min_separation"
[lora]
rank = 8
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
train = "{part}"
[training]
rounds = 1
local_steps = {steps}
max_tokens = 160
[optimizer]
learning_rate = 0.001
[train]
config = "{run}.site.toml"
declared_size = {declared}
"""
SITE = """
model = "{model}"
data = ["{run}.jsonl"]
gradient_checkpointing = {checkpointed}
quantized_base = {quantized}
budget_folder = "{run}.budget"
[policy]
epsilon_limit = 1e9
units = ["record"]
"""


# Five times as many as a step has: with every record in every fifth step, 20 steps have as many as they should, to the last one.
def make_records(file, count):
    words = "the patient was seen for a cough that began two weeks ago and did not get better with rest".split()
    lines = [{"patient_id": f"P{i:03}", "instruction": "Write a note.", "input": f"case {i}",
              "output": " ".join(words[(i + k) % len(words)] for k in range(86))} for i in range(count)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(cell):
    units, precision, *rest = cell.split("-")
    name = cell.lower()
    for folder in ("out", "budget"):  # a run that has ended would not run again
        shutil.rmtree(WORK / f"{name}.{folder}", ignore_errors=True)
    declared = 5 * int(units[1:])
    make_records(WORK / f"{name}.jsonl", declared)
    values = {"run": name, "precision": precision, "units": units[1:], "declared": declared, "part": "AB" if "AB" in rest else "B", "steps": STEPS,
              "model": MODEL, "checkpointed": str("checkpointed" in rest).lower(), "quantized": str("quantized" in rest).lower()}
    (WORK / f"{name}.toml").write_text(PLAN.format(**values))
    (WORK / f"{name}.site.toml").write_text(SITE.format(**values))
    out = subprocess.run([ROOT / "build/bin/sotto-client", "train", WORK / f"{name}.toml", "--out", WORK / f"{name}.out", "--json"],
                         check=True, capture_output=True, text=True)
    own = json.loads(out.stdout.splitlines()[-1])["for_this_site_alone"]
    forecast = own["forecast"]
    return {"cell": cell, "seconds": own["seconds"] / STEPS, "seconds_forecast": forecast["seconds_per_step"],
            "mb": own["peak_memory_bytes"] / 1e6, "mb_forecast": forecast["peak_memory_bytes"] / 1e6}


def table(results):
    lines = ["# Forecast of a step, and what 20 steps took", "",
             "`make bench-forecast`: SmolLM2-135M (GGUF Q4_1), LoRA of rank 8 on all linear layers, private, records of about 128 tokens, all cores.",
             "`B8`: 8 records in every step. The peak is the process's, loading and the self-check included.", "",
             "| cell | s a step: forecast | was | off by | peak MB: forecast | was | off by |", "|---|---|---|---|---|---|---|"]
    for r in results:
        off = [100 * (r[f"{key}_forecast"] / r[key] - 1) for key in ("seconds", "mb")]
        lines.append(f"| {r['cell']} | {r['seconds_forecast']:.2f} | {r['seconds']:.2f} | {off[0]:+.0f} % | {r['mb_forecast']:.0f} | {r['mb']:.0f} | {off[1]:+.0f} % |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", default=",".join(CELLS))
    chosen = parser.parse_args().cells.split(",")
    WORK.mkdir(parents=True, exist_ok=True)
    for cell in chosen:
        kept = WORK / f"{cell}.json"
        if not kept.exists():
            kept.write_text(json.dumps(run(cell)))
        print(kept.read_text())
    results = [json.loads((WORK / f"{cell}.json").read_text()) for cell in CELLS if (WORK / f"{cell}.json").exists()]
    (ROOT / "build/bench/forecast.json").write_text(json.dumps(results, indent=1))
    (ROOT / "bench/forecast.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
