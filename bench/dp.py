#!/usr/bin/env python3
"""`make bench-dp`: one training step of SmolLM2-135M with LoRA of rank 8 on all linear layers, in CPU seconds: our private step, our step
without privacy, PEFT's step without privacy, and Opacus (hooks, ghost; functorch at 8 x 32). Every system lives in a process of its own
(so that its peak memory is its own) and the steps are interleaved, so that all meet the same machine. Logits at every position in all of
them. Writes bench/dp.md for people and build/bench/dp.json.

    bench/dp.py [--cases 8x64,8x128] [--systems ours,plain,peft,hooks,ghost] [--rounds 3] [--keep]
--keep adds to the figures of an earlier call instead of starting anew. The peers' packages come into .deps/venv-dp."""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".deps/venv-dp"
MODEL = ROOT / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf"
PACKAGES = ["torch==2.13.0", "transformers==5.23.0", "peft==0.21.2", "opacus==1.6.0", "gguf", "matplotlib"]
CASES = ["1x128", "8x64", "8x128", "32x64", "8x128x2"]  # batch x tokens [x threads]
SYSTEMS = {  # name: (title, which program)
    "ours": ("private", "private fp32"), "plain": ("without privacy", "plain fp32"),
    "ours_bf16": ("private, bf16 base", "private bf16"), "plain_bf16": ("without privacy, bf16 base", "plain bf16"),
    "peft": ("PEFT without privacy", None), "hooks": ("Opacus hooks", None), "ghost": ("Opacus ghost", None),
    "functorch": ("Opacus functorch", None)}
ONE_THREAD = ["ours", "plain", "ours_bf16", "plain_bf16", "peft", "hooks", "ghost"]


def flops(batch, tokens):
    """Of one step with a frozen base: forward and input gradient of every base product, LoRA's three, attention."""
    layer = 2 * (576 * 576 * 2 + 576 * 192 * 2 + 576 * 1536 * 3)
    lora = 2 * 8 * ((576 + 576) * 2 + (576 + 192) * 2 + (576 + 1536) * 3)
    attention = 2 * 2 * 576 * tokens  # scores and values, before the mask
    return batch * tokens * (30 * (2 * layer + 3 * lora + 3.5 * attention) + 2 * 2 * 576 * 49152)


class Worker:
    def __init__(self, name, batch, tokens, threads):
        self.name, self.samples, program = name, [], SYSTEMS[name][1]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), SOTTO_LOG="error")
        environment.pop("OMP_WAIT_POLICY", None)
        if program:  # threads wait as sotto-client has them wait; the peers' by OpenMP's default
            environment.update(OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT="10000")
            privacy, precision = program.split()
            command = [ROOT / "build/bin/dp_step", MODEL, batch, tokens, privacy, precision, threads]
        else:
            command = [VENV / "bin/python", ROOT / "bench/dp_peers.py", name, MODEL, batch, tokens, threads]
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.alive = "ready" in self.process.stdout.readline()

    def step(self, keep=True):
        if not self.alive:
            return
        try:
            self.process.stdin.write("step\n")
            self.process.stdin.flush()
            sample = json.loads(self.process.stdout.readline() or "null")
        except (BrokenPipeError, ValueError):
            sample = None
        self.alive = sample is not None
        if self.alive and keep:
            self.samples.append(sample)

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def measure(case, systems, rounds):
    batch, tokens, threads = (list(map(int, case.split("x"))) + [1])[:3]
    # Interleaved where all systems fit in memory side by side; else ours with PEFT, and then each other peer with PEFT.
    together = [systems]
    if batch * tokens > 1024:
        peers = [name for name in systems if not SYSTEMS[name][1] and name != "peft"]
        together = [[name for name in systems if name not in peers]] + [["peft", name] for name in peers]
    found = {name: [] for name in systems}
    for group in together:
        workers = [Worker(name, batch, tokens, threads) for name in group]
        for worker in workers:
            worker.step(keep=False)
        for _ in range(rounds):
            for worker in workers:
                worker.step()
        for worker in workers:
            worker.close()
            found.setdefault(worker.name, []).extend(worker.samples)
    out = {}
    for name, samples in found.items():
        if samples:
            cpu = statistics.median(s["cpu"] for s in samples)
            out[name] = {"cpu": cpu, "wall": statistics.median(s["wall"] for s in samples), "peak_mib": max(s["peak_mib"] for s in samples),
                         "gflops": flops(batch, tokens) / cpu / 1e9, "all_cpu": [s["cpu"] for s in samples]}
        print(case, name, out.get(name, "failed"), flush=True)
    return out


def best_gemm(threads):
    """This machine's best product of 1024 rows, in the same minute: oneDNN in fp32, and in bf16."""
    code = ("import torch,time;torch.set_num_threads(1);torch.backends.mkldnn.matmul.fp32_precision='bf16'\n"
            "for d in (torch.float32,torch.bfloat16):\n"
            " x,w=torch.randn(1024,1536).to(d),torch.randn(1536,1536).to(d);t=[]\n"
            " for _ in range(9):\n  a=time.process_time();x@w;t.append(time.process_time()-a)\n"
            " print(2*1024*1536*1536/min(t)/1e9)")
    done = subprocess.run([VENV / "bin/python", "-c", code], capture_output=True, text=True, check=True)
    fp32, bf16 = map(float, done.stdout.split())
    return {"fp32": fp32, "bf16": bf16}


def row(case, name, values, base, own, peak):
    best = peak["bf16" if name.endswith("bf16") else "fp32"]
    ratio = f"{values['cpu'] / base['cpu']:.2f}" if base else "-"
    memory = f"{values['peak_mib'] / base['peak_mib']:.2f}" if base else "-"
    against_own = f"{values['cpu'] / own['cpu']:.3f}" if own else "-"
    return (f"| {case} | {SYSTEMS[name][0]} | {values['cpu']:.3f} | {ratio} | {against_own} | {values['gflops']:.0f} "
            f"({100 * values['gflops'] / best:.0f} %) | {values['peak_mib']:.0f} | {memory} |")


def write(results):
    lines = ["# One private LoRA step", "",
             "`make bench-dp`: SmolLM2-135M, rank 8 on all linear layers (2.44 million trained numbers), A and B trained, logits at every "
             "position, one thread unless the case ends in x2; CPU seconds, median over interleaved steps (32x64: ours with PEFT, then each other peer with PEFT, for memory), on " + platform.machine() +
             ". *to PEFT*: over PEFT's step **without** privacy in fp32, same run. *to own*: over our own step without privacy. In brackets: "
             "share of this machine's best product (fp32: oneDNN; bf16 for a bf16 base) measured in the same run. Our private step draws its "
             "whole noise, exactly, inside the time. Memory is the peak of the process, MiB.", "",
             "| batch x tokens | system | CPU s | to PEFT | to own | GFLOP/s | peak MiB | memory to PEFT |", "|---|---|---|---|---|---|---|---|"]
    figures = []
    for case, result in results.items():
        systems, peak = result["systems"], result["peak"]
        base = systems.get("peft")
        for name, values in systems.items():
            own = {"ours": systems.get("plain"), "ours_bf16": systems.get("plain_bf16")}.get(name)
            lines.append(row(case, name, values, base, own, peak))
            if name.startswith("ours"):
                for peer in ("peft", "hooks", "ghost", "functorch", "plain" + name[4:]):
                    if peer in systems:
                        theirs = systems[peer]["cpu"]
                        figures.append({"case": f"{case} {SYSTEMS[name][0]}", "ours": values["cpu"], "peer": SYSTEMS[peer][0],
                                        "theirs": theirs, "unit": "CPU s/step", "ratio": values["cpu"] / theirs})
    (ROOT / "bench/dp.md").write_text("\n".join(lines) + "\n")
    (ROOT / "build/bench/dp.json").write_text(json.dumps(figures, indent=1) + "\n")
    print("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES + ["8x32"]))
    parser.add_argument("--systems", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    if not (VENV / "bin/python").exists() or not list(VENV.glob("lib/python*/site-packages/opacus")):
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([VENV / "bin/pip", "install", "-q", *PACKAGES], check=True)
    store = ROOT / "build/bench/dp-raw.json"
    store.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(store.read_text()) if args.keep and store.exists() else {}
    for case in args.cases.split(","):
        systems = args.systems.split(",") if args.systems else ONE_THREAD + (["functorch"] if case == "8x32" else [])
        peak = best_gemm(1)
        measured = results.setdefault(case, {"systems": {}, "peak": peak})
        measured["peak"] = peak
        measured["systems"].update(measure(case, systems, args.rounds))
        store.write_text(json.dumps(results, indent=1))
        write(results)


if __name__ == "__main__":
    main()
