"""The record of a real run verifies, and each forgery of it is found and named."""
import json
import os
import shutil
import struct
import subprocess
import unittest
from pathlib import Path

from fixture import BIN, MODEL, Small


def weights(path):
    """A safetensors file without its metadata."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    del header["__metadata__"]
    return json.dumps(header, sort_keys=True), data[8 + size:]


class Test(unittest.TestCase):
    def test_a_run_leaves_a_record_that_verifies_and_every_forgery_is_named(self):
        with Small(3) as f:
            f.enrol()
            run = f.begin()
            f.finish(run)
            folder = f.report(run)
            self.genuine(f, folder, run)
            self.on_another_machine(f, folder)
            self.forgeries(f, folder)
            self.another_run(f, folder)

    def genuine(self, f, folder, run):
        code, verdict = f.verify(folder)
        self.assertEqual(code, 0)
        self.assertTrue(verdict["ok"])
        self.assertEqual(verdict["identities"], "self-asserted")
        # The report is a function of the logs: made again, it has the same bytes.
        before = {p.name: p.read_bytes() for p in (folder / "report").iterdir()}
        again = f.temporary / "again"
        shutil.copytree(folder, again)
        f.command("sotto-audit", "report", again)
        self.assertEqual(before, {p.name: p.read_bytes() for p in (again / "report").iterdir()})
        # Each site has the same adapter, as a PEFT folder that scores, with a passport of its own.
        adapters = [f.site_dir(n) / "runs" / run / "adapter" for n in f.names]
        self.assertEqual(len({weights(a / "adapter_model.safetensors") for a in adapters}), 1)
        scores = [subprocess.run([BIN / "sotto-client", "score", "--model", MODEL, *extra], input='{"ids": [1, 65, 66]}\n', text=True,
                                 capture_output=True, check=True).stdout for extra in ([], ["--adapter", adapters[0]])]
        self.assertNotEqual(json.loads(scores[0])["total"], json.loads(scores[1])["total"])
        # Keys and data stay with their owner; nothing private is in the folder.
        self.assertEqual([p for p in folder.rglob("*") if p.suffix in (".key", ".jsonl")], [])

    def on_another_machine(self, f, folder):
        """sotto-audit and the folder in a file system that holds nothing else: no library, no locale, no /proc, no environment."""
        if os.environ["SOTTO_STATIC"] != "ON":
            print("sotto-audit is not static in this build (a sanitizer, or no libcrypto.a): not tried on another machine")
            return
        machine = f.temporary / "machine"
        shutil.copytree(folder, machine / "folder")
        shutil.copy(BIN / "sotto-audit", machine)
        into = [shutil.which("unshare"), *([] if os.geteuid() == 0 else ["--map-root-user"]), "--root", machine]

        def audit(*arguments):
            return subprocess.run([*into, "/sotto-audit", *arguments], env={}, text=True, capture_output=True)
        done = audit("verify", "/folder", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        here = f.command("sotto-audit", "verify", folder, "--json").stdout
        self.assertEqual(json.loads(done.stdout), json.loads(here))
        before = [(folder / "report" / n).read_bytes() for n in ("report.json", "report.html")]
        self.assertEqual(audit("report", "/folder").returncode, 0)  # the same bytes there
        self.assertEqual([(machine / "folder/report" / n).read_bytes() for n in ("report.json", "report.html")], before)
        data = (machine / "folder/sites/north/log").read_bytes()
        (machine / "folder/sites/north/log").write_bytes(data[:-1])
        done = audit("verify", "/folder")
        self.assertEqual(done.returncode, 1)
        self.assertIn("sites/north/log", done.stdout)

    def forged(self, f, folder, change):
        copy = f.temporary / "forged"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        change(copy)
        code, verdict = f.verify(copy)
        self.assertEqual(code, 1)
        self.assertFalse(verdict["ok"])
        return " | ".join(f"{c['name']}: {c['detail']}" for c in verdict["checks"] if not c["ok"])

    def forgeries(self, f, folder):
        log = "sites/north/log"

        def flip(position):
            def change(copy):
                data = bytearray((copy / log).read_bytes())
                data[position] ^= 1
                (copy / log).write_bytes(data)
            return change

        size = (folder / log).stat().st_size
        for position in range(20, size, max(1, size // 25)):
            told = self.forged(f, folder, flip(position))
            self.assertIn("north", told)
            self.assertRegex(told, r"entry \d+")

        def cut_last(copy):
            data = (copy / log).read_bytes()
            (copy / log).write_bytes(data[:last_record(data)])
        self.assertIn("north", self.forged(f, folder, cut_last))

        def edit_epsilon(copy):
            report = copy / "report/report.json"
            value = json.loads(report.read_text())["sites"][0]["epsilon"]
            report.write_text(report.read_text().replace(str(value), "1.0"))
        self.assertIn("report", self.forged(f, folder, edit_epsilon))

        def edit_page(copy):
            page = copy / "report/report.html"
            page.write_text(page.read_text().replace("epsilon", "Epsilon", 1))
        self.assertIn("report", self.forged(f, folder, edit_page))

        def swap(copy):
            shutil.copy(copy / "sites/south/log", copy / log)
        self.assertIn("north", self.forged(f, folder, swap))

        def remove(copy):
            (copy / log).unlink()
        self.assertIn("north", self.forged(f, folder, remove))

    def another_run(self, f, folder):
        """A site's log from another consortium; and everything signed anew by others, which only --expect finds."""
        with Small(3) as other:
            other.enrol()
            run = other.begin()
            other.finish(run)
            foreign = other.report(run)

            def replace(copy):
                shutil.copy(foreign / "sites/north/log", copy / "sites/north/log")
            self.assertIn("north", self.forged(f, folder, replace))
            expected = f.temporary / "expected.txt"
            _, verdict = f.verify(folder)
            sites = json.loads(f.coordinator("sites", "--json").stdout)
            expected.write_text("".join(f"{s['name']} {s['fingerprint']}\n" for s in sites))
            self.assertEqual(f.verify(folder, "--expect", expected)[0], 0, verdict)
            code, verdict = other.verify(foreign)
            self.assertEqual(code, 0)
            code, verdict = other.verify(foreign, "--expect", expected)
            self.assertEqual(code, 1)


def last_record(data):
    """Where the last record of a log begins (docs/ledger-format.md: after 12 bytes, records of u32 length, u32 ~length, body, hash)."""
    position, start = 12, 12
    while position < len(data):
        start = position
        position += 8 + struct.unpack_from("<I", data, position)[0] + 32
    assert position == len(data)
    return start


if __name__ == "__main__":
    unittest.main()
