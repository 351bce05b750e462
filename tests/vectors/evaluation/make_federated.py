"""Writes federated.json: ratios of sums over strata, linearised, from samplics 0.6.0 (Taylor linearisation; sites are strata, units the primary
sampling units), and Student's t from scipy. A difference of two ratios of the same units has no estimator there: it comes from the linearised
variable itself, as samplics' total of it."""
import json
import random
from pathlib import Path

import numpy as np
import scipy.stats
from samplics.estimation import TaylorEstimator
from samplics.utils.types import PopParam


def ratio(x, y, strata, confidence):
    e = TaylorEstimator(param=PopParam.ratio, alpha=1 - confidence)
    e.estimate(y=np.array(x), x=np.array(y), samp_weight=np.ones(len(x)), stratum=np.array(strata), psu=np.arange(len(x)))
    return float(e.point_est), float(e.stderror), float(e.lower_ci), float(e.upper_ci)


def deviation_of_total(d, strata):
    e = TaylorEstimator(param=PopParam.total)
    e.estimate(y=np.array(d), samp_weight=np.ones(len(d)), stratum=np.array(strata), psu=np.arange(len(d)))
    return float(e.stderror)


def case(rng, sizes):
    strata = [f"site{s}" for s, n in enumerate(sizes) for _ in range(n)]
    below = [float(rng.randint(1, 40)) for _ in strata]
    models = []
    for shift in (0.0, -0.2, -0.1):
        models.append([round(y * (1.5 + shift + rng.gauss(0, 0.4) + 0.1 * int(s[4:])), 6) for y, s in zip(below, strata)])
    out = {"sizes": sizes, "denominators": below, "numerators": models, "confidence": 0.9, "ratios": [], "differences": []}
    df = len(strata) - len(sizes)
    for x in models:
        value, error, low, high = ratio(x, below, strata, 0.9)
        t = scipy.stats.t.ppf(0.95, df)
        assert abs(high - (value + t * error)) < 1e-9 and abs(low - (value - t * error)) < 1e-9
        out["ratios"].append({"value": value, "low": low, "high": high})
    y = sum(below)
    for a in range(3):
        for b in range(a + 1, 3):
            ra, rb = sum(models[a]) / y, sum(models[b]) / y
            d = [(xb - rb * v - xa + ra * v) / y for xa, xb, v in zip(models[a], models[b], below)]
            error = deviation_of_total(d, strata)
            t = scipy.stats.t.ppf(0.95, df)
            out["differences"].append({"from": a, "to": b, "difference": rb - ra, "low": rb - ra - t * error, "high": rb - ra + t * error,
                                       "p": float(2 * scipy.stats.t.sf(abs(rb - ra) / error, df))})
    return out


def main():
    rng = random.Random(7)
    students = [{"t": t, "degrees": d, "probability": float(1 - 2 * scipy.stats.t.sf(t, d))} for t in (0.0, 0.1, 1.0, 2.5, 8.0) for d in (1, 2, 3.5, 10, 200, 1e6)]
    quantiles = [{"confidence": c, "degrees": d, "t": float(scipy.stats.t.ppf((1 + c) / 2, d))} for c in (0.6, 0.95, 0.999) for d in (1, 2, 5, 30, 1000)]
    cases = [case(rng, sizes) for sizes in ([12], [9, 15, 30], [2, 2], [40, 5])]
    Path(__file__).with_name("federated.json").write_text(json.dumps({"student": students, "quantile": quantiles, "cases": cases}) + "\n")


main()
