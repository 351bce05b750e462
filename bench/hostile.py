#!/usr/bin/env python3
"""`make bench-hostile`: what strangers cost a coordinator, with bare sockets to 127.0.0.1. With `--before FOLDER` the program
`sotto-coordinator` of that folder is measured beside the built one. Writes bench/hostile.md for people and build/bench/hostile.json.
Less than two minutes; at most 1,100 connections and 1 GB of traffic at a time."""
import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The greeting of ZMTP 3.1 with CURVE (rfc.zeromq.org/spec/37), then the header of a command frame of 256 MiB.
GREETING = bytes([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1]) + b"CURVE".ljust(20, b"\0") + bytes(32)
HUGE_COMMAND = bytes([0x06]) + (256 << 20).to_bytes(8, "big")


class Coordinator:
    def __init__(self, program, soft_limit=None):
        self.folder = tempfile.mkdtemp(prefix="sotto-hostile-")
        self.program = program
        subprocess.run([program, "init", "--dir", self.folder, "--listen", "tcp://127.0.0.1:0"], check=True,
                       stdout=subprocess.DEVNULL)

        def limit():
            if soft_limit:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

        self.log = open(os.path.join(self.folder, "running.log"), "wb")
        self.process = subprocess.Popen([program, "serve", "--dir", self.folder], stderr=self.log, preexec_fn=limit)
        endpoint = Path(self.folder, "endpoint")
        for _ in range(200):
            if endpoint.exists():
                break
            time.sleep(0.05)
        host, port = endpoint.read_text().strip().removeprefix("tcp://").split(":")
        self.address = (host, int(port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        subprocess.run(["rm", "-rf", self.folder], check=True)

    def megabytes(self):
        if self.process.poll() is not None:
            return None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return None

    def answers(self):
        """Whether an operator's command is answered, and after how many seconds."""
        begin = time.time()
        try:
            done = subprocess.run([self.program, "invite", "site-x", "--dir", self.folder], timeout=15,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return False, time.time() - begin
        return self.process.poll() is None and done.returncode == 0, time.time() - begin


def connect(address):
    one = socket.socket()
    one.settimeout(2)
    try:
        one.connect(address)
        one.setblocking(False)
    except OSError:
        one.close()
        return None
    return one


def push(sockets, data, seconds):
    """Sends `data` again and again on every socket until nobody takes more, or the time is over; the megabytes that were taken."""
    end, taken = time.time() + seconds, 0
    while sockets and time.time() < end:
        moved = False
        for one in list(sockets):
            try:
                taken += one.send(data)
                moved = True
            except BlockingIOError:
                pass
            except OSError:
                one.close()
                sockets.remove(one)
        if not moved:
            time.sleep(0.02)
    return taken / 1e6


def idle(program):
    with Coordinator(program, soft_limit=1024) as c:
        sockets = [connect(c.address) for _ in range(1100)]
        time.sleep(3)
        alive, seconds = c.answers()
        code = c.process.poll()
        del sockets
        return {"serves": alive, "answer_s": round(seconds, 2), "exit": code}


def huge(program):
    with Coordinator(program) as c:
        before = c.megabytes()
        sockets = [s for s in (connect(c.address) for _ in range(4)) if s]
        push(sockets[:], GREETING + HUGE_COMMAND, 0.3)
        for one in sockets:
            try:
                one.send(GREETING + HUGE_COMMAND)
            except OSError:
                pass
        taken = push(sockets, bytes(1 << 16), 8)
        return {"before_mb": round(before), "most_mb": round(c.megabytes() or 0), "taken_mb": round(taken)}


def thousand(program):
    with Coordinator(program) as c:
        before = c.megabytes()
        sockets = [s for s in (connect(c.address) for _ in range(1000)) if s]
        for one in sockets:
            try:
                one.send(GREETING + HUGE_COMMAND + bytes(31 << 10))
            except OSError:
                pass
        time.sleep(3)
        return {"before_mb": round(before), "most_mb": round(c.megabytes() or 0)}


def pipe(program):
    with Coordinator(program) as c:
        os.mkfifo(os.path.join(c.folder, "spool", "1.request"))
        time.sleep(1)
        answered, _ = c.answers()
        c.process.send_signal(signal.SIGTERM)
        try:
            c.process.wait(5)
            stops = True
        except subprocess.TimeoutExpired:
            stops = False
        return {"answers": answered, "stops": stops}


CASES = [
    ("1,100 idle connections under a soft limit of 1,024 files", idle,
     lambda r: "serves" if r["serves"] else f"exit {r['exit']}" if r["exit"] is not None else "answers nobody"),
    ("four strangers that announce 256 MiB and send it", huge, lambda r: f"{r['before_mb']} to {r['most_mb']} MB"),
    ("1,000 strangers that announce 256 MiB and send 31 KiB", thousand, lambda r: f"{r['before_mb']} to {r['most_mb']} MB"),
    ("a pipe among the operator's commands", pipe,
     lambda r: ("answers" if r["answers"] else "hangs") + (", stops at SIGTERM" if r["stops"] else ", ignores SIGTERM")),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", help="a folder with another sotto-coordinator")
    arguments = parser.parse_args()
    programs = {"ours": str(ROOT / "build/bin/sotto-coordinator")}
    if arguments.before:
        programs = {"before": str(Path(arguments.before, "sotto-coordinator")), **programs}
    rows, results = [], []
    for name, case, tell in CASES:
        found = {who: case(program) for who, program in programs.items()}
        results.append({"case": name, **found})
        rows.append((name, *(tell(found[who]) for who in programs)))
        print(" | ".join(rows[-1]), flush=True)
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "hostile.json").write_text(json.dumps(results, indent=1) + "\n")
    lines = ["# What strangers cost a coordinator", "",
             "`make bench-hostile` (bench/hostile.py): bare sockets to 127.0.0.1, one coordinator a case; memory is the most that was resident"
             " (VmHWM).", "", "| case | " + " | ".join(programs) + " |", "|---|" + "---|" * len(programs)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", "What an enrolled site can write is held by tests of the server with real sockets (tests/coordinator/server): 60 HELLOs "
              "with growing heads leave the log as long as it was.", ""]
    (ROOT / "bench/hostile.md").write_text("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
