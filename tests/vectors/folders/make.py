"""Makes the stored folders of one version with its programs: SOTTO_BIN=build/bin python3 make.py tests/vectors/folders/version-N"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent.parent
sys.path.insert(0, str(SOURCE / "tests/e2e"))
from alone import LORA, PLAN  # noqa: E402
from fixture import BIN, MODEL, Small  # noqa: E402


def train(folder):
    """A run that was stopped within its second round: it goes on from its checkpoint."""
    folder.mkdir()
    (folder / "site.toml").write_text(f'model = "{MODEL}"\ndata = ["{MODEL}/records.jsonl"]\nthreads = 1\nholdout_fraction = 0.1\n[policy]\nepsilon_limit = 10\n')
    (folder / "run.toml").write_text(PLAN.format(privacy="epsilon = 6.0", rounds=200, steps=2, rate=0.01, train="", more_privacy="", trained=LORA, what=""))
    process = subprocess.Popen([str(BIN / "sotto-client"), "train", str(folder / "run.toml"), "--out", str(folder / "out")])
    while process.poll() is None and not (folder / "out/checkpoint").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 1


def site(folder):
    """One of three sites after a run of one round, with its configuration and its book."""
    with Small(3) as f:
        f.enrol()
        f.finish(f.begin(rounds=1))
        f.stop()
        shutil.copytree(f.site_dir("north"), folder / "north")
        for path in (f.folder / "configs").glob("north*"):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / path.name)
    shutil.rmtree(folder / "north/runs/small/adapter")


def without_paths(folder):
    for path in folder.rglob("*"):
        if path.name.endswith("lock"):
            path.unlink()
        elif path.name == "site.json":
            path.write_text(json.dumps({**json.loads(path.read_text()), "config": "CONFIG"}, indent=2) + "\n")
        elif path.name == "north.toml":
            lines = ['data = ["north.jsonl"]' if line.startswith("data") else line for line in path.read_text().splitlines()]
            path.write_text("\n".join(lines).replace(str(MODEL), "MODEL") + "\n")
        elif path.suffix == ".toml":
            path.write_text(path.read_text().replace(str(MODEL), "MODEL"))


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir()
    (out / "site").mkdir()
    train(out / "train")
    site(out / "site")
    without_paths(out)
