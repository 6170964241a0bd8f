"""Random small scenarios through the whole simulator; `make soak` tries five hundred.

Each must end, keep every invariant and what its method promises, and give the same digest when it
is repeated and when its lists are in another order.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings

from tests.kit.drawn import METHODS, campaign
from tests.kit.scripted import RESTLESS

COUNT = 2 * settings().max_examples // 15
"""2 in quick tests, of which hypothesis makes the first as plain as it can; 66 with ``--deep``."""
EVERY = METHODS + RESTLESS
TRAINED = ("emsfl-enhanced", "fedavg", "aligned", "nmoe")
CASES = [
    *((method, {"struck": 0.9}) for method in EVERY),
    *((method, {"struck": 0.0}) for method in EVERY),
    *((method, {"train": True, "struck": 0.5}) for method in TRAINED),
]


@pytest.mark.parametrize(("method", "how"), CASES, ids=lambda said: str(said))
def test_runs_keep_what_they_promise_and_repeat(method: str, how: dict[str, Any]) -> None:
    seen: Counter[str] = Counter()
    quick = COUNT == 2
    campaign(COUNT, seen, CASES.index((method, how)), not quick, methods=(method,), **how)()
    assert seen["tried"] == seen[method] > 0
    assert seen["with transfers"] > 0
