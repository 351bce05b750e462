"""Attacks on a run, as a site's engineer starts them: what one on real patients shows is readable at the site alone, and a build that
adds no noise does not begin. (That canaries catch one that stops adding it: tests/client/training/canaries_test.cc.)"""
import json
import unittest

from fixture import BIN, Small, wait_until

KEY = "5a" * 32


class Test(unittest.TestCase):
    def test_attacks_on_records_stay_at_the_site(self):
        with Small(3, more='holdout_fraction = 0.4\nlog_key = "env:SITE_LOG_KEY"') as f:
            f.environment["SITE_LOG_KEY"] = KEY
            f.enrol()
            run = self.ordinary_run(f)
            folder = f.report(run)
            self.attacked(f, run, folder)

    def ordinary_run(self, f):
        run = f.submit(f.plan())
        for name in f.names:
            f.client(name, "approve", run, "--yes")
            f.run_site(name)
        f.finish(run)
        return run

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
