"""Random small scenarios through the whole simulator.

    python tests/soak/random_scenarios.py --count 500 --seed 8      # the long form

Each must end, keep what its tables promise (checked here anew, from the tables alone), and have the
same trace when it is repeated and when clusters, places and windows are listed in another order.
One scenario in eight trains. What the simulator refuses in one line is told of and not counted.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from drawn import Mapping, scenarios_drawn
from hypothesis import HealthCheck, given, reject, seed, settings
from hypothesis import strategies as st

import scenarios
import sim

TRAINED = 8
"""One scenario in so many trains."""


def main() -> int:
    """Try scenarios; print how many there were of what."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=8)
    asked = parser.parse_args()
    seen: Counter[str] = Counter()
    campaign(asked.count, seen, asked.seed)()
    print(f"random scenarios: {seen['tried']} run thrice, all invariants hold")
    for name in sorted(seen):
        print(f"  {seen[name]:5} {name}")
    return 0


def campaign(count: int, seen: Counter[str], number: int | None = None) -> Callable[[], None]:
    """Return a property that tries ``count`` scenarios and counts in ``seen`` what they were."""

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(
        st.integers(1, TRAINED).flatmap(lambda n: scenarios_drawn(train=n == TRAINED)), st.data()
    )
    def holds(drawn: Mapping, data: st.DataObject) -> None:
        first = attempt(drawn, seen)
        check(first)
        again = sim.run(scenarios.from_dict(drawn))
        assert trace(again) == trace(first), "a repeat differs"
        other = rearranged(drawn, data.draw(st.randoms(use_true_random=False)))
        assert trace(sim.run(scenarios.from_dict(other))) == trace(first), "listed otherwise"
        seen["tried"] += 1
        seen[drawn["orbit"]["source"]] += 1
        seen[drawn["learning"]["method"]] += 1
        seen["trained"] += drawn["learning"]["train"]
        seen["with faults"] += bool(drawn.get("faults"))
        seen["with transfers"] += len(first.transfers) > 0

    return holds if number is None else seed(number)(holds)


def _one(number: int) -> st.SearchStrategy[Mapping]:
    return scenarios_drawn(train=number == TRAINED)


def attempt(drawn: Mapping, seen: Counter[str]) -> sim.Result:
    """Run a scenario; one that is refused for what it says does not count."""
    try:
        return sim.run(scenarios.from_dict(drawn))
    except ValueError as error:
        assert "\n" not in str(error), "one line"
        seen[f"refused: {_kind(str(error))}"] += 1
        reject()


def _kind(text: str) -> str:
    return re.sub(r"'[^']*'", "'...'", re.sub(r"[\d.]+", "N", text))[:70]


def trace(result: sim.Result) -> str:
    """The digest of a run's tables."""
    digest: str = result.manifest["trace_sha256"]
    return digest


def check(result: sim.Result) -> None:
    """What every run promises, from its tables alone."""
    contacts, moved, events = result.contacts, result.transfers, result.events
    assert (events.time_s.diff().dropna() >= 0).all(), "the clock runs backwards"
    assert np.isfinite(events.time_s).all() and (events.time_s >= 0).all()
    assert (contacts.set_s > contacts.rise_s).all()
    assert ((moved.delivered_bytes > 0) & (moved.delivered_bytes <= moved.payload_bytes)).all()
    assert (moved.end_s >= moved.start_s).all()
    assert result.metrics.accuracy.dropna().between(0, 1).all()
    over = moved[moved.contact_id.notna()].merge(contacts, on="contact_id", suffixes=("", "_its"))
    tick_s = 1e-6 + 1e-9 * over.set_s
    assert (over.start_s >= over.rise_s - tick_s).all(), "before the rise"
    # The last bit is on its way for less than a tenth of a second.
    assert (over.end_s <= over.set_s + 0.1 + tick_s).all(), "after the set"
    assert (over.cluster == over.cluster_its).all()
    _whole_payloads(over)
    _one_thing_at_a_time(events)


def _whole_payloads(moved: pd.DataFrame) -> None:
    """What is delivered has come in parts that add up, none of them twice."""
    offer = ["cluster", "device", "direction", "payload", "version"]
    for _, rows in moved.groupby(offer, dropna=False, sort=False):
        through = 0.0
        for row in rows.itertuples():
            through += row.delivered_bytes
            assert through <= row.payload_bytes * (1 + 1e-9), "more than the payload"
            if row.outcome == "delivered":
                assert abs(through - row.payload_bytes) <= 1e-9 * row.payload_bytes, "torn"
            if row.outcome != "carried":
                through = 0.0


def _one_thing_at_a_time(events: pd.DataFrame) -> None:
    """A device begins to train only when it has ended the training before."""
    training = events[events.kind.isin(["train_start", "train_end"])]
    for device, rows in training.groupby(["cluster", "device"], sort=False):
        begun = (rows.kind == "train_start").cumsum() - (rows.kind == "train_end").cumsum()
        assert begun.between(0, 1).all(), f"{device} trains twice at a time"


def rearranged(drawn: Mapping, chance: random.Random) -> Mapping:
    """The same scenario, listed in another order."""
    other = deepcopy(drawn)
    clusters: list[dict[str, Any]] = other["ground"]["clusters"]
    chance.shuffle(clusters)
    for cluster in clusters:
        if "places" in cluster:
            _shuffle_places(cluster, chance)
    if "windows" in other["orbit"]:
        head, *rows = other["orbit"]["windows"].split("\n")
        chance.shuffle(rows)
        other["orbit"]["windows"] = "\n".join([head, *rows])
    return other


def _shuffle_places(cluster: dict[str, Any], chance: random.Random) -> None:
    """Each place keeps its kind of device."""
    order = list(range(len(cluster["places"])))
    chance.shuffle(order)
    for key in ("places", "kinds"):
        if key in cluster:
            cluster[key] = [cluster[key][number] for number in order]


if __name__ == "__main__":
    sys.exit(main())
