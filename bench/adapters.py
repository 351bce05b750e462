#!/usr/bin/env python3
"""`make bench-adapters`: adapters against Hugging Face PEFT itself, and exports against llama.cpp where it can be had. For every adapter
of tests/vectors/lora: our log-probabilities against PEFT's, and our merged folder against PEFT's in transformers. An adapter that a
federated run of our own leaves: loaded by PEFT. SmolLM2: seconds of a merge side by side. Writes bench/adapters.md for people and
build/bench/adapters.json. Two minutes on two cores; the first time it makes .deps/venv-peft.

SOTTO_LLAMA_CPP=FOLDER (with libllama.so, and llama-cpp-python in the venv): our GGUF exports run by llama.cpp, too."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".deps/venv-peft"
BIN = Path(os.environ.get("SOTTO_BIN", ROOT / "build/bin"))
VECTORS = ROOT / "tests/vectors"
PEERS = ["torch==2.13.0", "transformers==5.24.0", "peft==0.21.2", "gguf==0.19.0"]
TINY = {"bias_all": "qwen2", "bias_lora_only": "qwen2", "gpt2_dora": "gpt2", "gpt2_bias": "gpt2", "untied_head": "llama_untied_rope3",
        "gemma2": "gemma2", "qwen3": "qwen3"}  # the others are on the tiny Llama
SEQUENCE = [5, 17, 200, 3, 99, 42, 42, 7, 150, 11, 64, 31]


def own_python():
    """Starts this script again in a virtual environment with the peers."""
    if Path(sys.prefix) == VENV:
        return
    if not (VENV / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        extra = os.environ.get("SOTTO_PIP_ARGS", "").split()
        subprocess.run([VENV / "bin/pip", "install", "--quiet", *extra, *PEERS], check=True)
        (VENV / "ready").touch()
    os.execv(VENV / "bin/python", [str(VENV / "bin/python"), __file__, *sys.argv[1:]])


def client(*arguments, text=""):
    done = subprocess.run([BIN / "sotto-client", *map(str, arguments)], input=text, text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def ours(model, vocabulary, adapter=None):
    """Log-probabilities: of each next token, then of every token after the last."""
    told = client("score", "--model", model, "--json", "--top", vocabulary, *(["--adapter", adapter] if adapter else []),
                  text=json.dumps({"ids": SEQUENCE}) + "\n")
    return told["token_logprobs"] + [t["logprob"] for t in sorted(told["top"], key=lambda t: t["id"])]


def theirs(model):
    import torch
    with torch.no_grad():
        logp = torch.log_softmax(model(torch.tensor([SEQUENCE])).logits[0].float(), -1)
    return [logp[t, i].item() for t, i in enumerate(SEQUENCE[1:])] + logp[-1].tolist()


def difference(a, b):
    assert len(a) == len(b)
    return max(abs(x - y) for x, y in zip(a, b))


def base_of(folder):
    import torch
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def adapted(base, adapter):
    from peft import PeftModel
    return PeftModel.from_pretrained(base_of(base), adapter).eval()


def parity(name, base, adapter, scratch):
    """Three differences: with the adapter; our merged folder in transformers; PEFT's merge against PEFT's adapter, for scale."""
    model = adapted(base, adapter)
    vocabulary = model.config.vocab_size
    live = theirs(model)
    merged = scratch / f"merged-{name}"
    client("merge", "--model", base, "--adapter", adapter, "--out", merged, "--json")
    row = {"case": name, "adapter": difference(ours(base, vocabulary, adapter), live),
           "merged": difference(theirs(base_of(merged)), live)}
    row["peft"] = difference(theirs(model.merge_and_unload()), live)
    return row


def adapter_of_a_run(scratch):
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    os.environ["SOTTO_BIN"] = str(BIN)
    from fixture import Small
    with Small(3) as f:
        f.enrol()
        run = f.begin()
        f.finish(run)
        out = scratch / "run-adapter"
        shutil.move(f.site_dir(f.names[0]) / "runs" / run / "adapter", out)
    return out


def smollm2(scratch):
    """Our merge from the GGUF file, then both sides merge the same adapter into the folder that it gave."""
    import torch
    from peft import LoraConfig, get_peft_model
    gguf = ROOT / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf"
    folder, adapter = scratch / "smollm2", scratch / "smollm2-adapter"
    torch.manual_seed(1)
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.01)
    model.save_pretrained(adapter)
    client("merge", "--model", gguf, "--adapter", adapter, "--out", folder, "--json")
    row = parity("SmolLM2, rank 8, all linear layers", folder, adapter, scratch)
    start = time.perf_counter()
    client("merge", "--model", folder, "--adapter", adapter, "--out", scratch / "timed", "--json")
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    adapted(folder, adapter).merge_and_unload().save_pretrained(scratch / "peft-merged")
    return row, seconds, time.perf_counter() - start


def llama_cpp(scratch):
    """Our exports of the fixture with an adapter, run by llama.cpp; against our own fp32 log-probabilities."""
    if "SOTTO_LLAMA_CPP" not in os.environ:
        return []
    os.environ["LLAMA_CPP_LIB_PATH"] = os.environ["SOTTO_LLAMA_CPP"]
    import numpy
    from llama_cpp import Llama
    base, adapter = VECTORS / "fixture", VECTORS / "gguf_export/adapter"
    expected = ours(base, 448, adapter)
    client("export", "--model", base, "--out", scratch / "base.gguf", "--type", "F32", "--json")
    client("export", "--model", base, "--adapter", adapter, "--to", "gguf-lora", "--out", scratch / "lora.gguf", "--json")
    files = [("gguf-lora on the base, F32", scratch / "base.gguf", scratch / "lora.gguf")]
    for kind in ("F32", "F16", "Q8_0"):
        client("export", "--model", base, "--adapter", adapter, "--out", scratch / f"{kind}.gguf", "--type", kind, "--json")
        files.append((f"gguf, {kind}", scratch / f"{kind}.gguf", None))
    rows = []
    for name, path, lora in files:
        model = Llama(str(path), n_ctx=256, logits_all=True, verbose=False, lora_path=str(lora) if lora else None,
                      type_k=0, type_v=0)  # an fp32 cache: its default rounds keys and values to F16
        model.eval(SEQUENCE)
        logits = numpy.array(model.scores[:len(SEQUENCE)], dtype=numpy.float64)
        logp = logits - numpy.log(numpy.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True)) - logits.max(-1, keepdims=True)
        got = [logp[t, i] for t, i in enumerate(SEQUENCE[1:])] + logp[-1].tolist()
        rows.append((name, difference(got, expected), difference(ours(path, 448), expected) if lora is None else None))
    return rows


def write(rows, seconds, exports):
    lines = ["# Adapters against PEFT", "",
             "`make bench-adapters`: PEFT 0.21.2 and transformers 5.24.0, fp32. Largest differences of log-probabilities over twelve tokens and the "
             "whole vocabulary after the last. Last column, for scale: PEFT's own merged model against PEFT's adapter.", "",
             "| adapter | ours against PEFT's | our merged folder in transformers against PEFT's adapter | PEFT's merge against its adapter |",
             "|---|---|---|---|"]
    lines += [f"| {r['case']} | {r['adapter']:.1e} | {r['merged']:.1e} | {r['peft']:.1e} |" for r in rows]
    lines += ["", f"Merging SmolLM2 (135 million parameters, fp32) with a rank 8 adapter on all linear layers, from files to files: ours "
              f"{seconds[0]:.2f} s, PEFT {seconds[1]:.2f} s, ratio {seconds[1] / seconds[0]:.1f} (processes' start included in ours alone)."]
    if exports:
        lines += ["", "Exports of the fixture with an adapter, against our fp32 log-probabilities with the adapter:", "",
                  "| export | llama.cpp | read back by us |", "|---|---|---|"]
        lines += [f"| {name} | {theirs_:.1e} | {'-' if own is None else f'{own:.1e}'} |" for name, theirs_, own in exports]
    (ROOT / "bench/adapters.md").write_text("\n".join(lines) + "\n")
    table = [{"case": f"{r['case']}: merged against adapter", "ours": r["merged"], "peer": "PEFT 0.21.2", "theirs": r["peft"],
              "unit": "nats", "ratio": r["merged"] / r["peft"] if r["peft"] else None} for r in rows]
    table.append({"case": "merge of SmolLM2", "ours": seconds[0], "peer": "PEFT 0.21.2", "theirs": seconds[1], "unit": "s",
                  "ratio": seconds[1] / seconds[0]})
    (ROOT / "build/bench").mkdir(parents=True, exist_ok=True)
    (ROOT / "build/bench/adapters.json").write_text(json.dumps(table, indent=2) + "\n")
    print("\n".join(lines))


def main():
    own_python()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory(prefix="sotto-peft-") as name:
        scratch = Path(name)
        rows = [parity(folder.name, VECTORS / "tiny" / TINY.get(folder.name, "llama"), folder, scratch)
                for folder in sorted((VECTORS / "lora").iterdir()) if folder.is_dir()]
        rows.append(parity("of a federated run of ours", VECTORS / "fixture", adapter_of_a_run(scratch), scratch))
        row, *seconds = smollm2(scratch)
        exports = llama_cpp(scratch)
    write([*rows, row], seconds, exports)
    worst = max(max(r["adapter"], r["merged"]) for r in [*rows, row])
    if worst > 2e-4:
        sys.exit(f"bench-adapters: a difference of {worst:.1e}; at most 2e-4 is a rounding difference")


if __name__ == "__main__":
    main()
