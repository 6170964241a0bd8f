"""Parts of the protocol of networked experts driven by hand: turns with the satellite, queries."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.nmoe.inference import Asked, grouped
from learning.nmoe.round_trip import NoContactLeft, RoundTrip
from learning.requests import (
    Chain,
    Contact,
    Cost,
    Download,
    NextContact,
    Node,
    Payload,
    Receipt,
    Train,
    Upload,
    Work,
)

DEVICES = 4
MASKS = st.lists(st.booleans(), min_size=DEVICES, max_size=DEVICES).map(np.array)
MODEL = Payload("model", 1.0)
ALL = np.ones(DEVICES, bool)
NOBODY = np.zeros(DEVICES, bool)


class Passes:
    """Answers a turn: the next of ``masks`` says to whom a contact's transfers get through."""

    def __init__(self, turn, who, unfit, masks):
        self.turn, self.who, self.unfit, self.masks = turn, who, unfit, masks
        self.received = NOBODY | (turn.down is None)
        self.trained = np.zeros(DEVICES, int)
        self.sent = NOBODY
        self.contacts = []

    def drive(self):
        protocol = self.turn.run()
        reply = None
        while True:
            try:
                request = protocol.send(reply)
            except StopIteration:
                return
            if isinstance(request, NextContact):
                self.contacts.append(request.fresh)
                left = len(self.contacts) <= len(self.masks)
                reply = Contact(0, 0, "s", 0.0, 1.0, 0, lambda: 0.0) if left else None
            else:
                assert isinstance(request, Chain)
                reply = self.through(request.steps)

    def through(self, steps):
        going = ALL
        replies = []
        for step in steps:
            asked = step.who & going
            replies.append(self.step(step, asked))
            stuck = self.unfit if isinstance(step, Train) else asked & ~replies[-1].done
            going = going & ~stuck
        return replies

    def step(self, step, asked):
        assert not (step.who & ~self.who).any()
        if isinstance(step, Train):
            does = asked & ~self.unfit
            assert self.received[does].all()
            self.trained += does
            return Work(2 * does.astype(np.int64), np.zeros(DEVICES), self.unfit)
        # The first step may come before a contact was asked for: nothing gets through then.
        done = asked & (self.masks[len(self.contacts) - 1] if self.contacts else NOBODY)
        if isinstance(step, Download):
            self.received = self.received | done
        else:
            assert isinstance(step, Upload) and not (self.sent & done).any()
            assert self.turn.cost is None or (self.trained[done] == 1).all()
            self.sent = self.sent | done
        return Receipt(done, *np.zeros((3, DEVICES)))


@given(MASKS, MASKS, st.lists(MASKS, max_size=8), st.booleans(), st.booleans(), st.booleans())
def test_everybody_goes_through_a_turn_once(who, unfit, masks, down, cost, up):
    parts = MODEL if down else None, Cost(1.0) if cost else None, MODEL if up else None
    turn = RoundTrip(who, *parts)
    passes = Passes(turn, who, unfit, [*masks, ALL, ALL])
    passes.drive()
    assert (turn.rounds == 2 * passes.trained).all()
    fit = who & ~unfit if cost else who
    assert (passes.trained == (fit if cost else 0)).all()
    assert (passes.sent == (fit if up else False)).all()
    assert not down or passes.received[fit].all()
    assert not (turn.excluded & ~(who & unfit)).any()
    # The rest of an open session will do for the first one only; nobody needs no contact.
    assert passes.contacts == [number > 0 for number in range(len(passes.contacts))]
    assert who.any() or not passes.contacts
    with pytest.raises(NoContactLeft):
        Passes(RoundTrip(ALL, up=MODEL), ALL, NOBODY, [NOBODY]).drive()


EXPERTS = 5
NODES = [Node("A", device) for device in range(EXPERTS)]


@given(
    st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True), min_size=1),
    st.sets(st.integers(0, EXPERTS - 1)),
)
def test_groups_keep_all_samples_and_all_bytes(chosen, lost):
    counts = {e: sum(e in row for row in chosen) for e in set(chain.from_iterable(chosen))}
    asked = {
        e: Asked(NODES[e], n, e not in lost, 1.0 + e, 0.0 if e == 0 else 100.0 * n + 48.0)
        for e, n in counts.items()
    }
    groups = grouped(chosen, asked, 0, routed_s=2.5, deadline_s=4.5)
    assert sum(group.samples for group in groups) == len(chosen)
    sent = sum(one.sent_bytes for one in asked.values())
    assert sum(group.sent_bytes for group in groups) == pytest.approx(sent)
    for group in groups:
        assert group.settled_s == max(2.5, min(1.0 + max(group.experts), 4.5))
        assert group.samples == sum(sorted(row) == list(group.experts) for row in chosen)
        whole = not {*lost, 4}.intersection(group.experts)  # expert 4 answers at 5.0: too late
        assert (group.outcome in ("local", "complete")) == whole
