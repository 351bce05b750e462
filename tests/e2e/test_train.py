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

    def test_without_privacy_the_same_plan_learns_and_says_that_it_guarantees_nothing(self):
        validation = f'validation = "{MODEL}/records.jsonl"'
        done = self.train(self.plan(rounds=6, rate=0.05, train=validation), "--no-privacy")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no guarantee", done.stdout)
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

    def test_forgetting_raises_an_alarm_and_ends_training_at_the_last_adapter_within_the_limit(self):
        # A stage teaches the words, and the codes that come then drive them out.
        words = [{"patient_id": str(i), "instruction": "Say it.", "input": "", "output": f"a {word} of the house"} for i, word in enumerate(["door", "window", "roof", "garden"])]
        (self.folder / "general.jsonl").write_text("".join(json.dumps(w) + "\n" for w in words))
        watched = 'general = "general.jsonl"\nforgetting_limit = 0.01\n'
        stage = '\n[[train.stage]]\nname = "words"\nsteps = 30\nbatch = 4\nlearning_rate = 0.05\n[[train.stage.source]]\nfile = "general.jsonl"\n'
        warned = self.train(self.plan(rounds=4, rate=0.1, train=watched + stage), "--no-privacy")
        self.assertEqual(warned.returncode, 0, warned.stderr)
        self.assertIn("FORGETTING", warned.stdout)
        self.assertEqual((self.summary()["forgetting"], self.summary()["stopped_early"]), (True, False))
        shutil.rmtree(self.folder / "out")
        stopped = self.train(self.plan(rounds=6, rate=0.1, train=watched + "forgetting_stops = true" + stage), "--no-privacy")
        self.assertEqual(stopped.returncode, 0, stopped.stderr)
        summary = self.summary()
        losses = [e["general_loss"] for e in summary["evaluations"]]
        self.assertTrue(summary["stopped_early"] and summary["steps"] < 12, losses)
        self.assertTrue(losses[-1] > losses[0] + 0.01 and all(loss <= losses[0] + 0.01 for loss in losses[:-1]), losses)
        self.assertIn("<svg", (self.folder / "out/curve.svg").read_text())
        told = subprocess.run([BIN / "sotto-client", "eval", "--model", MODEL, "--adapter", self.folder / "out/adapter", "--data", self.folder / "general.jsonl",
                               "--no-answers", "--precision", "fp32", "--max-tokens", "96", "--json"], text=True, capture_output=True)
        self.assertAlmostEqual(json.loads(told.stdout)["loss"], losses[-2], places=2)  # the adapter from before the damage

    def test_runs_of_one_site_share_a_budget_and_a_hold_out(self):
        self.site(limit=7)
        first = self.train(self.plan(privacy="epsilon = 6.0"))
        self.assertEqual(first.returncode, 0, first.stderr)
        done = self.folder / "out"
        done.rename(self.folder / "first")
        second = self.train(self.plan(privacy="epsilon = 6.0"), "--json")  # another folder, the same patients
        self.assertEqual(second.returncode, 1)
        self.assertIn("this site allows 7", second.stderr)
        shutil.rmtree(done)
        third = self.train(self.plan(privacy="epsilon = 1.0"), "--json")
        self.assertEqual(third.returncode, 0, third.stderr)
        self.assertLessEqual(self.summary()["epsilon"], 1.0)
        self.assertTrue(5.0 < self.summary()["epsilon_with_earlier_runs"] <= 7.0)


if __name__ == "__main__":
    unittest.main()
