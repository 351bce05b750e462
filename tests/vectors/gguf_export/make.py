"""Makes the files of this folder but for SOURCE.md: python3 make.py LLAMA_CPP (its source tree, for the converters).
Needs torch 2.13.0, transformers 5.24.0, peft 0.21.2, numpy.
"""
import os
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

os.chdir(Path(__file__).parent)
llama_cpp = Path(sys.argv[1])
sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py")]
import conversion.base  # noqa: E402
import gguf  # noqa: E402

FIXTURE = "../fixture"


def adapter():
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_pretrained(FIXTURE, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=12, rank_pattern={"k_proj": 2},
                                             target_modules=["q_proj", "k_proj", "v_proj", "down_proj"])).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    model.save_pretrained("adapter")
    os.remove("adapter/README.md")
    ids = torch.randint(0, 448, (1, 12))
    with torch.no_grad():
        save_file({"input_ids": ids, "logits_adapter": model(ids).logits.contiguous()}, "expected.safetensors")


def convert(script, *arguments):
    sys.argv = [script, *arguments]
    # The converter knows pre-tokenizers by a hash of what a published tokenizer gives; the fixture's is not published.
    conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "smollm"
    runpy.run_path(str(llama_cpp / script), run_name="__main__")


def quantized():
    generator = np.random.default_rng(7)
    values = generator.standard_normal((6, 64)).astype(np.float32)
    values[1] *= 1e-6                                  # F16 subnormals
    values[2, :32] = 0                                 # a block of zeros
    values[3] = np.round(values[3] * 8) / 8 * 127 / 4  # ties
    values[4] *= 65000 / np.abs(values[4]).max()       # near F16's largest
    values[5, 0] = 2.0 ** -25
    tensors = {"values": torch.from_numpy(values)}
    for name in ("F16", "BF16", "Q8_0"):
        data = gguf.quantize(values, gguf.GGMLQuantizationType[name])
        tensors[name] = torch.from_numpy(np.frombuffer(data.tobytes(), dtype=np.uint8).copy())
    save_file(tensors, "quantized.safetensors")


adapter()
quantized()
for kind in ("f16", "q8_0"):
    convert("convert_hf_to_gguf.py", FIXTURE, "--outfile", f"model_{kind}.gguf", "--outtype", kind)
convert("convert_lora_to_gguf.py", "adapter", "--base", FIXTURE, "--outfile", "adapter.gguf")
