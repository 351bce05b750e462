"""Folders put back from older copies, text that is not outside the guarantee, and folders of the version before: nothing spends less than ran."""
import json
import shutil
import signal
import subprocess
import time
import unittest

from alone import Alone
from fixture import BIN, MODEL, SOURCE

FOLDERS = SOURCE / "tests/vectors/folders"


def client(*arguments):
    return subprocess.run([str(a) for a in (BIN / "sotto-client", *arguments)], text=True, capture_output=True, timeout=240)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.endswith("lock")}


class Test(Alone):
    def stop_when(self, plan, begun):
        process = subprocess.Popen(self.command(plan), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 120
        while not begun() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=120)[1]
        self.assertEqual(process.returncode, 1, told)
        self.assertIn("the same command goes on from there", told)

    def put_back(self, kept):
        shutil.rmtree(self.folder / "out")
        shutil.copytree(kept, self.folder / "out")

    def epsilon_of_the_book(self):
        (self.folder / "events.json").write_text(json.dumps(self.spent()[-1]["events"]))
        return self.audit("compose", self.folder / "events.json", "--delta", 1e-5, "--json")["epsilon_upper"]

    def refused(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_a_restored_copy_of_a_folder_makes_no_second_adapter_and_lowers_nothing(self):
        plan = self.plan(rounds=40, train="checkpoint_s = 0")
        self.stop_when(plan, (self.folder / "out/checkpoint").exists)
        kept = self.folder / "kept"
        shutil.copytree(self.folder / "out", kept)
        done = self.train(plan, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        whole = self.folder / "whole"
        shutil.copytree(self.folder / "out", whole)
        spent = self.epsilon_of_the_book()
        self.assertAlmostEqual(spent, self.summary()["epsilon"], delta=1e-3)
        for _ in range(2):  # by a run to the end, and by one step
            self.put_back(kept)
            self.refused(self.train(plan), "This folder is an older copy", "what was spent stays spent", "and the book of patients")
            self.assertFalse((self.folder / "out/adapter").exists())
            self.assertEqual(self.epsilon_of_the_book(), spent)
        self.put_back(whole)
        again = self.train(plan, "--json")  # the newest copy is as it was
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_a_copy_that_works_at_the_same_time_is_refused_and_so_is_the_one_that_stayed_behind(self):
        plan = self.plan(rounds=60, train="checkpoint_s = 0")
        self.stop_when(plan, (self.folder / "out/checkpoint").exists)
        copy = self.folder / "copy"
        shutil.copytree(self.folder / "out", copy)
        first = subprocess.Popen(self.command(plan), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        size = (self.folder / "out/log").stat().st_size
        while (self.folder / "out/log").stat().st_size == size and first.poll() is None:
            time.sleep(0.02)
        elsewhere = lambda: client("train", plan, "--yes", "--out", copy)
        self.refused(elsewhere(), "is being worked with already")
        self.assertEqual(first.wait(240), 0)
        self.refused(elsewhere(), "or a copy of it went on")

    def test_a_checkpoint_that_is_lost_within_a_round_is_not_made_good_on_its_reservation(self):
        plan = self.plan(rounds=1, steps=250, more_privacy="count_clipped = true", train="checkpoint_s = 0")
        self.stop_when(plan, (self.folder / "out/checkpoint").exists)
        checkpoint = self.folder / "out/checkpoint"
        early = checkpoint.read_bytes()
        self.stop_when(plan, lambda: checkpoint.read_bytes() != early)
        late = checkpoint.read_bytes()
        for kept in (None, early):
            checkpoint.unlink(missing_ok=True)
            if kept:
                checkpoint.write_bytes(kept)
            self.refused(self.train(plan), "has told of", "would be a second release that nobody paid for")
        checkpoint.write_bytes(late)
        done = self.train(plan)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_validation_watched_and_public_text_are_held_against_who_trains(self):
        records = [json.loads(line) for line in (MODEL / "records.jsonl").read_text().splitlines()]
        renamed = self.folder / "renamed.jsonl"
        renamed.write_text("".join(json.dumps({**r, "patient_id": f"n{i}"}) + "\n" for i, r in enumerate(records[:30])))
        known = self.folder / "known.jsonl"  # another record of a patient who trains
        known.write_text(json.dumps({**records[0], "input": "Something else."}) + "\n")
        source = '[[train.mixture]]\nfile = "{}"'
        for train, words in ((f'validation = "{MODEL}/records.jsonl"', "240 of its 240 records, of 59 patients"),
                             (f'validation = "{renamed}"', "30 of its 30 records"), (f'validation = "{known}"', "1 of its 1 records, of 1 patients"),
                             (f'general = "{renamed}"', "train.general"), (source.format(known), "train.mixture"),
                             (f'[[train.stage]]\nname = "s"\nsteps = 1\nbatch = 1\nlearning_rate = 0.1\n[[train.stage.source]]\nfile = "{known}"', "train.stage")):
            with self.subTest(train=train):
                done = self.train(self.plan(train=train))
                self.refused(done, words, "who train under this site's promise")
                self.assertNotIn(records[0]["patient_id"], done.stderr)
                self.assertFalse((self.folder / "out/summary.json").exists())
        self.assertEqual(self.spent(), [])
        done = self.train(self.plan(train=f'validation = "{self.others()}"'))
        self.assertEqual(done.returncode, 0, done.stderr)
        # Who stood in a validation file does not train later; and a run without privacy publishes nothing about who trained under it.
        site = self.folder / "site.toml"
        text = site.read_text()
        site.write_text(text.replace(f'"{MODEL}/records.jsonl"', f'"{MODEL}/records.jsonl", "others.jsonl"'))
        shutil.rmtree(self.folder / "out")
        self.refused(self.train(self.plan()), "40 of the patients who would train were held out, or stand in validation")
        site.write_text(text)
        self.refused(self.train(self.plan(train=f'validation = "{MODEL}/records.jsonl"'), "--no-privacy"), "240 of its 240 records")

    def test_nobody_moves_between_training_and_hold_out(self):
        self.site(limit=100, more="holdout_fraction = 0.2")
        done = self.train(self.plan(privacy="epsilon = 3.0"))
        self.assertEqual(done.returncode, 0, done.stderr)
        (self.folder / "out").rename(self.folder / "first")
        for fraction, words in ((0.6, "of the patients whom holdout_fraction would hold out have trained"),
                                (0.0, "of the patients who would train were held out")):
            self.site(limit=100, more=f"holdout_fraction = {fraction}")
            self.refused(self.train(self.plan(privacy="epsilon = 3.0", train=f'parent = "{self.folder}/first/adapter"')), words)
        self.site(limit=100, more="holdout_fraction = 0.6")
        self.refused(self.train(self.plan(), "--no-privacy"), "of the patients whom holdout_fraction would hold out have trained")
        self.refused(client("benefit", "--config", self.folder / "site.toml", "--local", self.folder / "first/adapter", "--federated", self.folder / "first/adapter"),
                     "of the patients whom holdout_fraction would hold out have trained")
        self.site(limit=100, more="holdout_fraction = 0.2")
        done = self.train(self.plan(privacy="epsilon = 3.0", train=f'parent = "{self.folder}/first/adapter"'))
        self.assertEqual(done.returncode, 0, done.stderr)

    def stored(self, version, kind):
        """A copy of a stored folder, at this machine's paths."""
        shutil.copytree(FOLDERS / version / kind, self.folder / kind)
        for path in (self.folder / kind).rglob("*"):
            if path.suffix == ".key":
                path.chmod(0o600)  # git keeps no such modes
            if path.suffix in (".toml", ".json") and path.is_file():
                path.write_text(path.read_text().replace("MODEL", str(MODEL)).replace("CONFIG", str(self.folder / kind / "north.toml")))
        return self.folder / kind

    def test_folders_of_version_1_are_refused_by_name_and_migrated_with_all_that_was_spent(self):
        train = self.stored("version-1", "train")
        run = lambda *more: client("train", train / "run.toml", "--yes", "--out", train / "out", *more)
        before = contents(train)
        self.refused(run(), "is a book of patients of version 1", "sotto-client migrate")
        dry = client("migrate", train / "out", "--config", train / "site.toml", "--dry-run")
        self.assertEqual(dry.returncode, 0, dry.stderr)
        self.assertIn("budget 'patients': 59 patients, 1 logs have spent epsilon 0.65", dry.stdout)
        self.assertIn("it would be written", dry.stdout)
        after = contents(train)
        after.pop("out/log.lock", None)
        self.assertEqual(after, before)
        self.refused(client("migrate", train / "out"), "give --config")
        done = client("migrate", train / "out", "--config", train / "site.toml")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("it was written", done.stdout)
        kept = contents(train / "site.budget/version-1")
        self.assertEqual({k: v for k, v in before.items() if ".patients" in k or "/spent/" in k}, {"site.budget/" + k: v for k, v in kept.items()})
        self.assertIn("nothing is to be done", client("migrate", train / "site.budget").stdout)
        other = client("train", train / "run.toml", "--yes", "--out", train / "other")  # the same patients, elsewhere
        self.assertEqual(other.returncode, 0, other.stderr)
        summary = json.loads((train / "other/summary.json").read_text())
        self.assertGreater(summary["epsilon_with_earlier_runs"], summary["epsilon"])
        site = train / "site.toml"
        text = site.read_text()
        site.write_text(text.replace("epsilon_limit = 10", "epsilon_limit = 8"))
        third = lambda *more: client("train", train / "run.toml", "--yes", "--out", train / "third", *more)
        self.refused(third(), "this site allows 8")  # what the other folders spent counts here
        site.write_text(text.replace("epsilon_limit = 10", "epsilon_limit = 100"))
        # The run that version 1 began does not go on: its checkpoint does not say which records it began with.
        self.refused(run(), "belongs to another plan, or to other records", "what was spent stays spent")
        done = third("--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(json.loads(done.stdout)["epsilon_with_earlier_runs"], 8)

    def test_a_log_of_version_1_that_lacks_what_its_book_counts_is_refused(self):
        train = self.stored("version-1", "train")
        log = train / "out/log"
        log.write_bytes(log.read_bytes()[:-300])  # the last entries: an older copy, whose torn tail is cut
        self.refused(client("migrate", train / "out", "--config", train / "site.toml"), "lacks reservations that the book of patients")

    def test_a_site_folder_of_version_1_is_migrated_and_its_budget_is_what_it_was(self):
        site = self.stored("version-1", "site")
        self.refused(client("budget", "--dir", site / "north"), "version 1")
        self.assertEqual(client("migrate", site / "north", "--dry-run").returncode, 0)
        done = client("migrate", site / "north")
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(client("budget", "--dir", site / "north", "--json").stdout)
        self.assertAlmostEqual(told["spent"], 7.99965, delta=1e-4)  # the accountant's bracket is that wide
        self.assertEqual((told["spent_elsewhere"], told["runs"][0]["run"]), (0, "small"))


if __name__ == "__main__":
    unittest.main()
