"""Threads that run in turn while the clock stands still: one at a time, in a fixed order."""

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from sim.fly.baton import Baton, Pool, replace_time, runner_here, wait_for


def drive(baton, until_s=1e6):
    """Let time pass from one wake to the next."""
    baton.run(0.0)
    while baton.wakes_s and baton.wakes_s[0] <= until_s:
        baton.run(baton.wakes_s[0])


@given(st.lists(st.lists(st.floats(0.0, 100.0), max_size=4), min_size=1, max_size=4))
def test_sleeps_add_up_to_simulated_times_and_one_thread_runs_at_a_time(naps):
    replace_time()
    baton = Baton(limit_s=10.0)
    alone = threading.Lock()
    seen = []

    def sleeper(number, own):
        began_s = time.monotonic()
        for nap in own:
            assert alone.acquire(blocking=False)
            alone.release()
            time.sleep(nap)
        seen.append((number, began_s, time.monotonic()))

    for number, own in enumerate(naps):
        baton.begin(lambda number=number, own=own: sleeper(number, own))
    drive(baton)
    ends = {number: end_s for number, _, end_s in seen}
    assert len(ends) == len(naps)
    for number, own in enumerate(naps):
        total = 0.0
        for nap in own:
            total += nap
        assert ends[number] == total
    assert [ends[number] for number, _, _ in seen] == sorted(ends.values())


def test_other_threads_keep_their_time():
    replace_time()
    began_s = time.perf_counter()
    time.sleep(0.01)
    assert 0.01 <= time.perf_counter() - began_s < 5.0
    assert runner_here() is None


def test_a_pool_returns_futures_in_the_order_of_their_submission_and_their_errors():
    replace_time()
    baton = Baton(limit_s=10.0)

    def late(number):
        time.sleep(10.0 - number)
        if number == 2:
            raise KeyError("two")
        return number

    def main():
        with Pool() as pool:
            futures = {pool.submit(late, number) for number in range(4)}
            done, left = wait_for(futures)
        errors = [one.exception() for one in done]
        return [one.value for one in (future.runner for future in done)], errors, left, time.time()

    runner = baton.begin(main)
    drive(baton)
    values, errors, left, _ = runner.value
    assert values == [0, 1, None, 3]
    assert [type(error) for error in errors] == [type(None), type(None), KeyError, type(None)]
    assert left == set()
    assert baton.now_s == 10.0
