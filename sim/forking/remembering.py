"""Contact windows that are asked for again."""

from __future__ import annotations

from sim.cache.windows import key_of
from sim.finding import Find, Found, Sought


def remembering(find: Find) -> Find:
    """Return what finds windows as ``find`` does, the same ones once only."""
    known: dict[str, Found] = {}

    def found(sought: Sought) -> Found:
        key = key_of(sought)
        if key not in known:
            known[key] = find(sought)
        return known[key]

    return found
