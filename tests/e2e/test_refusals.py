"""What a site refuses, and what a crash leaves: seen from outside, with the programs that users run."""
import json
import shutil
import unittest

from fixture import BIN, Small, wait_until


class Test(unittest.TestCase):
    def test_a_site_that_did_not_approve_sends_nothing(self):
        with Small(3, site_program=[BIN / "hooked_client"]) as f:
            f.enrol()
            run = f.submit(f.plan())
            for name in f.names:
                if name != "west":
                    f.client(name, "approve", run, "--yes")
                f.run_site(name)
            wait_until(lambda: "run_offered" in f.tail("west", 100), 30, "the offer to arrive")
            wait_until(lambda: "run_approved" in f.tail("north", 100) and "run_approved" in f.tail("south", 100), 60, "the others' approvals")
            self.assertNotEqual(f.state(run)["state"], "finished")
            self.assertEqual(list(f.site_dir("west").glob("sent-*")), [])
            self.assertEqual(f.state(run)["rounds_done"], 0)
            shown = json.loads(f.client("west", "status", "--json").stdout)
            self.assertEqual(shown["runs"][0]["decision"], "open")
            # Another roster than the one that the operator was told of is not approved.
            wrong = f.client("west", "approve", run, "--roster", "00" * 32, check=False)
            self.assertEqual(wrong.returncode, 1)
            self.assertIn("nothing was approved", wrong.stderr)
            f.client("west", "approve", run, "--yes")
            f.finish(run)

    def test_a_limit_below_the_plan_refuses_in_plain_words(self):
        with Small(3, limits={"south": 2}) as f:
            f.enrol()
            run = f.submit(f.plan())
            said = f.client("south", "approve", run, "--yes", check=False)
            self.assertEqual(said.returncode, 1)
            self.assertRegex(said.stderr, r"run 'small' is refused: it would bring this site's patients to epsilon [78](\.\d+)? .* and the limit is 2 ")
            self.assertEqual(len(said.stderr.strip().splitlines()), 1)

    def test_a_second_run_counts_what_the_first_spent(self):
        with Small(3) as f:  # a limit of 10: one run at 8 fits, two do not
            f.enrol()
            run = f.begin()
            f.finish(run)
            budget = json.loads(f.client("north", "budget", "--json").stdout)
            self.assertGreater(budget["spent"], 7.5)
            self.assertLessEqual(budget["spent"], 8.0)
            self.assertEqual(budget["left"], budget["limit"] - budget["spent"])
            for name in f.names:
                f.processes[name].wait(30)
            second = f.submit(f.plan(run="second"))
            said = f.client("north", "approve", second, "--yes", check=False)
            self.assertEqual(said.returncode, 1)
            self.assertIn("the limit is 10", said.stderr)
            third = f.submit(f.plan(run="third", epsilon=1.5, rounds=1))
            for name in f.names:
                f.client(name, "approve", third, "--yes")
            f.coordinator("stop", second)
            for name in f.names:
                f.run_site(name)
            f.finish(third)
            self.assertGreater(json.loads(f.client("north", "budget", "--json").stdout)["spent"], budget["spent"])
            code, verdict = f.verify(f.report(third))
            self.assertEqual(code, 0, [c for c in verdict["checks"] if not c["ok"]])

    def test_a_restored_backup_is_refused(self):
        with Small(3) as f:
            f.enrol()
            backup = f.temporary / "backup"
            shutil.copytree(f.site_dir("west"), backup)
            run = f.begin(rounds=1)
            f.finish(run)
            f.processes["west"].wait(30)
            shutil.rmtree(f.site_dir("west"))
            shutil.copytree(backup, f.site_dir("west"))
            f.run_site("west")
            self.assertEqual(f.processes["west"].wait(60), 1)
            self.assertIn("This folder is an older copy (a backup", f.tail("west"))  # the site's own book has seen more of its log
            shutil.rmtree(f.site_dir("west"))
            shutil.copytree(backup, f.site_dir("west"))
            shutil.rmtree(f.folder / "configs/west.budget")  # .. and without it, too, the coordinator has
            f.run_site("west")
            self.assertEqual(f.processes["west"].wait(60), 1)
            self.assertIn("restored backup", f.tail("west"))

    def test_the_coordinator_is_killed_and_goes_on(self):
        with Small(3, site_program=[BIN / "hooked_client"]) as f:
            f.enrol()
            run = f.begin({"north": {"SOTTO_HOLD": "before:report:1"}}, rounds=3, deadline=60)
            wait_until(lambda: f.state(run)["rounds_done"] == 1 and (f.site_dir("south") / "sent-report-1").exists(), 90, "round 1 to be open")
            f.processes["coordinator"].kill()
            f.processes["coordinator"].wait()
            (f.site_dir("north") / "go").touch()
            f.serve()
            f.finish(run)
            code, verdict = f.verify(f.report(run))
            self.assertEqual(code, 0, [c for c in verdict["checks"] if not c["ok"]])
            self.assertEqual(f.state(run)["rounds_done"] + f.state(run)["rounds_void"], 3)


if __name__ == "__main__":
    unittest.main()
