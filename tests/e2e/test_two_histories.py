"""A coordinator that is stopped in the middle of a run, has its log rewritten, with every hash and signature as they should be, and
goes on: no site answers it again, and whoever holds a site's log beside the coordinator's has the proof."""
import hashlib
import json
import struct
import subprocess
import unittest

from fixture import BIN, Small, wait_until

MAGIC = b"sotto/log/1\n"
SITE_ENROLLED = 65  # its payload ends in the declared size


def rewritten(data):
    """The log with another declared size in the first enrolment, chained anew (docs/ledger-format.md)."""
    assert data.startswith(MAGIC)
    out, at, previous, forged = bytearray(MAGIC), len(MAGIC), bytes(32), False
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        body = bytearray(data[at + 8:at + 8 + length])
        at += 8 + length + 32
        if not forged and struct.unpack_from("<H", body, 8)[0] == SITE_ENROLLED:
            body[-40:-32] = struct.pack("<Q", 21)  # before the hash of the record before
            forged = True
        body[-32:] = previous
        previous = hashlib.sha256(b"\0" + body).digest()
        out += struct.pack("<II", length, length ^ 0xFFFFFFFF) + body + previous
    assert forged
    return bytes(out)


class Test(unittest.TestCase):
    def test_a_coordinator_that_rewrites_its_log_is_stopped_by_the_sites_and_proven_wrong(self):
        with Small(3, site_program=[BIN / "hooked_client"]) as f:
            f.enrol()
            run = f.begin({"north": {"SOTTO_HOLD": "before:keys:1"}}, rounds=2)
            wait_until(lambda: f.state(run)["rounds_done"] == 1 and (f.site_dir("south") / "sent-keys-1").exists(), 120,
                       "round 1 to begin", f.check_alive)
            self.rewrite(f)
            (f.site_dir("north") / "go").touch()
            for name in f.names:
                wait_until(lambda: "run_halted" in f.tail(name, 200), 90, f"{name} to stop answering")
                self.assertIn("cannot prove that its log continues the one that it signed before", f.tail(name, 200))
                self.assertFalse((f.site_dir(name) / "sent-report-1").exists())
                kept = list((f.site_dir(name) / "runs" / run / "proofs").iterdir())
                self.assertEqual([json.loads(p.read_text())["code"] for p in kept], ["split_view"])
            self.proven(f)

    def rewrite(self, f):
        coordinator = f.processes["coordinator"]
        coordinator.kill()
        coordinator.wait()
        log = f.coordinator_dir / "log"
        log.write_bytes(rewritten(log.read_bytes()))
        f.command("sotto-audit", "ledger", "verify", log)  # nothing in the file itself is wrong
        honest = subprocess.run([BIN / "sotto-coordinator", "serve", "--dir", f.coordinator_dir], text=True, capture_output=True, timeout=60)
        self.assertEqual(honest.returncode, 1)  # its list of sites says something else: who cheats has to change that, too
        self.assertIn("the file was changed by hand", honest.stderr)
        registry = f.coordinator_dir / "registry.json"
        sites = json.loads(registry.read_text())
        next(s for s in sites["sites"] if s["name"] == "north")["declared_size"] = 21
        registry.write_text(json.dumps(sites))
        f.serve()

    def proven(self, f):
        done = f.command("sotto-audit", "verify", f.site_dir("north"), f.coordinator_dir, "--json", check=False)
        self.assertEqual(done.returncode, 1)
        verdict = json.loads(done.stdout)
        self.assertEqual([c["name"] for c in verdict["checks"] if not c["ok"]], ["heads of coordinator"])
        proof = f.temporary / "proof.json"
        proof.write_text(json.dumps(verdict["proofs"][0]))
        said = f.command("sotto-audit", "ledger", "check", proof).stdout  # convinces whoever has neither log
        self.assertIn("two histories", said)


if __name__ == "__main__":
    unittest.main()
