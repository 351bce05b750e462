"""`sotto-client train`: one site alone, private and not, over budget, and stopped early."""
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import unittest

from alone import LORA, Alone
from fixture import BIN, MODEL


class Test(Alone):
    def test_a_site_alone_trains_privately_and_its_ledger_says_what_it_cost(self):
        done = self.train(self.plan(), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = self.summary()
        told = json.loads(done.stdout)
        own = told.pop("for_this_site_alone")  # what follows from the true records stays apart
        self.assertEqual(told, summary)
        self.assertEqual(own, json.loads((self.folder / "out/site-only.json").read_text()))
        for name in ("seconds", "peak_memory_bytes", "forecast", "validation_records"):
            self.assertIn(name, own)
            self.assertNotIn(name, (self.folder / "out/summary.json").read_text())
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
        self.assertEqual(self.spent(), [])  # nothing promised, nothing charged
        summary = self.summary()
        self.assertEqual((summary["privacy"], summary["epsilon"], summary["noise_multiplier"]), (False, "none", 0))
        losses = [e["loss"] for e in summary["evaluations"]]
        self.assertEqual(len(losses), 7)
        self.assertLess(losses[-1], losses[0])
        self.assertTrue(summary["validation_data"]["outside_the_guarantee"])

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

    def gpt2(self):
        """The tiny GPT-2 of the vectors with a tokenizer of as many tokens, and records that its 64 positions hold."""
        model = self.folder / "gpt2"
        shutil.copytree(MODEL.parent / "tiny/gpt2", model)
        tokenizer = json.loads((MODEL / "tokenizer.json").read_text())
        tokenizer["model"]["vocab"] = {t: i for t, i in tokenizer["model"]["vocab"].items() if i < 256}
        tokenizer["model"]["merges"] = []
        (model / "tokenizer.json").write_text(json.dumps(tokenizer))
        shutil.copy(MODEL / "tokenizer_config.json", model)
        (self.folder / "short.jsonl").write_text("".join(
            json.dumps({"id": f"r{i}", "patient_id": f"p{i % 20}", "instruction": "", "input": "ab"[i % 2], "output": "yn"[i % 2]}) + "\n" for i in range(40)))
        (self.folder / "site.toml").write_text(f'model = "{model}"\ndata = ["short.jsonl"]\nthreads = 1\n[policy]\nepsilon_limit = 10\n')
        return model

    def short_plan(self, more="", **settings):
        path = self.plan(**settings)
        text = path.read_text().replace('["q_proj", "v_proj", "down_proj"]', '["c_attn", "c_proj", "c_fc"]' + more)
        path.write_text(text.replace("max_tokens = 96", 'max_tokens = 64\nchat_template = "chatml"'))
        return path

    def score(self, model, *arguments):
        done = subprocess.run([BIN / "sotto-client", "score", "--model", model, "--json", *arguments], input='{"text": "fever"}\n',
                              text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_gpt2_is_trained_with_and_without_privacy_and_its_adapter_is_as_peft_has_it(self):
        model = self.gpt2()
        (self.folder / "others.jsonl").write_text("".join(
            json.dumps({"patient_id": f"o{i}", "instruction": "", "input": "cd"[i % 2], "output": "yn"[i % 2]}) + "\n" for i in range(20)))
        validation = f'validation = "{self.folder}/others.jsonl"'
        done = self.train(self.short_plan(train=validation), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(6 < self.summary()["epsilon"] <= 8.0)
        shutil.rmtree(self.folder / "out")
        done = self.train(self.short_plan(rounds=6, rate=0.05, train=validation), "--no-privacy", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        losses = [e["loss"] for e in self.summary()["evaluations"]]
        self.assertLess(losses[-1], losses[0])
        config = json.loads((self.folder / "out/adapter/adapter_config.json").read_text())
        self.assertEqual((config["target_modules"], config["fan_in_fan_out"]), (["c_attn", "c_fc", "c_proj"], True))
        self.assertNotEqual(self.score(model)["token_logprobs"], self.score(model, "--adapter", self.folder / "out/adapter")["token_logprobs"])

    def test_dora_is_trained_without_privacy_and_refused_with_it(self):
        model = self.gpt2()
        private = self.train(self.short_plan("\ndora = true"))
        self.assertEqual(private.returncode, 1)
        self.assertIn("DoRA is not trained under privacy", private.stderr)
        plan = self.short_plan("\ndora = true", rounds=6, rate=0.05, train=f'validation = "{self.folder}/short.jsonl"')
        done = self.train(plan, "--no-privacy", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = self.summary()
        losses = [e["loss"] for e in summary["evaluations"]]
        self.assertLess(losses[-1], losses[0])
        self.assertTrue(summary["dora"])
        self.assertEqual(summary["trained_parameters"], 2 * (2 * (192 + 64 + 128 + 64) + 192 + 64 + 128 + 64))  # B and the magnitudes
        config = json.loads((self.folder / "out/adapter/adapter_config.json").read_text())
        self.assertTrue(config["use_dora"])
        tuned = self.score(model, "--adapter", self.folder / "out/adapter")["token_logprobs"]
        self.assertNotEqual(self.score(model)["token_logprobs"], tuned)
        plan.write_text(plan.read_text().replace("dora = true", ""))
        other = self.train(plan, "--no-privacy")
        self.assertEqual(other.returncode, 1)
        self.assertIn("belongs to another plan", other.stderr)

    def test_alternating_rounds_a_prompt_and_the_whole_model_are_trained_privately_and_load_again(self):
        score = lambda *where: subprocess.run([BIN / "sotto-client", "score", *where], input='{"text": "fever"}\n', text=True, capture_output=True)
        plain = score("--model", MODEL).stdout
        for trained, what, result in ((LORA + '\ntrain = "alternating"', "", "adapter"), ("[prompt]\ntokens = 5", 'trained = "prompt"', "adapter"),
                                      ("", 'trained = "full"', "model")):
            with self.subTest(what=what, trained=trained):
                self.begin_anew()
                done = self.train(self.plan(rounds=3, rate=0.05, trained=trained, what=what), "--json")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("self_check", done.stderr)
                self.assertTrue(6 < self.summary()["epsilon"] <= 8.0, self.summary())
                folder = self.folder / "out" / result
                scored = score("--model", folder) if result == "model" else score("--model", MODEL, "--adapter", folder)
                self.assertEqual(scored.returncode, 0, scored.stderr)
                self.assertNotEqual(scored.stdout, plain)
                if result == "adapter":
                    told = subprocess.run([BIN / "sotto-client", "passport", folder], text=True, capture_output=True)
                    self.assertEqual((told.returncode, json.loads(told.stdout)["model"]), (0, self.summary()["weights"]), told.stderr)

    def test_every_kind_of_clipping_trains_and_the_noised_share_of_clipped_units_is_told(self):
        for kind in ("automatic", "per_layer", "adaptive"):
            with self.subTest(kind=kind):
                self.begin_anew()
                done = self.train(self.plan(rounds=3, more_privacy=f'clipping = "{kind}"\ncount_clipped = true'), "--json")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertTrue(6 < self.summary()["epsilon"] <= 8.0, self.summary())
                self.assertEqual(done.stderr.count("noised_fraction"), self.summary()["steps"])

    def test_batches_of_a_fixed_size_are_charged_for_a_unit_that_is_replaced(self):
        self.site()
        site = self.folder / "site.toml"
        site.write_text(site.read_text().replace("threads = 1", "threads = 1\nholdout_fraction = 0.0"))
        wrong = self.train(self.plan(privacy="noise_multiplier = 4.0\nsampling = \"fixed_size\""), "--json")
        self.assertEqual(wrong.returncode, 1)
        units = int(re.search(r"hold (\d+) units", wrong.stderr).group(1))
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        done = self.train(self.plan(privacy="noise_multiplier = 4.0\nsampling = \"fixed_size\""), "--json", "--declared-size", units)
        self.assertEqual(done.returncode, 0, done.stderr)
        asked = subprocess.run([str(a) for a in (BIN / "sotto-audit", "epsilon", "--noise-multiplier", 4, "--steps", 4, "--sampling", "fixed_size",
                                "--population", units, "--batch-size", 5, "--neighbours", "replace", "--delta", 1e-5, "--json")],
                               text=True, capture_output=True)
        self.assertAlmostEqual(self.summary()["epsilon"], json.loads(asked.stdout)["epsilon_upper"], delta=2e-3)
        self.assertEqual(self.summary()["neighbours"], "replace one patient")
        self.assertIn("replace one patient", subprocess.run([BIN / "sotto-client", "passport", self.folder / "out/adapter"], text=True, capture_output=True).stdout)

    def test_every_sampler_trains_and_costs_what_the_auditor_says(self):
        for sampling, more, declared, rounds, asked in (
                ("truncated_poisson", "max_batch = 7", 60, 2, ("--sampling-rate", 5 / 60, "--population", 60, "--batch-size", 7, "--steps", 4)),
                ("random_allocation", "", 40, 5, ("--epoch-steps", 8, "--steps", 2))):  # ten steps: an epoch, and a begun one
            with self.subTest(sampling=sampling):
                self.begin_anew()
                done = self.train(self.plan(privacy="noise_multiplier = 2.0", rounds=rounds, more_privacy=f'sampling = "{sampling}"\n{more}'),
                                  "--json", "--declared-size", declared)
                self.assertEqual(done.returncode, 0, done.stderr)
                asked = self.audit("epsilon", "--noise-multiplier", 2, "--sampling", sampling, *asked, "--delta", 1e-5, "--json")
                # Of truncated batches the engine knows a bound on the units only, which costs more than their number would.
                self.assertGreater(self.summary()["epsilon"], asked["epsilon_upper"] - 2e-3)
                self.assertLess(self.summary()["epsilon"], asked["epsilon_upper"] * (1.3 if more else 1) + 2e-3)
                shown = self.audit("ledger", "show", self.folder / "out/log", "--json", lines=True)
                (self.folder / "events.json").write_text(json.dumps([e for s in shown if s["type"] == "committed" for e in s["event"]["taken"]]))
                self.assertAlmostEqual(self.summary()["epsilon"], self.audit("compose", self.folder / "events.json", "--delta", 1e-5, "--json")["epsilon_upper"], places=6)
                self.assertEqual(self.summary()["neighbours"], "add or remove one patient")
        above = self.train(self.plan(more_privacy='sampling = "truncated_poisson"\nmax_batch = 61', privacy="noise_multiplier = 2.0"), "--declared-size", 60)
        self.assertEqual(above.returncode, 1)
        self.assertIn("privacy.max_batch = 61, but it must be at most the 60 units", above.stderr)

    def test_numbers_that_are_not_finite_end_a_run_with_their_cause(self):
        broken = self.folder / "broken"
        shutil.copytree(MODEL, broken)
        weights = bytearray((MODEL / "model.safetensors").read_bytes())
        size = int.from_bytes(weights[:8], "little")
        at = 8 + size + json.loads(weights[8:8 + size])["model.layers.0.mlp.down_proj.weight"]["data_offsets"][0]
        weights[at:at + 4] = struct.pack("<f", float("nan"))
        (broken / "model.safetensors").write_bytes(weights)
        site = (self.folder / "site.toml").read_text()
        (self.folder / "site.toml").write_text(site.replace(str(MODEL) + '"\n', str(broken) + '"\n', 1))
        for arguments in ((), ("--no-privacy",)):
            done = self.train(self.plan(), *arguments)
            self.assertEqual(done.returncode, 1)
            self.assertIn("model.layers.0.mlp.down_proj.weight has a number that is not finite", done.stderr)
        (self.folder / "site.toml").write_text(site)
        for arguments in ((), ("--no-privacy",)):
            self.begin_anew()
            plan = self.plan(rate=1e38, train=f'validation = "{self.others()}"')
            plan.write_text(plan.read_text().replace("[optimizer]", '[optimizer]\nkind = "sgd"'))
            done = self.train(plan, *arguments)
            self.assertEqual(done.returncode, 1)
            self.assertIn("lower optimizer.learning_rate", done.stderr)
            self.assertFalse((self.folder / "out/adapter").exists())

    def test_tables_of_what_is_not_trained_are_refused(self):
        done = self.train(self.plan(trained=LORA, what='trained = "prompt"'))
        self.assertEqual(done.returncode, 1)
        self.assertIn('is read where training.trained = "lora"', done.stderr)

    def test_noise_is_correlated_over_the_steps_of_a_run_that_does_not_sample(self):
        for noise in ('', 'noise = "banded"\nbands = 4', 'noise = "blt"'):
            with self.subTest(noise=noise):
                self.begin_anew()
                done = self.train(self.plan(rounds=6, steps=3, more_privacy='sampling = "min_separation"\n' + noise), "--json")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertTrue(7.8 < self.summary()["epsilon"] <= 8.0, self.summary())
        sampled = self.train(self.plan(more_privacy='noise = "blt"'))
        self.assertEqual(sampled.returncode, 1)
        self.assertIn("min_separation", sampled.stderr)

    def train_in_two_processes(self, plan):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        group = lambda rank: dict(os.environ, WORLD_SIZE="2", RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        both = [subprocess.Popen(self.command(plan), env=group(rank), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for rank in (0, 1)]
        for process in both:
            out, err = process.communicate(timeout=240)
            self.assertEqual(process.returncode, 0, err)

    def test_two_processes_train_one_model(self):
        # Every unit in every step, without noise: what two processes find is what one finds, up to the order of sums.
        plan = self.plan(privacy="enabled = false", rounds=3, rate=0.01, train=f'validation = "{MODEL}/records.jsonl"')
        plan.write_text(plan.read_text().replace("expected_batch = 5", "expected_batch = 40"))
        self.train_in_two_processes(plan)
        losses = [e["loss"] for e in self.summary()["evaluations"]]
        shutil.rmtree(self.folder / "out")
        self.assertEqual(self.train(plan).returncode, 0)
        for a, b in zip(losses, [e["loss"] for e in self.summary()["evaluations"]]):
            self.assertAlmostEqual(a, b, delta=2e-3)
        self.assertLess(losses[-1], losses[0])
        lonely = subprocess.run(self.command(plan), env=dict(os.environ, WORLD_SIZE="2"), text=True, capture_output=True)
        self.assertEqual(lonely.returncode, 1)
        self.assertIn("RANK", lonely.stderr)

    def test_two_processes_add_their_noise_once(self):
        # One step of SGD from B = 0 under noise that drowns the gradients: B is the noise, times 1000 * 0.5 / 5. Noise of each process
        # would double the mean square; by chance it strays 5 standard deviations, 5 sqrt(2 / d), with a probability of 5.8e-7.
        plan = self.plan(privacy="noise_multiplier = 1000.0", rounds=1, steps=1, rate=1.0)
        plan.write_text(plan.read_text().replace("[optimizer]", '[optimizer]\nkind = "sgd"'))
        self.train_in_two_processes(plan)
        numbers = (self.folder / "out/adapter/adapter_model.safetensors").read_bytes()
        size = int.from_bytes(numbers[:8], "little")
        b = []
        for name, tensor in json.loads(numbers[8:8 + size]).items():
            if "lora_B" in name:
                b += [x for x, in struct.iter_unpack("<f", numbers[8 + size + tensor["data_offsets"][0]:8 + size + tensor["data_offsets"][1]])]
        self.assertEqual(len(b), self.summary()["trained_parameters"])
        self.assertAlmostEqual(sum(x * x for x in b) / len(b) / 100 ** 2, 1, delta=5 * (2 / len(b)) ** 0.5)
        shown = self.audit("ledger", "show", self.folder / "out/log", "--json", lines=True)
        self.assertEqual([e["count"] for s in shown if s["type"] == "committed" for e in s["event"]["taken"]], [1])

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
