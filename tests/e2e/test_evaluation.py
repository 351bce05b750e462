"""`eval --task` and `compare` on the tiny model: the numbers of lm-evaluation-harness, both adapters against the base, refusals."""
import json
import os
import random
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

BIN = Path(os.environ["SOTTO_BIN"])
SOURCE = Path(__file__).resolve().parent.parent.parent
MODEL = SOURCE / "tests/vectors/fixture"
VECTORS = SOURCE / "tests/vectors/evaluation/lm_eval"


def run(*arguments):
    return subprocess.run([BIN / "sotto-client", *map(str, arguments)], text=True, capture_output=True, timeout=120)


def write_adapter(folder, seed, scale):
    """A PEFT folder of rank 2 on one projection, with random values."""
    rng = random.Random(seed)
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["o_proj"], "bias": "none", "task_type": "CAUSAL_LM"}))
    header, data = {}, b""
    for layer in range(2):
        for name, shape in (("lora_A", [2, 64]), ("lora_B", [64, 2])):
            values = struct.pack("<128f", *(rng.gauss(0, scale) for _ in range(128)))
            header[f"base_model.model.model.layers.{layer}.self_attn.o_proj.{name}.weight"] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
            data += values
    text = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sotto-evaluation-")
        self.path = Path(self.folder.name)
        for name, seed in (("first", 1), ("second", 2)):
            write_adapter(self.path / name, seed, 0.6)

    def tearDown(self):
        self.folder.cleanup()

    def check_choices(self, model, expected):
        samples = self.path / "samples.jsonl"
        done = run("eval", "--task", VECTORS / "task.toml", "--model", model, "--precision", "fp32", "--samples", samples, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual((told["task"], told["items"], told["model"]), ("local_choice", 36, "base"))
        for metric in ("acc", "acc_norm"):
            self.assertAlmostEqual(told["metrics"][metric]["value"], expected[metric], delta=1e-3)
            self.assertLess(told["metrics"][metric]["low"], expected[metric])
        lines = [json.loads(line) for line in samples.read_text().splitlines()]
        self.assertEqual(len(lines), len(expected["logprobs"]))
        for line, logprobs in zip(lines, expected["logprobs"]):
            for ours, theirs in zip(line["models"]["base"]["logprobs"], logprobs, strict=True):
                self.assertAlmostEqual(ours, theirs, delta=1e-3)

    def test_choices_get_the_numbers_of_lm_evaluation_harness(self):
        self.check_choices(MODEL, json.loads((VECTORS / "expected.json").read_text()))
        begins = self.path / "begins"  # a model that begins each text with a token of its own
        shutil.copytree(MODEL, begins)
        tokenizer = json.loads((MODEL / "tokenizer.json").read_text())
        token, text = {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
        tokenizer["post_processor"] = {"type": "TemplateProcessing", "single": [token, text], "pair": [token, text, {"Sequence": {"id": "B", "type_id": 1}}],
                                       "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}}}
        (begins / "tokenizer.json").write_text(json.dumps(tokenizer))
        self.check_choices(begins, json.loads((VECTORS / "expected_bos.json").read_text()))

    def test_adapters_are_compared_with_their_base_and_each_other(self):
        (self.path / "loss.toml").write_text('name = "loss"\ndomain = "medical"\nkind = "loss"\ndata = "loss.jsonl"\nprompt = "{q}"\n')
        (self.path / "loss.jsonl").write_text("".join(json.dumps({"q": "Which code?", "reference": f"E11.{i} diabetes", "patient_id": i // 2}) + "\n" for i in range(16)))
        first, second = self.path / "first", self.path / "second"
        common = ("compare", "--task", self.path / "loss.toml", "--model", MODEL, "--precision", "fp32", "--adapter", first)
        done = run(*common, "--adapter", second, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual([m["model"] for m in told["models"]], ["base", str(first), str(second)])
        self.assertEqual(told["units"], 8)
        losses = [m["metrics"]["loss"]["value"] for m in told["models"]]
        self.assertEqual(len(set(losses)), 3)
        for model, adapter in zip(told["models"], (None, first, second)):  # the same as each alone
            alone = json.loads(run("eval", "--task", self.path / "loss.toml", "--model", MODEL, "--precision", "fp32", "--json", *(["--adapter", adapter] if adapter else [])).stdout)
            self.assertEqual(alone["metrics"], model["metrics"])
        pairs = {(d["from"], d["to"]): d["metrics"]["loss"] for d in told["differences"]}
        self.assertEqual(len(pairs), 3)
        self.assertAlmostEqual(pairs["base", str(first)]["difference"], losses[1] - losses[0])
        self.assertLessEqual(pairs["base", str(first)]["p"], pairs["base", str(first)]["p_holm"])
        text = run(*common)
        self.assertIn(f"{first} minus base", text.stdout)

    def test_answers_become_a_blind_review(self):
        (self.path / "answers.toml").write_text('name = "answers"\ndomain = "medical"\nkind = "generate"\ndata = "answers.jsonl"\nprompt = "{q}"\nmax_tokens = 12\nmetrics = ["token_f1", "codes"]\n')
        (self.path / "answers.jsonl").write_text("".join(json.dumps({"id": f"q{i}", "q": f"Code number {i}?", "reference": "E11.9"}) + "\n" for i in range(4)))
        review = self.path / "review"
        done = run("compare", "--task", self.path / "answers.toml", "--model", MODEL, "--adapter", self.path / "first", "--review", review, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        items = [json.loads(line) for line in (review / "items.jsonl").read_text().splitlines()]
        self.assertGreater(len(items), 0)
        self.assertEqual(set(items[0]), {"id", "prompt", "first", "second", "difference"})
        nothing_yet = run("review", "report", review)
        self.assertEqual((nothing_yet.returncode, "no rating yet" in nothing_yet.stderr), (1, True))

    def test_code_that_a_model_wrote_is_judged_by_running_it_where_it_can_do_no_harm(self):
        (self.path / "code.toml").write_text('name = "code"\ndomain = "technical"\nkind = "generate"\ndata = "code.jsonl"\nprompt = "{q}"\nmax_tokens = 8\nmetrics = ["code_runs"]\n')
        tests = ("", "def f(: broken", "import sys; sys.exit(3)")
        (self.path / "code.jsonl").write_text("".join(json.dumps({"id": str(i), "q": "Write nothing.", "tests": t or "pass"}) + "\n" for i, t in enumerate(tests)))
        done = run("eval", "--task", self.path / "code.toml", "--model", MODEL, "--json")
        if "needs a sandbox" in done.stderr or "bwrap' is missing" in done.stderr:
            self.assertEqual(done.returncode, 1)
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLessEqual(json.loads(done.stdout)["metrics"]["code_runs"]["value"], 1 / 3)

    def test_what_cannot_be_is_refused_by_name(self):
        (self.path / "long.toml").write_text('name = "x"\ndomain = "d"\nkind = "generate"\ndata = "long.jsonl"\nprompt = "{q}"\nmax_tokens = 300\nmetrics = ["token_f1"]\n')
        (self.path / "long.jsonl").write_text('{"id": "one", "q": "?", "reference": "r"}\n')
        task = VECTORS / "task.toml"
        for code, words, arguments in [
                (2, "mode 'joint'", ("eval", "--federated", "--out", "x", "--task", task, "--model", MODEL)),
                (2, "--federated", ("eval", "--federated", "--data", task, "--model", MODEL)),
                (1, "either --task", ("eval", "--model", MODEL)),
                (1, "either --task", ("eval", "--model", MODEL, "--task", task, "--data", "x")),
                (1, "nowhere.toml", ("eval", "--model", MODEL, "--task", "nowhere.toml")),
                (1, "one --adapter", ("eval", "--model", MODEL, "--task", task, "--adapter", "a", "--adapter", "b")),
                (1, "--adapter", ("compare", "--model", MODEL, "--task", task)),
                (1, "--sites", ("compare", "--model", MODEL, "--adapter", "a")),
                (1, "given twice", ("compare", "--model", MODEL, "--task", task, "--adapter", "a", "--adapter", "a")),
                (1, "item 'one' needs", ("eval", "--model", MODEL, "--task", self.path / "long.toml")),
                (1, "review.toml", ("review", "serve", self.path)),
                (1, "'0.0.0.0'", ("review", "serve", self.path, "--host", "0.0.0.0")),
                (2, "command is missing", ("review",))]:
            done = run(*arguments)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
