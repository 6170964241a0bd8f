"""When Python looks for garbage: seldom, as what a run makes is kept or freed at once.

Messages of a library may lie in circles, which are few objects of many bytes: for these the bytes
count.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 100_000
"""Objects made after which Python looks; its usual number takes up to a sixth of a run's time."""
MOVED_BYTES = 50_000_000
"""Bytes of messages after which it looks, however few objects they are."""


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


class GarbageByBytes:
    """Looks for garbage by the bytes that have been moved, among what was made since it began.

    What was there before, all of the libraries, is never looked through: that takes a second.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._has_begun = False

    def begin(self) -> None:
        """Leave out what is there by now."""
        self._has_begun = True
        gc.freeze()

    def moved(self, size_bytes: int) -> None:
        """Count the bytes of a message."""
        self._bytes += size_bytes
        if self._bytes >= MOVED_BYTES:
            self._bytes = 0
            gc.collect()

    def end(self) -> None:
        """Let Python look through everything again."""
        if self._has_begun:
            self._has_begun = False
            gc.unfreeze()
