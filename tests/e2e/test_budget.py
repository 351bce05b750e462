"""The budget belongs to the site's patients, whichever coordinator asks; and a run measures itself by the canaries that it plants."""
import json
import unittest

from fixture import BIN, DECLARED, Federation, Small


class Test(unittest.TestCase):
    def test_canaries_are_measured_and_a_second_coordinator_meets_the_same_budget(self):
        with Small(3) as f:
            f.enrol()
            plan = f.plan(rounds=1)
            plan.write_text(plan.read_text() + "[audit]\ncanaries = 16\n")
            asked = json.loads(f.client("north", "budget", "--plan", plan, "--json").stdout)["plan"]
            self.assertEqual((asked["rounds"], asked["affordable"]), (1, True))
            run = f.submit(plan)
            for name in f.names:
                f.client(name, "approve", run, "--yes")
                f.run_site(name)
            f.finish(run)
            folder = f.report(run)
            code, verdict = f.verify(folder)
            self.assertEqual(code, 0, [c for c in verdict["checks"] if not c["ok"]])
            said = {c["name"]: c["detail"] for c in verdict["checks"]}
            report = json.loads((folder / "report/report.json").read_text())
            self.assertTrue(report["holds"])
            for site in report["sites"]:
                self.assertIn("of 8 guesses right", said["canaries " + site["name"]])
                self.assertEqual((site["empirical"]["canaries"], site["empirical"]["guesses"]), (16, 8))
                self.assertLessEqual(site["empirical"]["epsilon_lower"], site["empirical"]["epsilon_proven_at_this_delta"])
                self.assertEqual((site["budget"]["name"], site["budget"]["limit"]), ("patients", 10))
            self.registry_of_the_coordinator(f, run, folder, max(s["epsilon"] for s in report["sites"]))
            self.two_sites_compare(f)
            self.second_coordinator(f)

    def registry_of_the_coordinator(self, f, run, report, epsilon):
        """A run's model is the same one at the coordinator and at a site, and is promoted by what the report proves."""
        told = json.loads(f.coordinator("register", run, "--domain", "coding", "--json").stdout)
        self.assertAlmostEqual(told["epsilon"], epsilon, delta=1e-4)
        passport = json.loads(f.command("sotto-client", "passport", f.site_dir("north") / "runs" / run / "adapter").stdout)
        self.assertEqual((passport["model"], passport["trained"]), (told["model"], "federated"))
        gate = f.temporary / "gate.toml"
        why = "Nobody uses this one."
        gate.write_text('domain = "coding"\n[waived]\n' + "".join(f'{check} = "{why}"\n' for check in ("quality", "general", "safety", "review")))
        promote = ("promote", told["model"][:8], "--gate", gate, "--by", "Operator")
        missing = f.command("sotto-coordinator", *promote, "--dir", f.coordinator_dir, check=False)
        self.assertEqual(missing.returncode, 1)
        self.assertIn("audit: missing", missing.stderr)
        f.coordinator(*promote, "--audit", report)
        self.assertTrue(json.loads(f.coordinator("models", "--json").stdout)[0]["in_use"])
        self.assertIn(why, f.coordinator("card", told["model"][:8]).stdout)
        self.assertIn("in use", f.coordinator("lineage").stdout)
        checks = json.loads(f.coordinator("doctor", "--json").stdout)
        self.assertEqual([c["check"] for c in checks["checks"]], ["keys", "log", "models", "sites", "address", "disk", "limits"])

    def alone(self, f):
        """Training without any coordinator meets what the federated runs have spent."""
        plan = f.temporary / "alone.toml"
        plan.write_text(f.plan(run="alone").read_text() + "[train]\ndeclared_size = 20\n")
        text = "\n".join(line for line in plan.read_text().splitlines() if not line.startswith("sites"))
        plan.write_text(text + "\n")
        done = f.command("sotto-client", "train", plan, "--config", f.folder / "configs/north.toml", "--out", f.temporary / "alone", check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, r"this site allows 10 \(spent so far: [678]")

    def two_sites_compare(self, f):
        done = f.command("sotto-audit", "verify", f.site_dir("north"), f.site_dir("south"), f.coordinator_dir)
        self.assertIn("ok    heads of coordinator", done.stdout)
        proof = f.temporary / "proof.json"
        proof.write_text(f.command("sotto-audit", "ledger", "prove", f.site_dir("north"), "--entry", "1").stdout)
        self.assertIn("entry 1 is in the log", f.command("sotto-audit", "ledger", "check", proof).stdout)

    def second_coordinator(self, f):
        """Other keys, another folder, another coordinator: the same site.toml, so the same patients."""
        spent = json.loads(f.client("north", "budget", "--json").stdout)
        with Federation(BIN, f.temporary / "second") as g:
            g.found({name: (f.folder / "configs" / f"{name}.toml", DECLARED) for name in f.names})
            before = json.loads(g.client("north", "budget", "--json").stdout)
            self.assertEqual(before["spent"], spent["spent"])
            self.assertEqual(before["spent_elsewhere"], spent["spent"])
            run = g.submit(f.plan(run="again"))
            said = g.client("north", "approve", run, "--yes", check=False)
            self.assertEqual(said.returncode, 1)
            self.assertIn("the limit is 10", said.stderr)
            self.alone(f)
            # The same people under another budget's name: approved by what the books say, and refused when the data is read.
            config = f.folder / "configs/north.toml"
            config.write_text(config.read_text().replace("[policy]", '[policy]\nbudget = "fresh"'))
            g.client("north", "approve", run, "--yes")
            g.run_site("north")
            self.assertEqual(g.processes["north"].wait(60), 1)
            self.assertRegex(g.tail("north"), r"\d+ of these patients belong to the budget 'patients' already")


if __name__ == "__main__":
    unittest.main()
