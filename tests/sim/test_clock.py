"""The clock: absolute times, the end, ties, and errors that keep their text."""

import math

import pytest

from sim.clock import Clock
from sim.errors import SimulationError


def run(clock, *processes, until=math.inf):
    for number, process in enumerate(processes):
        clock.start(f"p{number}", process)
    clock.run(until, lambda number: None)


def at(clock, *times_s, seen=None):
    for time_s in times_s:
        yield clock.at(time_s)
        if seen is not None:
            seen.append(time_s)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 4.999])
def test_a_time_that_is_none_or_past_is_an_error(bad):
    clock = Clock()
    with pytest.raises(SimulationError, match=r"p0 at 5.000 s.*the clock shows 5.0"):
        run(clock, at(clock, 5.0, bad))


def test_events_happen_at_their_times_to_the_last_bit_and_up_to_the_end():
    """now + (t - now) would be one bit early here."""
    clock = Clock()
    seen = []
    before = 258.53841300585947
    time_s = 862.6985453196259
    assert before + (time_s - before) != time_s
    run(clock, at(clock, before, time_s, time_s + 1e-6, seen=seen), until=time_s)
    assert (clock.now, seen) == (time_s, [before, time_s])


def test_what_waits_for_the_instant_sees_all_that_happens_in_it():
    clock = Clock()
    seen = []

    def early():
        yield clock.at(3.0)
        clock.after_this_instant("end", lambda: seen.append("last"))
        yield clock.at(3.0)
        seen.append("early")

    def late():
        yield from at(clock, 3.0, 3.0, 3.0)
        seen.append("late")

    run(clock, early(), late())
    assert seen == ["early", "late", "last"]


def test_errors_keep_their_text_whoever_fails():
    """SimPy rebuilds exceptions from their args; ours must survive that."""

    class Demanding(Exception):
        def __init__(self, *, first, second):
            super().__init__(f"{first} and\n{second}")

    def fail():
        raise Demanding(first=1, second=2)

    def process(behind):
        yield clock.at(2.0)
        clock.after_this_instant("evaluation", fail) if behind else fail()

    for behind, name in ((False, "p0"), (True, "evaluation")):
        clock = Clock()
        with pytest.raises(SimulationError, match=rf"{name} at 2.000 s: Demanding: 1 and 2"):
            run(clock, process(behind))
