"""`sotto-client train`, killed: what goes on, what is told, and what a reservation pays for."""
import signal
import subprocess
import time
import unittest

from alone import Alone
from fixture import MODEL


class Test(Alone):
    def kill_when(self, plan, begun):
        """Returns what the process told before it was killed."""
        process = subprocess.Popen(self.command(plan), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 120
        while not begun() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.5)  # what follows it is in the ledger, too
        process.send_signal(signal.SIGKILL)
        told = process.communicate()[1]
        self.assertEqual(process.returncode, -signal.SIGKILL)
        return told

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

    def test_a_reservation_pays_for_its_own_steps_and_once(self):
        plan = self.plan(rounds=1, steps=250, train="checkpoint_s = 1000")
        self.kill_when(plan, self.has_reserved)
        self.assertFalse((self.folder / "out/checkpoint").exists())
        self.site(limit=1000)
        other = self.train(self.plan(privacy="noise_multiplier = 0.3", rounds=1, steps=250))
        self.assertEqual(other.returncode, 1)
        self.assertIn("with other noise, sampling or steps than the plan's", other.stderr)
        same = self.train(self.plan(rounds=1, steps=250, train="checkpoint_s = 1000"))  # nothing of the first part has left
        self.assertEqual(same.returncode, 0, same.stderr)
        self.assertTrue(7 < self.summary()["epsilon"] <= 8.0, self.summary())
        (self.folder / "out/checkpoint").unlink()
        adapter = (self.folder / "out/adapter/adapter_model.safetensors").read_bytes()
        again = self.train(plan)  # a second adapter from other noise would be a second release
        self.assertEqual(again.returncode, 1)
        self.assertIn("counts round 0 of run 'alone' already, and the checkpoint beside it does not hold its result", again.stderr)
        self.assertEqual((self.folder / "out/adapter/adapter_model.safetensors").read_bytes(), adapter)

    def test_a_run_whose_key_is_gone_does_not_go_on_with_another(self):
        plan = self.plan(rounds=40, steps=3, more_privacy='sampling = "random_allocation"', privacy="noise_multiplier = 2.0", train="checkpoint_s = 0")
        self.kill_when(plan, (self.folder / "out/checkpoint").exists)
        key = (self.folder / "out/run.key").rename(self.folder / "kept.key")
        lost = self.train(plan)  # with a fresh key a unit could take part twice in the epoch that was begun
        self.assertEqual(lost.returncode, 1)
        self.assertIn("was begun under another key than", lost.stderr)
        key.replace(self.folder / "out/run.key")
        self.assertEqual(self.train(plan).returncode, 0)

    def test_a_killed_run_has_told_nothing_of_steps_that_are_taken_again(self):
        plan = self.plan(rounds=1, steps=250, more_privacy="count_clipped = true", train="checkpoint_s = 1000")
        told = self.kill_when(plan, self.has_reserved)
        self.assertNotIn("noised_fraction", told)
        done = self.train(plan)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count("noised_fraction"), 250)

    def test_a_stopped_run_says_whether_it_goes_on(self):
        for noise, told in (("", "the same command goes on from there"), ('sampling = "min_separation"\nnoise = "blt"', "correlated noise does not go on")):
            with self.subTest(noise=noise):
                self.begin_anew()
                plan = self.plan(privacy="noise_multiplier = 50.0", rounds=40, steps=10, more_privacy=noise, train="checkpoint_s = 0")
                process = subprocess.Popen(self.command(plan), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                end = time.monotonic() + 120
                while not (self.folder / "out/checkpoint").exists() and process.poll() is None and time.monotonic() < end:
                    time.sleep(0.02)
                process.send_signal(signal.SIGTERM)
                _, errors = process.communicate(timeout=120)
                self.assertEqual(process.returncode, 1, errors)
                self.assertIn(told, errors)
        again = self.train(plan)
        self.assertEqual(again.returncode, 1)
        self.assertIn("with correlated noise that was interrupted does not go on", again.stderr)

    def test_correlated_noise_does_not_go_on_after_a_kill(self):
        plan = self.plan(rounds=40, steps=3, more_privacy='sampling = "min_separation"\nnoise = "blt"', train="checkpoint_s = 0")
        self.kill_when(plan, (self.folder / "out/checkpoint").exists)
        for missing in (False, True):  # what its noise is combined with is lost; without the checkpoint it would be drawn a second time
            again = self.train(plan)
            self.assertEqual(again.returncode, 1)
            self.assertIn("counts round 0" if missing else "a run with correlated noise that was interrupted does not go on", again.stderr)
            self.assertFalse((self.folder / "out/adapter").exists())
            (self.folder / "out/checkpoint").unlink(missing_ok=True)

    def test_a_run_of_correlated_noise_that_stopped_early_is_done_and_charged_whole(self):
        # Steps too short to change a float: the loss stays where it is, whatever is drawn.
        plan = self.plan(rounds=20, steps=1, rate=1e-12, more_privacy='sampling = "min_separation"\nnoise = "blt"',
                         train=f'patience = 1\nvalidation = "{self.others()}"')
        for _ in range(2):
            done = self.train(plan)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual((self.summary()["steps"], self.summary()["stopped_early"]), (1, True))
            self.assertTrue(7.8 < self.summary()["epsilon"] <= 8.0, self.summary())

    def test_the_whole_model_learns_without_privacy_and_a_killed_run_of_it_goes_on(self):
        plan = self.plan(rounds=6, rate=0.003, train=f'validation = "{MODEL}/records.jsonl"\ncheckpoint_s = 0', trained="", what='trained = "full"')
        process = subprocess.Popen(self.command(plan, "--no-privacy"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while not (self.folder / "out/checkpoint").exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = self.train(plan, "--no-privacy")
        self.assertEqual(done.returncode, 0, done.stderr)
        losses = [e["loss"] for e in self.summary()["evaluations"]]
        self.assertLess(losses[-1], losses[0])


if __name__ == "__main__":
    unittest.main()
