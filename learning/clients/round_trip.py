"""A federated round of one cluster with the satellite, over as many contacts as it takes."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from learning.requests.cluster import (
    Chain,
    Cost,
    Download,
    Ints,
    Mask,
    NextContact,
    Receipt,
    Request,
    Train,
    Upload,
    Work,
)
from learning.requests.payload import Payload


class NoContactLeft(Exception):
    """The plan holds no contact any more for a cluster whose devices are not through."""


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """What each device goes through: a download, local training, an upload; None is left out.

    ``personal`` marks a download of which every device gets its own. Training takes the rounds that
    the scenario gives a contact (``learning.rounds.per_contact``). With ``fill`` those are as many
    as leave time for the upload, one outside of a contact: what is learnt then depends on the link.
    """

    down: Payload | None = None
    cost: Cost | None = None
    up: Payload | None = None
    personal: bool = False


@dataclass(frozen=True, eq=False)
class Trained:
    """Local ``rounds`` (K,) of each device, and who was ``excluded`` (K,) for want of memory."""

    rounds: Ints
    excluded: Mask


def run_round_trip(trip: RoundTrip, who: Mask) -> Generator[Request, Any, Trained]:
    """Take the devices in ``who`` (K,) through a round trip; every one is waited for.

    A device that has nothing to download trains at once, in contact or not, and sends in a contact
    that is open then. What a pass cuts off goes on in the next one, and nobody trains twice.
    Raises :class:`NoContactLeft`.
    """
    progress = _Progress(trip, who)
    if trip.down is None and trip.cost is not None and who.any():
        progress.settle((yield Chain(progress.steps())))
    fresh = False
    while progress.open.any():
        # After a barrier the rest of an open session will do; what it cannot end needs a new one.
        if (yield NextContact(fresh)) is None:
            raise NoContactLeft
        fresh = True
        progress.settle((yield Chain(progress.steps())))
    return Trained(progress.rounds, progress.excluded)


class _Progress:
    """How far the devices of a cluster are: who still has to receive, to train and to send."""

    def __init__(self, trip: RoundTrip, who: Mask) -> None:
        nobody = np.zeros_like(who)
        self.trip = trip
        self.receiving = nobody if trip.down is None else who
        self.training = nobody if trip.cost is None else who
        self.sending = nobody if trip.up is None else who
        self.rounds: Ints = np.zeros(len(who), np.int64)
        self.excluded = nobody

    @property
    def open(self) -> Mask:
        """Devices (K,) that need a contact."""
        return self.receiving | self.sending

    def steps(self) -> tuple[Train | Upload | Download, ...]:
        """What is left, each step for those who have not been through it."""
        trip = self.trip
        steps: list[Train | Upload | Download] = []
        if trip.down is not None and self.receiving.any():
            steps.append(Download(trip.down, self.receiving, personal=trip.personal))
        if trip.cost is not None and self.training.any():
            steps.append(Train(trip.cost, who=self.training))
        if trip.up is not None and self.sending.any():
            steps.append(Upload(trip.up, self.sending))
        return tuple(steps)

    def settle(self, replies: list[Work | Receipt]) -> None:
        """Take what the steps have come to, in their order."""
        for step, reply in zip(self.steps(), replies, strict=True):
            match step, reply:
                case Train(), Work():
                    self.train(reply)
                case Download(), Receipt():
                    self.receiving = self.receiving & ~reply.done
                case Upload(), Receipt():
                    self.sending = self.sending & ~reply.done

    def train(self, work: Work) -> None:
        """Count trained rounds; who lacks the memory is out."""
        self.rounds = self.rounds + work.rounds
        self.excluded = self.excluded | (work.excluded & self.training)
        self.training = self.training & (work.rounds == 0) & ~self.excluded
        self.receiving = self.receiving & ~self.excluded
        self.sending = self.sending & ~self.excluded
