"""Next-token distributions after transformers' warpers. make.py OUT.json"""
import json, sys, torch
from transformers import generation as g

torch.manual_seed(3)
cases = []
SETTINGS = [dict(temperature=1.0), dict(temperature=0.7), dict(temperature=1.0, top_k=5), dict(temperature=1.5, top_p=0.8),
            dict(temperature=1.0, min_p=0.1), dict(temperature=0.8, top_k=12, top_p=0.9), dict(temperature=1.2, top_k=20, top_p=0.95, min_p=0.08),
            dict(temperature=1.0, repetition_penalty=1.3), dict(temperature=0.9, top_p=0.7, repetition_penalty=1.8), dict(temperature=1.0, top_p=0.01)]
for i, s in enumerate(SETTINGS):
    logits = (torch.randn(1, 40) * 3).float()
    seen = torch.randint(0, 40, (1, 12))
    x = logits.clone()
    if "repetition_penalty" in s: x = g.RepetitionPenaltyLogitsProcessor(s["repetition_penalty"])(seen, x)
    x = g.TemperatureLogitsWarper(s["temperature"])(seen, x)
    if "top_k" in s: x = g.TopKLogitsWarper(s["top_k"])(seen, x)
    if "top_p" in s: x = g.TopPLogitsWarper(s["top_p"])(seen, x)
    if "min_p" in s: x = g.MinPLogitsWarper(s["min_p"])(seen, x)
    cases.append({"settings": s, "logits": logits[0].tolist(), "seen": seen[0].tolist(), "probabilities": torch.softmax(x.double(), -1)[0].tolist()})
json.dump({"format": "settings, logits and tokens seen -> probabilities (0: removed); transformers 5.23.0", "cases": cases}, open(sys.argv[1], "w"), indent=1)
