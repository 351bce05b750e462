#!/usr/bin/env python3
"""`make bench-model`: loading, memory, prefill, a training step, generation and the tokenizer beside transformers, PEFT and tokenizers, in
one run on the same threads: each measurement is taken in turn with its peer's, and the best of each counts. Writes bench/model.md for
people and build/bench/model.json. Some five minutes on two quiet cores; `--rounds 1` for one turn each."""
import argparse
import json
import os
import platform
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GGUF = ROOT / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf"
VENV = ROOT / ".deps/venv-model"
OUT = ROOT / "build/bench"
PACKAGES = ["torch==2.13.0", "transformers==5.23.0", "peft==0.21.2", "gguf==0.19.0", "accelerate"]
TASKS = ["prefill", "train", "generate", "generate16", "swap"]
THREADS = min(2, os.cpu_count() or 1)


def peers():
    """The interpreter that has the peers; installs them once."""
    python = VENV / "bin/python"
    if not (VENV / "done").exists():
        venv.create(VENV, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (VENV / "done").touch()
    return python


def run(command):
    """Idle threads wait as each side's own programs have it: ours as sotto-client starts itself, the peers' by OpenMP's default."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(THREADS), RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false",
                       HF_HUB_OFFLINE="1", SOTTO_LOG="error")
    environment.pop("OMP_WAIT_POLICY", None)
    if Path(command[0]).name == "model_bench":
        environment.update(OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT="10000")
    done = subprocess.run([str(c) for c in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def least(into, new):
    for name, value in new.items():
        into[name] = min(value, into.get(name, value))


def measure(rounds):
    python, peer = peers(), ROOT / "bench/model_peer.py"
    folder = OUT / "smollm2-hf"  # the same weights as a Hugging Face folder in bf16, which transformers loads fastest
    if not (folder / "model.safetensors").exists():
        run([python, peer, "convert", GGUF, folder])
    results = {}
    for _ in range(rounds):
        for precision in ("bf16", "fp32"):
            for kind, source in (("gguf", GGUF), ("folder", folder)):
                tasks = TASKS if kind == "folder" else []
                least(results.setdefault(("ours", precision, kind), {}),
                      run([ROOT / "build/bin/model_bench", source, precision, THREADS, *tasks]))
                least(results.setdefault(("theirs", precision, kind), {}), run([python, peer, source, precision, THREADS, *tasks]))
        least(results.setdefault(("ours", "tokenizer"), {}), tokenizer_speed())
        least(results.setdefault(("theirs", "tokenizer"), {}), run([python, peer, "tokenize", corpus(), folder]))
    return results


def corpus():
    """ICD-10-CM titles, as the demo's data has them: one text a line."""
    path = OUT / "titles.txt"
    if not path.exists():
        sys.path.insert(0, str(ROOT / "configs/demo"))
        from tabular_list import find_xml, read_entries
        _, entries = read_entries(find_xml(str(ROOT / ".deps/icd10cm"))[1])
        path.write_text("\n".join(entry.title for entry in entries) + "\n")
    return path


def tokenizer_speed():
    """Seconds of the whole program on the corpus, and on one line, which is what starting takes."""
    def timed(text):
        start = time.monotonic()
        subprocess.run([ROOT / "build/bin/sotto-client", "tokenize", "--model", GGUF], input=text, text=True,
                       stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - start
    return {"corpus": timed(corpus().read_text()), "start": timed("one\n")}


def rows(r):
    """(case, ours, theirs, unit, higher is better)"""
    out = []
    for precision in ("bf16", "fp32"):
        for kind, name in (("gguf", "GGUF (Q4_1)"), ("folder", "folder (bf16)")):
            a, b = r["ours", precision, kind], r["theirs", precision, kind]
            out.append((f"load, {name} to {precision}", a["load_s"], b["load_s"], "s", False))
            out.append((f"peak memory of loading over the weights, {name} to {precision}", a["peak_bytes"] / a["weight_bytes"],
                        b["peak_bytes"] / b["weight_bytes"], "x", False))
        a, b = r["ours", precision, "folder"], r["theirs", precision, "folder"]
        out.append((f"prefill, 512 tokens, {precision}", 512 / a["prefill"], 512 / b["prefill"], "tokens/s", True))
        out.append((f"training step, 8 records of 128 tokens, LoRA r = 4, {precision}", a["train"], b["train"], "s", False))
        out.append((f"swap to another adapter on the loaded base, {precision}", a["swap"], b["swap"], "s", False))
        out.append((f"generation, 1 sequence, {precision}", 64 / a["generate"], 64 / b["generate"], "tokens/s", True))
        out.append((f"generation, 16 sequences, {precision}", 1024 / a["generate16"], 1024 / b["generate16"], "tokens/s", True))
    # What people get: our default precision against transformers' default, the same model.
    a, b = r["ours", "bf16", "folder"], r["theirs", "fp32", "folder"]
    out.append(("generation, 1 sequence, bf16 against fp32", 64 / a["generate"], 64 / b["generate"], "tokens/s", True))
    ours = r["ours", "tokenizer"]
    out.append(("tokenizer, one thread, ICD-10-CM titles", ours["corpus"] - ours["start"], r["theirs", "tokenizer"]["seconds"], "s", False))
    return out


def write(results):
    lines = ["# Models beside transformers", "",
             f"`make bench-model`: SmolLM2-135M-Instruct, {THREADS} threads, {platform.machine()}; both in one run, in turn, the best of each. "
             "Ratio above 1: Sotto is that many times faster (or needs that many times less). Peers: "
             + ", ".join(PACKAGES[:4]) + ". The training step is private here (a gradient for each record, clipped and rounded on its own), "
             "and PEFT's ordinary summed one there.", "",
             "| case | Sotto | peer | unit | ratio |", "|---|---|---|---|---|"]
    grown = [max(results[who, p, "folder"]["swap_grown_bytes"] for p in ("bf16", "fp32")) / 1e6 for who in ("ours", "theirs")]
    memory = f"After 100 swaps between two adapters the process has grown by {grown[0]:.1f} MB here and by {grown[1]:.1f} MB there."
    table = []
    for case, ours, theirs, unit, higher in rows(results):
        ratio = ours / theirs if higher else theirs / ours
        lines.append(f"| {case} | {ours:.3g} | {theirs:.3g} | {unit} | {ratio:.2f} |")
        table.append({"case": case, "ours": ours, "peer": "tokenizers" if case.startswith("tokenizer") else "transformers",
                      "theirs": theirs, "unit": unit, "ratio": ratio})
    lines += ["", memory]
    (ROOT / "bench/model.md").write_text("\n".join(lines) + "\n")
    (OUT / "model.json").write_text(json.dumps(table, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    OUT.mkdir(parents=True, exist_ok=True)
    write(measure(parser.parse_args().rounds))
