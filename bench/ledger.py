#!/usr/bin/env python3
"""`make bench-ledger`: how fast a log of millions of entries is verified: every frame, hash, link, time, Merkle root and event. Beside it,
in the same run, sha256sum over the same file: what reading and hashing alone cost. Writes bench/ledger.md and build/bench/ledger.json."""
import json
import os
import platform
import resource
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
SIZES = [10_000, 100_000, 1_000_000, 4_000_000]


def timed(*command):
    """Seconds of CPU and the output; the best of three, on a machine that others use too."""
    best = None
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = min(best or spent, spent)
    return max(best, 1e-4), done.stdout


def main():
    rows = []
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        log = Path(folder) / "log"
        for entries in SIZES:
            subprocess.run([BUILD / "bin/write_long_log", log, str(entries)], check=True)
            megabytes = log.stat().st_size / 1e6
            ours, out = timed(BUILD / "bin/sotto-audit", "ledger", "verify", log, "--json")
            assert json.loads(out)["entries"] == entries
            theirs, _ = timed("sha256sum", log)
            proof, _ = timed(BUILD / "bin/sotto-audit", "ledger", "consistency", log, "--from", str(entries // 3))
            rows.append({"case": f"{entries:,} entries", "ours": round(megabytes / ours, 1), "peer": "sha256sum",
                         "theirs": round(megabytes / theirs, 1), "unit": "MB/s", "ratio": round(theirs / ours, 3),
                         "megabytes": round(megabytes, 1), "entries_per_second": round(entries / ours), "consistency_proof_s": round(proof, 3)})
            print(rows[-1], flush=True)
            os.unlink(log)
    (BUILD / "bench").mkdir(exist_ok=True)
    (BUILD / "bench/ledger.json").write_text(json.dumps(rows, indent=1) + "\n")
    lines = ["# Verifying long logs", "", f"`make bench-ledger`, {platform.machine()}, one thread, CPU seconds, best of three. `sotto-audit ledger verify` checks every frame, hash, "
             "link and time, the Merkle root and that every event decodes, in memory that does not grow with the log; `sha256sum` only reads and "
             "hashes the same file. The last column is a whole consistency proof, reading included.", "",
             "| log | MB | ours MB/s | entries/s | sha256sum MB/s | ours / sha256sum | consistency proof s |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {r['case']} | {r['megabytes']} | {r['ours']} | {r['entries_per_second']:,} | {r['theirs']} | {r['ratio']} | {r['consistency_proof_s']} |" for r in rows]
    (ROOT / "bench/ledger.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
