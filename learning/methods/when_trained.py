"""When the clients of a round train: in a contact, or in the gap from one contact to the next."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from learning.clients.cluster import ClusterState
from learning.methods.base import Protocol
from learning.requests.cluster import Contact, Mask, TrainUntilContact, Upload
from learning.requests.masks import both, either, is_anybody, without
from learning.requests.request import Request

if TYPE_CHECKING:
    from learning.methods.fedavg import FedAvg


class InContacts:
    """A contact has all of a cluster's part of a round: download, training and upload."""

    def __init__(self, method: FedAvg) -> None:
        self.method = method

    def begin(self, devices: ClusterState) -> None:
        """Do what comes before the first contact."""

    def next_contact(self, devices: ClusterState) -> Generator[Request, Any, Contact | None]:
        """Wait for a contact."""
        return (yield self.method.next_of_use(devices.name))

    def take_part(self, devices: ClusterState) -> Protocol:
        """Do in a contact what the round still lacks."""
        yield from self.method.update(devices)

    def end_contact(self, devices: ClusterState) -> Protocol:
        """Do what is left of a contact for the gap behind it."""
        yield from ()

    def enter_round(self, devices: ClusterState) -> None:
        """Leave what a round before has begun."""

    def under_way(self, devices: ClusterState) -> Mask:
        """Return whose training (K,) goes on beyond a contact."""
        return devices.nobody


class InGaps(InContacts):
    """A cluster downloads in one contact, trains until the next one, and uploads in that.

    The round's last cluster takes the next model at once. The start model is on the devices before
    time begins.
    """

    def begin(self, devices: ClusterState) -> None:
        """Give the devices the start model."""
        method = self.method
        devices.load_initial(method.server, method.experts)
        if not method.sits_out(devices.name):
            method.enter_round(devices)

    def next_contact(self, devices: ClusterState) -> Generator[Request, Any, Contact | None]:
        """Train until the next contact, where anybody is to train."""
        method = self.method
        who = self.under_way(devices)
        if not is_anybody(who):
            return (yield from super().next_contact(devices))
        foreseen = devices.foresees(method.experts, gate=True)
        cost = method.cost(devices.holds)
        work, contact = yield TrainUntilContact(cost, who, foreseen=foreseen)
        devices.train(work, method.experts, gate=True)
        if work.excluded.all():
            method.absent.add(devices.name)
        return contact

    def take_part(self, devices: ClusterState) -> Protocol:
        """Upload what the devices have trained in the gap."""
        method = self.method
        number = method.version
        yield from method.trained(devices, devices.has_unsent(method.experts, gate=True))
        devices.offer(method.experts, gate=True)
        if devices.pending.any():
            yield from devices.find_changed()
            receipt = yield Upload(devices.payload("model"), devices.pending)
            yield from method.keep(devices, number, receipt)

    def end_contact(self, devices: ClusterState) -> Protocol:
        """Download the round's model to the devices that have not been through the round yet."""
        method = self.method
        if method.sits_out(devices.name):
            return
        method.enter_round(devices)
        done = method.sent[devices.name] | devices.pending | method.has_model(devices)
        wanted = method.members(devices) & ~done
        if wanted.any():
            down = yield devices.download("model", method.server, method.experts, who=wanted)
            devices.receive(down)

    def enter_round(self, devices: ClusterState) -> None:
        """Forget what was trained for a round before, and not sent."""
        experts = self.method.experts
        devices.forget(experts, devices.has_unsent(experts, gate=True), gate=True)

    def under_way(self, devices: ClusterState) -> Mask:
        """Return who trains in the gap: devices that have the round's model, and are not done."""
        method = self.method
        if devices.name not in method.sent:
            return devices.nobody
        done = either(method.sent[devices.name], devices.pending)
        return without(both(method.has_model(devices), method.members(devices)), done)
