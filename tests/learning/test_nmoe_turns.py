"""A turn with the satellite: all receive, train once and send, whatever the passes carry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.learning import (
    Chain,
    Contact,
    Cost,
    Download,
    NextContact,
    NoContactLeft,
    Payload,
    Receipt,
    Train,
    Turn,
    Upload,
    Work,
    take_turn,
)

DEVICES = 4
MASKS = st.lists(st.booleans(), min_size=DEVICES, max_size=DEVICES).map(np.array)


class Passes:
    """Answers a turn: in each contact the next of ``masks`` says whom a transfer gets through to.

    Checks on the way that nobody trains before it has received, or sends before it has trained.
    """

    def __init__(self, turn: Turn, who: np.ndarray, unfit: np.ndarray, masks: list[Any]) -> None:
        self.turn, self.who, self.unfit, self.masks = turn, who, unfit, masks
        self.received = np.zeros(DEVICES, bool) | (turn.down is None)
        self.trained = np.zeros(DEVICES, int)
        self.sent = np.zeros(DEVICES, bool)
        self.contacts: list[bool] = []

    def drive(self) -> Any:
        protocol, reply = take_turn(self.turn, self.who), None
        while True:
            try:
                request = protocol.send(reply)
            except StopIteration as end:
                return end.value
            reply = self.answer(request)

    def answer(self, request: Any) -> Any:
        match request:
            case NextContact(fresh=fresh):
                self.contacts.append(fresh)
                if len(self.contacts) > len(self.masks):
                    return None
                return Contact(0, 0, "s", 0.0, 1.0, 0, 0.0)
            case Chain(steps=steps):
                going, replies = np.ones(DEVICES, bool), []
                for step in steps:
                    replies.append(self.step(step, going))
                    if not isinstance(step, Train):
                        asked = step.who & going
                        going = going & ~(asked & ~replies[-1].done)
                    else:
                        going = going & ~self.unfit
                return replies
        raise AssertionError(request)

    def step(self, step: Any, going: np.ndarray) -> Any:
        asked = step.who & going
        assert not (step.who & ~self.who).any()
        if isinstance(step, Train):
            does = asked & ~self.unfit
            assert self.received[does].all()
            self.trained += does
            return Work(2 * does.astype(np.int64), np.zeros(DEVICES), self.unfit)
        # The first step may come before a contact was asked for: nothing gets through then.
        done = asked & (self.masks[len(self.contacts) - 1] if self.contacts else np.array(False))
        if isinstance(step, Download):
            self.received = self.received | done
        else:
            assert isinstance(step, Upload)
            assert not (self.sent & done).any()
            assert self.turn.cost is None or (self.trained[done] == 1).all()
            self.sent = self.sent | done
        return Receipt(done, np.zeros(DEVICES), np.zeros(DEVICES), np.zeros(DEVICES))


@given(
    who=MASKS,
    unfit=MASKS,
    masks=st.lists(MASKS, max_size=8),
    parts=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_everybody_goes_through_a_turn_once(
    who: np.ndarray, unfit: np.ndarray, masks: list[np.ndarray], parts: tuple[bool, bool, bool]
) -> None:
    down, cost, up = parts
    turn = Turn(
        Payload("model", 1.0) if down else None,
        Cost(1.0) if cost else None,
        Payload("model", 1.0) if up else None,
    )
    passes = Passes(turn, who, unfit, [*masks, *[np.ones(DEVICES, bool)] * 2])
    trained = passes.drive()
    assert (trained.rounds == 2 * passes.trained).all()
    fit = who & ~unfit if cost else who
    assert (passes.trained == (fit if cost else 0)).all()
    assert (passes.sent == (fit if up else False)).all()
    assert not down or passes.received[fit].all()
    assert not (trained.excluded & ~(who & unfit)).any()
    # The rest of an open session will do for the first one only.
    assert passes.contacts == [False, *[True] * (len(passes.contacts) - 1)][: len(passes.contacts)]


def test_without_a_contact_left_the_turn_ends() -> None:
    everybody, nobody = np.ones(DEVICES, bool), np.zeros(DEVICES, bool)
    passes = Passes(Turn(up=Payload("model", 1.0)), everybody, nobody, [nobody])
    with pytest.raises(NoContactLeft):
        passes.drive()


def test_nobody_needs_no_contact() -> None:
    nobody = np.zeros(DEVICES, bool)
    turn = Turn(Payload("model", 1.0), Cost(1.0), Payload("model", 1.0))
    passes = Passes(turn, nobody, nobody, [])
    assert not passes.drive().rounds.any()
    assert passes.contacts == []
