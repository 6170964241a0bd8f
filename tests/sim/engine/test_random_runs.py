"""Random small scenarios through the whole simulator; `make soak` tries five hundred.

Each must end, keep every invariant and what its method promises, and give the same digest when it
is repeated and when its lists are in another order.
"""

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings

from tests.kit.drawn import METHODS, campaign
from tests.kit.inner import learning as seam
from tests.kit.scripted import RESTLESS

MANY = settings().max_examples // 15
"""1, or 33 with ``--deep``."""
HOW: dict[str, dict[str, Any]] = {
    "struck": {"struck": 0.9},
    "calm": {"struck": 0.0},
    "trained": {"train": True, "struck": 0.5},
}
CASES = [
    *(f"{method} {how}" for method in METHODS + RESTLESS for how in ("struck", "calm")),
    *(f"{method} trained" for method in ("emsfl-enhanced", "fedavg", "aligned", "nmoe")),
    "scaffold trained",
    "fedasync trained",
    "fedisl trained",
]
UNTRAINED = 2 * len(METHODS + RESTLESS)
CHOSEN = [
    case
    for number, case in enumerate(CASES)
    if MANY > 1 or number >= UNTRAINED or number // 2 % 2 == number % 2
]
"""With or without faults, by turns; both with ``--deep``."""


def test_every_shipped_method_is_drawn():
    assert set(METHODS) == set(seam.METHODS.shipped)


@pytest.mark.wide
@pytest.mark.parametrize("case", CHOSEN)
def test_runs_keep_what_they_promise_and_repeat(case):
    """Of the two (three without faults) hypothesis makes the first as plain as it can."""
    method, how = case.split()
    seen: Counter[str] = Counter()
    count = MANY * (3 if how == "calm" else 2)
    number = CASES.index(case)
    campaign(count, seen, number, shrink=MANY > 1, methods=(method,), **HOW[how])()
    assert seen["tried"] == seen[method] > 0
    # Faults may leave no transfer to either of two; what hypothesis draws depends on the process.
    if method in ("local", "centralised"):
        assert seen["with transfers"] == 0
    elif how == "calm":
        assert seen["with transfers"] > 0
