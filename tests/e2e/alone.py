"""One site that trains alone, for end-to-end tests: the tiny model and records of tests/vectors/fixture."""
import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from fixture import BIN, MODEL

PLAN = """
run = "alone"
[privacy]
{privacy}
expected_batch = 5
clip_norm = 0.5
max_records = 2
{more_privacy}
{trained}
[training]
{what}
rounds = {rounds}
local_steps = {steps}
max_tokens = 96
[optimizer]
learning_rate = {rate}
[train]
config = "site.toml"
declared_size = 40
{train}
"""
LORA = '[lora]\nrank = 2\ntargets = ["q_proj", "v_proj", "down_proj"]'


class Alone(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sotto-train-"))
        self.site()

    def tearDown(self):
        shutil.rmtree(self.folder)

    def site(self, limit=10, more=""):
        (self.folder / "site.toml").write_text(
            f'model = "{MODEL}"\ndata = ["{MODEL}/records.jsonl"]\nthreads = 1\n{more}\n[policy]\nepsilon_limit = {limit}\n')

    def plan(self, privacy="epsilon = 8.0", rounds=2, steps=2, rate=0.01, train="", more_privacy="", trained=LORA, what=""):
        path = self.folder / "run.toml"
        path.write_text(PLAN.format(privacy=privacy, rounds=rounds, steps=steps, rate=rate, train=train, more_privacy=more_privacy,
                                    trained=trained, what=what))
        return path

    def command(self, *arguments):
        return [str(a) for a in (BIN / "sotto-client", "train", *arguments, "--yes", "--out", self.folder / "out")]

    def train(self, *arguments):
        return subprocess.run(self.command(*arguments), text=True, capture_output=True, timeout=240)

    def summary(self):
        return json.loads((self.folder / "out/summary.json").read_text())

    def begin_anew(self):
        """As a site whose patients have spent nothing."""
        for folder in ("out", "site.budget"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)

    def audit(self, *arguments, lines=False):
        done = subprocess.run([str(a) for a in (BIN / "sotto-audit", *arguments)], text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()] if lines else json.loads(done.stdout)
