"""What runs of one process have in common: points of a sweep ask for it in any order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

KEPT_BYTES = 1 << 26
"""Up to which size things are kept that nobody uses; the last one is, however large it is."""

Made = TypeVar("Made")


class Recent(Generic[Made]):
    """Things by what they depend on: those in use, and the last ones; ``size_bytes`` of each."""

    def __init__(self, size_bytes: Callable[[Made], int]) -> None:
        self._size_bytes = size_bytes
        self._in_use: WeakValueDictionary[Hashable, Made] = WeakValueDictionary()
        self._last: OrderedDict[Hashable, Made] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return the thing of a key; ``make`` makes it where there is none."""
        found = self._in_use.get(key)
        if found is None:
            found = self._in_use[key] = make()
        self._last[key] = found
        self._last.move_to_end(key)
        while len(self._last) > 1 and sum(map(self._size_bytes, self._last.values())) > KEPT_BYTES:
            self._last.popitem(last=False)
        return found

    def forget(self) -> None:
        """Keep nothing; what is in use is made anew for whoever asks next."""
        self._in_use.clear()
        self._last.clear()
