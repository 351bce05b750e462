"""Writes metrics.json: expected values from the reference implementations that SOURCE.md names. Seeded: the same bytes each time.
Usage: python3 make.py ICD10CM_PACKAGE_PARENT > metrics.json"""
import collections
import itertools
import json
import random
import re
import string
import sys

import krippendorff
import numpy as np
import scipy.stats
from rouge_score import rouge_scorer
from sklearn.metrics import cohen_kappa_score, f1_score, precision_score, recall_score
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

sys.path.insert(0, sys.argv[1])
import simple_icd_10_cm as icd

rng = random.Random(7)


def squad_normalize(s):  # the SQuAD 1.1 evaluation script, evaluate-v1.1.py, which is published without a package
    s = "".join(ch for ch in s.lower() if ch not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", s).split())


def squad_f1(truth, answer):
    t, a = squad_normalize(truth).split(), squad_normalize(answer).split()
    if not t or not a:  # the SQuAD 2.0 script's rule
        return float(t == a)
    same = sum((collections.Counter(t) & collections.Counter(a)).values())
    return 0.0 if same == 0 else 2 * (same / len(a)) * (same / len(t)) / (same / len(a) + same / len(t))


WORDS = ["the", "a", "an", "patient", "Patient", "has", "mild", "asthma", "asthma.", "type-2", "diabetes", "(E11.9)", "then", "other", "U.S.",
         "Müller", "MÜLLER", "naïve", "ÉTAT", "the–end", "don't", "DON'T", "über", "Жар", "жар", "ΑΒΓ", "50%", "10mg", "a_b", "Łódź", "ŁÓDŹ", "\u00a0", "İ"]
FIXED = [("", ""), ("the", ""), ("the", "a"), ("", "x"), ("x", ""), ("A cat.", "a CAT"), ("the–the", "– –"), ("mg", "MG "), ("Kelvin \u212a", "kelvin k"),
         ("one two three four", "four three two one"), ("police killed the gunman", "police kill the gunman"), ("…", "..."), ("²", "2"), ("a\u3000b", "b a")]
texts = FIXED + [tuple(" ".join(rng.choices(WORDS, k=rng.randint(1, 14))) for _ in range(2)) for _ in range(60)]
rouge = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
out = {"overlap": [{"reference": t, "response": a, "tokens": squad_normalize(t).split(), "exact_match": squad_normalize(t) == squad_normalize(a),
                    "token_f1": squad_f1(t, a), "rouge_l": rouge.score(t, a)["rougeL"].fmeasure} for t, a in texts]}

out["lower"] = [{"text": chr(c), "lower": chr(c).lower()} for c in [*range(0x20, 0x180), *range(0x386, 0x3A2), *range(0x3A4, 0x3D0), *range(0x400, 0x460), 0x212A, 0x212B]
                if not 0x7F <= c <= 0x9F]

chapters = {}
for number, chapter in enumerate((c for c in icd.get_all_codes() if icd.is_chapter(c)), 1):
    for block in icd.get_children(chapter):
        for code in icd.get_descendants(block):
            if icd.is_category(code):
                chapters[code] = number
out["chapters"] = chapters

sets = []
for _ in range(30):
    labels = [f"L{i}" for i in range(rng.randint(2, 8))]
    sets.append([[sorted(l for l in labels if rng.random() < 0.4) for _ in range(2)] for _ in range(rng.randint(1, 6))])
out["sets"] = []
for records in sets:
    labels = sorted({l for pair in records for side in pair for l in side})
    y = [np.array([[l in side for l in labels] for side in column]) for column in zip(*records)]
    if not labels:
        continue
    score = lambda f: float(f(y[0], y[1], average="micro", zero_division=0))
    out["sets"].append({"records": records, "precision": score(precision_score), "recall": score(recall_score), "f1": score(f1_score)})

out["cohen"], out["fleiss"], out["krippendorff"] = [], [], []
for _ in range(25):
    k, n = rng.randint(2, 5), rng.randint(4, 30)
    a = [rng.randrange(k) for _ in range(n)]
    b = [x if rng.random() < 0.6 else rng.randrange(k) for x in a]
    value = lambda w: float(cohen_kappa_score(a, b, weights=w, labels=list(range(k))))
    out["cohen"].append({"a": a, "b": b, "categories": k, "none": value(None), "linear": value("linear"), "quadratic": value("quadratic")})
    raters = rng.randint(2, 6)
    counts = []
    for _ in range(n):
        leaning = rng.randrange(k)
        given = [leaning if rng.random() < 0.5 else rng.randrange(k) for _ in range(raters)]
        counts.append([given.count(c) for c in range(k)])
    out["fleiss"].append({"counts": counts, "kappa": float(fleiss_kappa(np.array(counts), method="fleiss"))})
    values = rng.choice([[1, 2, 3, 4, 5], [0, 1], [1, 2, 4, 8], [-1.5, 0, 2.25]])
    data = []
    leaning = [rng.choice(values) for _ in range(n)]
    for _ in range(raters):
        data.append([None if rng.random() < 0.2 else (x if rng.random() < 0.5 else rng.choice(values)) for x in leaning])
    matrix = np.array([[np.nan if x is None else x for x in row] for row in data], dtype=float)
    alpha = lambda level: float(krippendorff.alpha(reliability_data=matrix, level_of_measurement=level))
    out["krippendorff"].append({"ratings": data, "nominal": alpha("nominal"), "ordinal": alpha("ordinal"), "interval": alpha("interval")})

out["wilson"] = [{"successes": s, "n": n, "confidence": c, "interval": [float(x) for x in proportion_confint(s, n, alpha=1 - c, method="wilson")]}
                 for s, n, c in [(0, 1, .95), (1, 1, .95), (5, 10, .95), (7, 9, .9), (130, 200, .99), (0, 50, .95), (50, 50, .95), (12.5, 30, .95)]]
out["holm"] = []
for n in (1, 2, 5, 9):
    p = [round(rng.random() ** 3, 6) for _ in range(n)]
    out["holm"].append({"p": p, "adjusted": [float(x) for x in multipletests(p, method="holm")[1]]})
out["quantile"] = [{"values": v, "at": q, "quantile": float(np.quantile(v, q))} for v in ([3.0], [1.0, 2.0], [5.0, 1.0, 9.0, 2.0, 2.0]) for q in (0, 0.025, 0.5, 0.9, 1)]

out["bootstrap"], out["paired"] = [], []
for n in (8, 40, 200):
    num = [float(rng.randint(0, 5)) for _ in range(n)]
    den = [x + rng.randint(1, 4) for x in num]
    ratio = lambda a, b, axis=-1: np.sum(a, axis=axis) / np.sum(b, axis=axis)
    found = scipy.stats.bootstrap((np.array(num), np.array(den)), ratio, paired=True, vectorized=True, n_resamples=200000, method="percentile",
                                  rng=np.random.default_rng(1)).confidence_interval
    out["bootstrap"].append({"numerators": num, "denominators": den, "interval": [float(found.low), float(found.high)]})
for n, shift in ((3, .5), (7, .4), (10, .1), (60, .12), (150, .0)):
    a = [round(rng.random(), 3) for _ in range(n)]
    b = [round(x + rng.gauss(shift, .5), 3) for x in a]
    found = scipy.stats.permutation_test((np.array(b), np.array(a)), lambda x, y, axis=-1: np.mean(x, axis=axis) - np.mean(y, axis=axis), vectorized=True,
                                         permutation_type="samples", n_resamples=2 ** 11 if n <= 10 else 300000, rng=np.random.default_rng(1))
    out["paired"].append({"a": a, "b": b, "difference": float(found.statistic), "p": float(found.pvalue)})

out["in_order"] = []  # the longest chain by trying every subset
for _ in range(40):
    facts = rng.sample("pqrstu", rng.randint(1, 5))
    text = rng.choices("pqrstux", k=rng.randint(0, 9))
    contains = lambda chain: all(f in it for it in [iter(text)] for f in chain)
    longest = max(len(c) for size in range(len(facts) + 1) for c in itertools.combinations(facts, size) if contains(c))
    out["in_order"].append({"facts": facts, "text": " ".join(text), "longest": longest})

print("{\n" + ",\n".join(f'"{k}":' + (json.dumps(v) if isinstance(v, dict) else "[\n" + ",\n".join(json.dumps(x) for x in v) + "\n]") for k, v in out.items()) + "\n}")
