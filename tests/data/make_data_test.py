"""Runs the demo's data generator three times and proves what it promises. Usage: make_data_test.py SCRIPT ICD10CM WORK"""
import collections
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

SCRIPT, ICD10CM, WORK = sys.argv[1:4]
SIZES = ["--patients", "150", "--held-out", "40", "--general", "60"]


def generate(name, seed):
    folder = os.path.join(WORK, name)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, SCRIPT, "--out", folder, "--seed", str(seed), "--icd10", ICD10CM] + SIZES, check=True,
                   stdout=subprocess.DEVNULL)
    return folder


def files(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


def content(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def read(folder, name):
    return [json.loads(line) for line in content(folder, name).decode().splitlines()]


def answer(record):
    return record["output"] if "output" in record else record["messages"][-1]["content"]


def question(record):
    return record["instruction"] + "\n" + record["input"] if "input" in record else record["messages"][-2]["content"]


def pieces(record):
    """Every term, title, category, synonym and exclusion note that a record shows, in question or answer, in lower case."""
    code_and_title = r"(?m)^(?:\(\d\) )?([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?) (.+)$"
    out = {title for _, title in re.findall(code_and_title, answer(record)) + re.findall(code_and_title, question(record))}
    out |= set(record["terms"])
    if record["task"] == "meaning":
        text, category = re.fullmatch(r"(.*)\. Category: (.*)\.", answer(record)).groups()
        title, _, synonyms = text.partition(" (also: ")
        out |= {title, category} | set(synonyms.removesuffix(")").split("; "))
    if record["task"] == "excludes":
        notes = answer(record).removeprefix("Excluded: ").split("; ")
        out |= set(notes) | {re.sub(r"\s*\([^()]*\)$", "", note) for note in notes}
    return {piece.lower() for piece in out if piece}


class Generated(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = generate("first", 7)
        cls.manifest = json.loads(content(cls.folder, "manifest.json"))
        cls.sites = [site["name"] for site in cls.manifest["sites"]]
        cls.train = {site: read(cls.folder, f"{site}/train.jsonl") for site in cls.sites}
        cls.held_out = {split: read(cls.folder, f"{split}.jsonl") for split in ("val", "test")}

    def test_equal_arguments_give_equal_bytes_and_another_seed_others(self):
        again, other = generate("again", 7), generate("other", 8)
        self.assertEqual(files(self.folder), files(again))
        for name in files(self.folder):
            self.assertEqual(content(self.folder, name), content(again, name), name)
            self.assertNotEqual(content(self.folder, name), content(other, name), name)

    def test_no_patient_is_in_two_files(self):
        seen = {}
        groups = self.train | self.held_out
        for name, records in groups.items():
            for patient in {record["patient_id"] for record in records}:
                self.assertNotIn(patient, seen)
                seen[patient] = name
        self.assertGreater(len(seen), 3 * 100)

    def test_no_surface_term_of_val_or_test_occurs_in_training(self):
        trained = set().union(*(pieces(record) for records in self.train.values() for record in records))
        terms = {split: {t.lower() for record in records for t in record["terms"]} for split, records in self.held_out.items()}
        self.assertGreater(len(terms["val"]), 100)
        for split in terms:
            self.assertEqual(terms[split] & trained, set(), split)
        self.assertEqual(terms["val"] & terms["test"], set())

    def test_no_held_out_record_equals_a_training_record(self):
        trained = {(question(record), answer(record)) for records in self.train.values() for record in records}
        for records in self.held_out.values():
            self.assertFalse(trained & {(question(record), answer(record)) for record in records})

    def test_sites_hold_their_own_patients_of_their_own_chapters(self):
        for site in self.manifest["sites"]:
            records = self.train[site["name"]]
            self.assertTrue(all(record["site"] == site["name"] for record in records))
            own = sum(record["chapter"] in site["chapters"] for record in records)
            self.assertGreater(own, 0.6 * len(records), site["name"])
            chapters, encounters = collections.defaultdict(set), collections.defaultdict(list)
            for record in records:
                chapters[record["patient_id"]].add(record["chapter"])
                encounters[record["patient_id"]].append(record["encounter"])
            self.assertTrue(all(len(one) == 1 for one in chapters.values()))
            for visits in encounters.values():
                self.assertEqual(sorted(visits), list(range(1, len(visits) + 1)))
                self.assertLessEqual(len(visits), 12)

    def test_the_five_tasks_have_about_their_shares(self):
        records = [record for records in self.train.values() for record in records]
        shares = collections.Counter(record["task"] for record in records)
        for task, low, high in (("code", 0.55, 0.72), ("meaning", 0.12, 0.26), ("excludes", 0.03, 0.12), ("additional", 0.0005, 0.04),
                                ("multi", 0.05, 0.14)):
            self.assertTrue(low < shares[task] / len(records) < high, f"{task}: {shares[task]} of {len(records)}")
        self.assertTrue(2.1 < len(records) / len({record["patient_id"] for record in records}) < 3.1)

    def test_a_copy_is_flagged(self):
        for records in self.held_out.values():
            for record in records:
                if record["task"] == "code":
                    title = answer(record).split(" ", 1)[1]
                    self.assertEqual(record["copy"], title.lower() == record["terms"][0].lower())
                    self.assertIn(record["terms"][0].lower(), question(record).lower())
                self.assertEqual("copy" in record, record["task"] in ("code", "multi"))

    def test_formats_and_system_prompt(self):
        self.assertIn("instruction", self.train[self.sites[0]][0])
        for record in self.train[self.sites[1]] + self.held_out["val"]:
            self.assertEqual([m["role"] for m in record["messages"]], ["system", "user", "assistant"])
            self.assertEqual(record["messages"][0]["content"], self.manifest["system_prompt"])
        for record in read(self.folder, "general.jsonl"):
            self.assertEqual([m["role"] for m in record["messages"]], ["user", "assistant"])
        by_site = [record for site in self.sites for record in read(self.folder, f"{site}/val.jsonl")]
        self.assertEqual(len(by_site), len(self.held_out["val"]))

    def test_the_manifest_tells_what_was_made(self):
        for name, value in self.manifest["sha256"].items():
            self.assertEqual(hashlib.sha256(content(self.folder, name)).hexdigest(), value)
        self.assertEqual(set(self.manifest["sha256"]) | {"manifest.json"}, set(files(self.folder)))
        for site in self.manifest["sites"]:
            self.assertEqual(site["records"], len(self.train[site["name"]]))
            self.assertEqual(site["patients"], len({record["patient_id"] for record in self.train[site["name"]]}))

    def test_a_missing_source_is_named(self):
        for option in ("--icd10", "--wordnet"):
            missing = os.path.join(WORK, "nowhere")
            run = subprocess.run([sys.executable, SCRIPT, "--out", os.path.join(WORK, "none"), "--icd10", ICD10CM, option, missing],
                                 capture_output=True, text=True)
            self.assertEqual(run.returncode, 1)
            self.assertIn(missing, run.stderr)
            self.assertIn(option, run.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
