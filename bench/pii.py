#!/usr/bin/env python3
"""`make bench-pii`: recall and precision of `data minimise`, and of Microsoft Presidio's pattern recognisers on the same sentences (they need
no language model; names and addresses they leave to one). Three sets: sentences of ours that Faker fills; sentences and spellings of others
(Presidio's own generator, presidio-evaluator, whose templates and formats nobody here chose); and the hand-made vectors of
tests/vectors/pii, what must go and what must stay. Character spans: a label counts as found when what was found covers it; a finding is
right when it overlaps a label of any kind. Writes bench/pii.md and build/bench/pii.json."""
import json
import os
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".deps/venv-pii"
OUT = ROOT / "build/bench"
PACKAGES = ["faker==40.63.0", "presidio-analyzer==2.2.366", "presidio-evaluator==0.3.2"]
PEER = "presidio-analyzer 2.2 patterns"
# What presidio-evaluator's labels are here. A year, a weekday or a country alone names nobody: those labels are left out.
OTHERS = {"PERSON": "name", "PHONE_NUMBER": "phone", "DATE_TIME": "date", "CREDIT_CARD": "card", "EMAIL_ADDRESS": "email", "IBAN_CODE": "iban", "US_SSN": "ssn",
          "IP_ADDRESS": "ip_address", "URL": "url", "DOMAIN_NAME": "url", "STREET_ADDRESS": "address"}
TEMPLATES = [
    "{name} was seen on {date} for follow-up of type 2 diabetes.", "Patient {name}, born {date}, MRN: {record_number}, is on metformin 500 mg twice daily.",
    "Please call {phone} if the fever is above 39.5 °C.", "Send the report to {email} and a copy to Dr. {surname}.", "Lives at {address}; next of kin is {name} ({phone}).",
    "Mr. {surname} has had a cough since {date}; E11.9 and J45.909 were coded.", "The insurer was billed, card {card}, policy holder {name}.", "SSN {ssn} was confirmed by the clerk on {date}.",
    "Transfer to {iban} before {date}.", "Logged in from {ip_address}; see {url} for the images.", "Blood pressure 120/80, pulse 72, ratio 3/5, version 2.10, 10-20 mg; no personal data here.",
    "ICD-10-CM S52.92XA, CPT 99213, HbA1c 8.1 %, room 1204, bed 3.", "Mrs. {surname} asked whether May is too late for the vaccine.", "{name} and {name} are siblings; both carry the gene."]


def own_python():
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    if Path(sys.prefix) != VENV:
        os.execv(python, [python, __file__, *sys.argv[1:]])


def sentences(count):
    from faker import Faker
    fake = Faker("en_US")
    Faker.seed(11)
    random.seed(11)
    make = {"name": fake.name_nonbinary, "surname": fake.last_name, "email": fake.email, "ssn": fake.ssn, "iban": fake.iban, "ip_address": fake.ipv4_public, "url": fake.url,
            "date": lambda: fake.date(random.choice(["%Y-%m-%d", "%m/%d/%Y", "%B %d, %Y", "%d %b %Y", "%d.%m.%Y"])), "phone": fake.phone_number,
            "record_number": lambda: str(random.randint(10**5, 10**9)), "card": lambda: fake.credit_card_number("visa"), "address": lambda: fake.address().replace("\n", ", ")}
    out = []
    for _ in range(count):
        text, labels = "", []
        for i, part in enumerate(random.choice(TEMPLATES).replace("}", "{").split("{")):
            if i % 2:
                value = make[part]()
                labels.append((len(text), len(text) + len(value), "name" if part == "surname" else part))
                text += value
            else:
                text += part
        out.append((text, labels))
    return out


def sentences_of_others(count):
    import numpy
    from faker import Faker
    from presidio_evaluator.data_generator import PresidioSentenceFaker
    random.seed(12)
    numpy.random.seed(12)
    Faker.seed(12)
    out = []
    for sample in PresidioSentenceFaker("en_US", lower_case_ratio=0.05, random_seed=12).generate_new_fake_sentences(num_samples=count):
        labels, other = [], []
        for span in sample.spans:
            kind = OTHERS.get(span.entity_type)
            if kind == "date" and sum(c.isdigit() for c in span.entity_value) < 5:
                kind = None
            (labels if kind else other).append((span.start_position, span.end_position, kind or span.entity_type))
        out.append((sample.full_text, labels, other))
    return out


def vectors():
    lines = [json.loads(line) for name in ("go", "stay") for line in (ROOT / f"tests/vectors/pii/{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["text"], [(line["text"].index(line["gone"]), line["text"].index(line["gone"]) + len(line["gone"]), "any")] if "gone" in line else []) for line in lines]


def ours(data):
    file = OUT / "pii-texts.jsonl"
    file.write_text("".join(json.dumps(text) + "\n" for text, *_ in data), encoding="utf-8")
    lines = subprocess.run([ROOT / "build/bin/bench_pii", file], check=True, capture_output=True, text=True).stdout.splitlines()
    at = lambda text, byte: len(text.encode()[:byte].decode())
    return [[(at(text, b), at(text, e), kind) for b, e, kind in json.loads(line)] for (text, *_), line in zip(data, lines, strict=True)]


def theirs(data):
    from presidio_analyzer import predefined_recognizers as p
    kinds = {"CREDIT_CARD": "card", "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "DATE_TIME": "date", "IBAN_CODE": "iban", "IP_ADDRESS": "ip_address", "URL": "url", "US_SSN": "ssn"}
    tools = [p.CreditCardRecognizer(), p.EmailRecognizer(), p.PhoneRecognizer(), p.DateRecognizer(), p.IbanRecognizer(), p.IpRecognizer(), p.UrlRecognizer(), p.UsSsnRecognizer()]
    return [[(r.start, r.end, kinds[r.entity_type]) for tool in tools for r in tool.analyze(text, tool.supported_entities, None) or [] if r.score >= 0.4] for text, *_ in data]


def score(data, found, kind=None):
    hit = all_labels = right = findings = 0
    for (text, labels, *other), spans in zip(data, found, strict=True):
        for b, e, k in labels:
            if kind in (None, k):
                all_labels += 1
                covered = {i for x, y, _ in spans for i in range(x, y)}
                hit += all(i in covered for i in range(b, e) if text[i].isalnum())
        for b, e, k in spans:
            if kind in (None, k):
                findings += 1
                right += any(b < y and x < e for x, y, _ in [*labels, *(other[0] if other else [])])
    return hit / all_labels if all_labels else None, right / findings if findings else None


def table(title, data, rows):
    a, b = ours(data), theirs(data)
    shown = lambda v: "-" if v is None else f"{v:.3f}"
    out = ["", f"## {title}", f"{len(data)} texts, {sum(len(labels) for _, labels, *_ in data)} labels.", "",
           "| kind | Sotto recall | Sotto precision | " + PEER + " recall | precision |", "|---|---|---|---|---|"]
    for kind in [*sorted({k for _, labels, *_ in data for *_, k in labels}), None]:
        if kind == "any":
            continue
        (r, p), (r2, p2) = score(data, a, kind), score(data, b, kind)
        out.append(f"| {kind or 'all'} | {shown(r)} | {shown(p)} | {shown(r2)} | {shown(p2)} |")
        for what, x, y in (("recall", r, r2), ("precision", p, p2)):
            if x is not None:
                rows.append({"case": f"{title}, {kind or 'all'}: {what}", "ours": x, "peer": PEER, "theirs": y, "unit": "share", "ratio": x / y if y else None})
    return out


def main():
    own_python()
    OUT.mkdir(parents=True, exist_ok=True)
    rows, text = [], ["# Personal data", "", f"`make bench-pii`, with {', '.join(PACKAGES)}. The peer's recognisers need no language model here and know no names, addresses or record numbers "
                      "without one. Names that are in no word list are what is missed most: give the site's own lists in pii.toml, or a detector that has a language model."]
    text += table("Our sentences, filled by Faker (en_US, seed 11)", sentences(3000), rows)
    text += table("Sentences and spellings of others (presidio-evaluator)", sentences_of_others(2000), rows)
    text += table("The vectors: as many texts that must go as must stay", vectors(), rows)
    (OUT / "pii.json").write_text(json.dumps(rows, indent=1))
    (ROOT / "bench/pii.md").write_text("\n".join(text) + "\n")
    print("\n".join(text[4:]))


if __name__ == "__main__":
    main()
