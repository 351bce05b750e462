#!/usr/bin/env python3
"""Makes the vectors beside it: small tokenizers in the exact configuration of well-known families (normalizer, pre-tokenizer with its
published regular expression, model flags, post-processor, decoder), trained on the ICD-10-CM titles and a few sentences, and what the
reference makes of hard strings with them. Reference: `tokenizers` 0.23.3 and, for the GGUF with scores, `sentencepiece` 0.2.3.
  pip install tokenizers==0.23.3 sentencepiece==0.2.3 gguf==0.19.0; python make_families.py ICD10CM_FOLDER OUT"""
import io
import json
import random
import re
import sys
from pathlib import Path

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SENTENCES = ["The patient's fever isn't gone; we'll re-check at 10:45, they've said 39.5 \u00b0C.", "Grüße aus Köln, naïve café, Ångström.",
             "Привет, мир! Ёлка.", "今日は良い天気です。", "مرحبا بالعالم ١٢٣", "नमस्ते दुनिया", "for (int i = 0; i < 10; ++i) {\n\treturn x[i];\n}\n",
             "한국어 텍스트", "emoji 😀👍🏽👨‍👩‍👧", "a  b   c    d\n\n\ne\t\tf\r\n"] * 40

ATOMS = ["a", "the", " patient", "PATIENT", "'s", "'S", "'ll", "don't", "I'VE", "\u2019s", "1", "12", "123", "1234567", "٣٤", "½", "²", "Ⅷ", " ", "  ", "   ", "\t",
         "\n", "\r\n", "\n\n\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff", "\u180e", "\u0085", "é", "e\u0301", "ﬁ", "Å", "\u212b", "Ω", "Σς", "İ", "ß", "ſ", "한글", "\u1112\u1161\u11ab", "漢字",
         "ひらがな", "हिन्दी", "ไทย", "العربية", "עברית", "😀", "👍🏽", "👨‍👩‍👧", "🇩🇪", "\u0000", "\u0001", "\u0004", "\x7f", "\ufffd", "\U0010ffff", "\ud7ff", "!", "?!...", "—", "«»", "_", "__init__",
         "x_1", "<", ">", "<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>", "<0x0A>", "<0x", "<bos>", "<end_of_turn>", "[INST]", "[/INST]",
         "<tool>", " <tool> ", "tool", "\u2581", "\u2581\u2581", "a\u2581b", "/", "//", "https://x.org/a?b=c", "C50.911", "E11.9", "3.14", "1,000", "#", "```", "{}", "()", "\\n", "\\", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "Pneumonokoniose", "diabetes mellitus", "Unspecified", " with ", "\u0301", "\u0323\u0307", "q\u0307\u0323", "ǅ", "ʰ", "ª", "ﷺ", "㎏", "①", "\u2028"]


def texts():
    random.seed(20261125)
    out = ["", " ", "  ", "\n", "Hello, world!", "Hello   world  ", " leading", "trailing ", "Tom's 3rd café: 50% off — “really”?", "x" * 300, "1" * 50, " " * 40 + "a", "\n" * 9, "ab " * 60]
    out += SENTENCES[:10] + ATOMS
    for _ in range(150):
        out.append("".join(random.choice(ATOMS) for _ in range(random.randint(2, 9))))
    out.append("".join(chr(c) for c in range(0x20, 0x180)))
    out.append("".join(chr(c) for c in range(0x2000, 0x2070)))
    return list(dict.fromkeys(out))


CONTROL = ["<s>", "</s>", "<unk>", "<|", "|>", "<0x", "<bos>", "of_turn>", "INST]"]


def learnt_texts():
    """No merges may lead to control tokens."""
    return 12 * [t for t in texts() if not any(c in t for c in CONTROL)]


def corpus(folder):
    xml = next(Path(folder).rglob("*.xml")).read_text(encoding="utf-8")
    titles = re.findall(r"<desc>([^<]*)</desc>", xml)
    return titles[::6] + SENTENCES


def added(text, special=True, **flags):
    return AddedToken(text, special=special, normalized=flags.pop("normalized", False), **flags)


def byte_level(lines, pre, specials, extra=(), normalizer=None, **model):
    tok = Tokenizer(models.BPE(**model))
    if normalizer:
        tok.normalizer = normalizer
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    # Merges learnt across word boundaries: then every boundary that the pre-tokenizer sets shows in the ids.
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tok.train_from_iterator(lines[::9] + learnt_texts(), trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), max_token_length=8, show_progress=False))
    tok.pre_tokenizer = pre
    tok.add_special_tokens([added(s) for s in specials])
    if extra:
        tok.add_tokens(list(extra))
    return tok


def split(pattern, behaviour="isolated", invert=False):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behaviour, invert), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def with_words(tok, words):
    """Words that no merges lead to: what ignore_merges is about."""
    data = json.loads(tok.to_str())
    first = len(data["model"]["vocab"])
    fresh = [w for w in words if w not in data["model"]["vocab"]]
    for token in data["added_tokens"]:
        token["id"] += len(fresh)
    for i, word in enumerate(fresh):
        data["model"]["vocab"][word] = first + i
    return Tokenizer.from_str(json.dumps(data))


def bos(tok, token):
    tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                              processors.TemplateProcessing(single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, tok.token_to_id(token))])])
    return tok


def sentence_piece(lines, normalizer, pre, decoder, specials, extra=(), prefix=True, by_word=True):
    """Trained word by word or across words, then used as the family does; ids 3.. are the bytes, as in Llama's vocabulary."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=by_word)
    trained.train_from_iterator(lines if by_word else lines[::9] + learnt_texts(), trainers.BpeTrainer(vocab_size=700, max_token_length=8, show_progress=False, limit_alphabet=120))
    data = json.loads(trained.to_str())["model"]
    order = [str(s) if isinstance(s, str) else s.content for s in specials[:3]] + [f"<0x{b:02X}>" for b in range(256)] + sorted(data["vocab"], key=data["vocab"].get)
    runs = ["▁" * n for n in range(2, 9)]
    order += [r for r in runs if r not in order]
    order = list(dict.fromkeys(order))
    merges = [tuple(m) for m in data["merges"]] + [("▁" * a, "▁" * (n - a)) for n in range(2, 9) for a in range(1, n)]
    merges = list(dict.fromkeys(merges))
    tok = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(order)}, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer:
        tok.normalizer = normalizer
    if pre:
        tok.pre_tokenizer = pre
    tok.decoder = decoder
    tok.add_special_tokens([added(s) if isinstance(s, str) else s for s in specials])
    if extra:
        tok.add_tokens(list(extra))
    if prefix:
        first = specials[1]
        tok.post_processor = processors.TemplateProcessing(single=f"{first} $A", pair=f"{first} $A {first} $B", special_tokens=[(first, tok.token_to_id(first))])
    return tok


def families(lines):
    bl = pre_tokenizers.ByteLevel
    words = ["Ġpneumonia", "Ġdisease", "Hello", "Ġworld", "Ġmellitus", "ä¸ī", "123"]
    yield "gpt2", byte_level(lines, bl(add_prefix_space=False), ["<|endoftext|>"])
    llama3 = byte_level(lines, split(LLAMA3), ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"], ignore_merges=True)
    yield "llama3", bos(with_words(llama3, words), "<|begin_of_text|>")
    yield "qwen2", byte_level(lines, split(QWEN2), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizer=normalizers.NFC(), extra=[added("<tool>", special=False)])
    yield "tekken", bos(with_words(byte_level(lines, split(TEKKEN), ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], ignore_merges=True), words), "<s>")
    yield "cl100k", byte_level(lines, split(CL100K, "removed", True), ["<|endoftext|>"])
    yield "starcoder", byte_level(lines, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bl(add_prefix_space=False)]), ["<|endoftext|>"])
    yield "prefix_space", byte_level(lines, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), bl(add_prefix_space=True)]), ["<s>", "</s>"],
                                     normalizer=normalizers.NFKC())
    few = json.loads(byte_level(lines, bl(add_prefix_space=False), ["<|endoftext|>"]).to_str())  # some bytes have no token: they become unk
    for token in ("Ă", "Ħ", "Ń", "ð", "!"):
        few["model"]["vocab"][f"[gone {len(few['model']['vocab'])} {ord(token)}]"] = few["model"]["vocab"].pop(token)
    few["model"]["merges"] = [m for m in few["model"]["merges"] if not any(c in "".join(m) for c in "ĂĦŃð!")]
    few["model"]["vocab"]["<|unk|>"] = few["added_tokens"][0]["id"]
    few["added_tokens"][0]["id"] += 1
    few["model"]["unk_token"] = "<|unk|>"
    yield "unknown_bytes", Tokenizer.from_str(json.dumps(few))

    back = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    spaces = normalizers.Replace(" ", "▁")
    yield "llama2", sentence_piece(lines, normalizers.Sequence([normalizers.Prepend("▁"), spaces]), None, decoders.Sequence(back + [decoders.Strip(" ", 1, 0)]), ["<unk>", "<s>", "</s>"])
    yield "mistral", sentence_piece(lines, None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoders.Sequence(back + [decoders.Strip(" ", 1, 0)]),
                                    ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    yield "gemma2", sentence_piece(lines, spaces, pre_tokenizers.Split(" ", "merged_with_previous"), decoders.Sequence(back), ["<unk>", "<bos>", "</s>", "<start_of_turn>", "<end_of_turn>"], by_word=False,
                                   extra=[added("\n\n", special=False), added("\t\t", special=False), added("▁▁", special=False)])
    yield "phi3", sentence_piece(lines, normalizers.Sequence([normalizers.Prepend("▁"), spaces]), None, decoders.Sequence(back + [decoders.Strip(" ", 1, 0)]),
                                 ["<unk>", "<s>", added("</s>", rstrip=True), added("<|im_end|>", rstrip=True), added("<|user|>", rstrip=True), added("<|assistant|>", rstrip=True), added("<|end|>", rstrip=True)], prefix=False)
    yield "metaspace", sentence_piece(lines, normalizers.NFKD(), pre_tokenizers.Metaspace(prepend_scheme="always"), decoders.Metaspace(), ["<unk>", "<s>", "</s>"], by_word=False)
    yield "flags", sentence_piece(lines, normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Prepend("▁"), spaces]), None,
                                  decoders.Sequence(back), ["<unk>", "<s>", "</s>"], by_word=False,
                                  extra=[added("tool", special=False, single_word=True), added("<tool>", special=False, lstrip=True, rstrip=True), added("PATIENT", special=False, normalized=True),
                                         added("<|im_end|>", special=True, lstrip=True)])


def cases(tok, strings):
    out = []
    for text in strings:
        tok.encode_special_tokens = False
        ids = tok.encode(text, add_special_tokens=False).ids
        case = {"ids": ids}
        whole = tok.encode(text).ids
        if whole != ids:
            at = len(whole) - len(ids)
            assert whole[at:] == ids
            case["before"] = whole[:at]
        for name, skip in (("decoded", False), ("decoded_skip_special", True)):
            if (decoded := tok.decode(ids, skip_special_tokens=skip)) != text:
                case[name] = decoded
        tok.encode_special_tokens = True
        if (plain := tok.encode(text, add_special_tokens=False).ids) != ids:
            case["plain"] = plain
        out.append(case)
    return out


def decode_cases(tok):
    random.seed(7)
    ids = list(range(tok.get_vocab_size()))
    out = []
    for n in (1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 12, 20, 20, 20):
        some = [random.choice(ids) for _ in range(n)]
        out.append({"ids": some, "text": tok.decode(some, skip_special_tokens=False)})
    return out


def write_gguf_byte_level(path, tok, pre):
    data = json.loads(tok.to_str())
    vocab = {**data["model"]["vocab"], **{t["content"]: t["id"] for t in data["added_tokens"]}}
    special = {t["id"]: t["special"] for t in data["added_tokens"]}
    order = sorted(vocab, key=vocab.get)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(order)
    writer.add_token_types([3 if special.get(i) else 4 if i in special else 1 for i in range(len(order))])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]])
    if data["post_processor"]["type"] == "Sequence":
        writer.add_bos_token_id(data["post_processor"]["processors"][1]["special_tokens"]["<|begin_of_text|>"]["ids"][0])
    write(writer)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def write_sentencepiece(out, lines, strings):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=700, byte_fallback=True, split_digits=True, num_threads=1,
                                             normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, character_coverage=0.999,
                                             user_defined_symbols=["<tool>"], minloglevel=2)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    n = sp.get_piece_size()
    kind = lambda i: 2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 4 if sp.id_to_piece(i) == "<tool>" else 1
    writer = gguf.GGUFWriter(out / "sentencepiece.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([sp.id_to_piece(i) for i in range(n)])
    writer.add_token_scores([sp.get_score(i) for i in range(n)])
    writer.add_token_types([kind(i) for i in range(n)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    write(writer)
    # A user-defined piece is cut out with the text behind it going on in the same sentence there; here, as in llama.cpp, every
    # stretch of text gets its own prefix: such strings are left out.
    usable = [t for t in strings if "<tool>" not in t and "\0" not in t]
    return {"texts": usable, "ids": [sp.encode(t) for t in usable], "decoded": [sp.decode(sp.encode(t)) for t in usable]}


def main():
    lines, out = corpus(sys.argv[1]), Path(sys.argv[2])
    strings = texts()
    record = {"source": __doc__.split("\n  pip")[0].strip(), "texts": strings, "families": {}}
    for name, tok in families(lines):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(json.loads(tok.to_str()), ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
        record["families"][name] = {"cases": cases(tok, strings), "decode": decode_cases(tok)}
        tok.encode_special_tokens = False
        if name in ("llama3", "qwen2"):
            write_gguf_byte_level(out / f"{name}.gguf", tok, {"llama3": "llama-bpe", "qwen2": "qwen2"}[name])
        print(name, tok.get_vocab_size(), sum(len(c["ids"]) for c in record["families"][name]["cases"]))
    record["sentencepiece"] = write_sentencepiece(out, lines, strings)
    (out / "families.json").write_text(json.dumps(record, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main()
