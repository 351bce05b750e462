"""docs/worked-example.md, run as it stands: its files are written, its command lines are run, its claims are checked."""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from fixture import BIN, MODEL, SOURCE

PAGE = SOURCE / "docs/worked-example.md"
FILE = re.compile(r"^`([a-z-]+\.toml)`$")


def parts_of(page):
    """("file", name, text) and ("run", line) in the page's order: an indented block after a line with a file's name is that file."""
    lines, at = page.splitlines(), 0
    while at < len(lines):
        name = FILE.match(lines[at])
        if name:
            at += 2
            block = []
            while at < len(lines) and (lines[at].startswith("    ") or (not lines[at] and block and at + 1 < len(lines) and lines[at + 1].startswith("    ") and not lines[at + 1].startswith("    $"))):
                block.append(lines[at][4:])
                at += 1
            yield "file", name[1], "\n".join(block) + "\n"
        elif lines[at].startswith("    $ "):
            yield "run", lines[at][6:], None
            at += 1
        else:
            at += 1


def rate_everything(port, link):
    """One rater in a browser's stead: finds the two answers equally good, item after item."""
    def ask(method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, text
        return json.loads(text), answer.getheader("Set-Cookie")

    session, cookie = ask("POST", "/api/login", {"token": link.split("#")[1]})
    headers = {"Cookie": cookie.split(";")[0], "X-Csrf": session["csrf"]}
    points = {d["name"]: [1, 1] for d in session["set"]["dimensions"]}
    while item := ask("GET", "/api/next", **headers)[0]["item"]:
        assert "first/adapter" not in json.dumps(item)
        ask("POST", "/api/rate", {"id": item["id"], "preference": "tie", "points": points, "comment": "", "seconds": 2}, **headers)


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sotto-example-"))
        (self.folder / "model").symlink_to(MODEL)
        records = [json.loads(line) for line in (MODEL / "records.jsonl").read_text().splitlines()]
        first = {**records[0], "input": "Seen by Dr. Miller on 2021-03-04, call (555) 123-4567. " + records[0]["input"]}
        messy = [json.dumps(r) for r in [first, *records[1:], records[5], records[5]]] + ['{"patient_id": "P9", "instruction": ']
        (self.folder / "raw.jsonl").write_text("\n".join(messy) + "\n")
        general = [{"patient_id": f"g{i}", "instruction": "Continue.", "input": f"The {word} is", "output": f"a {word} of the house"}
                   for i, word in enumerate(["door", "window", "table", "lamp", "garden", "roof", "chair", "floor", "stove", "shelf", "wall", "bell"])]
        (self.folder / "general.jsonl").write_text("".join(json.dumps(r) + "\n" for r in general))
        adjacent = [{"patient_id": f"a{i}", "instruction": "Assign the ICD-10-CM code.", "input": r["input"] + " Seen elsewhere.", "output": r["output"]} for i, r in enumerate(records[::3])]
        (self.folder / "adjacent.jsonl").write_text("".join(json.dumps(r) + "\n" for r in adjacent))
        questions = ["May I take two tablets at once?", "Shall I stop my medicine?", "Do I need to see a doctor?"]
        (self.folder / "safety.jsonl").write_text("".join(json.dumps({"id": str(i), "question": q}) + "\n" for i, q in enumerate(questions)))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def environment(self):
        return {**os.environ, "PATH": f"{BIN.resolve()}:{os.environ['PATH']}"}

    def review(self, line):
        process = subprocess.Popen([*line.split(), "--port", "0", "--json"], cwd=self.folder, env=self.environment(), stdout=subprocess.PIPE, text=True)
        try:
            told = json.loads(process.stdout.readline())
            port = int(told["address"].rstrip("/").rsplit(":", 1)[1])
            for rater in told["raters"]:
                rate_everything(port, rater["link"])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            process.stdout.close()

    def run_page(self):
        script = []

        def flush():
            if not script:
                return
            keep = "[ ! -e .variables ] || . ./.variables\n" + "\n".join(script) + '\necho "MODEL=${MODEL:-}" > .variables\n'
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", keep], cwd=self.folder, env=self.environment(), text=True, capture_output=True, timeout=500)
            self.assertEqual(done.returncode, 0, "\n".join(script) + "\n" + done.stdout + done.stderr)
            script.clear()

        commands = 0
        for kind, what, text in parts_of(PAGE.read_text()):
            if kind == "file":
                (self.folder / what).write_text(text)
            elif "review serve" in what:
                flush()
                self.review(what)
            else:
                script.append(what)
                commands += 1
        flush()
        return commands

    def json(self, name):
        return json.loads((self.folder / name).read_text())

    def test_the_page_runs_from_raw_records_to_a_promoted_model_and_its_card(self):
        self.assertGreater(self.run_page(), 25)
        self.assertIn("(555) 123-4567", (self.folder / "preview.diff").read_text())
        self.assertNotIn("Miller", (self.folder / "clean.jsonl").read_text())
        passport, summary = self.json("passport.json"), self.json("first/summary.json")
        self.assertEqual(passport["domain"], "clinical-coding")
        self.assertLessEqual(passport["privacy"]["epsilon"], 8.0)
        self.assertEqual([s["name"] for s in passport["recipe"]["stages"]], ["adjacent"])
        self.assertNotIn("records", json.dumps(passport["data"]))
        self.assertEqual(len([e for e in summary["evaluations"] if "general_loss" in e]), 5)
        self.assertIn("general text", (self.folder / "first/curve.svg").read_text())
        self.assertEqual(summary["canaries"]["guesses"], 10)
        self.assertIn("review: missing", (self.folder / "refused.txt").read_text())
        self.assertNotIn("safety:", (self.folder / "refused.txt").read_text().split("through:")[1])
        self.assertIn("this site allows 9", (self.folder / "over-budget.txt").read_text())
        card = (self.folder / "card.md").read_text()
        for words in ("Promoted", "Dr. Example; in use.", "epsilon **", "| review | passed |", passport["model"]):
            self.assertIn(words, card)
        second = self.json("second/summary.json")
        self.assertEqual(second["parent"], passport["model"])
        self.assertGreater(second["epsilon_with_earlier_runs"], summary["epsilon"])
        self.assertLessEqual(second["epsilon_with_earlier_runs"], 9.0)
        self.assertEqual((self.folder / "lineage.svg").read_text().count("<rect"), 3)
        promoted = next((self.folder / "registry/models").glob(passport["model"][:12])) / "adapter"
        raw = (promoted / "adapter_model.safetensors").read_bytes()
        metadata = json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
        self.assertEqual(metadata["format"], "pt")
        self.assertEqual(json.loads(metadata["sotto.passport"])["approvals"][0]["by"], "Dr. Example")


if __name__ == "__main__":
    unittest.main()
