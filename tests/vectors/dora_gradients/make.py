"""DoRA on the tiny models of ../tiny by PEFT and autograd in fp32: gradients of each sample's mean loss, without dropout and with
masks that follow a rule, and the adapter after three steps of AdamW.    python3 make.py
"""
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {"gpt2": ["c_attn", "c_proj", "c_fc"], "llama": LLAMA, "qwen2": LLAMA}
KEEP = round(0.75 * 65536)


class Mask(torch.nn.Module):
    """Entry i of a layer's k-th linear is kept where 16 bits, little end first, of the layer's stream are below KEEP; byte b of the
    stream is (73 b^2 + 41 b + 7) mod 251."""

    def __init__(self, stream):
        super().__init__()
        self.stream = stream

    def forward(self, x):
        b = torch.arange(2 * x.numel(), dtype=torch.int64) + self.stream["used"]
        self.stream["used"] += 2 * x.numel()
        values = (73 * b * b + 41 * b + 7) % 251
        kept = (values[0::2] + 256 * values[1::2]) < KEEP
        return x * (kept.float() * (65536 / KEEP)).view(x.shape)


def gradients(model, ids, labels):
    model.zero_grad()
    logits = model(input_ids=ids[None, :-1]).logits[0]  # the last token is only predicted
    torch.nn.functional.cross_entropy(logits, labels[1:]).backward()
    return {n.replace(".default", ""): p.grad.clone() for n, p in model.named_parameters() if "lora_" in n}


for arch, targets in CASES.items():
    torch.manual_seed(len(arch))
    off = {} if arch != "gpt2" else {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    base = transformers.AutoModelForCausalLM.from_pretrained(HERE.parent / "tiny" / arch, dtype=torch.float32,
                                                             attn_implementation="eager", **off)
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, lora_alpha=6, target_modules=targets, task_type="CAUSAL_LM",
                                                      use_dora=True, fan_in_fan_out=arch == "gpt2"))
    start = {n: p.clone() for n, p in model.named_parameters() if "magnitude" in n}
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.1)
        if "magnitude" in name:
            p.data.mul_(1 + 0.1 * torch.randn_like(p))
    out = HERE / arch
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    expected = load_file(HERE.parent / "tiny" / arch / "expected.safetensors")
    ids = torch.stack([expected["input_ids"][0, :24], expected["input_ids"][0, 16:40]])
    labels = ids.clone()
    labels[:, :6] = -100
    tensors = {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}
    tensors.update({"start." + n.replace(".default", "").replace(".weight", ""): p.detach() for n, p in start.items()})
    for i in range(2):
        tensors.update({f"sample{i}.{n}": g for n, g in gradients(model, ids[i], labels[i]).items()})
    model.train()
    streams = {}
    for name, module in model.named_modules():
        if hasattr(module, "lora_dropout"):
            layer = next(part for part in name.split(".") if part.isdigit())
            module.lora_dropout["default"] = Mask(streams.setdefault(layer, {"used": 0}))
    tensors.update({f"dropped.{n}": g for n, g in gradients(model, ids[0], labels[0]).items()})
    model.eval()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01, weight_decay=0.0)
    for _ in range(3):
        both = [gradients(model, ids[i], labels[i]) for i in range(2)]
        for n, p in model.named_parameters():
            if "lora_" in n:
                p.grad = (both[0][n.replace(".default", "")] + both[1][n.replace(".default", "")]) / 2
        optimizer.step()
    tensors.update({f"after3.{n.replace('.default', '')}": p.detach() for n, p in model.named_parameters() if "lora_" in n})
    save_file({n.replace("lora_magnitude_vector.weight", "lora_magnitude_vector"): t.contiguous() for n, t in tensors.items()},
              out / "gradients.safetensors")
    print(arch, len(tensors), [float(g.abs().max()) for n, g in tensors.items() if n.startswith("sample0")][:3])
