"""Choices made with random() alone, so that the bytes do not depend on the Python version."""


def pick(rng, items):
    return items[int(rng.random() * len(items))]


def pick_weighted(rng, items, weights):
    at = rng.random() * sum(weights)
    for item, weight in zip(items, weights):
        at -= weight
        if at < 0:
            return item
    return items[-1]


def shuffle(rng, items):
    for i in range(len(items) - 1, 0, -1):
        j = int(rng.random() * (i + 1))
        items[i], items[j] = items[j], items[i]


def draw(rng, items, count):
    rest = list(items)
    shuffle(rng, rest)
    return rest[:count]
