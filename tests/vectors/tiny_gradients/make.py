"""Per-sample gradients of LoRA factors on the tiny models, by PEFT and autograd in fp32. make.py TINY_FOLDER OUT_FOLDER"""
import sys
from pathlib import Path
import torch, peft, transformers
from safetensors.torch import load_file, save_file

TARGETS = {"gpt2": ["c_attn", "c_proj", "c_fc"]}
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
for folder in sorted(p for p in Path(sys.argv[1]).iterdir() if p.is_dir()):
    torch.manual_seed(len(folder.name))
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=TARGETS.get(folder.name, LLAMA), task_type="CAUSAL_LM",
                             fan_in_fan_out=folder.name == "gpt2")
    model = peft.get_peft_model(base, config)
    for name, p in model.named_parameters():
        if "lora_B" in name: torch.nn.init.normal_(p, std=0.1)
    out = Path(sys.argv[2]) / folder.name
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    e = load_file(folder / "expected.safetensors")
    ids = torch.stack([e["input_ids"][0, :24], e["input_ids"][0, 16:40]])
    labels = ids.clone()
    labels[:, :6] = -100
    tensors = {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}
    for i in range(2):
        model.zero_grad()
        logits = model(input_ids=ids[i:i + 1]).logits[0]
        torch.nn.functional.cross_entropy(logits[:-1], labels[i, 1:]).backward()
        for name, p in model.named_parameters():
            if "lora_" in name: tensors[f"sample{i}." + name.replace(".default", "")] = p.grad.clone()
    save_file(tensors, out / "gradients.safetensors")
    norm = sum(t.double().pow(2).sum() for n, t in tensors.items() if n.startswith("sample0")).sqrt()
    print(folder.name, len(tensors), "norm", norm.item())
