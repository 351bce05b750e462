#!/usr/bin/env python3
"""`make bench-learning`: what privacy costs in learning. One site alone (`sotto-client train`) on all hospitals' ICD records of the demo,
at epsilon 1, 3, 8 and without privacy, with B alone and with A and B trained; loss on held-out patients after every round. Writes
bench/learning.svg, bench/learning.md and build/bench/learning.json. Long: some minutes a run on one core. It is made of parts:

    bench/learning.py [--runs B-8,AB-inf,...] [--rounds 4]     runs that are done are kept; the figure has every one of them
A killed call goes on where it stood: so does `sotto-client train`."""
import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build/bench/learning"
VENV = ROOT / ".deps/venv-dp"
MODEL = ROOT / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf"
RUNS = [f"{part}-{epsilon}" for epsilon in ("inf", "8", "3", "1") for part in ("B", "AB")]
# As the demo: steps by SGD with privacy (docs/decisions.md, D16), by Adam without.
OPTIMIZER = {"private": 'kind = "sgd"\nlearning_rate = 4.0', "B": "learning_rate = 0.012", "AB": "learning_rate = 0.003"}

PLAN = """
run = "{run}"
[model]
precision = "auto"
[privacy]
{privacy}
unit = "patient"
clip_norm = 0.3
expected_batch = 32
max_records = 1
[lora]
rank = 4
alpha = 8
targets = ["q_proj", "v_proj", "o_proj", "down_proj"]
first_layer = 15
train = "{part}"
[training]
rounds = {rounds}
local_steps = 4
max_tokens = 112
system_prompt = "You are a clinical coding assistant. Answer with ICD-10-CM only."
[optimizer]
{optimizer}
[train]
config = "site.toml"
declared_size = 3700
validation = "val.jsonl"
"""


def make_data():
    """All hospitals' training records as one site's, and 64 records of held-out patients."""
    data = WORK / "data"
    if not (data / "manifest.json").exists():
        subprocess.run([sys.executable, ROOT / "configs/demo/make_data.py", "--out", data, "--seed", "7", "--icd10", ROOT / ".deps/icd10cm"],
                       check=True, stdout=subprocess.DEVNULL)
    train = sorted(data.glob("*/train.jsonl"))
    (WORK / "train.jsonl").write_text("".join(path.read_text() for path in train))
    (WORK / "val.jsonl").write_text("".join((data / "val.jsonl").read_text().splitlines(keepends=True)[:64]))
    (WORK / "site.toml").write_text(f'model = "{MODEL}"\ndata = ["train.jsonl"]\nthreads = 1\n[policy]\nepsilon_limit = 10000\n')


def train(name, rounds):
    part, epsilon = name.split("-")
    plan = WORK / f"{name}.toml"
    plan.write_text(PLAN.format(run=name.lower(), privacy="epsilon = 8.0" if epsilon == "inf" else f"epsilon = {epsilon}.0", part=part,
                                rounds=rounds, optimizer=OPTIMIZER[part if epsilon == "inf" else "private"]))
    command = [ROOT / "build/bin/sotto-client", "train", plan, "--out", WORK / name] + (["--no-privacy"] if epsilon == "inf" else [])
    print("---", name, flush=True)
    return subprocess.run(command).returncode


def draw(results):
    code = """
import json, sys
import matplotlib
matplotlib.use("svg")
from matplotlib import pyplot
results = json.load(open(sys.argv[1]))
figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
for axis, part, title in zip(axes, ("B", "AB"), ("B trained, A frozen", "A and B trained")):
    for epsilon in ("1", "3", "8", "inf"):
        run = results.get(part + "-" + epsilon)
        if run:
            points = run["evaluations"]
            axis.plot([p["steps"] for p in points], [p["loss"] for p in points], marker=".",
                      label="without privacy" if epsilon == "inf" else "epsilon " + epsilon)
    axis.set_title(title)
    axis.set_xlabel("steps")
    axis.grid(True, alpha=0.3)
    if axis.lines:
        axis.legend()
axes[0].set_ylabel("held-out loss, nats a token")
figure.tight_layout()
figure.savefig(sys.argv[2])
"""
    subprocess.run([VENV / "bin/python", "-c", code, results, ROOT / "bench/learning.svg"], check=True)


def write(results):
    lines = ["# What privacy costs in learning", "", "![learning curves](learning.svg)", "",
             "`make bench-learning`: `sotto-client train` on the demo's ICD records of all hospitals as one site (declared 3,700 patients, "
             "expected batch 32, delta 1e-5), SmolLM2-135M, rank 4 on q, v, o and down of the upper half; loss on 64 records of patients "
             "that never train.", "", "| run | epsilon | noise multiplier | steps | loss before | loss after | token accuracy | seconds |",
             "|---|---|---|---|---|---|---|---|"]
    rows = []
    for name, run in results.items():
        first, last = run["evaluations"][0], run["evaluations"][-1]
        epsilon = run["epsilon"] if isinstance(run["epsilon"], str) else f"{run['epsilon']:.3f}"
        lines.append(f"| {name} | {epsilon} | {run['noise_multiplier']:.3f} | {run['steps']} | {first['loss']:.3f} | {last['loss']:.3f} | "
                     f"{first['token_accuracy']:.3f} -> {last['token_accuracy']:.3f} | {run['for_this_site_alone']['seconds']:.0f} |")
        rows.append({"case": f"{name}: held-out loss after training", "ours": last["loss"], "peer": "before", "theirs": first["loss"],
                     "unit": "nats/token", "ratio": last["loss"] / first["loss"]})
    (ROOT / "bench/learning.md").write_text("\n".join(lines) + "\n")
    (ROOT / "build/bench/learning.json").write_text(json.dumps(rows, indent=1) + "\n")
    print("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default=",".join(RUNS))
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    make_data()
    for name in arguments.runs.split(","):
        if name not in RUNS:
            parser.error(f"--runs has '{name}', which is none of {', '.join(RUNS)}")
        if train(name, arguments.rounds) != 0:
            return 1
    results = {name: json.loads((WORK / name / "summary.json").read_text()) | {"for_this_site_alone": json.loads((WORK / name / "site-only.json").read_text())} for name in RUNS if (WORK / name / "summary.json").exists()}
    store = WORK / "results.json"
    store.write_text(json.dumps(results))
    draw(store)
    write(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
