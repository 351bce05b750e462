#!/usr/bin/env python3
"""`make bench-pii`: recall and precision of `data minimise` on sentences that Faker fills with labelled personal data, and of Microsoft
Presidio's pattern recognisers on the same sentences (they need no language model; names and addresses they leave to one). Character spans: a
label counts as found when what was found covers it; a finding is right when it overlaps a label of any kind. Writes bench/pii.md and
build/bench/pii.json."""
import json
import os
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".deps/venv-pii"
OUT = ROOT / "build/bench"
PEER = "presidio-analyzer 2.2 patterns"
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
        subprocess.run([python, "-m", "pip", "install", "-q", "faker==37.1.0", "presidio-analyzer==2.2.358"], check=True)
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


def ours(data):
    file = OUT / "pii-texts.jsonl"
    file.write_text("".join(json.dumps(text) + "\n" for text, _ in data), encoding="utf-8")
    lines = subprocess.run([ROOT / "build/bin/bench_pii", file], check=True, capture_output=True, text=True).stdout.splitlines()
    at = lambda text, byte: len(text.encode()[:byte].decode())
    return [[(at(text, b), at(text, e), kind) for b, e, kind in json.loads(line)] for (text, _), line in zip(data, lines, strict=True)]


def theirs(data):
    from presidio_analyzer import predefined_recognizers as p
    kinds = {"CREDIT_CARD": "card", "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "DATE_TIME": "date", "IBAN_CODE": "iban", "IP_ADDRESS": "ip_address", "URL": "url", "US_SSN": "ssn"}
    tools = [p.CreditCardRecognizer(), p.EmailRecognizer(), p.PhoneRecognizer(), p.DateRecognizer(), p.IbanRecognizer(), p.IpRecognizer(), p.UrlRecognizer(), p.UsSsnRecognizer()]
    return [[(r.start, r.end, kinds[r.entity_type]) for tool in tools for r in tool.analyze(text, tool.supported_entities, None) or [] if r.score >= 0.4] for text, _ in data]


def score(data, found, kind=None):
    hit = all_labels = right = findings = 0
    for (text, labels), spans in zip(data, found, strict=True):
        for b, e, k in labels:
            if kind in (None, k):
                all_labels += 1
                covered = {i for x, y, _ in spans for i in range(x, y)}
                hit += all(i in covered for i in range(b, e) if text[i].isalnum())
        for b, e, k in spans:
            if kind in (None, k):
                findings += 1
                right += any(b < y and x < e for x, y, _ in labels)
    return hit / all_labels if all_labels else None, right / findings if findings else None


def main():
    own_python()
    OUT.mkdir(parents=True, exist_ok=True)
    data = sentences(3000)
    a, b = ours(data), theirs(data)
    kinds = sorted({k for _, labels in data for _, _, k in labels})
    shown = lambda v: "-" if v is None else f"{v:.3f}"
    rows, text = [], ["# Personal data", "", f"`make bench-pii`: {len(data)} sentences, {sum(len(l) for _, l in data)} labels made with Faker 37.1 (en_US, seed 11); the peer's recognisers need no language model here "
                      "and know no names, addresses or record numbers without one. Names that are in no word list are what is missed most: give the site's own lists in pii.toml.", "",
                      "| kind | Sotto recall | Sotto precision | " + PEER + " recall | precision |", "|---|---|---|---|---|"]
    for kind in [*kinds, None]:
        (r, p), (r2, p2) = score(data, a, kind), score(data, b, kind)
        text.append(f"| {kind or 'all'} | {shown(r)} | {shown(p)} | {shown(r2)} | {shown(p2)} |")
        for what, x, y in (("recall", r, r2), ("precision", p, p2)):
            if x is not None:
                rows.append({"case": f"{kind or 'all'}: {what}", "ours": x, "peer": PEER, "theirs": y, "unit": "share", "ratio": x / y if y else None})
    (OUT / "pii.json").write_text(json.dumps(rows, indent=1))
    (ROOT / "bench/pii.md").write_text("\n".join(text) + "\n")
    print("\n".join(text[4:]))


if __name__ == "__main__":
    main()
