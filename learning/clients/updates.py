"""Updates on their way up and models on their way down: bytes, progress and refusal."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learning.learner import Learner
from learning.requests.cluster import Floats, Ints, Mask, Measure, Note, Receipt, Request
from learning.requests.details import update_refused, update_spoilt
from learning.requests.payload import Payload
from learning.values.lazy import Handle

NEVER_HELD = -1
"""Stands for the changes in an expert that a device does not hold."""


@dataclass(frozen=True, eq=False)
class PendingUpdate:
    """What was frozen to be sent: the changes of ``experts``, and of the gate if it is part."""

    handle: Handle
    experts: tuple[int, ...]
    gate: bool


@dataclass(frozen=True, eq=False)
class Update:
    """Snapshots of a cluster that have arrived from the devices ``who`` (K,).

    ``eligible`` (K,) are the devices that can take part, whose samples all count for the weights.
    ``version`` (K,) is the server's that each stems from.
    """

    cluster: str
    snapshot: PendingUpdate
    who: Mask
    eligible: Mask
    version: Ints


def upload_payload(
    learner: Learner, name: str, experts: Sequence[int], *, gate: bool, version: int | Ints
) -> Payload:
    """Return what one device sends up of ``experts``, and of the gate if asked."""
    sizes = learner.architecture
    tensors = sizes.upload_tensors(experts, gate)
    return Payload(name, sizes.upload_bytes(experts, gate), version, tensors)


def personal_upload(
    learner: Learner,
    name: str,
    experts: Sequence[int],
    gate: bool,
    version: int | Ints,
    holds: Mask,
) -> Payload:
    """Return what devices send up, each those of ``experts`` that it ``holds`` (K, E).

    Its list of tensors is that of a device that sends most.
    """
    mine = holds[:, list(experts)]
    counts = mine.sum(axis=1)
    most = np.array(experts, np.int64)[mine[counts.argmax()]].tolist()
    sizes = learner.architecture
    one = sizes.upload_bytes(list(experts)[:1], False)
    total = counts * one + sizes.upload_bytes([], gate)
    return Payload(name, total, version, sizes.upload_tensors(most, gate))


def download_bytes(
    learner: Learner,
    experts: Sequence[int],
    gate: bool,
    held: Ints,
    changes: Ints | None,
    holds: Mask | None = None,
) -> Floats:
    """Return the bytes (K,) that devices download of ``experts``, and of the gate if asked.

    Each downloads those of them that it is to hold, (K, E) of ``holds``: all by default.

    These are whole experts or, with ``learning.lora.download: factors``, the changes of rank r
    that a device misses, where those are less. ``changes`` (E,) counts those in the server's model
    (None: nobody counts them), ``held`` (K, E) those in what the device has downloaded before.
    """
    sizes, every = learner.architecture, list(experts)
    wanted = np.ones((len(held), len(every)), bool) if holds is None else holds[:, every]
    whole, change = sizes.download_bytes(every[:1], False), sizes.factor_bytes(1)
    parts = np.full(wanted.shape, whole)
    if changes is not None and learner.config.model.lora.download == "factors":
        before = held[:, every]
        missed = np.minimum(whole, (changes[every] - before) * change)
        parts = np.where(before == NEVER_HELD, whole, missed)
    total: Floats = (wanted * parts).sum(axis=1) + sizes.download_bytes([], gate)
    return total


def merge(
    learner: Learner,
    server: Handle,
    update: Update,
    scale: float | Floats,
    usage: Floats | None = None,
) -> Handle:
    """Add the weighted mean of the snapshots in ``update`` to ``server``: ``Learner.aggregate``."""
    sent = update.snapshot
    return learner.aggregate(
        server,
        sent.handle,
        update.cluster,
        sent.experts,
        update.who,
        gate=sent.gate,
        eligible=update.eligible,
        scale=scale,
        usage=usage,
    )


def finite(
    learner: Learner, offered: Handle, done: Mask, spoilt: Mask | None = None
) -> Generator[Request, Any, Mask]:
    """Return those of ``done`` (K,) whose offered tensors are finite; refuse the others by name.

    Those that were ``spoilt`` (K,) are known not to be, in a timing-only run too.
    """
    if not done.any():
        return done
    known: list[int] = [] if spoilt is None else np.flatnonzero(spoilt).tolist()
    for device in known:
        yield Note("fault", detail=update_spoilt(device))
    found = yield Measure("not finite", lambda: learner.not_finite(offered), known)
    refused = [device for device in found if done[device]]
    for device in refused:
        yield Note("drop", detail=update_refused(device, spoilt=device in known))
    kept: Mask = done & ~np.isin(np.arange(len(done)), refused)
    return kept


# Server models on their way down to the devices of a cluster, each in the version it began in.


@dataclass(frozen=True, eq=False)
class PendingDownload:
    """A server model on its way down to the devices ``who`` (K,), and its ``bytes`` for each (K,).

    ``name`` is that of its payload. ``changes`` (E,) had been aggregated into it; None where the
    method does not count them.
    """

    name: str
    server: Handle
    version: int
    experts: tuple[int, ...]
    who: Mask
    bytes: Floats
    changes: Ints | None

    def left(self, receipt: Receipt) -> PendingDownload:
        """Return it for the devices that have a part of it, and not all."""
        return replace(self, who=self.who & ~receipt.done & (receipt.delivered_bytes > 0))


def payload_of(name: str, inbound: Sequence[PendingDownload], devices: int) -> Payload:
    """Return what each of the ``devices`` downloads, in the version that is meant for it."""
    size, version = np.zeros(devices), np.zeros(devices, np.int64)
    for model in inbound:
        size = np.where(model.who, model.bytes, size)
        version = np.where(model.who, model.version, version)
    return Payload(name, size, version)
