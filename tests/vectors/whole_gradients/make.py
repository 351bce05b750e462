# For each tiny model and two records: the mean loss over the labelled tokens, and of its gradient by every parameter the norm
# and the product with cos(0.37 i) over its entries, from automatic differentiation in transformers. Run from the top of the tree.
import json
import torch
from transformers import AutoModelForCausalLM

torch.manual_seed(23)
expected = {}
for name in ("gemma2", "gpt2", "llama", "llama_untied_rope3", "mistral", "qwen2", "qwen3"):
    model = AutoModelForCausalLM.from_pretrained(f"tests/vectors/tiny/{name}", dtype=torch.float32, attn_implementation="eager").eval()
    records = []
    for length in (13, 21):
        ids = torch.randint(0, model.config.vocab_size, (1, length))
        labels = ids.clone()
        labels[:, :5] = -100
        model.zero_grad()
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        gradients = {}
        for key, p in model.named_parameters():
            g = p.grad.double().flatten()
            gradients[key] = [g.norm().item(), (g * torch.cos(0.37 * torch.arange(g.numel(), dtype=torch.float64))).sum().item()]
        records.append({"ids": ids[0].tolist(), "loss": loss.item(), "gradients": gradients})
    expected[name] = records
with open("tests/vectors/whole_gradients/expected.json", "w") as out:
    json.dump(expected, out)
