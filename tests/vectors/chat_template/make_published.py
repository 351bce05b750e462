#!/usr/bin/env python3
"""Makes published.json: the chat templates of published/, which are those of the models' own repositories as llama.cpp keeps them
(models/templates), rendered by `transformers` (jinja2), as if every day were 26 July 2024.
  pip install transformers==5.23.0 jinja2==3.1.6; python make_published.py"""
import datetime
import json
from pathlib import Path

from transformers.utils import chat_template_utils

HERE = Path(__file__).resolve().parent
# BOS, EOS, other control tokens, what ends an answer, whether a system message is taken
MODELS = {
    "meta-llama-Llama-3.1-8B-Instruct": ("<|begin_of_text|>", "<|eot_id|>", ["<|start_header_id|>", "<|end_header_id|>"], "<|eot_id|>", True),
    "meta-llama-Llama-3.2-3B-Instruct": ("<|begin_of_text|>", "<|eot_id|>", ["<|start_header_id|>", "<|end_header_id|>"], "<|eot_id|>", True),
    "meta-llama-Llama-3.3-70B-Instruct": ("<|begin_of_text|>", "<|eot_id|>", ["<|start_header_id|>", "<|end_header_id|>"], "<|eot_id|>", True),
    "Qwen-Qwen2.5-7B-Instruct": ("", "<|im_end|>", ["<|im_start|>"], "<|im_end|>", True),
    "Qwen-Qwen3-0.6B": ("", "<|im_end|>", ["<|im_start|>"], "<|im_end|>", True),
    "Qwen-QwQ-32B": ("", "<|im_end|>", ["<|im_start|>"], "<|im_end|>", True),
    "google-gemma-2-2b-it": ("<bos>", "<eos>", ["<start_of_turn>", "<end_of_turn>"], "<end_of_turn>", False),
    "mistralai-Mistral-Nemo-Instruct-2407": ("<s>", "</s>", ["[INST]", "[/INST]"], "</s>", True),
    "HuggingFaceTB-SmolLM3-3B": ("", "<|im_end|>", ["<|im_start|>"], "<|im_end|>", True),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", ["<｜User｜>", "<｜Assistant｜>"], "<｜end▁of▁sentence｜>", True),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", ["<｜User｜>", "<｜Assistant｜>"], "<｜end▁of▁sentence｜>", True),
}
SYSTEM = {"role": "system", "content": "You code."}
TURNS = [{"role": "user", "content": "  Acute bronchitis?\n"}, {"role": "assistant", "content": "J20.9: Acute bronchitis, unspecified"},
         {"role": "user", "content": "Größe\n\n{{ x }} {% y %}"}, {"role": "assistant", "content": "E34.3"}]
CHATS = [TURNS[:1], TURNS[:2], TURNS[:3], TURNS, [SYSTEM] + TURNS[:1], [SYSTEM] + TURNS[:2], [SYSTEM] + TURNS]


class Day(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = Day
out = {"about": __doc__, "models": {}}
for name, (bos, eos, controls, end, system) in MODELS.items():
    source = (HERE / "published" / f"{name}.jinja").read_text(encoding="utf-8")
    cases = []
    for chat in CHATS:
        if chat[0] is SYSTEM and not system:
            continue
        for prompt in (False, True):
            texts, _ = chat_template_utils.render_jinja_template([chat], chat_template=source, add_generation_prompt=prompt,
                                                                 bos_token=bos, eos_token=eos)
            cases.append({"messages": chat, "add_generation_prompt": prompt, "text": texts[0]})
    out["models"][name] = {"bos": bos, "eos": eos, "controls": controls, "end": end, "cases": cases}
(HERE / "published.json").write_text(json.dumps(out, indent=1, ensure_ascii=False), encoding="utf-8")
