#!/usr/bin/env python3
"""`make bench-modes`: every mode of `sotto-client train` for a few steps on a real model: does the loss on records outside the guarantee
move as it should, is what comes out read again with the same loss, and what do a step and its memory cost beside plain private LoRA.
SmolLM2-135M, the demo's ICD records, batches of eight. Writes bench/modes.md and build/bench/modes.json. Some ten minutes on two cores.

    bench/modes.py [--modes lora-b,full,...] [--anew] [--busy]     modes that are done are kept; the table has every one of them

Few steps of few records: what privacy costs in learning is for bench/learning.py to tell."""
import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from model import peers

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build/bench/modes"
CLIENT, AUDIT = ROOT / "build/bin/sotto-client", ROOT / "build/bin/sotto-audit"
GGUF = ROOT / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf"
FOLDER = ROOT / "build/bench/smollm2-hf"
SYSTEM = "You are a clinical coding assistant. Answer with ICD-10-CM only."
PATIENTS = 360  # declared
BATCH = 8
LORA = '[lora]\nrank = 4\nalpha = 8\ntargets = ["q_proj", "v_proj", "o_proj", "down_proj"]\nfirst_layer = 15\n'
SGD = 'kind = "sgd"\nlearning_rate = 4.0'  # as the demo with privacy (docs/decisions.md, D16), by Adam without
SHORT = 'kind = "sgd"\nlearning_rate = 0.5'  # where A moves, too: the noise of A and that of B multiply


@dataclass
class Mode:
    name: str
    text: str
    private: bool = True
    privacy: str = "epsilon = 8.0"
    trained: str = LORA
    training: str = ""
    optimizer: str = ""
    train: str = ""
    end: str = ""  # tables behind [train]
    site: str = ""
    model: Path = GGUF
    precision: str = "auto"
    unit: str = "patient"
    max_records: int = 1
    steps: tuple = (2, 3)  # rounds, steps of each
    processes: int = 1

    def is_adapter(self):
        return '"full"' not in self.training


FULL, PROMPT = 'trained = "full"', 'trained = "prompt"'
WANTED = "epsilon = 8.0\n"
APART = WANTED + 'sampling = "min_separation"\n'
ADAM = "learning_rate = 0.012"
MODES = [
    Mode("lora-b", "LoRA, B alone"),
    Mode("lora-b-open", "LoRA, B alone", False, optimizer=ADAM),
    Mode("lora-folder", "the same, base from a safetensors folder", model=FOLDER),
    Mode("lora-fp32", "the same, base in fp32", precision="fp32"),
    Mode("lora-quantised", "the same, base kept quantised", site="quantized_base = true"),
    Mode("lora-checkpointing", "the same, gradient checkpointing", site="gradient_checkpointing = true"),
    Mode("lora-ab", "LoRA, A and B", trained=LORA + 'train = "AB"', optimizer=SHORT),
    Mode("lora-ab-open", "LoRA, A and B", False, trained=LORA + 'train = "AB"', optimizer="learning_rate = 0.003"),
    Mode("alternating", "LoRA, A and B in turn by rounds", trained=LORA + 'train = "alternating"', optimizer=SHORT),
    Mode("alternating-open", "LoRA, A and B in turn by rounds", False, trained=LORA + 'train = "alternating"', optimizer=ADAM),
    Mode("dora-open", "DoRA", False, trained=LORA + "dora = true", optimizer=ADAM),
    Mode("dropout", "LoRA with dropout 0.1", trained=LORA + "dropout = 0.1"),
    Mode("schedule-open", "LoRA, weight decay, warm-up, cosine, norm limit", False,
         optimizer=ADAM + '\nweight_decay = 0.1\nwarmup_steps = 2\nschedule = "cosine"\nmin_lr_ratio = 0.1\nmax_grad_norm = 1.0'),
    Mode("record", "LoRA, unit record", unit="record"),
    Mode("records-of-patient", "LoRA, up to four records of a patient", max_records=4),
    Mode("automatic", "LoRA, automatic clipping", privacy='epsilon = 8.0\nclipping = "automatic"'),
    Mode("per-layer", "LoRA, clipping per layer", privacy='epsilon = 8.0\nclipping = "per_layer"'),
    Mode("adaptive", "LoRA, adaptive clipping", privacy='epsilon = 8.0\nclipping = "adaptive"'),
    Mode("truncated", "LoRA, truncated Poisson", privacy=WANTED + 'sampling = "truncated_poisson"\nmax_batch = 12'),
    Mode("fixed-size", "LoRA, batches of a fixed size", privacy=WANTED + 'sampling = "fixed_size"'),
    Mode("allocation", "LoRA, random allocation", privacy=WANTED + 'sampling = "random_allocation"', steps=(1, 6)),
    Mode("apart", "LoRA, min separation, independent noise", privacy=APART),
    Mode("banded", "LoRA, min separation, banded noise", privacy=APART + 'noise = "banded"\nbands = 4'),
    Mode("blt", "LoRA, min separation, BLT noise", privacy=APART + 'noise = "blt"\nbands = 4'),
    Mode("mixture", "LoRA, public text mixed in, a stage before", train="public_share = 0.25",
         end='[[train.mixture]]\nfile = "general.jsonl"\n[[train.stage]]\nname = "general"\nsteps = 2\nbatch = 4\nlearning_rate = 0.003\n'
             '[[train.stage.source]]\nfile = "general.jsonl"'),
    Mode("parent", "LoRA, going on from the first one", train='parent = "lora-b.out/adapter"'),
    Mode("two", "LoRA, two processes of one thread", processes=2),
    Mode("two-open", "LoRA, two processes of one thread", False, optimizer=ADAM, processes=2),
    Mode("prompt", "soft prompt of 16 vectors", trained="[prompt]\ntokens = 16", training=PROMPT, optimizer='kind = "sgd"\nlearning_rate = 1.0'),
    Mode("prompt-open", "soft prompt of 16 vectors", False, trained="[prompt]\ntokens = 16", training=PROMPT, optimizer="learning_rate = 0.03"),
    Mode("full", "the whole model", trained="", training=FULL, optimizer='kind = "sgd"\nlearning_rate = 0.001', steps=(1, 3)),
    Mode("full-open", "the whole model, from a safetensors folder", False, trained="", training=FULL, optimizer="learning_rate = 2e-5",
         steps=(1, 4), model=FOLDER),
]

PLAN = """
run = "{m.name}"
[model]
precision = "{m.precision}"
[privacy]
{m.privacy}
unit = "{m.unit}"
clip_norm = 0.3
expected_batch = {batch}
max_records = {m.max_records}
{m.trained}
[training]
{m.training}
rounds = {m.steps[0]}
local_steps = {m.steps[1]}
max_tokens = 112
system_prompt = "{system}"
[optimizer]
{optimizer}
[train]
config = "{m.name}.site.toml"
declared_size = {size}
validation = "val.jsonl"
checkpoint_s = 3600
evaluate_every = {m.steps[0]}
{m.train}
{m.end}
"""
SITE = """
model = "{model}"
data = ["train.jsonl"]
threads = {threads}
budget_folder = "{name}.budget"
{more}
[policy]
epsilon_limit = 10000
units = ["patient", "record"]
"""


def run(command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nfailed: {done.stderr[-3000:]}")
    return done.stdout


def make_data():
    """The patients of three hospitals as one site's, records of held-out ones, general text, and the model as a folder."""
    data = WORK / "data"
    if not (data / "manifest.json").exists():
        run([sys.executable, ROOT / "configs/demo/make_data.py", "--out", data, "--seed", "7", "--icd10", ROOT / ".deps/icd10cm",
             "--patients", "120", "--held-out", "40", "--general", "40"])
    lines = [line for path in sorted(data.glob("*/train.jsonl")) for line in path.read_text().splitlines(keepends=True)]
    (WORK / "train.jsonl").write_text("".join(lines))
    (WORK / "val.jsonl").write_text("".join((data / "val.jsonl").read_text().splitlines(keepends=True)[:16]))
    shutil.copy(data / "general.jsonl", WORK / "general.jsonl")
    if not (FOLDER / "model.safetensors").exists():  # as bench/model.py makes it
        run([peers(), ROOT / "bench/model_peer.py", "convert", GGUF, FOLDER], env=dict(os.environ, HF_HUB_OFFLINE="1"))
    return len({json.loads(line)["patient_id"] for line in lines})


def environments(mode):
    if mode.processes == 1:
        return [None]
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    return [dict(os.environ, WORLD_SIZE=str(mode.processes), RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
            for rank in range(mode.processes)]


def train(mode, patients):
    for folder in (f"{mode.name}.out", f"{mode.name}.budget"):
        shutil.rmtree(WORK / folder, ignore_errors=True)
    if mode.name == "parent":  # the same patients: one budget
        shutil.copytree(WORK / "lora-b.budget", WORK / "parent.budget")
    exact = "fixed_size" in mode.privacy
    (WORK / f"{mode.name}.toml").write_text(PLAN.format(m=mode, system=SYSTEM, batch=BATCH, size=patients if exact else PATIENTS,
                                                        optimizer=mode.optimizer or SGD))
    (WORK / f"{mode.name}.site.toml").write_text(SITE.format(model=mode.model, name=mode.name, more=mode.site, threads=2 // mode.processes))
    command = [CLIENT, "train", WORK / f"{mode.name}.toml", "--out", WORK / f"{mode.name}.out", "--json"] + ([] if mode.private else ["--no-privacy"])
    all_of_them = [subprocess.Popen([str(c) for c in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                   for environment in environments(mode)]
    told = [process.communicate() for process in all_of_them]
    for process, (_, errors) in zip(all_of_them, told):
        if process.returncode != 0:
            sys.exit(f"{mode.name}: {errors[-3000:]}")
    return json.loads(told[0][0].splitlines()[-1])


def read_again(mode, summary):
    """The loss of what was saved, as `eval` finds it; the log, as `sotto-audit` finds it."""
    out = WORK / f"{mode.name}.out"
    where = ["--model", GGUF, "--adapter", out / "adapter"] if mode.is_adapter() else ["--model", out / "model"]
    if mode.is_adapter() and mode.model != GGUF:
        where[1] = mode.model
    found = json.loads(run([CLIENT, "eval", *where, "--data", WORK / "val.jsonl", "--precision", summary["precision"], "--max-tokens", 112, "--no-answers",
                            "--system-prompt", SYSTEM, "--json"]))
    run([AUDIT, "ledger", "verify", out / "log"])
    return found["loss"]


def measure(mode, patients):
    summary = train(mode, patients)
    own = summary["for_this_site_alone"]
    losses = [e["loss"] for e in summary["evaluations"]]
    result = {"mode": mode.name, "text": mode.text, "private": mode.private, "trained": summary["trained_parameters"], "epsilon": summary["epsilon"],
              "before": losses[0], "after": losses[-1], "read_again": read_again(mode, summary), "steps": summary["steps"],
              "seconds": own["seconds"] / summary["steps"], "mb": own["peak_memory_bytes"] / 1e6}
    for large in (WORK / f"{mode.name}.out/checkpoint", WORK / f"{mode.name}.out/model"):
        if not mode.is_adapter():
            shutil.rmtree(large, ignore_errors=True) if large.is_dir() else large.unlink(missing_ok=True)
    return result


def table(results, busy):
    base = next((r for r in results if r["mode"] == "lora-b"), results[0])
    lines = ["# Every mode of training on a real model", "",
             f"`make bench-modes`: `sotto-client train`, SmolLM2-135M (bf16 where nothing else is said), the demo's ICD records ({PATIENTS} patients declared, "
             f"expected batch {BATCH}, delta 1e-5), LoRA of rank 4 on q, v, o and down of the upper half, two threads. Loss: on 16 records of patients that never "
             "train, in nats a token; the last column is what `sotto-client eval` finds of what was saved. With privacy steps are SGD's, "
             "without it Adam's. Memory (peak of the process, its self-check "
             f"included) and seconds are ratios to the first row: {base['mb']:.0f} MB, " +
             ("and times are left out, because other programs ran beside." if busy else f"{base['seconds']:.2f} s a step."), "",
             "| mode | trained numbers | epsilon | steps | loss before -> after | s a step | peak memory | loss, read again |",
             "|---|---|---|---|---|---|---|---|"]
    for r in results:
        epsilon = f"{r['epsilon']:.2f}" if r["private"] else "none"
        lines.append(f"| {r['text']} | {r['trained']:,} | {epsilon} | {r['steps']} | {r['before']:.3f} -> {r['after']:.3f} | "
                     f"{'-' if busy else format(r['seconds'] / base['seconds'], '.2f')} | {r['mb'] / base['mb']:.2f} | {r['read_again']:.3f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", default=",".join(m.name for m in MODES))
    parser.add_argument("--anew", action="store_true", help="measure what is done already, too")
    parser.add_argument("--busy", action="store_true", help="leave times out of the table: the machine was not quiet")
    arguments = parser.parse_args()
    chosen = arguments.modes.split(",")
    if unknown := set(chosen) - {m.name for m in MODES}:
        parser.error(f"--modes has {', '.join(sorted(unknown))}; known are {', '.join(m.name for m in MODES)}")
    WORK.mkdir(parents=True, exist_ok=True)
    patients = make_data()
    for mode in MODES:
        kept = WORK / f"{mode.name}.json"
        if mode.name in chosen and (arguments.anew or not kept.exists()):
            kept.write_text(json.dumps(measure(mode, patients)))
            print(kept.read_text(), flush=True)
    results = [json.loads((WORK / f"{m.name}.json").read_text()) for m in MODES if (WORK / f"{m.name}.json").exists()]
    (ROOT / "build/bench/modes.json").write_text(json.dumps(results, indent=1) + "\n")
    (ROOT / "bench/modes.md").write_text(table(results, arguments.busy))
    print(table(results, arguments.busy))


if __name__ == "__main__":
    main()
