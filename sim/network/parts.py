"""Parts: the share of a transfer that lies in one contact, and what of it is sent over the air."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sim.facts.transfers import Outcome
from sim.plan.contacts import PlannedContact
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False)
class Part:
    """What of a transfer of devices (K,) lies in one contact, between two times: all of it."""

    contact: PlannedContact
    begin_s: Floats
    end_s: Floats

    def senders(self, who: Mask) -> Mask:
        """Which devices of ``who`` (K,) send in the contact."""
        return who

    def taken_of(self, left: Floats) -> Floats:
        """Bytes (K,) that move here of those that are ``left``."""
        return left

    def ends_of(self, ends: Mask) -> Mask:
        """Which of the devices whose transfer ``ends`` (K,) end it here."""
        return ends

    def outcome_of(self, outcome: Ints | int) -> Ints | int:
        """Return what becomes here of a transfer with an ``outcome``, that of each or of all."""
        return outcome


@dataclass(frozen=True, eq=False)
class PartOfSeveral(Part):
    """What of a transfer lies in one of several contacts: so many ``bytes`` (K,), or fewer.

    ``last`` marks the devices for which nothing of the transfer lies in a later contact. What goes
    on in one is carried over in this one.
    """

    bytes: Floats
    last: Mask

    def senders(self, who: Mask) -> Mask:
        """Those for which the link carries anything here."""
        return who & (self.bytes > 0)

    def taken_of(self, left: Floats) -> Floats:
        """What the link carries here, and all that is left where nothing lies in a later one."""
        return np.where(self.last, left, np.minimum(self.bytes, left))

    def ends_of(self, ends: Mask) -> Mask:
        """Those whose last contact it is."""
        return ends & self.last

    def outcome_of(self, outcome: Ints | int) -> Ints | int:
        """Carried over, but for those whose last contact it is."""
        return np.where(self.last, outcome, Outcome.CARRIED)


def parts_at_once(
    contacts: Sequence[PlannedContact], begin_s: Floats, end_s: Floats
) -> Iterator[PartOfSeveral]:
    """Yield the parts of what takes no time: whole in the contact that has begun."""
    starts_s = [contact.start_s for contact in contacts]
    last = np.searchsorted(starts_s, begin_s, "right") - 1
    for number, contact in enumerate(contacts):
        here = last == number
        yield PartOfSeveral(contact, begin_s, end_s, np.where(here, np.inf, 0.0), here)


def first_heard(
    part: Part, who: Mask, moved: Floats, bytes_since: Callable[[Floats], Floats]
) -> Floats:
    """Bytes (K,) that each device of ``who`` hears and no device before has heard.

    All hear one transmission of a broadcast, each from when it sees the sender until it has
    ``moved`` bytes. In order of their beginnings, what one hears later than all before it is sent
    for it; ``bytes_since`` gives what each hears from a time of its own (K,) until its end.
    """
    on_air = np.zeros_like(moved)
    rows = np.flatnonzero(who)
    rows = rows[np.lexsort((-part.end_s[rows], part.begin_s[rows]))]
    first_s, last_s = part.begin_s[rows], part.end_s[rows]
    heard_until_s = np.concatenate([[-np.inf], np.maximum.accumulate(last_s)[:-1]])
    alone = first_s >= heard_until_s
    on_air[rows[alone]] = moved[rows[alone]]
    if (later := ~alone & (last_s > heard_until_s)).any():
        since_s = part.begin_s.copy()
        since_s[rows] = np.minimum(heard_until_s, last_s)
        on_air[rows[later]] = np.minimum(bytes_since(since_s), moved)[rows[later]]
    return on_air
