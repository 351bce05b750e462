"""What several sites do with a model beyond one run: they evaluate it over all of them, and go on from it."""
import json
import unittest

from fixture import MODEL, Small, others

TASK = 'name = "coding"\ndomain = "medical"\nkind = "loss"\ndata = "items.jsonl"\nformat = "chat"\nprompt = "{instruction}\\n{input}"\n'
DECLARED = 'outside_the_guarantee = "Made up for this evaluation; nobody is described."\n'


class Test(unittest.TestCase):
    def evaluate(self, f, run):
        """Each site evaluates base, tuned and its own adapter on items of its own; the sums are signed, added up and compared."""
        items = [json.loads(line) for line in (MODEL / "records.jsonl").read_text().splitlines()]
        out = {}
        for i, name in enumerate(f.names):
            folder = f.temporary / f"task-{name}"
            folder.mkdir()
            (folder / "task.toml").write_text(TASK + DECLARED)
            mine = items[i * 10:(i + 1) * 10 + i * 5]
            (folder / "items.jsonl").write_text("".join(json.dumps({"instruction": r["instruction"], "input": r["input"], "reference": r["output"]}) + "\n" for r in mine))
            alone = f.temporary / f"alone-{name}.toml"
            alone.write_text("\n".join(line for line in f.plan(run=f"alone-{name}", rounds=1, epsilon=3).read_text().splitlines() if not line.startswith("sites")) + "\n[train]\ndeclared_size = 20\n")
            f.command("sotto-client", "train", alone, "--config", f.folder / "configs" / f"{name}.toml", "--no-privacy", "--out", f.temporary / f"alone-{name}")
            told = f.client(name, "compare", "--task", folder / "task.toml", "--model", MODEL, "--precision", "fp32", "--adapter", f.site_dir(name) / "runs" / run / "adapter",
                            "--local", f.temporary / f"alone-{name}" / "adapter", "--federated", "--out", f.temporary / f"{name}.json", "--json")
            out[name] = json.loads(told.stdout)
        return out

    def check_pool(self, f, alone, report):
        files = [f.temporary / f"{name}.json" for name in f.names]
        told = f.command("sotto-client", "compare", "--sites", *files, "--roster", report / "roster", "--json").stdout
        pooled = json.loads(told)
        self.assertEqual((pooled["items"], pooled["keys_checked"]), (10 + 15 + 20, True))
        self.assertEqual([m["model"] for m in pooled["models"]], ["base", "tuned", "local"])
        loss = lambda of, i: of["models"][i]["metrics"]["loss"]["value"]
        for i, site in enumerate(pooled["sites"]):  # each site's figures are those that it computed itself
            for m in range(3):
                self.assertAlmostEqual(loss(site, m), loss(alone[f.names[i]], m), places=9)
            theirs = {tuple(d["metrics"]["loss"].items()) for d in alone[f.names[i]]["differences"]}
            self.assertEqual(len(theirs), 3)
        tokens = [json.loads(p.read_text())["result"]["metrics"]["loss"]["sums"][1] for p in files]
        self.assertAlmostEqual(loss(pooled, 1), sum(t * loss(s, 1) for t, s in zip(tokens, pooled["sites"])) / sum(tokens), places=9)
        gained = next(d for d in pooled["differences"] if (d["from"], d["to"]) == ("base", "tuned"))["metrics"]["loss"]
        self.assertTrue(gained["low"] < gained["difference"] < gained["high"])
        self.assertIn("site west", f.command("sotto-client", "compare", "--sites", *files).stdout)
        quality = f.temporary / "pooled.json"
        quality.write_text(told)
        return quality

    def check_gate(self, f, run, quality):
        """A federated model is judged by the figures of all its sites."""
        model = json.loads(f.coordinator("register", run, "--domain", "coding", "--json").stdout)["model"]
        gate = f.temporary / "gate.toml"
        gate.write_text('domain = "coding"\n[quality]\ntask = "coding"\nmetric = "loss"\nmin_gain = -1.0\n[waived]\n' +
                        "".join(f'{check} = "Nobody uses this one."\n' for check in ("general", "safety", "audit", "review")))
        f.coordinator("promote", model[:8], "--gate", gate, "--by", "Operator", "--quality", quality)
        self.assertIn("loss gains", f.coordinator("card", model[:8]).stdout)

    def check_refusals(self, f, run, report):
        north, south = f.temporary / "north.json", f.temporary / "south.json"
        forged = json.loads(north.read_text())
        forged["result"]["items"] += 1
        (f.temporary / "forged.json").write_text(json.dumps(forged))
        stranger = json.loads(south.read_text())
        stranger["site"] = "north"
        (f.temporary / "stranger.json").write_text(json.dumps(stranger))
        private = f.temporary / "private.toml"
        private.write_text(TASK.replace("items.jsonl", "task-north/items.jsonl"))
        common = ("--model", MODEL, "--adapter", f.site_dir("north") / "runs" / run / "adapter", "--dir", f.site_dir("north"))
        for code, words, arguments in [
                (1, "changed after it was signed", ("--sites", f.temporary / "forged.json", south)),
                (1, "changed after it was signed", ("--sites", f.temporary / "stranger.json")),
                (1, "given twice", ("--sites", north, north)),
                (1, "is no roster", ("--sites", north, south, "--roster", north)),
                (1, "takes no task", ("--sites", north, "--task", "x")),
                (1, "not valid JSON", ("--sites", f.temporary / "gate.toml")),
                (2, "mode 'joint'", ("--task", private, *common, "--federated", "--out", f.temporary / "x.json")),
                (1, "--out", ("--task", f.temporary / "task-north/task.toml", *common, "--federated")),
                (1, "belong to --federated", ("--task", private, *common, "--local", "x"))]:
            done = f.command("sotto-client", "compare", *arguments, check=False)
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
            self.assertIn(words, done.stderr)
            self.assertFalse((f.temporary / "x.json").exists())

    def test_a_model_is_evaluated_over_its_sites_and_promoted_by_it(self):
        with Small(3) as f:
            f.enrol()
            run = f.begin(rounds=1)
            f.finish(run)
            report = f.report(run)
            quality = self.check_pool(f, self.evaluate(f, run), report)
            self.check_gate(f, run, quality)
            self.check_refusals(f, run, report)

    def test_a_run_goes_on_from_an_ended_one_and_its_sites_watch_what_is_forgotten(self):
        with Small(3, more="[watch]\ngeneral = \"general.jsonl\"\nlimit = 100.0") as f:
            f.enrol()
            others(f.folder / "configs/general.jsonl", 12)
            first = f.begin(run="first", rounds=1, epsilon=3)
            f.finish(first)
            for name in f.names:
                f.processes[name].wait(60)
            plan = f.plan(run="second", rounds=2, epsilon=3)
            text = plan.read_text()
            for code, words, old, new in [(1, "there is none", "[training]", '[training]\nparent = "nowhere"'),
                                          (1, "lora.rank is not that of run", "[training]", '[training]\nparent = "first"'),
                                          (2, "[[train.mixture]]", "[aggregation]", '[[train.mixture]]\nfile = "x"\n[aggregation]'),
                                          (2, "training.parent", "[aggregation]", '[train]\nparent = "x"\n[aggregation]'),
                                          (2, "[watch] in site.toml", "[aggregation]", '[train]\ngeneral = "x"\n[aggregation]')]:
                plan.write_text(text.replace(old, new).replace("rank = 2", "rank = 3" if "rank" in words else "rank = 2"))
                done = f.coordinator("plan", plan, check=False)
                self.assertEqual((done.returncode, words in done.stderr), (code, True), done.stderr)
            plan.write_text(text.replace("[training]", '[training]\nparent = "first"'))
            told = json.loads(f.coordinator("plan", plan, "--json").stdout)
            passport = lambda run: json.loads(f.command("sotto-client", "passport", f.site_dir("north") / "runs" / run / "adapter").stdout)
            self.assertEqual(told["parent"], passport("first")["model"])
            f.submit(plan)
            for name in f.names:
                shown = f.client(name, "approve", "second", "--yes").stdout
                self.assertIn("goes on from model " + told["parent"], shown)
                f.run_site(name)
            f.finish("second")
            second = passport("second")
            self.assertEqual(second["parent"], told["parent"])
            self.assertGreater(second["privacy"]["epsilon_with_earlier_runs"], second["privacy"]["epsilon"])
            self.assertEqual(f.verify(f.report("second"))[0], 0)
            watched = lambda run: [p["loss"] for p in json.loads((f.site_dir("north") / "runs" / run / "forgetting.json").read_text())["points"]]
            self.assertEqual((len(watched("first")), len(watched("second"))), (2, 3))
            self.assertAlmostEqual(watched("first")[-1], watched("second")[0], places=5)  # it starts where the other ended
            self.assertTrue((f.site_dir("north") / "runs/second/forgetting.svg").exists())
            for run in ("first", "second"):
                f.coordinator("register", run, "--domain", "coding")
            tree = json.loads(f.coordinator("models", "--json").stdout)
            self.assertEqual([m["parent"] for m in tree], [None, told["parent"]])


if __name__ == "__main__":
    unittest.main()
