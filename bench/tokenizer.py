#!/usr/bin/env python3
"""`make bench-tokenizer`: SmolLM2's tokenizer here and in Hugging Face `tokenizers`, one thread each, on the clinical-coding records that
configs/demo/make_data.py makes; in one run, taking turns. Also a larger vocabulary in the configuration of Llama 3 and one in that of
Llama 2, trained on the same text. The ids of every line are compared. Writes bench/tokenizer.md and build/bench/tokenizer.json."""
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".deps/venv-tokenizer"
OUT = ROOT / "build/bench"
GGUF = ROOT / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf"
PEER = "tokenizers 0.23.3"
ROUNDS = 5


def own_python():
    """Starts itself again in a venv that has the peer."""
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "tokenizers==0.23.3", "gguf==0.19.0"], check=True)
    if Path(sys.prefix) != VENV:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        os.environ["RAYON_NUM_THREADS"] = "1"
        os.execv(python, [python, __file__, *sys.argv[1:]])


def corpus():
    folder = OUT / "tokenizer-data"
    if not (folder / "manifest.json").exists():
        subprocess.run([sys.executable, ROOT / "configs/demo/make_data.py", "--out", folder, "--icd10", ROOT / ".deps/icd10cm"], check=True)
    lines = []
    for path in sorted(folder.glob("*/train.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            texts = [m["content"] for m in record["messages"]] if "messages" in record else [record[k] for k in ("instruction", "input", "output") if record.get(k)]
            lines.append("\n".join(texts))
    return lines


def smollm2():
    """The peer's tokenizer from the GGUF's vocabulary, with the pre-tokenizer that the file names."""
    import gguf
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    fields = gguf.GGUFReader(str(GGUF)).fields
    texts = lambda key: [bytes(fields[key].parts[i]).decode() for i in fields[key].data]
    tokens = texts("tokenizer.ggml.tokens")
    kinds = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    merges = [tuple(m.split(" ")) for m in texts("tokenizer.ggml.merges")]
    out = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    out.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    out.decoder = decoders.ByteLevel()
    out.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, k in zip(tokens, kinds) if k == 3])
    return out


def trained(lines, family):
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    folder = OUT / f"tokenizer-{family}"
    path = folder / "tokenizer.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        tok = Tokenizer(models.BPE(byte_fallback=family == "llama2", unk_token="<unk>" if family == "llama2" else None, fuse_unk=family == "llama2"))
        if family == "llama3":
            pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
            tok.decoder = decoders.ByteLevel()
            tok.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=30000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
        else:
            tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
            tok.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=30000, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)], show_progress=False))
            data = json.loads(tok.to_str())
            data["pre_tokenizer"] = None
            data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
            tok = Tokenizer.from_str(json.dumps(data))
            tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
            tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        path.write_text(tok.to_str(), encoding="utf-8")
    return Tokenizer.from_file(str(path)), folder


def ours(model, file, ids_file=None):
    """Seconds for one pass of this build, as the program measures them: reading and encoding, no output; and the load time."""
    command = [ROOT / "build/bin/bench_tokenizer", model, file] + ([ids_file] if ids_file else [])
    return json.loads(subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout)


def theirs(load, lines):
    start = time.perf_counter()
    tok = load()
    loaded = time.perf_counter()
    for line in lines:
        tok.encode(line)
    return {"load": loaded - start, "encode": time.perf_counter() - loaded}


def compare(name, model, load, lines, file):
    tok = load()
    ids = OUT / "tokenizer-ids.txt"
    ours(model, file, ids)
    for number, (line, got) in enumerate(zip(lines, ids.read_text().splitlines(), strict=True)):
        if tok.encode(line).ids != [int(i) for i in got.split()]:
            sys.exit(f"{name}: line {number} has other ids: {line!r}")
    size = sum(len(line.encode()) for line in lines) / 1e6
    rows = []
    times = [(ours(model, file), theirs(load, lines)) for _ in range(ROUNDS)]
    for what, key in (("encoding", "encode"), ("loading", "load")):
        a, b = min(t[0][key] for t in times), min(t[1][key] for t in times)
        if key == "encode":
            rows.append({"case": f"{name}: {what}, one thread", "ours": size / a, "peer": PEER, "theirs": size / b, "unit": "MB/s", "ratio": b / a})
        else:
            rows.append({"case": f"{name}: {what}", "ours": a, "peer": PEER, "theirs": b, "unit": "s", "ratio": b / a})
    return rows


def main():
    own_python()
    from tokenizers import Tokenizer
    OUT.mkdir(parents=True, exist_ok=True)
    lines = corpus()
    file = OUT / "tokenizer-lines.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    saved = OUT / "tokenizer-smollm2.json"
    smollm2().save(str(saved))
    rows = compare("SmolLM2, 49k tokens", GGUF, lambda: Tokenizer.from_file(str(saved)), lines, file)
    for family, label in (("llama3", "Llama 3's configuration"), ("llama2", "Llama 2's configuration")):
        _, folder = trained(lines, family)
        rows += compare(f"{label}, trained here", folder, lambda: Tokenizer.from_file(str(folder / "tokenizer.json")), lines, file)
    (OUT / "tokenizer.json").write_text(json.dumps(rows, indent=1))
    text = ["# Tokenizer", "", f"`make bench-tokenizer` on {platform.machine()}, {os.cpu_count()} cores shared with other work; {len(lines)} clinical-coding records, the best of {ROUNDS} rounds in turn, one thread; "
            "every line's ids are equal. Ratio: how many times faster.", "", "| case | Sotto | " + PEER + " | unit | ratio |", "|---|---|---|---|---|"]
    text += [f"| {r['case']} | {r['ours']:.3g} | {r['theirs']:.3g} | {r['unit']} | {r['ratio']:.1f} |" for r in rows]
    (ROOT / "bench/tokenizer.md").write_text("\n".join(text) + "\n")
    print("\n".join(text[4:]))


if __name__ == "__main__":
    main()
