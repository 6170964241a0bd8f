"""What memory a run will take, estimated before it begins; what cannot fit is refused.

The figures are counts of the plan and sizes of the model, times what measured runs took of them.
They are meant to be right within a factor of two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from learning.architecture.costs import MODEL_COPIES, footprint
from learning.architecture.kinds import TEXT_KINDS
from learning.data.table import data_files
from learning.hardware import compute_device, free_bytes
from sim.errors import InputError
from sim.run_counts import GRID_POINTS, Counts, counts_of
from sim.units_text import data_size

if TYPE_CHECKING:
    from scenarios import Scenario
    from sim.build import Build

PROGRAM_BYTES, TORCH_BYTES, TRANSFORMERS_BYTES = 145e6, 330e6, 100e6
"""Python with what a timing-only run imports; what training imports besides, and text models."""
CONTACT_BYTES, WINDOW_BYTES, DEVICE_BYTES = 3e3, 250.0, 1e3
"""A planned contact, its window before it is planned, and where a device is."""
PASSES_A_DAY = 5
"""Passes of a satellite in a low orbit over a place, about."""
POINT_BYTES = 400
"""A point of a device's link curves while they are made: geometry, signal and both directions."""
LINKED_DEVICES = 300
"""Devices whose links are made together, at least: see :mod:`sim.links_ahead`."""
ROW_BYTES, MOST_ROWS = 250, 2 << 20
"""A row of the traces, blocks and sorted tables together; more rows than these lie on disk."""


@dataclass(frozen=True)
class Need:
    """Bytes for one thing, and the figures that they come from; ``change`` is what lowers it."""

    what: str
    bytes: float
    figures: str
    change: str


def check(built: Build) -> None:
    """Raise InputError, with the figures, for a run that cannot fit into the memory there is."""
    free = free_bytes("cpu")
    if built.learner.trains and not _data_are_there(built):
        return  # which is told of where they are opened
    needs = needs_of(built, counts_of(built))
    total = sum(need.bytes for need in needs)
    if free is None or total <= free:
        return
    most = max(needs, key=lambda need: need.bytes)
    raise InputError(
        f"the run needs about {data_size(total)} of memory and {data_size(free)} are free; "
        f"{data_size(most.bytes)} of it is {most.what} ({most.figures}): {most.change}"
    )


def check_plan(scenario: Scenario, contact_bytes: float) -> None:
    """Raise InputError for a scenario whose contacts or devices alone are too many to be listed.

    ``contact_bytes`` is what each takes. This is told before one of them is looked for.
    """
    free = free_bytes("cpu")
    contacts, figures = _expected_contacts(scenario)
    devices = sum(cluster.devices or 0 for cluster in scenario.ground.clusters)
    needed = contact_bytes * contacts + DEVICE_BYTES * devices
    if free is not None and needed > free:
        raise InputError(
            f"the plan of about {contacts:.3g} contacts ({figures}) and {devices} devices needs "
            f"{data_size(needed)} of memory and {data_size(free)} are free: simulate fewer cycles "
            "or days, satellites or devices"
        )


def _expected_contacts(scenario: Scenario) -> tuple[float, str]:
    """Return about how many contacts a scenario has, and what they are the product of."""
    orbit, stop, clusters = scenario.orbit, scenario.stop, len(scenario.ground.clusters)
    if orbit.source == "contacts":
        return 0.0, "of a file"
    if orbit.source == "slots":
        cycle_s = orbit.slots.seconds * (clusters + orbit.slots.idle)
        by_days = np.inf if stop.days is None else stop.days * 86400 / cycle_s
        cycles = min(by_days, np.inf if stop.cycles is None else stop.cycles)
        return cycles * clusters, f"{cycles:.3g} cycles of {clusters}"
    satellites, days = getattr(orbit, "satellites", 1), stop.days or 0.0
    figures = f"{satellites} satellites over {clusters} clusters, {days:g} days"
    return PASSES_A_DAY * satellites * clusters * days, figures


def needs_of(built: Build, counts: Counts) -> list[Need]:
    """Return what takes memory in a run; its peak is about their sum."""
    needs = [
        _program(built),
        Need(
            "the contact plan",
            CONTACT_BYTES * counts.contacts,
            f"{counts.contacts} contacts",
            "simulate fewer days or satellites",
        ),
        _links(built, counts),
        Need(
            "rows of the traces",
            ROW_BYTES * min(counts.rows, MOST_ROWS),
            f"about {counts.rows} rows, at most {MOST_ROWS} of them in memory",
            "simulate fewer days or devices",
        ),
    ]
    return [*needs, *(_learning(built) if built.learner.trains else [])]


def _data_are_there(built: Build) -> bool:
    try:
        data_files(built.learner.config.data)
    except ValueError:
        return False
    return True


def _program(built: Build) -> Need:
    needed = PROGRAM_BYTES
    if built.learner.trains:
        text = built.learner.config.model.kind in TEXT_KINDS
        needed += TORCH_BYTES + (TRANSFORMERS_BYTES if text else 0.0)
    return Need("the program", needed, "Python and its libraries", "use a larger machine")


def _links(built: Build, counts: Counts) -> Need:
    bare = built.scenario.orbit.source in ("slots", "contacts")
    points = 2 if bare else GRID_POINTS
    at_once = max(counts.largest_cluster, 1 if bare else min(LINKED_DEVICES, counts.devices))
    return Need(
        "link curves",
        POINT_BYTES * points * at_once,
        f"{at_once} devices at once, up to {points} points each",
        "use fewer devices a cluster",
    )


def _learning(built: Build) -> Iterator[Need]:
    """What training takes of this machine's memory; on a GPU most is the GPU's."""
    learner = built.learner
    found = footprint(learner.config, learner.architecture)
    copies = f"{found.parameters} parameters, {MODEL_COPIES} copies"
    smaller = "use a smaller model, learning.precision=bfloat16, or learning.train=false"
    yield Need("the model", found.model, copies, smaller)
    devices = sum(learner.config.devices)
    trained = f"{devices} devices that train {found.trained} parameters each"
    fewer = "use fewer devices, a lower learning.lora.rank, or learning.train=false"
    batch = f"{max(learner.config.devices)} devices with {learner.config.batch_size} samples each"
    if compute_device(learner.config.device) == "cpu":
        yield Need("what devices train", found.state, trained, fewer)
        less = "use a lower learning.batch_size, or learning.train=false"
        yield Need("one training step", found.step, batch, less)
    files = "as its files, a few copies"
    yield Need("the data", found.data, files, "use fewer samples, or learning.train=false")
