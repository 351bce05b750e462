# Expected values of prompt tuning: PEFT's adapter, logits behind it, each record's loss gradient by the prompt.
import json, sys, torch
from peft import PromptTuningConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
torch.manual_seed(11)
for name in ("llama", "gemma2", "gpt2"):
    model = AutoModelForCausalLM.from_pretrained(f"tests/vectors/tiny/{name}", dtype=torch.float32)
    cfg = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    peft = get_peft_model(model, cfg)
    with torch.no_grad():
        peft.prompt_encoder.default.embedding.weight.normal_(0, 0.1)
    out = f"tests/vectors/prompt/{name}"
    peft.eval()
    peft.save_pretrained(out)
    V = model.config.vocab_size
    ids = torch.randint(0, V, (3, 14))
    lengths = [14, 9, 11]
    expected = {"ids": ids.int().contiguous(), "lengths": torch.tensor(lengths, dtype=torch.int32)}
    with torch.no_grad():
        logits = peft(input_ids=ids[:1]).logits
    expected["logits"] = logits[0, 5:].contiguous()
    for i, n in enumerate(lengths):
        peft.zero_grad()
        labels = ids[i:i+1, :n].clone(); labels[:, :4] = -100
        loss = peft(input_ids=ids[i:i+1, :n], labels=labels).loss
        loss.backward()
        expected[f"loss.{i}"] = loss.detach().reshape(1)
        expected[f"gradient.{i}"] = peft.prompt_encoder.default.embedding.weight.grad.clone()
    # Not generate(): with its cache, PEFT 0.21.2 loses the prompt after the first token under transformers 5.24.
    g = ids[1:2, :6]
    for _ in range(8):
        with torch.no_grad():
            g = torch.cat([g, peft(input_ids=g).logits[:, -1].argmax(-1, keepdim=True)], 1)
    expected["greedy"] = g[0].int().contiguous()
    save_file(expected, out + "/expected.safetensors")
    print(name, logits.shape, [expected[f"loss.{i}"].item() for i in range(3)], g)
