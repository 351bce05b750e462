"""The general set: definitions of everyday words and passages of a language reference, nothing medical."""
import gzip
import random
import re

from chance import shuffle

NOT_GENERAL = re.compile(r"diseas|medic|patient|sympto|infect|disorder|surg|drug|therap|clinic|inflam|syndrom|anatom|blood|tumo|cancer|"
                         r"\bpain|health|doctor|physician|nerv|bone|muscl|skin|organ\b|hormon|virus|bacteri|psych|pathol|tissue|genus|"
                         r"\bsex|fever|wound|injur|lung|heart|brain|kidney|liver|fetus|birth|pregnan|death|die[sd]?\b", re.I)
WORD_CLASSES = {"n": "noun", "v": "verb", "adj": "adjective", "adv": "adverb"}


def definitions(path):
    """(word, word class, definition) of the first sense of every entry of WordNet as dictd stores it."""
    with gzip.open(path) as file:
        text = file.read().decode("utf-8", "replace")
    for block in re.split(r"\n(?=\S)", text):
        head, _, body = block.partition("\n")
        sense = re.match(r"\s+(n|v|adj|adv) (?:1)?:\s", body)
        if not sense or not re.fullmatch(r"[a-z]{3,14}", head):
            continue
        gloss = re.split(r"\n\s+(?:(?:n|v|adj|adv) )?\d*:\s", body[sense.end():])[0]
        gloss = " ".join(re.sub(r"\[(?:syn|ant|also):[^\]]*\]", "", gloss).split())
        gloss = re.split(r'; "', gloss)[0].strip(" ;")
        if 35 <= len(gloss) <= 150 and not NOT_GENERAL.search(head + " " + gloss) and not re.search(r'[{}\[\]"]', gloss):
            yield head, WORD_CLASSES[sense.group(1)], gloss[0].upper() + gloss[1:] + "."


def passages():
    from pydoc_data import topics
    for name in sorted(topics.topics):
        for paragraph in re.split(r"\n\s*\n", topics.topics[name]):
            text = " ".join(paragraph.split())
            if 160 < len(text) < 400 and re.match(r"[A-Z][a-z]", text) and text.endswith(".") and not re.search(r'::=|>>>|"', text):
                yield text


def general_set(wordnet, count, seed):
    rng = random.Random(seed * 10007 + 9001)
    words, texts = list(definitions(wordnet)), list(passages())
    shuffle(rng, words)
    shuffle(rng, texts)
    asked = [("define", f"What does the {kind} '{word}' mean?", "", gloss) for word, kind, gloss in words[:count]]
    for text in texts[:count // 3]:
        cut = text.index(" ", len(text) // 3)
        asked.append(("continue", "Carry on with this paragraph about a programming language.", text[:cut], text[cut + 1:]))
    shuffle(rng, asked)
    return [{"site": "general", "patient_id": f"general-{i + 1:04d}", "encounter": 1, "task": task, "chapter": 0, "copy": None, "terms": [],
             "instruction": instruction, "input": text, "output": output} for i, (task, instruction, text, output) in enumerate(asked)]
