#!/usr/bin/env python3
"""The private step on a GPU (or on this CPU, to try the script): random Llamas of 1B and 7B shape, our private step beside our own
without privacy in interleaved turns, and the share of the device's best product that it reaches. Needs PyTorch, OpenSSL's headers and
nlohmann/json.hpp (3.11, in .deps/include where no package has it), nothing else:

    cmake -B build -G Ninja -DSOTTO_PARTS=engine -DSOTTO_LIBTORCH="$(python3 -c 'import torch; print(torch.__path__[0])')"
    ninja -C build dp_step && python3 bench/gpu.py --device cuda:0

Prints a table, and writes it to bench/gpu.md with --write."""
import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# name: (hidden, feed-forward, layers, heads, key/value heads, vocabulary)
SHAPES = {"tiny": (64, 172, 2, 4, 4, 512), "1b": (2048, 8192, 16, 32, 8, 32000), "7b": (4096, 11008, 32, 32, 32, 32000)}


def make_model(folder, shape):
    """A Hugging Face folder of random bf16 weights, one file a layer: nothing of 7B parameters is ever whole in memory."""
    import torch
    hidden, ffn, layers, heads, kv_heads, vocabulary = SHAPES[shape]
    kv = hidden // heads * kv_heads
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": hidden, "intermediate_size": ffn,
              "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocabulary,
              "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
              "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False, "torch_dtype": "bfloat16"}
    outer = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,), "lm_head.weight": (vocabulary, hidden)}
    files = {"outer": outer}
    for layer in range(layers):
        at = f"model.layers.{layer}."
        files[f"layer{layer}"] = {
            at + "input_layernorm.weight": (hidden,), at + "post_attention_layernorm.weight": (hidden,),
            at + "self_attn.q_proj.weight": (hidden, hidden), at + "self_attn.k_proj.weight": (kv, hidden),
            at + "self_attn.v_proj.weight": (kv, hidden), at + "self_attn.o_proj.weight": (hidden, hidden),
            at + "mlp.gate_proj.weight": (ffn, hidden), at + "mlp.up_proj.weight": (ffn, hidden),
            at + "mlp.down_proj.weight": (hidden, ffn)}
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    torch.manual_seed(0)
    places = {}
    for name, tensors in files.items():
        header, offset = {}, 0
        for tensor, size in tensors.items():
            count = 2 * int(torch.tensor(size).prod())
            header[tensor] = {"dtype": "BF16", "shape": list(size), "data_offsets": [offset, offset + count]}
            offset += count
            places[tensor] = f"{name}.safetensors"
        text = json.dumps(header).encode()
        with open(part / f"{name}.safetensors", "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            for size in tensors.values():
                values = torch.ones(size) if len(size) == 1 else torch.randn(size).mul_(0.02)
                out.write(values.bfloat16().view(torch.int16).numpy().tobytes())
    (part / "config.json").write_text(json.dumps(config, indent=1))
    (part / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    part.rename(folder)


def flops(shape, batch, tokens):
    """Of one step with a frozen base: forward and input gradient of every base product and of attention; LoRA's three of rank 8."""
    hidden, ffn, layers, heads, kv_heads, vocabulary = SHAPES[shape]
    kv = hidden // heads * kv_heads
    layer = 2 * hidden * (2 * hidden + 2 * kv + 3 * ffn)
    lora = 2 * 8 * (2 * 2 * hidden + 2 * (hidden + kv) + 3 * (hidden + ffn))
    return batch * tokens * (layers * (2 * layer + 3 * lora + 3.5 * 2 * 2 * hidden * tokens) + 2 * 2 * hidden * vocabulary)


def best_product(device, precision):
    import time
    import torch
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    size = 8192 if device.startswith("cuda") else 1024
    x, w, best = torch.randn(size, size, device=device).to(dtype), torch.randn(size, size, device=device).to(dtype), 1e9
    for _ in range(9):
        start = time.perf_counter()
        y = x @ w
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    del y
    return 2 * size ** 3 / best


class Step:
    def __init__(self, arguments):
        environment = dict(os.environ, OMP_WAIT_POLICY="passive", SOTTO_LOG="error")
        self.process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.seconds = []
        if "ready" not in self.process.stdout.readline():
            raise SystemExit("dp_step did not start (see above)")

    def __call__(self):
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["wall"]  # a step ends with its sums on the host


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--shapes", default="1b,7b")
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--models", type=Path, default=ROOT / "build/bench/random")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    peak = best_product(args.device, args.precision)
    lines = ["| shape | batch x tokens | private s | without privacy s | throughput of private | TFLOP/s | of the best product |",
             "|---|---|---|---|---|---|---|"]
    for shape in args.shapes.split(","):
        folder = args.models / shape
        if not folder.exists():
            make_model(folder, shape)
        median = {}
        steps = {}
        for kind in ("private", "plain"):
            step = Step([ROOT / "build/bin/dp_step", folder, args.batch, args.tokens, kind, args.precision, os.cpu_count(), args.device])
            step()
            steps[kind] = step
        samples = {kind: [] for kind in steps}
        for _ in range(args.rounds):
            for kind, step in steps.items():
                samples[kind].append(step())
        for kind, step in steps.items():
            median[kind] = statistics.median(samples[kind])
            step.process.stdin.close()
            step.process.wait(60)
        rate = flops(shape, args.batch, args.tokens) / median["private"]
        lines.append(f"| {shape} | {args.batch} x {args.tokens} | {median['private']:.3f} | {median['plain']:.3f} | "
                     f"{median['plain'] / median['private']:.3f}x | {rate / 1e12:.2f} | {100 * rate / peak:.0f} % |")
    text = "\n".join(lines)
    print(f"{args.device}, {args.precision}, best product {peak / 1e12:.2f} TFLOP/s\n{text}")
    if args.write:
        (ROOT / "bench/gpu.md").write_text(f"# The private step on a GPU\n\n`python3 bench/gpu.py --device {args.device} --write`, {args.precision}; "
                                           f"best product {peak / 1e12:.2f} TFLOP/s, rank 8 on all linear layers, logits at every position.\n\n{text}\n")


if __name__ == "__main__":
    main()
