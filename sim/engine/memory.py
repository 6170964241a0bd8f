"""The memory that a run takes, estimated before it begins.

The figures are counts of the plan and sizes of the model. Not all of it is there at once: a run
takes what is there always, and the largest of its phases besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING

import numpy as np

import scenarios
from learning.architecture.footprint import (
    ADDED,
    DATA,
    EMBEDDING,
    EVALUATION,
    KERNELS,
    LOADING,
    LOGITS,
    MERGED,
    MODEL,
    PHASES,
    PRETRAINING,
    STATES,
    STEP,
    WRITING,
    Federation,
    Footprint,
    When,
    footprint,
    is_there,
)
from learning.architecture.kinds import kind_of, precision_of
from learning.data.table import data_files
from learning.hardware import compute_devices, free_bytes
from learning.methods.rounds import Rounds
from learning.requests.cluster import Ints
from sim.errors import InputError
from sim.formatting import data_size
from sim.links.pass_geometry import grid_points
from sim.links.plan_links import POINTS_AT_ONCE
from sim.plan.plan_size import CONTACT_BYTES
from sim.trace.arrow import ROW_BYTES
from statements import Code, Lower, Other, Remedy, Set, Statement

if TYPE_CHECKING:
    from learning.learner import Learner
    from sim.engine.setup import Build


PROGRAM_BYTES, TORCH_BYTES, TRANSFORMERS_BYTES = 145e6, 205e6, 110e6
"""Python with what a timing-only run imports; what training imports besides, and text models."""
POINT_BYTES = 200
"""A point of a device's link curve: geometry, signal and rate while it is made, and the table
before."""
LARGE_BYTES = 1e9
"""A run that keeps less than this on disk is told of a full one only when it writes."""
MOST_ROWS = 2 << 20
"""More rows of the traces than these lie on disk."""
ON_HOST = (LOADING, WRITING)
"""Files on their way to an accelerator, and from it: not in its memory."""
ON_BOTH = (MODEL, DATA)
"""What the host has read, and an accelerator computes with."""


UNTRAINED = Set("learning.train", value=False)
"""What takes none of the memory of training."""


@dataclass(frozen=True)
class Need:
    """Bytes for one thing, and the figures that they come from; ``remedies`` are what lowers it.

    They are taken ``when`` that is so: always, or in one phase of the run.
    """

    what: str
    bytes: float
    figures: str
    remedies: tuple[Remedy, ...]
    when: When = "always"


def peak_of(needs: Sequence[Need]) -> list[Need]:
    """Return what is in memory together in the phase that takes most."""
    phases = ([need for need in needs if is_there(need.when, phase)] for phase in PHASES)
    return max(phases, key=bytes_of)


def bytes_of(needs: Sequence[Need]) -> float:
    """Return the sum of needs."""
    return sum(need.bytes for need in needs)


def check(built: Build, place: Path | None = None) -> None:
    """Raise InputError, with the figures, for a run that cannot fit into the memory there is.

    Nor may it leave more in its folder, at ``place``, than the disk has room for.
    """
    learner = built.learner
    if learner.trains:
        try:
            data_files(learner.config.data)
        except ValueError:
            return  # data that are not there are an error where they are opened
    _check_room(needs_of(built, counts_of(built)), free_bytes("cpu"), "memory")
    for device in compute_devices(learner.config.device) if learner.trains else ():
        if device != "cpu":
            _check_room(needs_on_accelerator(built), free_bytes(device), f"the memory of {device}")
    if learner.trains and place is not None and (need := need_on_disk(built)).bytes > LARGE_BYTES:
        folder = next(one for one in (place, *place.resolve().parents) if one.is_dir())
        _check_room([need], disk_usage(folder).free, f"the disk at {folder}")


def need_on_disk(built: Build) -> Need:
    """Return what a run's folder holds of its model, and what a checkpoint of it does.

    Weights of checkpoints are in neither, but referred to.
    """
    learner = built.learner
    found = _footprint(built)
    parts = [ADDED, MERGED, STATES]
    trained = f"what is trained of {found.parameters} parameters"
    if not learner.config.model.checkpoints:
        parts.append(MODEL)
        trained = f"{found.parameters} parameters"
    helps = (Other(said="use -o on a larger disk"), *_lower_rank(learner), UNTRAINED)
    return Need("its model and a checkpoint", found.of(*parts), trained, helps)


def _check_room(needs: list[Need], free: int | None, where: str) -> None:
    together = peak_of(needs)
    total = bytes_of(together)
    if free is None or total <= free:
        return
    most = max(together, key=lambda need: need.bytes)
    raise InputError(
        Statement.of(
            Code.NO_MEMORY,
            "",
            f"the run needs about {data_size(total)} of {{where}} and {data_size(free)} are free; "
            f"{data_size(most.bytes)} of it is {{most}} ({{figures}})",
            *most.remedies,
            where=where,
            most=most.what,
            figures=most.figures,
            needed_bytes=total,
            free_bytes=free,
        )
    )


def needs_of(built: Build, counts: Counts) -> list[Need]:
    """Return what takes memory in a run; its peak is about the sum of :func:`peak_of` them."""
    program_bytes = PROGRAM_BYTES
    if built.learner.trains:
        text = kind_of(built.learner.config.model.kind).is_text
        program_bytes += TORCH_BYTES + (TRANSFORMERS_BYTES if text else 0.0)
    # One pass, or as many as there are in a table.
    at_once = max(counts.largest_pass, min(POINTS_AT_ONCE, counts.points))
    needs = [
        Need(
            "the program",
            program_bytes,
            "Python and its libraries",
            (Other(said="use a larger machine"),),
        ),
        Need(
            "the contact plan",
            CONTACT_BYTES * counts.contacts,
            f"{counts.contacts} contacts",
            (Other(said="simulate fewer days or satellites"),),
        ),
        Need(
            "link curves",
            POINT_BYTES * at_once,
            f"up to {at_once} points at once, {counts.largest_pass} in a pass",
            (Other(said="use fewer devices a cluster"),),
        ),
        Need(
            "rows of the traces",
            ROW_BYTES * min(counts.rows, MOST_ROWS),
            f"about {counts.rows} rows, at most {MOST_ROWS} of them in memory",
            (Other(said="simulate fewer days or devices"),),
        ),
    ]
    if not built.learner.trains:
        return needs
    is_gpu = compute_devices(built.learner.config.device) != ("cpu",)
    here = (*ON_HOST, *ON_BOTH)
    return [*needs, *(n for n in _learning(built) if n.what in here or not is_gpu)]


def needs_on_accelerator(built: Build) -> list[Need]:
    """Return what training takes of the memory of an accelerator that computes it."""
    return [need for need in _learning(built) if need.what not in ON_HOST]


def _cycles(built: Build) -> int:
    """Return the cycles of the clients that are served at all; the others change no model."""
    served = (len(built.plan.sessions(cluster)) for cluster in built.plan.clusters)
    return built.cycles or min(filter(None, served), default=1)


def _footprint(built: Build) -> Footprint:
    """Return the parts of what training takes, by what the method is like."""
    method = built.method
    waiting, again = _waiting(built)
    federation = Federation(
        _cycles(built),
        own_experts=method.traits.splits_experts,
        in_turn=not issubclass(method, Rounds),
        waiting=waiting,
        again=again or method.traits.trains_in_gaps,
        in_gaps=method.traits.trains_in_gaps,
    )
    return footprint(built.learner.config, federation)


def _waiting(built: Build) -> tuple[int, bool]:
    """Return how many clusters at most wait for another contact in one of another cluster, and
    whether any has more than one: a cluster is done with what it trained after its last.
    """
    contacts = built.plan.contacts
    clusters = len(built.plan.clusters)
    cluster = contacts.cluster[contacts.served]
    start_s = contacts.start_s[contacts.served]
    first_s = np.full(clusters, np.inf)
    np.minimum.at(first_s, cluster, start_s)
    last_s = np.full(clusters, -np.inf)
    np.maximum.at(last_s, cluster, contacts.end_s[contacts.served])
    here = start_s < end_of(built)
    cluster, start_s = cluster[here], start_s[here]
    again = start_s > first_s[cluster]
    if built.method.traits.sends_nothing:  # then the method itself keeps what all devices have
        return clusters - 1, bool(again.any())
    begun = np.searchsorted(np.sort(first_s), start_s, "left")
    ended = np.searchsorted(np.sort(last_s), start_s, "right")
    return int((begun - ended - again).max(initial=0)), bool(again.any())


def _learning(built: Build) -> Iterator[Need]:
    """What training takes of memory: of the device that it is computed on, and of the host."""
    config = built.learner.config
    found = _footprint(built)
    kind = kind_of(config.model.kind)
    is_wider = kind.takes_bfloat16 and precision_of(config) != "bfloat16"
    sixteen = (Set("learning.precision", "bfloat16"),) if is_wider else ()
    smaller = (Other(said="use a smaller model"), *sixteen, UNTRAINED)
    fewer = (Other(said="use fewer devices"), *_lower_rank(built.learner), UNTRAINED)
    pieces: tuple[Remedy, ...] = (Lower("learning.batch_size", now=config.batch_size), UNTRAINED)
    if built.method.traits.uses_optimizer:
        pieces = (Set("learning.micro_batch", 1), *pieces)
    if kind.is_text and not config.checkpoint_activations:
        pieces = (Set("learning.checkpoint_activations", value=True), *pieces)
    parameters = f"{found.parameters} parameters"
    words: Mapping[str, tuple[str, tuple[Remedy, ...]]] = {
        MODEL: (parameters, smaller),
        KERNELS: ("one for each shape, of the last ones", (Set("learning.precision", "float32"),)),
        LOADING: (f"{parameters} as their files keep them", smaller),
        ADDED: (f"new versions of experts, in {_cycles(built)} cycles, of {parameters}", smaller),
        MERGED: (f"while an update of {parameters} is added to it, and after that", smaller),
        STATES: (
            f"{sum(config.devices)} devices that train {found.trained} parameters each",
            fewer,
        ),
        PRETRAINING: (
            f"a step of the gates, or of an expert, of {parameters}",
            (Set("learning.pretraining.gate_steps", 0), *pieces),
        ),
        EMBEDDING: ("samples that run through them together", smaller),
        STEP: (
            f"{max(config.devices)} devices with {config.batch_size} samples each",
            pieces,
        ),
        EVALUATION: ("samples that are evaluated together", smaller),
        LOGITS: (
            f"the logits of {found.tested} test samples for {found.classes} classes",
            (
                Other(said="use fewer classes"),
                Lower("learning.data.test_fraction"),
                UNTRAINED,
            ),
        ),
        WRITING: ("what is not in the files of checkpoints", smaller),
        DATA: ("as its files, a few copies", (Other(said="use fewer samples"), UNTRAINED)),
    }
    for name in dict.fromkeys(part.name for part in found.parts):
        when = next(part.when for part in found.parts if part.name == name)
        yield Need(name, found.of(name), *words[name], when)


def _lower_rank(learner: Learner) -> Iterator[Remedy]:
    """Yield a lower rank of factors, where there are any."""
    rank = learner.config.model.lora.rank
    if rank is not None and rank > 1:
        yield Lower("learning.lora.rank", now=rank)


# How much there will be of everything in a run, counted from its plan before it begins.


ROWS_A_SERVICE = 12
"""Rows that a device adds to the traces in one service: three transfers, and both ends of each of
them and of two trainings. Methods differ by a factor of two."""
CURVES = 2
"""Curves of a device in one pass: both directions."""


@dataclass(frozen=True)
class Counts:
    """What a run is made of, up to its end.

    ``points`` are those of the link curves of all contacts and devices, ``largest_pass`` of one
    contact. ``rows`` is an estimate.
    """

    contacts: int
    points: int
    largest_pass: int
    rows: int


def counts_of(built: Build) -> Counts:
    """Count what a built scenario will come to; a stop at an accuracy may end it earlier."""
    contacts = built.plan.contacts
    served = contacts.served & (contacts.start_s < end_of(built))
    devices = np.array([cluster.devices for cluster in contacts.clusters])
    points = CURVES * _points(built) * devices[contacts.cluster]
    return Counts(
        contacts=len(contacts),
        points=int(points.sum()),
        largest_pass=int(points.max(initial=0)),
        rows=ROWS_A_SERVICE * int(devices[contacts.cluster[served]].sum()),
    )


def _points(built: Build) -> Ints:
    """Points of a device's link curve in each contact, before those of jumps."""
    contacts = built.plan.contacts
    scenario = built.scenario
    if not scenario.orbit.has_geometry:
        return np.ones(len(contacts), np.int64)
    fine = scenarios.resolved_link(scenario)["environment"] is not None
    # Of a piece of a link between satellites that an outage cuts no range is known: it may be near.
    near_km = np.nan_to_num(contacts.min_slant_range_km, nan=0.0)
    return grid_points(near_km, contacts.set_s - contacts.rise_s, fine=fine)


def end_of(built: Build) -> float:
    """When the last cycle that is asked for is complete, or the plan ends: seconds."""
    cycles = built.scenario.stop.cycles
    if cycles is None or cycles > built.plan.cycles:
        return built.plan.stop_s
    ends_s = (built.plan.sessions(cluster).ends_s[cycles - 1] for cluster in built.plan.clusters)
    return min(max(ends_s), built.plan.stop_s)
