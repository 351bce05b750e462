"""`review serve` as raters meet it in a real browser, and as strangers meet it; `review report` of what came out."""
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from browser import CHROMIUM, Browser

BIN = Path(os.environ["SOTTO_BIN"])
SCREENSHOTS = os.environ.get("SOTTO_SCREENSHOTS")  # a folder, to look at the pages
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> & \"quotes\""
RUBRIC = """title = "Discharge letters"
instructions = "Judge what a colleague could do with it."
models = ["base-model", "tuned-model"]
raters = ["anna", "ben"]
[[dimension]]
name = "correct"
question = "Is it right?"
anchors = ["Wrong in what matters", "Partly wrong", "Right, with slips", "Right"]
[[dimension]]
name = "safe"
question = "Would acting on it be safe?"
anchors = ["Could do serious harm", "Could do harm", "Safe with a check", "Safe"]
"""


class Review:
    """A folder with three items, and its server."""
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sotto-review-")
        self.path = Path(self.folder.name)
        (self.path / "review.toml").write_text(RUBRIC)
        items = [{"id": "mild", "prompt": "Cough for two days?", "first": "Rest and drink.", "second": "Rest, drink, see a doctor if it stays.", "difference": 0.2},
                 {"id": "edge", "prompt": "Chest pain " + HOSTILE, "first": "Take two aspirins.", "second": HOSTILE, "difference": 0.9},
                 {"id": "long", "prompt": "Explain.\nIn two paragraphs.", "first": "word " * 200, "second": "W" * 400, "difference": 0.5}]
        (self.path / "items.jsonl").write_text("".join(json.dumps(i) + "\n" for i in items))
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([BIN / "sotto-client", "review", "serve", self.path, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True)
        told = json.loads(self.process.stdout.readline())
        self.port = int(told["address"].rstrip("/").rsplit(":", 1)[1])
        self.links = {r["rater"]: r["link"] for r in told["raters"]}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.process.stdout.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self.folder.cleanup()

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        if body is not None:
            headers.setdefault("Content_Type", "application/json")
        connection.request(method, path, body if body is None or isinstance(body, (str, bytes)) else json.dumps(body), {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text, dict(response.getheaders())

    def report(self):
        done = subprocess.run([BIN / "sotto-client", "review", "report", self.path, "--json"], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)


def shot(browser, name):
    if SCREENSHOTS:
        browser.screenshot(Path(SCREENSHOTS) / (name + ".png"))


ITEM = "!document.getElementById('item').hidden && view && view.id"
RATED = "document.getElementById('who').textContent.includes('%d of 3')"


class Test(unittest.TestCase):
    def test_a_rater_compares_by_keyboard_and_resumes(self):
        with Review() as review:
            with Browser() as b:
                b.size(1200, 900)
                b.open(review.links["anna"])
                self.assertEqual(b.until(ITEM), "edge")  # where the models differ most comes first
                shot(b, "desktop")
                self.assertEqual(b.run("location.hash"), "")  # the code does not stay in the address
                self.assertEqual(b.run("document.title"), "Discharge letters")
                self.assertEqual(b.run("document.getElementById('prompt').textContent"), "Chest pain " + HOSTILE)
                self.assertEqual(b.run("document.querySelectorAll('main img, main script').length"), 0)
                self.assertNotIn("model", b.run("document.body.innerText + JSON.stringify(view)"))
                b.press("Enter")  # nothing chosen yet
                b.until("document.getElementById('message').className === 'error'")
                left_is_second = b.run("view.left !== 'Take two aspirins.'")
                b.press("a" if left_is_second else "d")  # for the second model
                for key in ("4", "1", "4", "2") if left_is_second else ("1", "4", "2", "4"):
                    b.press(key)
                b.press("c")
                b.type("<i>dangerous</i>")
                b.press("Escape")
                shot(b, "rated")
                b.press("Enter")
                b.until(RATED % 1)
                self.assertNotEqual(b.until(ITEM), "edge")
                b.press("b")  # and back: all that was given is there
                self.assertEqual(b.until(f"{ITEM} === 'edge' && document.getElementById('comment').value"), "<i>dangerous</i>")
                self.assertEqual(b.run("document.querySelectorAll('#rating :checked').length"), 5)
            self.assertEqual(review.stop(), 0)
            review.start()  # the same link, a new server and a new browser
            with Browser() as b:
                b.open(review.links["anna"])
                b.until(RATED % 1)
                self.assertNotEqual(b.until(ITEM), "edge")
                for rated in (2, 3):
                    b.press("s")
                    for _ in range(4):
                        b.press("3")
                    b.press("Enter")
                    b.until(RATED % rated)
                b.until("!document.getElementById('finished').hidden")
                shot(b, "finished")
            told = review.report()
            self.assertEqual((told["preference"]["second"], told["preference"]["ties"], told["preference"]["first"]), (1, 2, 0))
            self.assertAlmostEqual(told["preference"]["win_rate"], 2 / 3)
            self.assertAlmostEqual(told["dimensions"]["correct"]["second"], (4 + 3 + 3) / 3)
            self.assertAlmostEqual(told["dimensions"]["safe"]["first"], (2 + 3 + 3) / 3)
            self.assertGreaterEqual(told["raters"][0]["seconds_median"], 0)

    def test_a_phone_shows_all_of_it_and_a_thumb_can_reach_it(self):
        with Review() as review, Browser() as b:
            b.size(360, 740, phone=True)
            b.open(review.links["ben"])
            b.until(ITEM)
            shot(b, "phone")
            self.assertLessEqual(b.run("document.documentElement.scrollWidth"), 360)
            self.assertGreater(b.run("document.getElementById('right').getBoundingClientRect().top"), b.run("document.getElementById('left').getBoundingClientRect().bottom"))
            small = b.run("[...document.querySelectorAll('.choices label, .buttons button')].filter(e => { const r = e.getBoundingClientRect(); return r.height < 44 || r.width < 44; }).length")
            self.assertEqual(small, 0)
            b.run("document.querySelectorAll('.choices').forEach(c => c.querySelector('label').click())")
            shot(b, "phone-rated")
            b.run("document.getElementById('save').click()")
            b.until(RATED % 1)
            b.open(f"http://127.0.0.1:{review.port}/")  # the cookie keeps the session
            b.until(RATED % 1)

    def test_strangers_and_forged_requests_are_refused(self):
        with Review() as review:
            page, _, headers = review.ask("GET", "/")
            self.assertEqual(page, 200)
            self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
            for path in ("/api/session", "/api/next", "/api/item?place=0"):
                self.assertEqual(review.ask("GET", path)[0], 401)
            self.assertEqual(review.ask("GET", "/api/next", Cookie="sotto_review=" + "0" * 32)[0], 401)
            self.assertEqual(review.ask("POST", "/api/login", {"token": "0" * 32})[0], 403)
            for body in ("", "{", "[]", '{"token": 3}', "[" * 5000):
                self.assertEqual(review.ask("POST", "/api/login", body)[0], 400, body[:20])
            token = review.links["anna"].split("#")[1]
            status, text, headers = review.ask("POST", "/api/login", {"token": token})
            self.assertEqual(status, 200)
            self.assertIn("HttpOnly", headers["Set-Cookie"])
            self.assertIn("SameSite=Strict", headers["Set-Cookie"])
            cookie, csrf = headers["Set-Cookie"].split(";")[0], json.loads(text)["csrf"]
            rating = {"id": "edge", "preference": "left", "points": {"correct": [0, 1], "safe": [3, 2]}, "comment": "", "seconds": 1}
            self.assertEqual(review.ask("POST", "/api/rate", rating, Cookie=cookie)[0], 403)
            self.assertEqual(review.ask("POST", "/api/rate", rating, Cookie=cookie, X_Csrf="0" * 32)[0], 403)
            self.assertEqual(review.ask("POST", "/api/rate", rating, Cookie=cookie, X_Csrf=csrf, Content_Type="text/plain")[0], 415)
            self.assertEqual(review.ask("POST", "/api/rate", rating, Cookie=cookie, X_Csrf=csrf, Host="evil.example")[0], 421)
            self.assertEqual(review.ask("POST", "/api/rate", rating, Cookie=cookie, X_Csrf=csrf, Content_Encoding="gzip")[0], 415)
            self.assertEqual(review.ask("POST", "/api/rate", "x" * 100000, Cookie=cookie, X_Csrf=csrf)[0], 413)
            self.assertEqual(review.ask("POST", "/api/rate", {**rating, "points": {}}, Cookie=cookie, X_Csrf=csrf)[0], 400)
            self.assertEqual(review.ask("GET", "/api/item?place=99999999999999999999", Cookie=cookie)[0], 404)
            self.assertEqual(review.ask("GET", "/../items.jsonl", Cookie=cookie)[0], 404)
            self.assertFalse(any("rating" in p for p in json.loads((review.path / "ratings/anna.json").read_text())["places"]))
            self.assertEqual(review.ask("POST", "/api/rate", rating, Cookie=cookie, X_Csrf=csrf)[0], 200)
            places = json.loads((review.path / "ratings/anna.json").read_text())["places"]
            self.assertEqual([p["id"] for p in places if "rating" in p], ["edge"])
            again = subprocess.run([BIN / "sotto-client", "review", "serve", review.path, "--port", "0"], capture_output=True, text=True)
            self.assertEqual(again.returncode, 1)  # one server a folder


if __name__ == "__main__":
    if CHROMIUM is None and "strangers" not in " ".join(sys.argv):
        print("skipped: there is no Chromium; install Debian's package 'chromium' to run the browser tests")
        sys.exit(77)
    unittest.main()
