"""Attacks on a run, as a site's engineer and an auditor start them: planted canaries catch a build whose noise is off though its log
says otherwise, and what an attack on real patients shows is readable at the site alone."""
import json
import unittest

from fixture import BIN, Small, wait_until

KEY = "5a" * 32
CANARIES = 192


class Test(unittest.TestCase):
    def test_a_build_without_noise_is_caught_and_attacks_on_records_stay_at_the_site(self):
        with Small(3, site_program=[BIN / "hooked_client"], more='holdout_fraction = 0.4\nlog_key = "env:SITE_LOG_KEY"') as f:
            f.environment["SITE_LOG_KEY"] = KEY
            f.enrol()
            run = self.broken_run(f)
            folder = f.report(run)
            self.caught(f, folder)
            self.attacked(f, run, folder)

    def broken_run(self, f):
        """Every site runs the broken build, so that no other site's noise hides what it learnt."""
        plan = f.plan(rounds=1, epsilon=0.3)
        text = plan.read_text()
        for old, new in [("expected_batch = 5", "expected_batch = 10"), ("rank = 2", "rank = 8"), ("local_steps = 2", "local_steps = 60"),
                         ('"down_proj"]', '"o_proj", "up_proj", "down_proj"]'), ("learning_rate = 0.01", "learning_rate = 0.08")]:
            self.assertIn(old, text)
            text = text.replace(old, new)
        plan.write_text(text + f"range = 4.0\n[audit]\ncanaries = {CANARIES}\n")
        run = f.submit(plan)
        for name in f.names:
            f.client(name, "approve", run, "--yes")
            f.run_site(name, {"SOTTO_NOISE_OFF": "training"})
        f.finish(run)
        return run

    def caught(self, f, folder):
        code, verdict = f.verify(folder)
        self.assertEqual(code, 1)
        failed = {c["name"]: c["detail"] for c in verdict["checks"] if not c["ok"]}
        self.assertEqual(set(failed), {f"canaries {n}" for n in f.names})  # the logs alone show nothing wrong
        self.assertIn("the noise, the sampling or the proof is not what the log says", failed["canaries north"])
        report = json.loads((folder / "report/report.json").read_text())
        self.assertFalse(report["holds"])
        for site in report["sites"]:
            shown = site["empirical"]
            self.assertEqual((shown["canaries"], shown["guesses"], shown["confidence"]), (CANARIES, CANARIES // 2, 1 - 1e-4))
            self.assertGreater(shown["epsilon_lower"], shown["epsilon_proven_at_this_delta"])
            self.assertTrue(any(site["name"] in reason for reason in report["failures"]), report["failures"])
        self.assertIn("canaries", (folder / "report/report.html").read_text())
        self.assertEqual(f.command("sotto-audit", "report", folder, check=False).returncode, 1)

    def attacked(self, f, run, folder):
        wait_until(lambda: f.processes["north"].poll() == 0, 60, "the site to end")  # a log has one writer
        shown = json.loads(f.client("north", "attack", run, "--json").stdout)
        self.assertEqual(shown["run"], run)
        self.assertTrue(shown["members"] > 0 and shown["non_members"] > 0 and shown["sealed"], shown)
        self.assertTrue(0 <= shown["auc"] <= 1)
        log = f.site_dir("north")
        closed = f.command("sotto-audit", "ledger", "show", log).stdout
        self.assertIn("sealed", closed)
        self.assertNotIn("attack_measured", closed)
        opened = f.command("sotto-audit", "ledger", "show", log, "--key", "env:SITE_LOG_KEY").stdout
        self.assertIn("attack_measured", opened)
        self.assertNotIn("attack_measured", (folder / "report/report.json").read_text())
        self.assertIn("keep it here", f.client("north", "attack", run).stdout)

    def test_a_build_that_never_adds_noise_does_not_begin(self):
        with Small(3, site_program=[BIN / "hooked_client"]) as f:
            f.enrol()
            run = f.submit(f.plan())
            f.client("north", "approve", run, "--yes")
            f.run_site("north", {"SOTTO_NOISE_OFF": "always"})
            wait_until(lambda: f.processes["north"].poll() is not None, 60, "the broken site to stop")
            self.assertEqual(f.processes["north"].returncode, 1)
            self.assertIn("noise", f.tail("north"))


if __name__ == "__main__":
    unittest.main()
