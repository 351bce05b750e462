"""A model in use: served over OpenAI's interface, watched, corrected; tuned within the budget; what a site gained."""
import http.client
import json
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

from fixture import BIN, MODEL, others

PLAN = """
run = "alone"
[privacy]
epsilon = 2.0
expected_batch = 5
clip_norm = 0.5
max_records = 2
[lora]
rank = 2
targets = ["q_proj", "v_proj"]
[training]
rounds = 1
local_steps = 2
max_tokens = 96
[optimizer]
learning_rate = 0.01
[train]
config = "site.toml"
declared_size = 40
"""


def client(*arguments, folder=None):
    return subprocess.run([BIN.resolve() / "sotto-client", *map(str, arguments)], cwd=folder, text=True, capture_output=True, timeout=240)


class Server:
    def __init__(self, folder, *more):
        self.process = subprocess.Popen([BIN / "sotto-client", "serve", "--model", MODEL, "--log", folder / "usage.jsonl", "--port", "0", "--json", "--precision", "fp32", *map(str, more)],
                                        stdout=subprocess.PIPE, text=True)
        self.told = json.loads(self.process.stdout.readline())
        self.port = int(self.told["address"].rsplit(":", 1)[1].split("/")[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0
        self.process.stdout.close()

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sotto-in-use-"))
        self.site()

    def tearDown(self):
        shutil.rmtree(self.folder)

    def site(self, limit=10, more=""):
        (self.folder / "site.toml").write_text(f'model = "{MODEL}"\ndata = ["{MODEL}/records.jsonl"]\nthreads = 1\n{more}\n[policy]\nepsilon_limit = {limit}\n')

    def test_a_served_model_answers_streams_logs_and_learns_from_corrections_after_review(self):
        question = [{"role": "user", "content": "Assign the ICD-10-CM code.\nHartnup's disease"}]
        with Server(self.folder, "--max-tokens", 12) as server:
            body = {"model": "any", "messages": question, "max_tokens": 8, "metadata": {"patient_id": "p1"}}
            status, text = server.ask("POST", "/v1/chat/completions", body)
            self.assertEqual(status, 200, text)
            answer = json.loads(text)
            content = answer["choices"][0]["message"]["content"]
            self.assertEqual((answer["object"], answer["usage"]["completion_tokens"] <= 8), ("chat.completion", True))
            status, streamed = server.ask("POST", "/v1/chat/completions", {**body, "stream": True})
            events = [line[6:] for line in streamed.splitlines() if line.startswith("data: ")]
            self.assertEqual(events[-1], "[DONE]")
            pieces = [json.loads(e)["choices"][0] for e in events[:-1]]
            self.assertEqual("".join(p["delta"].get("content", "") for p in pieces), content)
            self.assertEqual(pieces[-1]["finish_reason"], answer["choices"][0]["finish_reason"])
            self.assertEqual(json.loads(server.ask("GET", "/v1/models")[1])["data"][0]["id"], server.told["model"])
            for broken, why in (({"messages": []}, "must end with"), ({**body, "n": 2}, "'n'"), ({**body, "tools": [{}]}, "'tools'"), ({**body, "temperature": 9}, "'temperature'"),
                                ({**body, "messages": [{"role": "tool", "content": "x"}]}, "role"), ("{", "not valid JSON"), ({**body, "messages": question * 400}, "positions")):
                status, text = server.ask("POST", "/v1/chat/completions", broken)
                self.assertEqual(status, 400, text)
                self.assertIn(why, json.loads(text)["error"]["message"])
            self.assertEqual(server.ask("POST", "/v1/chat/completions", body, Content_Type="text/plain")[0], 415)
            self.assertEqual(server.ask("POST", "/v1/chat/completions", body, Host="evil.example")[0], 421)
            self.assertEqual(server.ask("GET", "/elsewhere")[0], 404)
            self.assertEqual(server.ask("POST", "/v1/feedback", {"for": answer["id"], "rating": 2, "correction": "E72.02", "by": "anna"})[0], 200)
            self.assertEqual(server.ask("POST", "/v1/feedback", {"for": "nobody", "rating": 2})[0], 404)
            self.assertEqual(server.ask("POST", "/v1/feedback", {"for": answer["id"], "rating": 9})[0], 400)
        log = self.folder / "usage.jsonl"
        self.assertEqual(stat.S_IMODE(log.stat().st_mode), 0o600)
        self.assertEqual(len(log.read_text().splitlines()), 3)
        collected = client("feedback", "collect", log, "--out", self.folder / "candidates.jsonl", "--json")
        self.assertEqual(json.loads(collected.stdout)["taken"], 1, collected.stderr)
        candidates = self.folder / "candidates.jsonl"
        candidates.write_text(candidates.read_text().replace('"approved":null', '"approved":true'))
        accepted = client("feedback", "accept", candidates, "--out", self.folder / "new.jsonl", "--by", "Dr. Example", "--json")
        self.assertEqual(accepted.returncode, 0, accepted.stderr)
        record = json.loads((self.folder / "new.jsonl").read_text())
        self.assertEqual((record["patient_id"], record["messages"][-1]["content"], record["reviewed_by"]), ("p1", "E72.02", "Dr. Example"))
        (self.folder / "key").write_text("0123456789abcdef0123\n")
        with Server(self.folder, "--key", self.folder / "key") as server:
            self.assertEqual(server.ask("POST", "/v1/chat/completions", body)[0], 401)
            self.assertEqual(server.ask("POST", "/v1/chat/completions", body, Authorization="Bearer 0123456789abcdef0123")[0], 200)
        outside = client("serve", "--model", MODEL, "--log", log, "--host", "192.0.2.1")
        self.assertEqual(outside.returncode, 1)
        self.assertIn("--key", outside.stderr)

    def test_monitoring_raises_a_signal_when_questions_move_and_none_when_they_do_not(self):
        records = [json.loads(line) for line in (MODEL / "records.jsonl").read_text().splitlines()]
        same = [{"id": str(i), "time": f"2026-01-01T00:{i // 60:02}:{i % 60:02}Z", "prompt": r["instruction"] + "\n" + r["input"], "response": "x"} for i, r in enumerate(records)]
        log = self.folder / "log.jsonl"
        log.write_text("".join(json.dumps(u) + "\n" for u in same))
        calm = client("monitor", log, "--baseline", MODEL / "records.jsonl", "--window", 100, "--json")
        self.assertEqual((calm.returncode, json.loads(calm.stdout)["retrain"]), (0, False), calm.stderr)
        moved = [{**u, "prompt": f"Draft clause {i % 7} of the lease for tenant {i % 5}"} if i >= 120 else u for i, u in enumerate(same)]
        log.write_text("".join(json.dumps(u) + "\n" for u in moved))
        signal_ = client("monitor", log, "--baseline", MODEL / "records.jsonl", "--window", 100)
        self.assertEqual(signal_.returncode, 1)
        self.assertIn("SIGNAL: the questions have moved away", signal_.stdout)

    def test_tuning_is_charged_trial_by_trial_or_stays_on_public_text(self):
        (self.folder / "run.toml").write_text(PLAN + f'validation = "{others(self.folder / "others.jsonl")}"\n')
        tune = 'plan = "run.toml"\nout = "{out}"\nkind = "grid"\n{more}\n[[parameter]]\nkey = "optimizer.learning_rate"\nvalues = ["1e-9", "0.05"]\n'
        (self.folder / "tune.toml").write_text(tune.format(out="charged", more=""))
        done = client("tune", self.folder / "tune.toml", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(len(report["trials"]), 2)
        self.assertTrue(2.0 < report["epsilon_of_everything"] <= 4.0, report)
        self.assertIn("learning_rate = ", Path(report["best"]).read_text())
        self.site(limit=round(report["epsilon_of_everything"] + 0.1, 2))
        (self.folder / "more.toml").write_text(tune.format(out="more", more=""))
        over = client("tune", self.folder / "more.toml")
        self.assertEqual(over.returncode, 1)
        self.assertIn("this site allows", over.stderr)
        self.site(limit=100)
        (self.folder / "public.toml").write_text(tune.format(out="public", more=f'public = "{others(self.folder / "public.jsonl", 120)}"').replace('"grid"', '"halving"\ntrials = 2\nrungs = 2'))
        free = client("tune", self.folder / "public.toml", "--json")
        self.assertEqual(free.returncode, 0, free.stderr)
        self.assertEqual(json.loads(free.stdout)["epsilon_of_everything"], "none")
        self.assertFalse(list(self.folder.glob(".run-*")))  # the trials' plans are gone

    def test_a_search_that_tells_its_best_run_alone_is_charged_once_by_repeat_and_select(self):
        (self.folder / "run.toml").write_text(PLAN + f'validation = "{others(self.folder / "others.jsonl")}"\n')
        tune = 'plan = "run.toml"\nout = "{out}"\ntrials = 2\nrepeat = "geometric"\n{more}\n[[parameter]]\nkey = "lora.rank"\nvalues = ["1", "2"]\n[[parameter]]\nkey = "optimizer.learning_rate"\nlow = 0.001\nhigh = 0.1\n'
        (self.folder / "tune.toml").write_text(tune.format(out="once", more=""))
        done = client("tune", self.folder / "tune.toml", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["accounting"], "trials" in report), ("repeat_and_select", False))
        for told in ("evaluated", "training", "self_check", "noised_fraction", "trial"):  # of no run but the best, nor how many there were
            self.assertNotIn(told, done.stderr)
        self.assertTrue(2.0 < report["bounds"]["composition"] and 2.0 < report["epsilon"] == report["bounds"]["repeat_and_select"] < 6)
        once = self.folder / "once"
        self.assertEqual(sorted(p.name for p in once.iterdir() if p.is_dir()), ["best"])
        passport = json.loads(client("passport", report["adapter"]).stdout)
        self.assertAlmostEqual(passport["privacy"]["epsilon"], report["epsilon"], delta=1e-4)
        audit = lambda *arguments: subprocess.run([BIN.resolve() / "sotto-audit", *map(str, arguments)], text=True, capture_output=True)
        self.assertEqual(audit("ledger", "verify", once / "log", "--head", once / "head.json").returncode, 0)
        shown = [json.loads(line) for line in audit("ledger", "show", once / "log", "--json").stdout.splitlines()]
        taken = next(e for e in shown if e["type"] == "committed")["event"]["taken"]
        self.assertEqual([e["trials"] for e in taken], [{"number": "geometric", "mean": 2.0, "choices": 2}] * 2)
        (self.folder / "events.json").write_text(json.dumps(taken))
        composed = json.loads(audit("compose", self.folder / "events.json", "--delta", "1e-5", "--json").stdout)
        self.assertAlmostEqual(composed["epsilon_upper"], report["epsilon"], places=6)
        summary = json.loads((once / "best/summary.json").read_text())
        run = {"noise_multiplier": summary["noise_multiplier"], "sampling_rate": 5 / 40, "steps": 2}
        (self.folder / "by-hand.json").write_text(json.dumps([{"mechanism": "repeat_and_select", "mean": 2, "shape": 1, "steps": 1, "run": [run], "or_runs": [[run]]}]))
        by_hand = json.loads(audit("compose", self.folder / "by-hand.json", "--delta", "1e-5", "--json").stdout)
        self.assertAlmostEqual(by_hand["epsilon_upper"], report["epsilon"], delta=1e-3)
        self.site(limit=round(report["epsilon"] + 0.1, 2))
        (self.folder / "again.toml").write_text(tune.format(out="again", more=""))
        again = client("tune", self.folder / "again.toml")
        self.assertEqual((again.returncode, "this site allows" in again.stderr), (1, True), again.stderr)
        self.site(limit=100)
        (self.folder / "smaller.toml").write_text(tune.format(out="smaller", more="smaller = true"))
        smaller = json.loads(client("tune", self.folder / "smaller.toml", "--json").stdout)
        fixed = smaller["bounds"]["composition_with_earlier_runs"] <= smaller["bounds"]["repeat_and_select_with_earlier_runs"]
        self.assertEqual(smaller["accounting"], "composition" if fixed else "repeat_and_select")
        for words, old, new in (("changes what a run costs", 'values = ["1", "2"]', "low = 1.0\nhigh = 2.0"), ("kind = \"random\"", "trials = 2", 'kind = "halving"'),
                                ("another site's data", "lora.rank", "train.config"), ("on public text nothing is", "trials = 2", 'public = "x"')):
            (self.folder / "bad.toml").write_text(tune.format(out="bad", more="").replace(old, new))
            bad = client("tune", self.folder / "bad.toml")
            self.assertEqual((bad.returncode, words in bad.stderr), (1, True), bad.stderr)
        self.assertFalse(list(self.folder.glob(".run-*")))

    def test_a_site_sees_what_it_gained_alone_and_together(self):
        self.site(limit=20, more="holdout_fraction = 0.4")
        (self.folder / "run.toml").write_text(PLAN)
        for out, epsilon in (("alone", "2.0"), ("together", "4.0")):
            (self.folder / "run.toml").write_text(PLAN.replace("epsilon = 2.0", f"epsilon = {epsilon}").replace('"alone"', f'"{out}"'))
            done = client("train", self.folder / "run.toml", "--out", self.folder / out)
            self.assertEqual(done.returncode, 0, done.stderr)
        told = client("benefit", "--config", self.folder / "site.toml", "--local", self.folder / "alone/adapter", "--federated", self.folder / "together/adapter", "--json")
        self.assertEqual(told.returncode, 0, told.stderr)
        report = json.loads(told.stdout)
        self.assertEqual([m["model"] for m in report["models"]], ["base", "alone", "together"])
        self.assertTrue(10 < report["patients"] < 40)
        self.assertLess(report["models"][1]["epsilon"], report["models"][2]["epsilon"])
        gain = report["gains"][2]["loss"]
        self.assertAlmostEqual(gain["gain"], report["models"][1]["loss"] - report["models"][2]["loss"], places=9)
        self.assertTrue(gain["low"] <= gain["gain"] <= gain["high"])
        self.site(limit=20)
        none = client("benefit", "--config", self.folder / "site.toml", "--local", self.folder / "alone/adapter", "--federated", self.folder / "together/adapter")
        self.assertEqual(none.returncode, 1)
        self.assertIn("holdout_fraction is 0", none.stderr)


if __name__ == "__main__":
    unittest.main()
