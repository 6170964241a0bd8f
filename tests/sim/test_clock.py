"""The clock: absolute times, the end, ties, and errors that keep their text."""

from __future__ import annotations

import math

import pytest

from tests.kit.network import Clock, SimulationError


def run(clock: Clock, *processes, until: float = math.inf) -> None:
    for number, process in enumerate(processes):
        clock.start(f"p{number}", process)
    clock.run(until, lambda number: None)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 4.999])
def test_a_time_that_is_none_or_past_is_an_error(bad: float) -> None:
    clock = Clock()

    def process():
        yield clock.at(5.0)
        yield clock.at(bad)

    with pytest.raises(SimulationError, match=r"p0 at 5.000 s.*the clock shows 5.0"):
        run(clock, process())


def test_an_event_at_exactly_the_end_happens_and_a_later_one_does_not() -> None:
    clock, seen = Clock(), []

    def process():
        for time_s in (1.0, 10.0, 10.000001):
            yield clock.at(time_s)
            seen.append(time_s)

    run(clock, process(), until=10.0)
    assert seen == [1.0, 10.0]


def test_absolute_times_do_not_drift() -> None:
    clock = Clock()

    def process():
        for tick in range(1, 100_001):
            yield clock.at(tick * 0.1)

    run(clock, process())
    assert clock.now == 100_000 * 0.1


def test_an_event_happens_at_its_time_to_the_last_bit() -> None:
    """now + (t - now) would be one bit early here."""
    clock, before, time_s = Clock(), 258.53841300585947, 862.6985453196259
    assert before + (time_s - before) != time_s

    def process():
        yield clock.at(before)
        yield clock.at(time_s)

    run(clock, process())
    assert clock.now == time_s


def test_an_error_behind_an_instant_is_named_too() -> None:
    clock = Clock()

    def fail() -> None:
        raise ValueError("no\nnumber")

    def process():
        yield clock.at(2.0)
        clock.after_this_instant("evaluation", fail)

    with pytest.raises(SimulationError, match=r"evaluation at 2.000 s: ValueError: no number"):
        run(clock, process())


def test_what_waits_for_the_instant_sees_all_that_happens_in_it() -> None:
    clock, seen = Clock(), []

    def early():
        yield clock.at(3.0)
        clock.after_this_instant("end", lambda: seen.append("last"))
        yield clock.at(3.0)
        seen.append("early")

    def late():
        yield clock.at(3.0)
        yield clock.at(3.0)
        yield clock.at(3.0)
        seen.append("late")

    run(clock, early(), late())
    assert seen == ["early", "late", "last"]


def test_an_error_with_a_demanding_constructor_keeps_its_text() -> None:
    """SimPy rebuilds exceptions from their args; ours must survive that."""

    class Demanding(Exception):
        def __init__(self, *, first: int, second: int) -> None:
            super().__init__(f"{first} and {second}")

    def process():
        yield clock.at(1.0)
        raise Demanding(first=1, second=2)

    clock = Clock()
    with pytest.raises(SimulationError, match=r"p0 at 1.000 s: Demanding: 1 and 2"):
        run(clock, process())


def test_stop_ends_behind_the_event_that_is_going_on() -> None:
    clock, seen = Clock(), []

    def process():
        yield clock.at(1.0)
        clock.stop()
        seen.append(1)
        yield clock.at(2.0)
        seen.append(2)

    run(clock, process())
    assert seen == [1]
    assert not clock.exhausted
