"""One site that trains alone, for end-to-end tests: the tiny model and records of tests/vectors/fixture."""
import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from fixture import BIN, MODEL, others

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
        return [str(a) for a in (BIN / "sotto-client", "train", *arguments, "--out", self.folder / "out")]

    def train(self, *arguments):
        return subprocess.run(self.command(*arguments), text=True, capture_output=True, timeout=240)

    def summary(self):
        return json.loads((self.folder / "out/summary.json").read_text())

    def others(self, count=40, name="others.jsonl"):
        return others(self.folder / name, count)

    def has_reserved(self):
        """Whether a round stands reserved in the log, however it ends."""
        log = self.folder / "out/log"
        if not log.exists():
            return False
        shown = subprocess.run([str(BIN / "sotto-audit"), "ledger", "show", str(log), "--json"], text=True, capture_output=True).stdout
        return '"reserved"' in shown

    def spent(self):
        """What the book of patients says of each log, newest last."""
        return [e["event"] for e in self.audit("ledger", "show", self.folder / "site.budget/log", "--json", lines=True) if e["type"] == "log_spent"]

    def begin_anew(self):
        """As a site whose patients have spent nothing."""
        for folder in ("out", "site.budget"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)

    def audit(self, *arguments, lines=False):
        done = subprocess.run([str(a) for a in (BIN / "sotto-audit", *arguments)], text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()] if lines else json.loads(done.stdout)
