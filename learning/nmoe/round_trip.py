"""A federated round of one cluster with the satellite, over as many contacts as it takes."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from learning.requests.cluster import (
    Chain,
    Cost,
    Download,
    NextContact,
    Receipt,
    Train,
    Upload,
    Work,
)
from learning.requests.payload import Payload
from learning.requests.request import Request
from statements.arrays import Ints, Mask


class NoContactLeft(Exception):
    """The plan holds no contact any more for a cluster whose devices are not through."""


class RoundTrip:
    """A download, local training, an upload, each left out if None, of the devices ``who`` (K,).

    It takes as many contacts as it needs; every device is waited for. ``personal`` marks a download
    of which every device gets its own. Training takes the rounds that the scenario gives a contact
    (``learning.rounds.per_contact``). With ``fill`` those are as many as leave time for the upload,
    one outside of a contact: what is learnt then depends on the link.

    At its end ``rounds`` (K,) are the local rounds of each device; ``excluded`` (K,) lacked memory;
    ``contact_id`` (K,) is the contact in which a device's upload got through, -1 without one.
    """

    def __init__(
        self,
        who: Mask,
        down: Payload | None = None,
        cost: Cost | None = None,
        up: Payload | None = None,
        *,
        personal: bool = False,
    ) -> None:
        nobody = np.zeros_like(who)
        self.down = down
        self.cost = cost
        self.up = up
        self.personal = personal
        self.receiving = nobody if down is None else who
        self.training = nobody if cost is None else who
        self.sending = nobody if up is None else who
        self.rounds: Ints = np.zeros(len(who), np.int64)
        self.excluded = nobody
        self.contact_id: Ints = np.full(len(who), -1)

    def run(self) -> Generator[Request, Any, None]:
        """Take the devices through it; raise :class:`NoContactLeft` where the plan ends before.

        A device that has nothing to download trains at once, in contact or not, and sends in a
        contact that is open then. What a pass cuts off goes on in the next one, and nobody trains
        twice.
        """
        if self.down is None and self.training.any():
            self.settle((yield Chain(self.steps())))
        fresh = False
        while (self.receiving | self.sending).any():
            # After a barrier the rest of an open session will do; what does not end in it needs
            # a new one.
            if (yield NextContact(fresh)) is None:
                raise NoContactLeft
            fresh = True
            self.settle((yield Chain(self.steps())))

    def steps(self) -> tuple[Train | Upload | Download, ...]:
        """What is left, each step for those who have not been through it."""
        steps: list[Train | Upload | Download] = []
        if self.down is not None and self.receiving.any():
            steps.append(Download(self.down, self.receiving, personal=self.personal))
        if self.cost is not None and self.training.any():
            steps.append(Train(self.cost, who=self.training))
        if self.up is not None and self.sending.any():
            steps.append(Upload(self.up, self.sending))
        return tuple(steps)

    def settle(self, replies: list[Work | Receipt]) -> None:
        """Take what the steps have come to, in their order."""
        for step, reply in zip(self.steps(), replies, strict=True):
            match step, reply:
                case Train(), Work():  # who lacks the memory is out
                    self.rounds = self.rounds + reply.rounds
                    self.excluded = self.excluded | (reply.excluded & self.training)
                    self.training = self.training & (reply.rounds == 0) & ~self.excluded
                    self.receiving = self.receiving & ~self.excluded
                    self.sending = self.sending & ~self.excluded
                case Download(), Receipt():
                    self.receiving = self.receiving & ~reply.done
                case Upload(), Receipt():
                    if reply.contact_id is not None:
                        got = self.sending & reply.done
                        self.contact_id = np.where(got, reply.contact_id, self.contact_id)
                    self.sending = self.sending & ~reply.done
