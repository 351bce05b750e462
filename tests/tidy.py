#!/usr/bin/env python3
"""clang-tidy-19 with the checks of .clang-tidy over the rooms' .cc files, or over those that are named.

    tidy.py [--build FOLDER] [--jobs N] [--seconds N] [--analyzer] [FILE...]

A header stands for the .cc file of its name, or for one that includes it. FOLDER (build) is a configured build folder, whose
commands are used without what only GCC understands. With --seconds no file is begun after that time, and those that were left
out are printed. --analyzer runs clang's static analyzer instead of these checks. Exits 1 on a finding. Tests and benchmarks are
not read: the macros of Catch2 drown what matters.
"""
import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
NOT_CLANGS = re.compile(r"-Winvalid-pch|-Werror|-Wno-(restrict|stringop-overread|stringop-overflow|maybe-uninitialized)|-fopenmp")


def commands(build):
    """Path from the top -> the entry of compile_commands.json, without precompiled headers and GCC's own options."""
    database = build / "compile_commands.json"
    if not database.exists():
        sys.exit(f"tidy: {database} is missing; run `make configure` first")
    entries = {}
    for entry in json.loads(database.read_text()):
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), TOP)
        words = iter(shlex.split(entry["command"]))
        kept = []
        for word in words:
            if word == "-include":
                next(words)
            elif not NOT_CLANGS.fullmatch(word) and Path(word).name != "ccache":
                kept.append(word)
        entries[path] = {"directory": entry["directory"], "file": entry["file"], "arguments": kept}
    return entries


def rooms():
    import tomllib
    with open(TOP / "tests/architecture/rooms.toml", "rb") as file:
        return {room["name"] for room in tomllib.load(file)["room"]}


def sources_for(names, entries):
    """The .cc files of the rooms that the named files stand for."""
    known = rooms()
    ours = {path for path in entries if os.path.dirname(path) in known}
    if not names:
        return sorted(ours)
    found = set()
    for name in names:
        path = os.path.relpath(name, TOP) if os.path.isabs(name) else name
        own = path[:-2] + ".cc" if path.endswith(".h") else path
        if own in ours:
            found.add(own)
        elif path.endswith(".h"):
            include = f'#include "{path}"'
            found |= set(next(([other] for other in sorted(ours) if include in (TOP / other).read_text()), []))
    return sorted(found)


def check(folder, checks, path):
    done = subprocess.run(["clang-tidy-19", "-p", folder, "--quiet", "--warnings-as-errors=*", *checks, path],
                          cwd=TOP, text=True, capture_output=True)
    return done.returncode, done.stdout.replace(f"{TOP}/", "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
    parser.add_argument("--build", type=Path, default=TOP / "build")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--analyzer", action="store_true")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    entries = commands(options.build)
    todo = sources_for(options.files, entries)
    checks = ["--checks=-*,clang-analyzer-*"] if options.analyzer else []
    left_out, bad = [], 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        Path(folder, "compile_commands.json").write_text(json.dumps(list(entries.values())))
        results = pool.map(lambda path: None if time.monotonic() > end else check(folder, checks, path), todo)
        for path, result in zip(todo, results):
            if result is None:
                left_out.append(path)
            elif result[0] != 0:
                bad += 1
                print(result[1] or f"{path}: clang-tidy failed", flush=True)
    print(f"tidy: {len(todo) - len(left_out)} files read, {bad} with findings")
    for path in left_out:
        print(f"tidy: skipped for want of time: {path}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
