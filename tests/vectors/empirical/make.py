"""Makes vectors.json: python3 make.py > vectors.json, with scipy (1.16 was used). Written from the papers' formulas, with scipy's
binomial, beta and normal distributions; nothing of Sotto's own code takes part."""
import json
import math

from scipy import stats
from scipy.optimize import brentq


def p_value(m, r, v, epsilon, delta):
    """Steinke, Nasr, Jagielski 2023, corollary 5.4."""
    w = stats.binom(r, 1 / (1 + math.exp(-epsilon)))
    worst = max([(w.cdf(v - 1) - w.cdf(v - i - 1)) / i for i in range(1, v + 1)], default=0)
    return min(1.0, w.sf(v - 1) + 2 * m * delta * worst)


def one_run_epsilon(m, r, v, delta, failure):
    f = lambda e: p_value(m, r, v, e, delta) - failure
    return brentq(f, 0, 100, xtol=1e-13) if f(0) < 0 else 0.0


def rejects(m, r, v, mu, failure):
    """Mahloujifar, Melis, Chaudhuri 2024: a bound on the last term of the chain, carried back to the first."""
    a, b = failure * v / m, failure * (r - v) / m
    for i in reversed(range(v)):
        new = max(b, stats.norm.cdf(stats.norm.ppf(min(a, 1)) - mu))
        a, b = a + i / (r - i) * (new - b), new
        if a + b > r / m:
            return True
    return a + b > r / m


def one_run_mu(m, r, v, failure):
    low, high = 0.0, 20.0
    if not rejects(m, r, v, low, failure):
        return 0.0
    for _ in range(40):
        mid = (low + high) / 2
        low, high = (mid, high) if rejects(m, r, v, mid, failure) else (low, mid)
    return low


def clopper_pearson(k, n, failure):
    return [stats.beta.ppf(failure / 2, k, n - k + 1) if k else 0.0, stats.beta.ppf(1 - failure / 2, k + 1, n - k) if k < n else 1.0]


one_run = [(1000, 100, 75, 1e-4, 0.05), (100000, 1510, 1439, 1e-5, 0.05), (100, 100, 100, 0, 1e-4), (100, 50, 50, 1e-5, 1e-4),
           (1000, 500, 400, 1e-5, 1e-4), (24, 12, 12, 1e-5, 1e-4), (64, 32, 16, 1e-5, 1e-4), (5000, 2500, 1300, 1e-6, 1e-3)]
gdp = [(1000, 100, 75, 0.05), (100, 100, 100, 1e-4), (1000, 500, 400, 1e-4), (64, 32, 16, 1e-4), (2000, 2000, 1380, 0.05)]
intervals = [(0, 20, 0.05), (20, 20, 0.05), (7, 31, 1e-4), (480, 500, 1e-4), (1, 1, 0.1), (3, 100000, 1e-3)]
print(json.dumps({
    "p_value": [{"m": m, "r": r, "v": v, "epsilon": e, "delta": d, "value": p_value(m, r, v, e, d)}
                for m, r, v, d, _ in one_run for e in (0.25, 1.0, 3.0)],
    "one_run_epsilon": [{"m": m, "r": r, "v": v, "delta": d, "failure": f, "value": one_run_epsilon(m, r, v, d, f)}
                        for m, r, v, d, f in one_run],
    "one_run_mu": [{"m": m, "r": r, "v": v, "failure": f, "value": one_run_mu(m, r, v, f)} for m, r, v, f in gdp],
    "clopper_pearson": [{"k": k, "n": n, "failure": f, "value": clopper_pearson(k, n, f)} for k, n, f in intervals],
}, indent=1))
