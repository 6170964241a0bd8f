"""Blocked time: a client waits in view while every antenna that it could use is busy.

The client has something to send, nobody serves it, and every server in view (a station with its
antennas, a satellite with its beams or terminals) serves as many others as it can. All of it
follows from the plan by the times at which passes, services and queues begin and end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sim.plan.contacts import ContactTable
from statements.arrays import Floats, Ints, stretches

Spans = tuple[Floats, Floats]
"""Starts (N,) and ends (N,), in seconds since the start of the plan."""
VIEW, FULL, SERVED, WAITING = range(4)
"""What a span of a client says: a server is in view; it is and cannot serve one more; a server
serves the client or is turning to it; the client has something to send."""


class ViewTimes(NamedTuple):
    """Seconds of each contact (N,), by whether its client has something to send.

    wanted_s: from rise to set, with something to send.
    blocked_s: the part of it in which the client is blocked.
    wanted_once_s, blocked_once_s: the same; a time with several servers in view is divided by
    their number, so that sums over the contacts of a client count it once.
    idle_s: while the client is served, with nothing to send; 0 without a service.
    """

    wanted_s: Floats
    blocked_s: Floats
    wanted_once_s: Floats
    blocked_once_s: Floats
    idle_s: Floats


def view_times(contacts: ContactTable, waiting: Mapping[str, Spans] | None = None) -> ViewTimes:
    """Return how long clients in view have something to send, and are blocked.

    Args:
        contacts: passes, and who serves which of them.
        waiting: when each client, by name, has something to send, in spans that do not overlap;
            None if every client has something to send all the time.
    """
    served = np.flatnonzero(contacts.served)
    client = contacts.client
    start_s, end_s = contacts.start_s[served], contacts.end_s[served]
    full, full_from_s, full_until_s = _full_passes(contacts, served)
    sender, begin_s, until_s = _waiting(contacts, waiting)
    # One row a span: the client, start and end, and what it says (-1: it is measured alone).
    spans = [
        (client, contacts.rise_s, contacts.set_s, VIEW),
        (client[served], start_s, end_s, -1),
        (client[served], start_s - contacts.service.setup_s[served], end_s, SERVED),
        (client[full], full_from_s, full_until_s, FULL),
        (sender, begin_s, until_s, WAITING),
    ]
    clients = np.concatenate([span[0] for span in spans])
    kind = np.repeat([span[3] for span in spans], [len(span[0]) for span in spans])
    time_s = np.concatenate([*(span[1] for span in spans), *(span[2] for span in spans)])
    order = np.lexsort((time_s, np.tile(clients, 2)))
    change = np.repeat([1, -1], len(kind))
    counts = [
        np.cumsum(np.where(np.tile(kind == one, 2), change, 0)[order])
        for one in (VIEW, FULL, SERVED, WAITING)
    ]
    in_view, full_in_view, serving, queued = counts
    # Between the last span of a client and the first one of the next, nothing is in view.
    lasts_s = np.append(np.diff(time_s[order]), 0.0)
    wanted_s = np.where((in_view > 0) & (queued > 0), lasts_s, 0.0)
    blocked_s = np.where((full_in_view == in_view) & (serving == 0), wanted_s, 0.0)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    begins, ends = place[: len(kind)], place[len(kind) :]

    def within(seconds: Floats, rows: slice) -> Floats:
        """Return the sum of the seconds between start and end of each span."""
        total = np.append(0.0, np.cumsum(seconds))
        return total[ends[rows]] - total[begins[rows]]

    passes, services = slice(len(client)), slice(len(client), len(client) + len(served))
    idle_s = np.zeros(len(client))
    idle_s[served] = within(np.where((in_view > 0) & (queued == 0), lasts_s, 0.0), services)
    several = np.maximum(in_view, 1)
    each = (wanted_s, blocked_s, wanted_s / several, blocked_s / several)
    return ViewTimes(*[*(within(seconds, passes) for seconds in each), idle_s])


def _waiting(
    contacts: ContactTable, waiting: Mapping[str, Spans] | None
) -> tuple[Ints, Floats, Floats]:
    """Return client, start and end of each span in which a client has something to send."""
    count = len(contacts.clients)
    if waiting is None:
        return np.arange(count), np.zeros(count), np.full(count, contacts.span_s)
    each = [waiting.get(name, (np.zeros(0), np.zeros(0))) for name in contacts.clients]
    begin_s, end_s = (np.concatenate([np.zeros(0), *column]) for column in zip(*each, strict=True))
    return np.repeat(np.arange(count), [len(begin_s) for begin_s, _ in each]), begin_s, end_s


def _full_passes(contacts: ContactTable, served: Ints) -> tuple[Ints, Floats, Floats]:
    """Return contact, start and end of each span of a pass in which its server is full."""
    server, full_from_s, full_until_s = _full_servers(contacts, served)
    ends = (contacts.rise_s, contacts.set_s, full_from_s, full_until_s)
    # A number for each time, in their order: with that of the server both are compared at once.
    times_s, rank = np.unique(np.concatenate(ends), return_inverse=True)
    rise, sets, first, last = np.split(rank, np.cumsum([len(times) for times in ends])[:-1])
    own, other = contacts.server * len(times_s), server * len(times_s)
    from_row = np.searchsorted(other + last, own + rise, side="right")
    rows = np.maximum(np.searchsorted(other + first, own + sets, side="left") - from_row, 0)
    contact, row = stretches(from_row, rows)
    start_s = np.maximum(contacts.rise_s[contact], full_from_s[row])
    return contact, start_s, np.minimum(contacts.set_s[contact], full_until_s[row])


def _full_servers(contacts: ContactTable, served: Ints) -> tuple[Ints, Floats, Floats]:
    """Return server, start and end of each span in which a server can serve nobody else.

    They are in the order of the servers, and of one server in that of time. An antenna that turns
    to a client is busy. Where one service follows another at once, the server stays full.
    """
    most = np.array([np.inf if limit is None else limit for limit in contacts.at_a_time])
    served = served[np.isfinite(most[contacts.server[served]])]
    begun_s = contacts.start_s[served] - contacts.service.setup_s[served]
    server = np.tile(contacts.server[served], 2)
    time_s = np.concatenate([begun_s, contacts.end_s[served]])
    order = np.lexsort((time_s, server))
    busy = np.cumsum(np.repeat([1, -1], len(served))[order])
    server, time_s = server[order], time_s[order]
    # What holds after the last change of each instant.
    last = np.append((np.diff(server) != 0) | (np.diff(time_s) != 0.0), True)[: len(order)]
    server, time_s = server[last], time_s[last]
    full = busy[last] >= most[server]
    before = np.append(False, full)[: len(full)]
    starts, ends = np.flatnonzero(full & ~before), np.flatnonzero(before & ~full)
    return server[starts], time_s[starts], time_s[ends]
