"""The memory that a run takes, estimated before it begins: within a factor of two of its peak.

It is that of the program, of the contact plan and the rows of the traces, and of training:
parameters times copies, and one term of activations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING

import numpy as np

from learning.architecture.footprint import Footprint, footprint
from learning.architecture.kinds import kind_of, precision_of
from learning.data.table import data_files
from learning.hardware import compute_device, free_bytes
from learning.methods.fedavg import FedAvg
from sim.errors import InputError
from sim.formatting import counted, data_size
from sim.plan.service import CONTACT_BYTES
from sim.trace.arrow import ROW_BYTES
from statements import Code, Lower, Remedy, Set, Severity, Statement

if TYPE_CHECKING:
    from sim.engine.setup import Build


FACTOR = 2
"""Within which the estimate is right (``tests/sim/advice/test_memory.py``)."""
PROGRAM_BYTES, TORCH_BYTES, TRANSFORMERS_BYTES = 145e6, 205e6, 110e6
"""Python with what a timing-only run imports; what training imports besides, and text models."""
LARGE_BYTES = 1e9
"""A run that keeps less than this on disk is told of a full one only when it writes."""
ROWS_A_SERVICE = 12
"""Rows that a device adds to the traces in one service: three transfers, and both ends of each of
them and of two trainings. Methods differ by a factor of two."""
MOST_ROWS_IN_MEMORY = 2 << 20
"""More rows of the traces than these lie on disk."""
VERSIONS = 3
"""Versions of what the server changes that there are at once: the one that devices refer to, the
next one, and its file. Where clusters are merged in turn, each holds another one."""
UNTRAINED = Set("learning.train", value=False)
"""What takes none of the memory of training."""


@dataclass(frozen=True)
class Need:
    """Bytes for one thing, and the figures that they come from; ``remedies`` are what lowers it."""

    what: str
    bytes: float
    figures: str
    remedies: tuple[Remedy, ...]


def memory_bytes(built: Build) -> float:
    """Return what a run takes of the host's memory at its peak."""
    return sum(need.bytes for need in needs_of(built))


def text(built: Build) -> str:
    """Say how much memory a run takes, what most of it is for, and how much is free."""
    needs = needs_of(built)
    most = max(needs, key=lambda need: need.bytes)
    free = free_bytes("cpu")
    known = "" if free is None else f"; {data_size(free)} are free"
    return (
        f"about {data_size(memory_bytes(built))} of memory, within a factor of {FACTOR}: most of "
        f"it is {most.what} ({most.figures}){known}"
    )


def needs_of(built: Build) -> list[Need]:
    """Return what takes memory of the host in a run."""
    contacts = built.plan.contacts
    served = contacts.served & (contacts.start_s < _end_of(built))
    devices = np.array([cluster.devices for cluster in contacts.clusters])
    rows = ROWS_A_SERVICE * int(devices[contacts.client[served]].sum())
    program_bytes = PROGRAM_BYTES
    if built.learner.trains:
        text = kind_of(built.learner.config.model.kind).is_text
        program_bytes += TORCH_BYTES + (TRANSFORMERS_BYTES if text else 0.0)
    larger = ("use a larger machine",)
    fewer = ("simulate fewer days, satellites or devices",)
    needs = [
        Need("the program", program_bytes, "Python and its libraries", larger),
        Need(
            "the contact plan and the traces",
            CONTACT_BYTES * len(contacts) + ROW_BYTES * min(rows, MOST_ROWS_IN_MEMORY),
            f"{counted(len(contacts), 'contact')}, about {counted(rows, 'row')}",
            fewer,
        ),
    ]
    if not built.learner.trains:
        return needs
    if compute_device(built.learner.config.device) != "cpu":  # which holds the rest
        return [*needs, *(need for need in needs_of_training(built) if need.what in ON_BOTH)]
    return [*needs, *needs_of_training(built)]


MODEL, COPIES, ACTIVATIONS, DATA = "the model", "copies of the model", "activations", "the data"
ON_BOTH = (MODEL, DATA)
"""What the host has read, and an accelerator computes with."""


def needs_of_training(built: Build) -> list[Need]:
    """Return what training takes of the memory of the device that computes it."""
    config = built.learner.config
    found = _footprint(built)
    kind = kind_of(config.model.kind)
    smaller: tuple[Remedy, ...] = ("use a smaller model", UNTRAINED)
    if kind.takes_bfloat16 and precision_of(config) != "bfloat16":
        smaller = (smaller[0], Set("learning.precision", "bfloat16"), UNTRAINED)
    pieces: tuple[Remedy, ...] = (Lower("learning.batch_size", now=config.batch_size), UNTRAINED)
    if built.method.traits.uses_optimizer:
        pieces = (Set("learning.micro_batch", 1), *pieces)
    if kind.is_text and not config.checkpoint_activations:
        pieces = (Set("learning.checkpoint_activations", value=True), *pieces)
    devices = f"of the server, and of {sum(config.devices)} devices that train {found.trained} "
    return [
        Need(MODEL, found.model, f"{found.parameters} parameters", smaller),
        Need(
            COPIES,
            found.copies,
            f"{devices}parameters each",
            ("use a smaller model or fewer devices", *_lower_rank(built), UNTRAINED),
        ),
        Need(ACTIVATIONS, found.activations, f"minibatches of {config.batch_size} samples", pieces),
        Need(
            DATA,
            found.data,
            "a few copies of its files",
            ("use fewer samples", UNTRAINED),
        ),
    ]


def _footprint(built: Build) -> Footprint:
    """Return what training takes, by what the method is like."""
    method = built.method
    config = built.learner.config
    served = (len(built.plan.sessions(cluster)) for cluster in built.plan.clusters)
    own_experts = method.traits.splits_experts
    in_turn = not own_experts and not issubclass(method, FedAvg)
    return footprint(
        config,
        cycles=built.cycles or min(filter(None, served), default=1),
        versions=max(VERSIONS, len(config.devices) + 1) if in_turn else VERSIONS,
        own_experts=own_experts,
    )


def _lower_rank(built: Build) -> Iterator[Remedy]:
    """Yield a lower rank of factors, where there are any."""
    rank = built.learner.config.model.lora.rank
    if rank is not None and rank > 1:
        yield Lower("learning.lora.rank", now=rank)


def need_on_disk(built: Build) -> Need:
    """Return what a run's folder holds of its model, and what a checkpoint of it does."""
    found = _footprint(built)
    model = 0.0 if built.world.learning.keep == "none" else found.model
    helps = ("use -o on a larger disk", *_lower_rank(built), UNTRAINED)
    figures = f"{found.parameters} parameters, of which a device trains {found.trained}"
    return Need("its model and a checkpoint", model + found.copies, figures, helps)


def doubts(built: Build, place: Path | None = None) -> list[Statement]:
    """Return a doubt, with the figures, for each memory that a run may not fit into.

    Nor may it leave more in its folder, at ``place``, than the disk has room for. Raises InputError
    where it needs more than there is even if the estimate is too high by its factor.
    """
    learner = built.learner
    if learner.trains:
        try:
            data_files(learner.config.data)
        except ValueError:
            return []  # data that are not there are an error where they are opened
    found = [*_lack(needs_of(built), free_bytes("cpu"), "memory")]
    if learner.trains and (device := compute_device(learner.config.device)) != "cpu":
        found += _lack(needs_of_training(built), free_bytes(device), f"the memory of {device}")
    if learner.trains and place is not None and (need := need_on_disk(built)).bytes > LARGE_BYTES:
        folder = next(one for one in (place, *place.resolve().parents) if one.is_dir())
        found += _lack([need], disk_usage(folder).free, f"the disk at {folder}")
    return found


def _lack(needs: list[Need], free: int | None, where: str) -> Iterator[Statement]:
    total = sum(need.bytes for need in needs)
    if free is None or total <= free:
        return
    most = max(needs, key=lambda need: need.bytes)
    lack = Statement.of(
        Code.NO_MEMORY,
        "",
        f"the run needs about {data_size(total)} of {{where}} (within a factor of {FACTOR}) and "
        f"{data_size(free)} are free; {data_size(most.bytes)} of it is {{most}} ({{figures}})",
        *most.remedies,
        where=where,
        most=most.what,
        figures=most.figures,
        needed_bytes=total,
        free_bytes=free,
    )
    if total > FACTOR * free:
        raise InputError(lack)
    yield replace(lack, severity=Severity.DOUBT)


def _end_of(built: Build) -> float:
    """When the last cycle that is asked for is complete, or the plan ends: seconds."""
    cycles = built.world.stop.cycles
    if cycles is None or cycles > built.plan.cycles:
        return built.plan.stop_s
    ends_s = (built.plan.sessions(cluster).ends_s[cycles - 1] for cluster in built.plan.clusters)
    return min(max(ends_s), built.plan.stop_s)
