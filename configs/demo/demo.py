#!/usr/bin/env python3
"""The main job, end to end, on one machine: three hospitals tune SmolLM2-135M privately under one coordinator, each a process of its
own; the result is evaluated, reported and verified. Leaves build/demo (what `sotto-audit verify` takes, with summary.json and the
tuned adapter) and build/demo-run (the processes' folders and logs). Run by `make demo`."""
import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "deploy"))
from federation import CommandFailed, Federation, main_guard  # noqa: E402

MODEL = ROOT / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf"
SYSTEM_PROMPT = "You are a clinical coding assistant. Answer with ICD-10-CM only."
# Hospital -> patients as its operator declares them: rounded, at least the true number.
HOSPITALS = {"heart-lung": 1400, "brain-mind": 1000, "women-children": 1300}


def say(text):
    print(text, flush=True)


class Clock:
    """Seconds by phase, and how long the whole thing may still take."""

    def __init__(self, expected):
        self.expected = expected  # phase -> seconds seen on a 2-core machine, for the ETA alone
        self.seconds = {}
        self.start = time.monotonic()

    def phase(self, name):
        clock = self

        class Phase:
            def __enter__(self):
                self.began = time.monotonic()
                left = sum(s for n, s in clock.expected.items() if n not in clock.seconds)
                say(f"[{self.began - clock.start:5.0f} s] {name}  (about {left:.0f} s to go in all)")

            def __exit__(self, *_):
                clock.seconds[name] = round(time.monotonic() - self.began, 1)

        return Phase()

    def total(self):
        return round(time.monotonic() - self.start, 1)


def make_data(folder, seed):
    if (folder / "manifest.json").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    done = subprocess.run([sys.executable, HERE / "make_data.py", "--out", part, "--seed", str(seed), "--icd10", ROOT / ".deps/icd10cm"])
    if done.returncode != 0:
        raise CommandFailed("the demo's data could not be made (see above)")
    part.rename(folder)


def write_configs(folder, data, privacy, fingerprint, arguments):
    """site.toml of each hospital and run.toml, from the commented ones beside this script."""
    folder.mkdir(parents=True)
    sites = {}
    for name, size in HOSPITALS.items():
        text = (HERE / "site.toml").read_text().format(model=MODEL, data=data / name / "train.jsonl", epsilon_limit=8.0,
                                                       allow_without_privacy="false" if privacy else "true")
        (folder / f"{name}.toml").write_text(text)
        sites[name] = (folder / f"{name}.toml", size)
    plan = (HERE / ("run.toml" if privacy else "run-without-privacy.toml")).read_text()
    plan = plan.replace("{model_sha256}", fingerprint)
    for old, new in arguments.replace:
        if old not in plan:
            raise CommandFailed(f"--replace: the plan has no text '{old}'")
        plan = plan.replace(old, new)
    (folder / "run.toml").write_text(plan)
    return sites


def evaluate(federation, data, adapter, limits, threads, answers):
    """Starts an evaluation; returns a function that waits for its numbers."""
    def start(name, file, limit, extra):
        command = [federation.bin / "sotto-client", "eval", "--json", "--model", MODEL, "--data", file, "--limit", limit, "--threads", threads, *extra]
        if adapter:
            command += ["--adapter", adapter]
        return subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**federation.environment, "OMP_NUM_THREADS": str(threads)})

    def finish():
        out = {}
        for name, file, limit, extra in jobs:
            process = start(name, file, limit, extra)
            text, errors = process.communicate()
            if process.returncode != 0:
                raise CommandFailed(f"sotto-client eval failed: {errors.strip()}")
            out[name] = json.loads(text)
        return out

    jobs = [("held_out", data / "val.jsonl", limits[0], [] if answers else ["--no-answers"]), ("general", data / "general.jsonl", limits[1], ["--no-answers"])]
    return finish


def train(federation, sites, run_toml):
    federation.found(sites)
    run = federation.submit(run_toml)
    for name in sites:
        federation.client(name, "approve", run, "--yes")
        federation.run_site(name)
    watch = subprocess.Popen([str(federation.bin / "sotto-coordinator"), "watch", run, "--dir", str(federation.coordinator_dir)])
    while watch.poll() is None:
        time.sleep(0.2)
        try:
            federation.check_alive()
        except CommandFailed:
            watch.terminate()
            raise
    if watch.returncode != 0:
        raise CommandFailed(f"the run did not finish; the coordinator's last lines:\n{federation.tail('coordinator')}")
    return run


def table(summary, clock):
    base, tuned = summary["base"], summary["tuned"]
    lines = ["", f"{'held-out patients':<34}{'base':>10}{'tuned':>10}"]
    rows = [("loss (nats a response token)", "loss"), ("token accuracy", "token_accuracy")]
    for title, key in rows:
        lines.append(f"  {title:<32}{base[key]:>10.3f}{tuned[key]:>10.3f}")
    for group, title in (("copied_title", "title shown"), ("other_title", "other title")):
        if group in tuned:
            for key, what in (("exact_code", "exact code"), ("first_three", "first three characters")):
                lines.append(f"  {what + ', ' + title:<32}{base[group][key]:>10.3f}{tuned[group][key]:>10.3f}")
    general = summary["general"]
    lines.append(f"{'general set, loss':<34}{general['base']:>10.3f}{general['tuned']:>10.3f}")
    lines.append("")
    for site in summary["sites"]:
        epsilon = site["epsilon"] if isinstance(site["epsilon"], str) else f"{site['epsilon']:.4f}"
        lines.append(f"  {site['name']:<18} epsilon {epsilon} at delta {site['delta']:g}, unit: patient")
    lines.append(f"  bytes up {summary['bytes_up']:,}, down {summary['bytes_down']:,}")
    lines.append("  seconds: " + ", ".join(f"{k} {v}" for k, v in summary["seconds"].items()) + f", total {clock.total()}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--privacy", choices=["on", "off"], default="on")
    parser.add_argument("--seed", type=int, default=7, help="of the data")
    parser.add_argument("--out", type=Path, default=ROOT / "build/demo")
    parser.add_argument("--replace", action="append", default=[], nargs=2, metavar=("OLD", "NEW"), help="change a text of the plan")
    parser.add_argument("--no-answers", action="store_true", help="evaluate losses alone")
    parser.add_argument("--records", type=int, default=96, help="held-out records that are evaluated")
    arguments = parser.parse_args()
    privacy = arguments.privacy == "on"
    out, work = arguments.out, arguments.out.with_name(arguments.out.name + "-run")
    for folder in (out, work):
        shutil.rmtree(folder, ignore_errors=True)
    clock = Clock({"data": 8, "evaluation of the base model": 20, "federated tuning": 150, "evaluation of the tuned model": 20, "report": 3})
    data = ROOT / f"build/data/demo-{arguments.seed}"
    limits = (arguments.records, 48)

    with clock.phase("data"):
        data.parent.mkdir(parents=True, exist_ok=True)
        make_data(data, arguments.seed)
    with Federation(ROOT / "build/bin", work) as federation:
        fingerprint = json.loads(federation.command("sotto-client", "fingerprint", "--model", MODEL, "--json").stdout)["sha256"]
        sites = write_configs(work / "configs", data, privacy, fingerprint, arguments)
        with clock.phase("evaluation of the base model"):
            base = evaluate(federation, data, None, limits, 2, not arguments.no_answers)()
        with clock.phase("federated tuning"):
            run = train(federation, sites, work / "configs/run.toml")
        with clock.phase("evaluation of the tuned model"):
            adapter = federation.site_dir(next(iter(sites))) / "runs" / run / "adapter"
            tuned = evaluate(federation, data, adapter, limits, 2, not arguments.no_answers)()
        with clock.phase("report"):
            federation.coordinator("report", run, "--out", out)
            shutil.copytree(adapter, out / "adapter")
            traffic = next(r for r in federation.runs() if r["run"] == run)
            verified = federation.command("sotto-audit", "verify", out, "--json", check=False)

    report = json.loads((out / "report/report.json").read_text())
    summary = {
        "base": base["held_out"], "tuned": tuned["held_out"],
        "general": {"base": base["general"]["loss"], "tuned": tuned["general"]["loss"]},
        "sites": [{"name": s["name"], "epsilon": s["epsilon"], "delta": s["delta"]} for s in report["sites"]],
        "bytes_up": traffic["bytes_up"], "bytes_down": traffic["bytes_down"],
        "seconds": clock.seconds,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    say(table(summary, clock))
    checks = json.loads(verified.stdout) if verified.stdout else {"ok": False, "checks": []}
    say(f"\nsotto-audit verify: {'all ' + str(len(checks['checks'])) + ' checks hold' if checks['ok'] else 'FAILED'}")
    for check in checks["checks"]:
        if not check["ok"]:
            say(f"  {check['name']}: {check['detail']}")
    shown = out.relative_to(ROOT) if out.is_relative_to(ROOT) else out
    say(f"report   {shown}/report/report.html\nsummary  {shown}/summary.json\nadapter  {shown}/adapter (a PEFT folder)\n"
        f"verify   build/bin/sotto-audit verify {shown}")
    return 0 if checks["ok"] else 1


if __name__ == "__main__":
    main_guard(main)
