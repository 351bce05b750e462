#!/usr/bin/env python3
"""Makes the demo's data: clinical coding with ICD-10-CM at several hospitals, and a general set to watch forgetting.

    make_data.py --out DIR [--sites 3] [--patients 1220] [--held-out 110] [--general 300] [--seed 7] [--icd10 PATH] [--wordnet FILE]

Sources: the ICD-10-CM tabular list (XML in the wheel simple-icd-10-cm; PATH is the wheel or the folder it was unzipped to),
WordNet glosses (Debian's dict-wn) and the topics of Python's own pydoc. Standard library only. The patients are invented.

    DIR/HOSPITAL/train.jsonl  a hospital's training records; the first, third, ... in instruction format, the others as chats
    DIR/HOSPITAL/val.jsonl    chats; other patients of the same hospital, with surface terms that no training record shows
    DIR/val.jsonl             the same records of all hospitals, shuffled
    DIR/test.jsonl            a third set of patients and terms, likewise, for a last number
    DIR/general.jsonl         chats without system prompt: definitions of everyday words, passages of a language reference
    DIR/manifest.json         what was made: counts, chapters by hospital, term counts, licences, SHA-256 of every file

A record: id, site, patient_id, encounter (from 1), task, chapter, copy, terms, and either instruction, input, output or messages.
  task   code: a note with one diagnosis -> code and title;  meaning: a code -> title, synonyms, category;
         excludes: code and title -> what is not coded there;  additional: code and title -> the further code it asks for;
         multi: a note with two or three diagnoses -> code and title of each
  copy   (code, multi) every title of the answer is a term of the note, so that only the codes are to be known
  terms  the surface terms that the record shows: titles and inclusion terms, as the tabular list spells them
Instruction records have no system prompt; the one of the chats is `system_prompt` in the manifest.

Held out: a patient belongs to one hospital and to one of train, val, test (the prefix of patient_id says which). A term (lower
case) belongs to one of them by a hash with the seed: 84, 8 and 8 %. No part of a training record (term, title, category,
synonym, exclusion note) is a term of val or test; a val term's code may still be known under another term.
The same arguments and sources give the same bytes (pydoc's topics change with the Python version, and only general.jsonl with them).
"""
import argparse
import collections
import hashlib
import json
import os
import platform
import random
import re
import sys

from chance import pick, pick_weighted, draw, shuffle
from general_set import general_set
from surface_terms import SPLITS, Terms
from tabular_list import find_xml, read_entries

SYSTEM_PROMPT = "You are a clinical coding assistant. Answer with ICD-10-CM only."

# Name, ICD-10-CM chapters that make its case mix, and its size relative to --patients.
HOSPITALS = [
    ("heart-lung", (9, 10), 1.14),
    ("brain-mind", (5, 6), 0.81),
    ("women-children", (15, 16, 17), 1.054),
    ("cancer-blood", (2, 3), 0.62),
    ("bones-injuries", (13, 19, 20), 1.30),
    ("gut-infections", (1, 11), 0.90),
    ("kidney-hormones-skin", (4, 12, 14), 0.75),
    ("eye-ear", (7, 8), 1.20),
]
COMMON_CHAPTERS = (18, 21)  # symptoms; encounters for other reasons: seen everywhere
SHARE_ANY_CHAPTER = 0.12
SHARE_COMMON = 0.10
MAX_ENCOUNTERS = 12
REDRAW_COPY = 0.3           # notes seldom use a title word for word: how often one that does is drawn again
GO_ON = 0.61                # chance of one more encounter: 2.6 on average

INSTRUCTIONS = {
    "code": ("Which ICD-10-CM code fits the diagnosis in this note?",
             "Translate the diagnosis below to its ICD-10-CM code.",
             "Name the ICD-10-CM code for this visit."),
    "meaning": ("What is recorded with this ICD-10-CM code?", "Say what this ICD-10-CM code means."),
    "excludes": ("What does the excludes note of this ICD-10-CM code list?", "What may not be coded under this ICD-10-CM code?"),
    "additional": ("Which further code should go with this ICD-10-CM code?",),
    "multi": ("Give the ICD-10-CM code of each diagnosis on this list.",),
}
NOTES = ("Diagnosis: {}.", "Admitted with {}.", "Findings consistent with {}.", "Reason for visit: {}.", "Follow-up of {}.",
         "Main diagnosis: {}.", "Known {}.")


def is_copy(pair):
    term, entry = pair
    return term.lower() == entry.title.lower()


class Record:
    def __init__(self, task, entry, instruction, text, output, terms, copy=None):
        self.task, self.chapter, self.instruction, self.input, self.output = task, entry.chapter, instruction, text, output
        self.terms, self.copy = terms, copy


class Hospital:
    def __init__(self, index, terms, split, seed):
        self.name, self.chapters, _ = HOSPITALS[index]
        self.terms, self.split = terms, split
        self.pairs = terms.pairs[split]
        self.rng = random.Random(seed * 10007 + index * 101 + SPLITS.index(split))

    def blocks(self):
        """One chapter's one to three blocks: what this patient comes with."""
        rng, at = self.rng, self.rng.random()
        known = sorted(self.pairs)
        if at < SHARE_ANY_CHAPTER:
            chapter = pick(rng, known)
        elif at < SHARE_ANY_CHAPTER + SHARE_COMMON:
            chapter = pick(rng, COMMON_CHAPTERS)
        else:
            own = [c for c in self.chapters if c in self.pairs]
            chapter = pick_weighted(rng, own, [sum(map(len, self.pairs[c].values())) ** 0.5 for c in own])
        names = draw(rng, sorted(self.pairs[chapter]), pick(rng, (1, 1, 2, 3)))
        return chapter, [self.pairs[chapter][name] for name in names]

    def person(self, chapter):
        rng = self.rng
        spread = sum(rng.random() for _ in range(6)) - 3  # nearly normal, standard deviation 0.71
        age = int(rng.random() * 2) if chapter == 16 else 31 + int(7 * spread) if chapter == 15 else max(1, 54 + int(28 * spread))
        woman = chapter == 15 or rng.random() < 0.52
        name = ("woman" if woman else "man") if age >= 16 else ("girl" if woman else "boy")
        return woman, pick(rng, ("{age}-year-old {name}", "{name} of {age} years")).format(age=age, name=name).capitalize()

    def one(self, pairs, woman, titles_only=False):
        """A pair that fits the person; with titles_only one whose title is a term of this very split. None if there is none."""
        fitting = [p for p in pairs if p[1].fits(woman) and (not titles_only or self.terms.belongs(self.split, p[1].title))]
        return pick(self.rng, fitting) if fitting else None

    def diagnosis(self, pairs, woman):
        pair = self.one(pairs, woman)
        if pair and is_copy(pair) and self.rng.random() < REDRAW_COPY:
            pair = self.one(pairs, woman)
        return pair

    def code(self, pair, who):
        term, entry = pair
        note = pick(self.rng, NOTES).format(self.terms.in_note(term))
        return Record("code", entry, pick(self.rng, INSTRUCTIONS["code"]), f"{who}. {note}", entry.answer(), [term],
                      is_copy(pair))

    def multi(self, pairs, woman, who):
        found = {}
        for _ in range(pick(self.rng, (2, 3))):
            pair = self.diagnosis(pairs, woman)
            if pair:
                found.setdefault(pair[1].code, pair)
        chosen = list(found.values())
        if len(chosen) < 2:
            return None
        listed = "; ".join(f"({i}) {self.terms.in_note(term)}" for i, (term, _) in enumerate(chosen, 1))
        output = "\n".join(f"({i}) {entry.answer()}" for i, (_, entry) in enumerate(chosen, 1))
        return Record("multi", chosen[0][1], pick(self.rng, INSTRUCTIONS["multi"]), f"{who}. On discharge: {listed}.", output,
                      [term for term, _ in chosen], all(map(is_copy, chosen)))

    def meaning(self, entry):
        synonyms = [t for t in entry.terms if self.terms.belongs(self.split, t)][:2]
        if not self.terms.may_show(self.split, entry.category):
            return None
        output = entry.title + (f" (also: {'; '.join(synonyms)})" if synonyms else "") + f". Category: {entry.category}."
        return Record("meaning", entry, pick(self.rng, INSTRUCTIONS["meaning"]), entry.code, output, [entry.title] + synonyms)

    def excludes(self, entry):
        bare = [re.sub(r"\s*\([^()]*\)$", "", note) for note in entry.excludes]
        shown = [note for note, text in zip(entry.excludes, bare) if self.terms.may_show(self.split, text, note)][:3]
        if not shown:
            return None
        return Record("excludes", entry, pick(self.rng, INSTRUCTIONS["excludes"]), entry.answer(), "Excluded: " + "; ".join(shown),
                      [entry.title])

    def additional(self, entry):
        if not entry.additional:
            return None
        return Record("additional", entry, pick(self.rng, INSTRUCTIONS["additional"]), entry.answer(),
                      "Use additional " + entry.additional, [entry.title])

    def encounter(self, pairs, woman, who):
        """About 62 % code, 19 % meaning, 7 % excludes, 1 % additional, 10 % multi; a task that cannot be set becomes another."""
        at = self.rng.random()
        titled = self.one(pairs, woman, titles_only=True) if 0.62 <= at < 0.90 else None
        record = None
        if at >= 0.90:
            record = self.multi(pairs, woman, who)
        elif titled and at < 0.72:
            record = self.excludes(titled[1])
        elif titled and at < 0.78:
            record = self.additional(titled[1])
        if titled and record is None:
            record = self.meaning(titled[1])
        if record is None:
            pair = self.diagnosis(pairs, woman)
            record = self.code(pair, who) if pair else None
        return record

    def patient(self, patient_id):
        while True:
            chapter, blocks = self.blocks()
            woman, who = self.person(chapter)
            usable = [b for b in blocks if self.one(b, woman)]
            if usable:
                break
        records = []
        more = True
        while more:
            record = self.encounter(pick(self.rng, usable), woman, who)
            records.append({"site": self.name, "patient_id": patient_id, "encounter": len(records) + 1, "task": record.task,
                            "chapter": record.chapter, "copy": record.copy, "terms": record.terms,
                            "instruction": record.instruction, "input": record.input, "output": record.output})
            more = len(records) < MAX_ENCOUNTERS and self.rng.random() < GO_ON
        return records

    def patients(self, count):
        records = [r for i in range(count) for r in self.patient(f"{self.split}-{self.name}-{i + 1:04d}")]
        shuffle(self.rng, records)
        return records


class Writer:
    def __init__(self, folder):
        self.folder, self.sha256 = folder, {}

    def write(self, name, records, chat, system=SYSTEM_PROMPT):
        lines = []
        for i, record in enumerate(records, 1):
            line = {"id": f"{name.removesuffix('.jsonl').replace('/', '-')}-{i:05d}"}
            line |= {k: v for k, v in record.items() if k not in ("instruction", "input", "output") and v is not None}
            if chat:
                user = record["instruction"] + ("\n" + record["input"] if record["input"] else "")
                line["messages"] = [{"role": "system", "content": system}] if system else []
                line["messages"] += [{"role": "user", "content": user}, {"role": "assistant", "content": record["output"]}]
            else:
                line |= {k: record[k] for k in ("instruction", "input", "output")}
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        self.text(name, "".join(lines))

    def text(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        data = text.encode()
        with open(path, "wb") as file:
            file.write(data)
        self.sha256[name] = hashlib.sha256(data).hexdigest()


def counts(records):
    by_patient = collections.Counter(r["patient_id"] for r in records)
    return {"patients": len(by_patient), "records": len(records), "most_records_a_patient": max(by_patient.values()),
            "tasks": dict(sorted(collections.Counter(r["task"] for r in records).items())),
            "copies": sum(bool(r["copy"]) for r in records)}


def make(args):
    source, xml = find_xml(args.icd10)
    version, entries = read_entries(xml)
    terms = Terms(entries, args.seed)
    writer, sites, held_out = Writer(args.out), [], {"val": [], "test": []}
    for index, (name, chapters, factor) in enumerate(HOSPITALS[:args.sites]):
        train = Hospital(index, terms, "train", args.seed).patients(max(1, int(args.patients * factor)))
        chat = index % 2 == 1
        writer.write(f"{name}/train.jsonl", train, chat)
        sites.append({"name": name, "format": "chat" if chat else "instruction", "chapters": chapters, **counts(train),
                      "by_chapter": dict(sorted(collections.Counter(r["chapter"] for r in train).items()))})
        for split, records in held_out.items():
            part = Hospital(index, terms, split, args.seed).patients(args.held_out)
            records += part
            if split == "val":
                writer.write(f"{name}/val.jsonl", part, True)
    for split, records in held_out.items():
        shuffle(random.Random(args.seed * 10007 + 9003 + SPLITS.index(split)), records)
        writer.write(f"{split}.jsonl", records, True)
    general = general_set(args.wordnet, args.general, args.seed)
    writer.write("general.jsonl", general, True, None)
    manifest = {
        "system_prompt": SYSTEM_PROMPT,
        "arguments": {k: getattr(args, k) for k in ("sites", "patients", "held_out", "general", "seed")},
        "sources": {"icd10cm": f"{source} ({version}), SHA-256 {hashlib.sha256(xml).hexdigest()}", "python": platform.python_version()},
        "licences": {"ICD-10-CM": "public domain in the United States (NCHS, CMS); the package simple-icd-10-cm is MIT",
                     "WordNet 3.0": "WordNet licence (permissive; keep the notice)", "pydoc topics": "PSF licence"},
        "surface_terms": dict(sorted(collections.Counter(terms.split_of.values()).items())),
        "sites": sites, "val": counts(held_out["val"]), "test": counts(held_out["test"]), "general": counts(general),
        "sha256": writer.sha256}
    writer.text("manifest.json", json.dumps(manifest, indent=1) + "\n")
    return manifest


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--sites", type=int, default=3, choices=range(1, len(HOSPITALS) + 1), metavar="1..8", help="hospitals")
    parser.add_argument("--patients", type=int, default=1220, help="training patients a hospital, before its size factor")
    parser.add_argument("--held-out", type=int, default=110, help="patients a hospital in val, and again in test")
    parser.add_argument("--general", type=int, default=300, help="definitions of the general set; a third as many passages come on top")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--icd10", default=os.path.join(root, ".deps", "icd10cm"), help="the wheel, or the folder with its XML")
    parser.add_argument("--wordnet", default="/usr/share/dictd/wn.dict.dz", help="WordNet as Debian's dict-wn installs it")
    args = parser.parse_args()
    if min(args.patients, args.held_out, args.general) < 1:
        parser.error("--patients, --held-out and --general must be at least 1")
    if not os.path.exists(args.wordnet):
        sys.exit(f"make_data.py: no WordNet at '{args.wordnet}'; install Debian's dict-wn or name the file with --wordnet")
    manifest = make(args)
    for site in manifest["sites"]:
        print(f"{site['name']}: {site['patients']} patients, {site['records']} records ({site['format']})")
    print(f"val: {manifest['val']['records']} records, test: {manifest['test']['records']}, general: {manifest['general']['records']}")


if __name__ == "__main__":
    main()
