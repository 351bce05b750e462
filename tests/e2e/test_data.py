"""A site's raw records through the commands alone: check, select, minimise, split, seal, and a model that reads the sealed file."""
import gzip
import json
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from fixture import BIN, SOURCE

FIXTURE = SOURCE / "tests/vectors/fixture"


def client(*arguments):
    return subprocess.run([BIN / "sotto-client", *map(str, arguments)], text=True, capture_output=True, timeout=120)


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sotto-data-"))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def test_raw_records_become_a_sealed_training_set(self):
        records = [json.loads(line) for line in (FIXTURE / "records.jsonl").read_text(encoding="utf-8").splitlines()]
        records[0]["input"] = "Seen by Dr. Miller on 2021-03-04, call (555) 123-4567."
        lines = [json.dumps(r) for r in records]
        raw = self.folder / "raw.jsonl.gz"
        raw.write_bytes(gzip.compress(("\n".join([*lines, lines[0], '{"patient_id": "x"}']) + "\n").encode()))

        page = self.folder / "check.html"
        checked = client("data", "check", raw, "--model", FIXTURE, "--html", page, "--json")
        self.assertEqual(checked.returncode, 1, checked.stderr)  # a broken line is above the limit
        report = json.loads(checked.stdout)
        self.assertEqual(report["records"], len(lines) + 1)
        self.assertEqual(report["broken"]["lines"], 1)
        self.assertIn(f"raw.jsonl.gz:{len(lines) + 2}", report["broken"]["first"][0])
        self.assertGreater(report["lengths"]["answer_tokens"]["median"], 0)
        self.assertIn("<svg", page.read_text(encoding="utf-8"))

        kept, why = self.folder / "kept.jsonl", self.folder / "why.jsonl"
        selected = client("data", "select", raw, "--out", kept, "--reasons", why, "--json")
        self.assertEqual(selected.returncode, 0, selected.stderr)
        self.assertEqual(json.loads(selected.stdout)["kept"] + len(why.read_text().splitlines()), len(lines) + 2)
        self.assertIn("of the same patient", why.read_text())

        clean = self.folder / "clean.jsonl"
        preview = client("data", "minimise", kept, "--key", self.folder / "pii.key", "--preview", "--json")
        self.assertIn("- Seen by Dr. Miller on 2021-03-04, call (555) 123-4567.", preview.stdout)
        self.assertFalse(clean.exists())
        minimised = client("data", "minimise", kept, "--key", self.folder / "pii.key", "--out", clean, "--json")
        self.assertEqual(minimised.returncode, 0, minimised.stderr)
        self.assertGreaterEqual(json.loads(minimised.stdout)["replaced"]["phone"], 1)
        self.assertNotIn("Miller", clean.read_text())

        split = client("data", "split", clean, "--fraction", 0.3, "--key", self.folder / "split.key", "--out", self.folder / "parts", "--json")
        self.assertEqual(split.returncode, 0, split.stderr)
        counts = json.loads(split.stdout)
        self.assertEqual(counts["training"] + counts["validation"], json.loads(selected.stdout)["kept"])
        leaks = client("data", "check", self.folder / "parts/train.jsonl", "--validation", self.folder / "parts/val.jsonl", "--json")
        self.assertEqual(json.loads(leaks.stdout)["duplicates"]["validation"]["patients_in_both"], 0)

        sealed, key = self.folder / "train.sealed", self.folder / "data.key"
        done = client("data", "seal", self.folder / "parts/train.jsonl", "--data-key", key, "--out", sealed, "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["lines"]), (0, counts["training"]), done.stderr)
        self.assertNotIn(b"patient_id", sealed.read_bytes())
        without = client("data", "check", sealed)
        self.assertEqual(without.returncode, 1)
        self.assertIn("is sealed", without.stderr)
        scored = client("eval", "--model", FIXTURE, "--data", sealed, "--data-key", key, "--limit", 4, "--max-tokens", 64, "--json")
        self.assertEqual(scored.returncode, 0, scored.stderr)

    def broken_model(self):
        """The fixture's model with a NaN in its last norm; returns the folder."""
        model = self.folder / "nan"
        shutil.copytree(FIXTURE, model)
        path = model / "model.safetensors"
        data = bytearray(path.read_bytes())
        header = 8 + struct.unpack("<Q", data[:8])[0]
        at = header + json.loads(data[8:header])["model.norm.weight"]["data_offsets"][0]
        data[at:at + 4] = b"\xff\x7f\xff\x7f"  # a NaN in F32, F16 and BF16
        path.write_bytes(data)
        return model

    def test_every_command_that_loads_a_model_refuses_a_number_that_is_not_finite(self):
        model = self.broken_model()
        site = self.folder / "site.toml"
        site.write_text(f'model = "{model}"\ndata = ["{FIXTURE.resolve()}/records.jsonl"]\n[policy]\nepsilon_limit = 1\n')
        for command in (("doctor", "--config", site), ("eval", "--model", model, "--data", FIXTURE / "records.jsonl", "--limit", 2),
                        ("score", "--model", model), ("generate", "--model", model), ("export", "--model", model, "--to", "gguf", "--out", self.folder / "x.gguf")):
            with self.subTest(command=command[0]):
                done = subprocess.run([BIN / "sotto-client", *map(str, command)], input='{"text": "a b"}\n', text=True, capture_output=True, timeout=120)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn("model.norm.weight has a number that is not finite", done.stderr)
        self.assertFalse((self.folder / "x.gguf").exists())

    def test_doctor_counts_patients_and_says_what_would_train_nothing(self):
        records = [{"patient_id": f"P{i}", "instruction": "q " * (400 if i < 30 else 1), "output": "a"} for i in range(60)]
        data, link = self.folder / "data.jsonl", self.folder / "link.jsonl"
        data.write_text("".join(json.dumps(r) + "\n" for r in records))
        link.symlink_to(data)
        site = self.folder / "site.toml"
        site.write_text(f'model = "{FIXTURE.resolve()}"\ndata = ["data.jsonl", "link.jsonl"]\n[policy]\nepsilon_limit = 1\n')
        told = json.loads(client("doctor", "--config", site, "--json").stdout)
        self.assertEqual((told["records"], told["patients"], told["declare"], told["files_named_twice"]), (60, 60, 60, 1))
        idle = told["trains_nothing"][0]
        self.assertEqual((idle["records"], idle["patients"], idle["max_tokens"]), (30, 30, 128))
        self.assertGreater(idle["max_tokens_needed"], 400)
        said = client("doctor", "--config", site).stdout
        self.assertIn("30 of 60 records and 30 of 60 patients train nothing", said)
        self.assertNotIn("all is in place\n", said)


if __name__ == "__main__":
    unittest.main()
