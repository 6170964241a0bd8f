"""Hop: one message over one contact."""

from __future__ import annotations

from typing import NamedTuple


class Hop(NamedTuple):
    """A message over one ``contact`` of a plan, from ``source`` to ``target``.

    Its bits leave from ``begin_s`` to ``sent_s``; the last one is there at ``arrival_s``.
    """

    contact: int
    source: int
    target: int
    begin_s: float
    sent_s: float
    arrival_s: float
