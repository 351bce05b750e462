"""A tuned adapter on its way out: merged, exported, and scored again by the programs themselves."""
import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from fixture import BIN, MODEL, SOURCE

ADAPTER = SOURCE / "tests/vectors/gguf_export/adapter"
IDS = json.dumps({"ids": [428, 223, 20, 445, 1, 359, 201, 74, 75, 2]}) + "\n"


def client(*arguments, text=""):
    done = subprocess.run([BIN / "sotto-client", *map(str, arguments)], input=text, text=True, capture_output=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def score(model, *arguments):
    return client("score", "--model", model, "--json", *arguments, text=IDS)["token_logprobs"]


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sotto-export-"))
        self.expected = score(MODEL, "--adapter", ADAPTER)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def check_scores(self, model, tolerance, expected=None):
        for ours, wanted in zip(score(model), expected or self.expected, strict=True):
            self.assertAlmostEqual(ours, wanted, delta=tolerance)

    def test_a_tuned_model_is_merged_and_exported_and_scores_the_same(self):
        self.assertGreater(max(abs(a - b) for a, b in zip(score(MODEL), self.expected)), 0.1)  # the adapter matters
        merged = self.folder / "merged"
        told = client("merge", "--model", MODEL, "--adapter", ADAPTER, "--out", merged, "--json")
        self.assertEqual((told["out"], told["type"], told["files"], told["tensors"]), (str(merged), "F32", 1, 20))
        self.check_scores(merged, 1e-5)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            self.assertEqual((merged / name).read_bytes(), (MODEL / name).read_bytes())
        client("merge", "--model", MODEL, "--adapter", ADAPTER, "--out", self.folder / "shards", "--shard-mb", "1", "--json")
        self.check_scores(self.folder / "shards", 1e-5)
        for kind, tolerance in (("F32", 1e-5), ("F16", 5e-3), ("BF16", 5e-2), ("Q8_0", 1e-1)):
            out = self.folder / f"{kind}.gguf"
            client("export", "--model", MODEL, "--adapter", ADAPTER, "--out", out, "--type", kind, "--json")
            self.check_scores(out, tolerance)
        ids = client("tokenize", "--model", self.folder / "F16.gguf", "--json", text='{"text": "Type 2 diabetes"}\n')["ids"]
        self.assertEqual(ids, [428, 223, 20, 445])  # the tokenizer travels along
        back = self.folder / "back"
        client("merge", "--model", self.folder / "F32.gguf", "--adapter", ADAPTER, "--out", back, "--json")
        self.check_scores(back, 1e-5, score(self.folder / "F32.gguf", "--adapter", ADAPTER))
        client("export", "--model", MODEL, "--adapter", ADAPTER, "--to", "gguf-lora", "--out", self.folder / "lora.gguf", "--json")
        self.assertEqual([p for p in self.folder.iterdir() if p.name.endswith(".new")], [])


if __name__ == "__main__":
    unittest.main()
