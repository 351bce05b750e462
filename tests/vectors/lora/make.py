"""Makes the adapters of this folder that ../../SOURCE names as made here: PEFT on the tiny models of ../tiny.
    python3 make.py [NAME...]     needs torch 2.13.0, transformers 5.24.0, peft 0.21.2
"""
import json
import os
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

os.chdir(Path(__file__).parent)
QV = ["q_proj", "v_proj"]
CASES = {
    "saved_head": ("llama", dict(r=4, lora_alpha=8, target_modules=QV, modules_to_save=["lm_head"])),
    "saved_norms": ("llama", dict(r=4, lora_alpha=8, target_modules=QV, modules_to_save=["norm", "embed_tokens"])),
    "regex": ("llama", dict(
        r=4, lora_alpha=8, target_modules=r".*\.(1|2)\.(self_attn\.[qk]_proj|mlp\.up_proj)",
        rank_pattern={r"layers\.\d+\.mlp\..*": 3, "[qk]_proj": 5},
        alpha_pattern={"k_proj": 1.5, r"^model\.layers\.1\.mlp.up_proj": 7})),
    "excluded": ("llama", dict(r=40, lora_alpha=16, use_rslora=True, target_modules="all-linear",
                               exclude_modules=["o_proj", "mlp.down_proj", "layers.1.mlp.up_proj", "gate_proj"])),
    "one_layer": ("llama", dict(
        r=2, lora_alpha=4, use_dora=True, target_modules=["self_attn.q_proj", "down_proj", "model.layers.0.mlp.up_proj"],
        layers_to_transform=[1], layers_pattern="layers", exclude_modules=".*gate_proj")),
    "bias_all": ("qwen2", dict(r=4, lora_alpha=8, target_modules=QV, bias="all")),
    "bias_lora_only": ("qwen2", dict(r=4, lora_alpha=8, target_modules=["q_proj", "o_proj"], bias="lora_only", use_dora=True)),
    "gpt2_dora": ("gpt2", dict(r=4, lora_alpha=8, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, use_dora=True)),
    "gpt2_bias": ("gpt2", dict(r=4, lora_alpha=8, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True, bias="all",
                               rank_pattern={"c_fc": 2})),
    "untied_head": ("llama_untied_rope3", dict(r=2, lora_alpha=8, target_modules="all-linear", modules_to_save=["lm_head"])),
    "gemma2": ("gemma2", dict(r=2, lora_alpha=8, target_modules="all-linear")),
    "qwen3": ("qwen3", dict(r=2, lora_alpha=8, target_modules=["o_proj", "k_proj", "gate_proj"], use_dora=True)),
}


def base(arch):
    return AutoModelForCausalLM.from_pretrained(f"../tiny/{arch}", dtype=torch.float32).eval()


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits.contiguous()


def make(name, arch, settings):
    torch.manual_seed(sum(map(ord, name)))
    model = get_peft_model(base(arch), LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    for key, parameter in model.named_parameters():  # so that every saved number matters
        if not parameter.requires_grad:
            continue
        if "lora_B" in key:
            parameter.data.normal_(0, 0.05)
        elif "magnitude" in key:
            parameter.data.mul_(1 + 0.2 * torch.randn_like(parameter))
        elif "lora_" not in key:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(name)
    os.remove(f"{name}/README.md")
    ids = torch.randint(0, 256, (1, 12))
    loaded = PeftModel.from_pretrained(base(arch), name).eval()
    expected = {"input_ids": ids, "logits_base": logits(base(arch), ids), "logits_adapter": logits(loaded, ids)}
    expected["logits_merged"] = logits(loaded.merge_and_unload(), ids)
    save_file(expected, f"{name}/expected.safetensors")


for case, (arch, settings) in CASES.items():
    if case in sys.argv[1:] or len(sys.argv) == 1:
        make(case, arch, settings)
