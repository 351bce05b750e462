"""Tiny models as GGUF files, laid out as llama.cpp's converter lays them out: tensor names from gguf-py's own table, rows of q and k
reordered for the llama architecture, 1 added to Gemma 2's norms, GPT-2's Conv1D weights transposed, Llama 3's scaling as rope_freqs.
make.py TINY_FOLDER OUT_FOLDER"""
import json, math, sys
from pathlib import Path
import gguf, numpy as np, torch
from safetensors.torch import load_file

ARCH = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2", "gpt2": "gpt2"}


def permute(w, heads):
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def rope_freqs(c):
    r, dim = c["rope_parameters"], c["head_dim"]
    freqs = 1.0 / (r["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    low, high = r["low_freq_factor"], r["high_freq_factor"]
    old = r["original_max_position_embeddings"]
    out = []
    for f in freqs:
        wavelen = 2 * math.pi / f
        if wavelen < old / high: out.append(1)
        elif wavelen > old / low: out.append(r["factor"])
        else:
            smooth = (old / wavelen - low) / (high - low)
            out.append(1 / ((1 - smooth) / r["factor"] + smooth))
    return np.array(out, dtype=np.float32)


def convert(folder, out):
    c = json.loads((folder / "config.json").read_text())
    arch = ARCH[c["model_type"]]
    w = gguf.GGUFWriter(str(out), arch)
    get = lambda *names: next(c[n] for n in names if n in c)
    layers = get("num_hidden_layers", "n_layer")
    hidden = get("hidden_size", "n_embd")
    heads = get("num_attention_heads", "n_head")
    w.add_context_length(get("max_position_embeddings", "n_positions"))
    w.add_embedding_length(hidden)
    w.add_block_count(layers)
    w.add_feed_forward_length(get("intermediate_size", "n_inner"))
    w.add_head_count(heads)
    if arch == "gpt2":
        w.add_layer_norm_eps(c["layer_norm_epsilon"])
    else:
        w.add_head_count_kv(c["num_key_value_heads"])
        w.add_layer_norm_rms_eps(c["rms_norm_eps"])
        w.add_rope_freq_base(c["rope_parameters"]["rope_theta"])
        if c.get("head_dim") is not None:
            w.add_key_length(c["head_dim"]), w.add_value_length(c["head_dim"])
        if c.get("sliding_window") is not None:
            w.add_sliding_window(c["sliding_window"])
    if arch == "llama":
        w.add_rope_dimension_count(c["head_dim"])
    if arch == "gemma2":
        w.add_attn_logit_softcapping(c["attn_logit_softcapping"])
        w.add_final_logit_softcapping(c["final_logit_softcapping"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], layers)
    types = {torch.float32: gguf.GGMLQuantizationType.F32, torch.float16: gguf.GGMLQuantizationType.F16, torch.bfloat16: gguf.GGMLQuantizationType.BF16}
    for name, t in load_file(folder / "model.safetensors").items():
        stored = types[t.dtype] if t.ndim > 1 else gguf.GGMLQuantizationType.F32
        t = t.float().numpy()
        if arch == "llama" and name.endswith("q_proj.weight"): t = permute(t, heads)
        if arch == "llama" and name.endswith("k_proj.weight"): t = permute(t, c["num_key_value_heads"])
        if arch == "gemma2" and name.endswith("norm.weight"): t = t + 1
        if arch == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")): t = t.T
        new = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert new, name
        w.add_tensor(new, gguf.quants.quantize(np.ascontiguousarray(t), stored), raw_dtype=stored)
    if c.get("rope_parameters", {}).get("rope_type") == "llama3":
        w.add_tensor("rope_freqs.weight", rope_freqs(c))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


if __name__ == "__main__":
    for f in sorted(p for p in Path(sys.argv[1]).iterdir() if p.is_dir()):
        convert(f, Path(sys.argv[2]) / (f.name + ".gguf"))
        print(f.name)
