"""What bench/model.py measures of transformers, PEFT and tokenizers; runs in their own environment. One JSON object on stdout.
model_peer.py SOURCE PRECISION THREADS [TASK...] | convert GGUF FOLDER | tokenize TEXTS FOLDER"""
import json
import sys
import time

REPEATS = 3


def best(work):
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def memory(name):
    for line in open("/proc/self/status"):
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024


def some_ids(count, start):
    return [(start + i) * 7919 % 40000 + 100 for i in range(count)]


def load(source, dtype):
    from transformers import AutoModelForCausalLM
    if source.endswith(".gguf"):
        folder, _, name = source.rpartition("/")
        return AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=dtype)
    return AutoModelForCausalLM.from_pretrained(source, dtype=dtype)


def measure(source, precision, threads, tasks):
    import torch
    from transformers import AutoModelForCausalLM, LlamaForCausalLM  # noqa: F401 (imports are not part of loading)
    torch.set_num_threads(threads)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    before = memory("VmRSS")
    start = time.perf_counter()
    model = load(source, dtype)
    out = {"load_s": time.perf_counter() - start, "peak_bytes": memory("VmHWM") - before,
           "weight_bytes": sum(p.numel() * p.element_size() for p in model.parameters())}
    model.eval()
    if "prefill" in tasks:
        ids = torch.tensor([some_ids(512, 0)])

        def prefill():
            with torch.inference_mode():
                torch.log_softmax(model(input_ids=ids).logits.float(), -1)
        out["prefill"] = best(prefill)
    for task, sequences in (("generate", 1), ("generate16", 16)):
        if task in tasks:
            prompts = torch.tensor([some_ids(32, 100 * i) for i in range(sequences)])
            with torch.inference_mode():
                out[task] = best(lambda: model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=64,
                                                        min_new_tokens=64, do_sample=False, pad_token_id=0))
    if "train" in tasks:
        import peft
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "o_proj", "down_proj"])
        model = peft.get_peft_model(model, config)
        ids = torch.tensor([some_ids(128, 1000 * r) for r in range(8)])
        labels = ids.clone()
        labels[:, :64] = -100

        def step():
            model.zero_grad()
            model(input_ids=ids, labels=labels).loss.backward()
        out["train"] = best(step)
        if "swap" in tasks:
            model.add_adapter("other", config)
            names = ["other", "default"]

            def swaps(count):
                for i in range(count):
                    model.set_adapter(names[i % 2])
            swaps(10)
            grown, start = memory("VmRSS"), time.perf_counter()
            swaps(100)
            out["swap"] = (time.perf_counter() - start) / 100
            out["swap_grown_bytes"] = max(0, memory("VmRSS") - grown)
    return out


def convert(gguf, folder):
    import torch
    from transformers import AutoTokenizer
    model = load(gguf, torch.bfloat16)
    model.hf_quantizer = None  # the numbers are plain by now, whatever the file held
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    path, _, name = gguf.rpartition("/")
    AutoTokenizer.from_pretrained(path, gguf_file=name).save_pretrained(folder)
    return {}


def tokenize(texts, folder):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
    lines = open(texts).read().splitlines()

    def all_lines():
        for line in lines:
            tokenizer.encode(line)
    return {"seconds": best(all_lines)}


if __name__ == "__main__":
    if sys.argv[1] == "convert":
        result = convert(*sys.argv[2:])
    elif sys.argv[1] == "tokenize":
        result = tokenize(*sys.argv[2:])
    else:
        result = measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    print(json.dumps(result))
