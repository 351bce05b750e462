"""The peers of bench/dp.py, one in a process: PEFT without privacy, and Opacus. Prints a line when ready, then one JSON line for each
"step" on stdin.    dp_peers.py peft|hooks|ghost|functorch MODEL.gguf BATCH TOKENS THREADS"""
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CLIP = 0.1


def load(path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32)
    model.config.use_cache = False
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules=TARGETS))
    for name, parameter in model.named_parameters():  # B is zero at the start: give it values, so that A has gradients
        if "lora_B" in name:
            parameter.data.normal_(0, 0.02)
    model.train()
    return torch, model


def token_loss(torch, logits, ids, reduction):
    flat = logits[:, :-1].reshape(-1, logits.shape[-1])
    return torch.nn.functional.cross_entropy(flat, ids[:, 1:].reshape(-1), reduction=reduction)


def plain_step(torch, model, ids):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, weight_decay=0)

    def step():
        optimizer.zero_grad(set_to_none=True)
        token_loss(torch, model(input_ids=ids).logits, ids, "mean").backward()
        optimizer.step()
    return step


def opacus_step(torch, model, ids, mode):
    from opacus import PrivacyEngine
    from torch.utils.data import DataLoader, TensorDataset
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, weight_decay=0)
    made = PrivacyEngine().make_private(module=model, optimizer=optimizer, criterion=torch.nn.CrossEntropyLoss(),
                                        data_loader=DataLoader(TensorDataset(ids), batch_size=len(ids)), noise_multiplier=0.5,
                                        max_grad_norm=CLIP, poisson_sampling=False, grad_sample_mode=mode)
    private, optimizer = made[0], made[1]

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = private(input_ids=ids).logits
        if mode == "ghost":
            cut = logits[:, :-1]
            made[2](cut.reshape(-1, cut.shape[-1]), ids[:, 1:].reshape(-1), shape=cut.shape).backward()
        else:
            token_loss(torch, logits, ids, "none").view(len(ids), -1).mean(1).mean().backward()
        optimizer.step()
    return step


def main():
    system, path, batch, tokens, threads = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6])
    torch, model = load(path)
    torch.set_num_threads(threads)
    ids = torch.randint(100, 49000, (batch, tokens), generator=torch.Generator().manual_seed(7))
    step = plain_step(torch, model, ids) if system == "peft" else opacus_step(torch, model, ids, system)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        if line.strip() != "step":
            break
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall,
                          "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


if __name__ == "__main__":
    main()
