"""Four sites, separate processes; one is killed (SIGKILL) at a barrier of round 0. The round ends with the expected survivors, the sum
equals, integer for integer, the sum of what the survivors computed, and the victim restarts and takes part in round 1."""
import array
import unittest
from pathlib import Path

from fixture import BIN, Small, wait_until

RING_BITS = 24
VICTIM = "south"  # roster position 1


def words(path):
    values = array.array("I")
    values.frombytes(Path(path).read_bytes())
    return values


class Test(unittest.TestCase):
    def killed(self, barrier, victim_survives):
        with Small(4, site_program=[BIN / "hooked_client"]) as f:
            f.enrol()
            # Round 1 waits for one of the others, so that the victim is back before its KEYS phase is over.
            run = f.begin({VICTIM: {"SOTTO_BARRIER": f"{barrier}:0"}, "north": {"SOTTO_HOLD": "before:keys:1"}}, deadline=40)
            wait_until(lambda: f.processes[VICTIM].poll() is not None, 90, "the victim to be killed")
            self.assertEqual(f.processes[VICTIM].returncode, -9)
            wait_until(lambda: f.state(run)["rounds_done"] == 1, 90, "round 0 to end without the victim")
            f.run_site(VICTIM)
            wait_until(lambda: (f.site_dir(VICTIM) / "sent-keys-1").exists(), 60, "the victim to join round 1")
            (f.site_dir("north") / "go").touch()
            f.finish(run)
            survivors = [0, 1, 2, 3] if victim_survives else [0, 2, 3]
            self.check_round(f, 0, survivors)
            self.check_round(f, 1, [0, 1, 2, 3])
            code, verdict = f.verify(f.report(run))
            self.assertEqual(code, 0, [c for c in verdict["checks"] if not c["ok"]])
            self.check_report(f, survivors)

    def check_round(self, f, number, survivors):
        witness = f.site_dir("north")
        told = [int(line) for line in (witness / f"survivors-{number}").read_text().split()]
        self.assertEqual(told, survivors)
        total = None
        for i in survivors:
            x = words(f.site_dir(f.names[i]) / f"x-{number}.u32")
            total = x if total is None else array.array("I", ((a + b) % (1 << RING_BITS) for a, b in zip(total, x)))
        self.assertEqual(words(witness / f"sum-{number}.u32"), total)

    def check_report(self, f, survivors):
        import json
        report = json.loads((f.temporary / "report/report/report.json").read_text())
        first = report["rounds"][0]
        self.assertEqual(first["survivors"], [f.names[i] for i in survivors])
        missing = [n for i, n in enumerate(f.names) if i not in survivors]
        self.assertEqual(first["missing"], missing)

    def test_killed_after_keys(self):
        self.killed("after:keys", victim_survives=False)

    def test_killed_after_shares(self):
        self.killed("after:shares", victim_survives=False)

    def test_killed_before_report(self):
        self.killed("before:report", victim_survives=False)

    def test_killed_after_report(self):
        self.killed("after:report", victim_survives=True)

    def test_killed_after_confirm(self):
        self.killed("after:confirm", victim_survives=True)


if __name__ == "__main__":
    unittest.main()
