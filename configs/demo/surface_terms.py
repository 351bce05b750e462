"""Splits the surface terms of ICD-10-CM (titles and inclusion terms) into training, validation and test."""
import collections
import hashlib

SPLITS = ("train", "val", "test")
PLAIN_CODES_A_CHAPTER = 1200  # at most so many codes without inclusion terms
SKIPPED = ("Z38", "Z3A")    # long lists of near-equal entries: places of birth, weeks of pregnancy


def digest(*parts):
    return int.from_bytes(hashlib.sha256("|".join(map(str, parts)).encode()).digest()[:8], "big")


class Terms:
    """Surface terms and the split that each belongs to; for each split the (term, entry) pairs by chapter and block."""

    def __init__(self, entries, seed):
        self.seed = seed
        self.split_of = {}
        inner = set()  # words that stand inside a term in lower case: those may lose their capital at a note's beginning
        self.pairs = {s: collections.defaultdict(lambda: collections.defaultdict(list)) for s in SPLITS}
        plain = collections.Counter()
        for entry in sorted(entries, key=lambda e: digest("order", e.code)):
            inner.update(w for t in [entry.title] + entry.terms for w in t.split()[1:] if w.islower())
            if len(entry.title) > 110 or entry.code.startswith(SKIPPED):
                continue
            if not entry.terms:
                plain[entry.chapter] += 1
                if plain[entry.chapter] > PLAIN_CODES_A_CHAPTER:
                    continue
            for term in dict.fromkeys([entry.title] + entry.terms):
                if 6 <= len(term) <= 110:
                    split = self.split_of.setdefault(term.lower(), self.hashed(term))
                    self.pairs[split][entry.chapter][entry.block].append((term, entry))
        self.inner = inner
        # The answer shows the title, so the title of what is trained must be a training term too.
        for blocks in self.pairs["train"].values():
            for block in list(blocks):
                blocks[block] = [p for p in blocks[block] if self.may_show("train", p[1].title, p[1].category)]
                if not blocks[block]:
                    del blocks[block]

    def hashed(self, term):
        share = digest("term", self.seed, term.lower()) % 100
        return "val" if share < 8 else "test" if share < 16 else "train"

    def belongs(self, split, term):
        return self.split_of.get(term.lower()) == split

    def may_show(self, split, *texts):
        """Training shows nothing that is a term of val or test; val and test may show training terms besides their own."""
        return all(self.split_of.get(t.lower(), split) in (split, "train") for t in texts)

    def in_note(self, term):
        first = term.split()[0].lower()
        return term[:1].lower() + term[1:] if first in self.inner else term
