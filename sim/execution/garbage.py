"""When Python looks for garbage: seldom, as what a run makes is kept or freed at once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 100_000
"""Objects made after which Python looks; its usual number takes up to a sixth of a run's time."""


def collect_seldom() -> None:
    """Let Python look for garbage seldom from now on."""
    gc.set_threshold(SELDOM)


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Let Python look for garbage seldom for a while; not at all where it has not before."""
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(SELDOM, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
