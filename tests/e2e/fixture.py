"""A small federation for end-to-end tests: the tiny model and records of tests/vectors/fixture, as many sites as wanted."""
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "deploy"))
from federation import CommandFailed, Federation, wait_until  # noqa: E402,F401

BIN = Path(os.environ["SOTTO_BIN"])
MODEL = SOURCE / "tests/vectors/fixture"
NAMES = ["north", "south", "west", "east"]
DECLARED = 20  # patients a site, rounded

PLAN = """
run = "{run}"
sites = [{sites}]
[model]
sha256 = "{model}"
precision = "fp32"
[privacy]
unit = "patient"
epsilon = {epsilon}
expected_batch = 5
clip_norm = 0.5
max_records = 2
[lora]
rank = 2
targets = ["q_proj", "v_proj", "down_proj"]
[training]
rounds = {rounds}
local_steps = 2
max_tokens = 96
[optimizer]
learning_rate = 0.01
[aggregation]
phase_deadline_s = {deadline}
"""

SITE = """
model = "{model}"
data = ["{data}"]
threads = 1
{more}
[policy]
epsilon_limit = {limit}
"""


def others(path, count=40):
    """Writes a file of records of people who are no patients of any site here."""
    records = [json.loads(line) for line in (MODEL / "records.jsonl").read_text().splitlines()[:count]]
    path.write_text("".join(json.dumps({**r, "patient_id": f"other-{i}", "input": r["input"] + " Seen elsewhere."}) + "\n" for i, r in enumerate(records)))
    return path


class Small(Federation):
    def __init__(self, sites=4, site_program=None, limits=None, more=""):
        self.temporary = Path(tempfile.mkdtemp(prefix="sotto-e2e-"))
        super().__init__(BIN, self.temporary / "run", site_program)
        self.names = NAMES[:sites]
        self.limits = limits or {}
        self.more = more  # lines for every site.toml

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        if arguments[0] is None:
            shutil.rmtree(self.temporary)
        else:
            print(f"folders and logs are kept in {self.temporary}", file=sys.stderr)
            for name in self.processes:
                print(f"--- {name}\n{self.tail(name)}", file=sys.stderr)

    def enrol(self):
        """Splits the fixture's patients over the sites and enrols them."""
        configs = self.folder / "configs"
        configs.mkdir()
        records = [json.loads(line) for line in (MODEL / "records.jsonl").read_text().splitlines()]
        patients = sorted({r["patient_id"] for r in records})
        sites = {}
        for i, name in enumerate(self.names):
            mine = set(patients[i::len(self.names)])
            data = configs / f"{name}.jsonl"
            data.write_text("".join(json.dumps(r) + "\n" for r in records if r["patient_id"] in mine))
            config = configs / f"{name}.toml"
            config.write_text(SITE.format(model=MODEL, data=data, limit=self.limits.get(name, 10), more=self.more))
            sites[name] = (config, DECLARED)
        self.found(sites)

    def plan(self, run="small", rounds=2, epsilon=8, deadline=60):
        fingerprint = json.loads(self.command("sotto-client", "fingerprint", "--model", MODEL, "--json").stdout)["sha256"]
        path = self.folder / f"{run}.toml"
        path.write_text(PLAN.format(run=run, sites=", ".join(f'"{n}"' for n in self.names), model=fingerprint, rounds=rounds,
                                    epsilon=epsilon, deadline=deadline))
        return path

    def begin(self, environment=None, **plan):
        """Submits, approves at every site, starts every site; returns the run's name."""
        run = self.submit(self.plan(**plan))
        for name in self.names:
            self.client(name, "approve", run, "--yes")
            self.run_site(name, (environment or {}).get(name))
        return run

    def state(self, run):
        return next(r for r in self.runs() if r["run"] == run)

    def finish(self, run, seconds=240, but=()):
        alive = [n for n in [*self.names, "coordinator"] if n not in but]
        wait_until(lambda: self.state(run)["state"] in ("finished", "stopped", "failed"), seconds, f"run {run} to end", lambda: self.check_alive(alive))
        assert self.state(run)["state"] == "finished", self.state(run)

    def report(self, run):
        out = self.temporary / "report"
        self.coordinator("report", run, "--out", out)
        return out

    def verify(self, folder, *arguments):
        done = self.command("sotto-audit", "verify", folder, "--json", *arguments, check=False)
        return done.returncode, json.loads(done.stdout)
