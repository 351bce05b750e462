"""`sotto-client train`: one site alone, private and not, killed and resumed, over budget, and stopped early."""
import json
import shutil
import signal
import subprocess
import tempfile
import time
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
[lora]
rank = 2
targets = ["q_proj", "v_proj", "down_proj"]
[training]
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


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sotto-train-"))
        self.site()

    def tearDown(self):
        shutil.rmtree(self.folder)

    def site(self, limit=10, more=""):
        (self.folder / "site.toml").write_text(
            f'model = "{MODEL}"\ndata = ["{MODEL}/records.jsonl"]\nthreads = 1\n{more}\n[policy]\nepsilon_limit = {limit}\n')

    def plan(self, privacy="epsilon = 8.0", rounds=2, steps=2, rate=0.01, train="", more_privacy=""):
        path = self.folder / "run.toml"
        path.write_text(PLAN.format(privacy=privacy, rounds=rounds, steps=steps, rate=rate, train=train, more_privacy=more_privacy))
        return path

    def command(self, *arguments):
        return [str(a) for a in (BIN / "sotto-client", "train", *arguments, "--out", self.folder / "out")]

    def train(self, *arguments):
        return subprocess.run(self.command(*arguments), text=True, capture_output=True, timeout=240)

    def summary(self):
        return json.loads((self.folder / "out/summary.json").read_text())

    def test_a_site_alone_trains_privately_and_its_ledger_says_what_it_cost(self):
        done = self.train(self.plan(), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = self.summary()
        self.assertEqual(json.loads(done.stdout), summary)
        self.assertEqual(summary["steps"], 4)
        self.assertTrue(6 < summary["epsilon"] <= 8.0, summary)
        self.assertTrue((self.folder / "out/adapter/adapter_model.safetensors").exists())
        scored = subprocess.run([BIN / "sotto-client", "score", "--model", MODEL, "--adapter", self.folder / "out/adapter"],
                                input='{"text": "fever"}\n', text=True, capture_output=True)
        self.assertEqual(scored.returncode, 0, scored.stderr)
        again = self.train(self.plan(), "--json")  # it is done: nothing more is spent
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(self.summary()["epsilon"], summary["epsilon"])
        other = self.train(self.plan(rounds=3))
        self.assertEqual(other.returncode, 1)
        self.assertIn("belongs to another plan", other.stderr)
        self.spent_for_good()

    def spent_for_good(self):
        """The same patients in another folder, for another plan, as a new file, or under another budget's name."""
        def again(*arguments):
            done = subprocess.run(self.command(plan)[:-1] + [str(self.folder / "out2"), *arguments], text=True, capture_output=True, timeout=240)
            self.assertEqual(done.returncode, 1, done.stdout)
            return done.stderr
        self.site(limit=8.5)
        plan = self.plan()
        plan.write_text(plan.read_text().replace('run = "alone"', 'run = "again"'))
        self.assertRegex(again(), r"this site allows 8.5 \(spent so far: [678]")
        renamed = self.folder / "version-2.jsonl"
        shutil.copy(MODEL / "records.jsonl", renamed)
        site = self.folder / "site.toml"
        site.write_text(site.read_text().replace(str(MODEL / "records.jsonl"), str(renamed)))
        self.assertIn("this site allows 8.5", again())
        site.write_text(site.read_text() + 'budget = "fresh"\n')
        self.assertRegex(again(), r"\d+ of these patients belong to the budget 'patients' already")
        self.assertFalse((self.folder / "out2/adapter").exists())

    def test_without_privacy_the_same_plan_learns_and_says_that_it_guarantees_nothing(self):
        validation = f'validation = "{MODEL}/records.jsonl"'
        done = self.train(self.plan(rounds=6, rate=0.05, train=validation), "--no-privacy")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no guarantee", done.stdout)
        self.assertEqual(list((self.folder / "site.budget/spent").iterdir()), [])  # nothing promised, nothing charged
        summary = self.summary()
        self.assertEqual((summary["privacy"], summary["epsilon"], summary["noise_multiplier"]), (False, "none", 0))
        losses = [e["loss"] for e in summary["evaluations"]]
        self.assertEqual(len(losses), 7)
        self.assertLess(losses[-1], losses[0])
        self.assertTrue(summary["validation_data"]["outside_the_guarantee"])

    def test_a_killed_run_goes_on_and_spends_no_more(self):
        plan = self.plan(rounds=40, steps=3, train="checkpoint_s = 0")
        process = subprocess.Popen(self.command(plan), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while not (self.folder / "out/checkpoint").exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        self.assertEqual(process.wait(), -signal.SIGKILL)
        done = self.train(plan, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("training_resumed", done.stderr)
        self.assertEqual(self.summary()["steps"], 120)
        self.assertLessEqual(self.summary()["epsilon"], 8.0)
        (self.folder / "out/checkpoint").write_bytes((self.folder / "out/checkpoint").read_bytes()[:-1] + b"x")
        damaged = self.train(plan)
        self.assertEqual(damaged.returncode, 1)
        self.assertIn("is damaged", damaged.stderr)

    def test_the_sites_limit_and_missing_facts_stop_it_before_data_is_read(self):
        self.site(limit=1)
        over = self.train(self.plan())
        self.assertEqual(over.returncode, 1)
        self.assertIn("this site allows 1", over.stderr)
        self.assertFalse((self.folder / "out/adapter").exists())
        path = self.plan()
        path.write_text(path.read_text().replace("declared_size = 40", ""))
        unsized = self.train(path)
        self.assertEqual(unsized.returncode, 1)
        self.assertIn("declared_size", unsized.stderr)

    def test_training_stops_when_the_loss_outside_the_guarantee_no_longer_falls(self):
        self.site(more="holdout_fraction = 0.4")
        # Steps too short to change a float: the loss stays where it is, whatever is drawn.
        done = self.train(self.plan(rounds=30, rate=1e-12, train="patience = 2\n" + f'validation = "{MODEL}/records.jsonl"'), "--no-privacy")
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = self.summary()
        self.assertTrue(summary["stopped_early"])
        self.assertLess(summary["steps"], 20)


if __name__ == "__main__":
    unittest.main()
