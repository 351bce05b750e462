#!/usr/bin/env python3
"""`make bench-accounting`: the accountant's queries here and in dp-accounting, prv_accountant and Opacus, in one run, CPU time of the fastest
of some runs on one thread. Writes bench/accounting.md and build/bench/accounting.json."""
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".deps/venv-accounting"
PEERS = ["dp-accounting==0.6.0", "prv-accountant==0.2.0", "torch==2.13.0", "opt-einsum"]
DELTA, STEPS = 1e-5, 10000


def own_python():
    """Starts itself again in a venv that has the peers."""
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PEERS], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "opacus==1.6.0"], check=True)
    if Path(sys.prefix) != VENV:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = "1"
        os.execv(python, [python, __file__, *sys.argv[1:]])


def cpu_ms(query, runs=3):
    best, answer = float("inf"), None
    for _ in range(runs):
        start = time.process_time()
        answer = query()
        best = min(best, 1e3 * (time.process_time() - start))
    return best, answer


def dp_accounting_queries():
    import dp_accounting as d
    from dp_accounting import pld, rdp

    def event(sigma, q):
        return d.SelfComposedDpEvent(d.PoissonSampledDpEvent(q, d.GaussianDpEvent(sigma)), STEPS)

    def epsilon(make, sigma, q):
        return lambda: make().compose(event(sigma, q)).get_epsilon(DELTA)

    def calibrate(make):
        return lambda: d.calibrate_dp_mechanism(make, lambda s: event(s, 0.01), 3, DELTA, bracket_interval=d.LowerEndpointAndGuess(0.3, 1))

    for q in (0.01, 1e-4):
        yield f"pld q={q:g}", "dp-accounting PLD, h = 1e-4", epsilon(lambda: pld.PLDAccountant(value_discretization_interval=1e-4), 1, q)
        yield f"rdp q={q:g}", "dp-accounting RDP", epsilon(rdp.RdpAccountant, 1, q)
    def rounds():  # 40 of the 1,000, times 25: every round costs the same
        accountant = pld.PLDAccountant(value_discretization_interval=1e-4)
        for i in range(40):
            accountant.compose(d.PoissonSampledDpEvent(0.01 + 1e-5 * i, d.GaussianDpEvent(1 + 0.001 * i)))
            epsilon = accountant.get_epsilon(DELTA)
        return epsilon

    yield "after each of 1,000 rounds", "dp-accounting PLD, h = 1e-4, 40 rounds times 25", rounds
    def different():  # 40 of the 10,000, spread over all of them, times 250
        accountant = pld.PLDAccountant(value_discretization_interval=1e-4)
        for i in range(0, 10000, 250):
            accountant.compose(d.PoissonSampledDpEvent(0.002 + 1e-6 * i, d.GaussianDpEvent(1 + 1e-4 * i)))
        return accountant.get_epsilon(DELTA)

    yield "10,000 different steps", "dp-accounting PLD, h = 1e-4, 40 steps times 250", different
    yield "calibrate pld", "dp-accounting PLD, h = 1e-4", calibrate(lambda: pld.PLDAccountant(value_discretization_interval=1e-4))
    yield "calibrate rdp", "dp-accounting RDP", calibrate(rdp.RdpAccountant)


def prv_queries():
    from prv_accountant import PRVAccountant
    from prv_accountant.privacy_random_variables import PoissonSubsampledGaussianMechanism

    def epsilon(q):
        prv = PoissonSubsampledGaussianMechanism(noise_multiplier=1.0, sampling_probability=q)
        return lambda: PRVAccountant(prvs=[prv], max_self_compositions=[STEPS], eps_error=0.01, delta_error=DELTA / 1000).compute_epsilon(DELTA, [STEPS])

    for q in (0.01, 1e-4):
        yield f"pld q={q:g}", "prv_accountant, eps_error 0.01", epsilon(q)


def opacus_queries():
    from opacus.accountants import PRVAccountant, RDPAccountant
    from opacus.accountants.utils import get_noise_multiplier

    def epsilon(kind, q):
        def query():
            accountant = kind()
            accountant.history = [(1.0, q, STEPS)]
            return accountant.get_epsilon(DELTA)
        return query

    for q in (0.01, 1e-4):
        yield f"pld q={q:g}", "Opacus PRV (default)", epsilon(PRVAccountant, q)
        yield f"rdp q={q:g}", "Opacus RDP", epsilon(RDPAccountant, q)
    for kind in ("prv", "rdp"):
        yield "calibrate " + ("pld" if kind == "prv" else "rdp"), f"Opacus {kind.upper()}", (
            lambda kind=kind: get_noise_multiplier(target_epsilon=3, target_delta=DELTA, sample_rate=0.01, steps=STEPS, accountant=kind))


def main():
    own_python()
    ours = {}
    for line in subprocess.run([ROOT / "build/bin/bench_accounting"], check=True, capture_output=True, text=True).stdout.splitlines():
        row = json.loads(line)
        ours[row["case"]] = row
    rows = []
    lines = ["# The accountant's queries", "",
             f"`make bench-accounting`, one thread ({platform.machine()}), CPU milliseconds of the fastest run, without imports. sigma 1, 10,000 steps, delta 1e-5; "
             "calibration to epsilon 3 at q = 0.01. Ours for `pld` is a certified bracket. The machine was shared with other work: compare within a row, not with other tables.", "",
             "| query | ours | ms | peer | its answer | ms | ratio |", "|---|---|---|---|---|---|---|"]
    for queries in (dp_accounting_queries, prv_queries, opacus_queries):
        for case, peer, query in queries():
            own = ours[case]
            times = int(peer.split(" times ")[1]) if " times " in peer else 1  # a part was run, each step of which costs the same
            ms, answer = cpu_ms(query, 1 if times > 1 else 3)
            ms *= times
            if times > 1:
                peer += " (epsilon of the part)"
            answer = " .. ".join(f"{x:.6g}" for x in answer) if isinstance(answer, tuple) else f"{answer:.6g}"
            text = f"{own['lower']:.6g} .. {own['upper']:.6g}" if "lower" in own else f"{own.get('upper', own.get('sigma')):.6g}"
            ratio = ms / own["ms"]
            lines.append(f"| {case} | {text} | {own['ms']:.2f} | {peer} | {answer} | {ms:.1f} | {ratio:.0f}x |")
            print(lines[-1], flush=True)
            rows.append({"case": case, "ours": own["ms"], "peer": peer, "theirs": ms, "unit": "ms", "ratio": ratio})
    (ROOT / "bench/accounting.md").write_text("\n".join(lines) + "\n")
    (ROOT / "build/bench").mkdir(parents=True, exist_ok=True)
    (ROOT / "build/bench/accounting.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
