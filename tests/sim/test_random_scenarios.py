"""Random small scenarios through the whole simulator; `make soak` tries five hundred."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parents[1] / "soak"
COUNT = 20


def test_they_end_repeat_and_do_not_hang_on_the_order_of_lists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(SOAK))
    import random_scenarios

    seen: Counter[str] = Counter()
    random_scenarios.campaign(COUNT, seen)()
    assert seen["tried"] == COUNT
    assert seen["with transfers"] > COUNT / 2
