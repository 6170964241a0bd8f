"""Doubts on a run before it begins: idle links, too little memory, very many rounds in gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from learning.architecture.kinds import kind_of
from learning.methods.base import GlobalModelMethod, Method
from scenarios import Scenario
from sim.advice.remedies import less_memory, more_links
from sim.devices.compute import whole_rounds
from sim.engine.setup import Build
from sim.formatting import counted, data_size, duration, listed, some
from sim.mesh.compiled import can_compile
from sim.plan.contacts import PART_S, lasts_all_of
from sim.world.isl_use import idle_links, methods_over
from sim.world.world import World
from statements import (
    Code,
    Give,
    Lower,
    Other,
    Remedy,
    Rule,
    Set,
    Severity,
    Statement,
    said,
    unused,
)
from statements.arrays import Floats, Ints

MOST_NAMED = 3
"""Of more clients with long sessions, the first ones are named."""
MOST_PARTS_NAMED = 6
"""Of more parts of a mesh, only the largest is named."""


WITHOUT_EFFECT_IN_STUDIES: tuple[Rule[Scenario], ...] = (
    unused(
        "link.isl",
        when=lambda scenario: not scenario.roles.relay and scenario.link.route == "direct",
        by="by a network study, which sends nothing over links between satellites; their windows "
        "are in isl_windows.parquet and in exports",
    ),
    unused(
        *("orbit.session", "orbit.max_session_s"),
        by="by a network study, whose figures count contacts; sessions are of scenarios that learn",
    ),
)
"""Keys that change no figure of a network study, though something else reads them."""


def study_doubts(world: World) -> Iterator[Statement]:
    """Yield a doubt on each key that changes no figure of a network study."""
    scenario = world.scenario
    if scenario.learning is None:
        for unread in said(WITHOUT_EFFECT_IN_STUDIES, scenario, scenario.given):
            yield replace(unread, severity=Severity.DOUBT)


def doubts_before(built: Build) -> tuple[Statement, ...]:
    """Return all that is said before a run begins, when it may still be changed."""
    return (*doubts_of(built), *gap_doubts(built))


def doubts_of(built: Build) -> tuple[Statement, ...]:
    """Return what may be wrong with contacts, links and devices' memory."""
    return (
        *built.plan.doubts,
        *_session_doubts(built),
        *_isl_doubts(built),
        *_split_doubts(built),
        *_reach_doubts(built),
        *_memory_doubts(built),
        *_selection_doubts(built),
    )


def _session_doubts(built: Build) -> Iterator[Statement]:
    """Say which sessions are in parts as they never end, and which last long and are not."""
    plan = built.plan
    if plan.mesh is not None or built.world.slots is not None:
        return
    endless: list[str] = []
    long: dict[str, float] = {}
    for cluster in plan.clusters:
        sessions = plan.passes(cluster)
        spans_s = list(zip(sessions.starts_s, sessions.ends_s, strict=True))
        if any(lasts_all_of(*span_s, plan.stop_s) for span_s in spans_s):
            endless.append(cluster.name)
        longest_s = max((end_s - start_s for start_s, end_s in spans_s), default=0.0)
        if longest_s > PART_S:
            long[cluster.name] = longest_s
    given_s = plan.longest_session_s
    if endless:
        part_s = PART_S if given_s is None else given_s
        often = Give(EVALUATE_EVERY, what="to test it more often", like=part_s / 36_000)
        hourly = built.learner.measures and not built.world.learning.evaluate_every_hours
        yield Statement.note(
            Code.LONG_SESSION,
            "orbit.max_session_s",
            f"{{clients}} {_are(endless)} in contact for all of "
            f"{counted(plan.stop_s / 86400, 'day')}; each {duration(part_s)} of it counts as a "
            f"session, and rounds follow each other{_tested(built, part_s)}",
            *([often] if hourly else []),
            clients=some(endless, MOST_NAMED),
            days=plan.stop_s / 86400,
            part_s=part_s,
        )
    traits = built.method.traits
    is_app = traits.own_learning and not issubclass(built.method, GlobalModelMethod)
    once = not (is_app or traits.trains_at_server)
    names = [name for name in long if name not in endless]
    if names and given_s is None and once:
        longest_s = max(long[name] for name in names)
        yield Statement.doubt(
            Code.LONG_SESSION,
            "orbit.max_session_s",
            f"sessions of {{clients}} last up to {duration(longest_s)}, and in each a client takes "
            "part once; in parts of a session rounds follow each other",
            Give(like=3600),
            clients=some(names, MOST_NAMED),
            longest_s=longest_s,
        )


EVALUATE_EVERY = "learning.evaluate_every_hours"


def _tested(built: Build, part_s: float) -> str:
    """Say how often a run in parts of ``part_s`` tests its model, by time and by rounds."""
    if not built.learner.measures:
        return ""
    hours = built.world.learning.evaluate_every_hours
    every_s = part_s if hours is None else min(part_s, 3600.0 * hours)
    text = f"; the model is tested once in {duration(every_s)}"
    if built.method.traits.own_learning:  # whose rounds cost what nobody knows before
        return text
    experts = list(range(built.learner.architecture.experts))
    cost = built.learner.round_cost(experts, experts, gate=True)
    fastest_s = min(float(np.min(compute.round_s(cost))) for compute in built.compute)
    rounds = int(whole_rounds(np.asarray(every_s), fastest_s))
    return f"{text}, in which a device trains up to {rounds:,} rounds" if rounds > 1 else text


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _isl_doubts(built: Build) -> Iterator[Statement]:
    """Say which links between satellites the method never sends over."""
    isl = built.world.link.isl
    if isl is None or built.plan.isls is None:
        return
    if built.plan.topology.mesh and not can_compile():
        yield Statement.doubt(
            Code.NOT_INSTALLED,
            "link.isl.route",
            "numba cannot be imported, so that plain Python searches ways over links: messages "
            "over some hundred satellites take twenty times as long",
            Other(said="pip install numba"),
        )
    method = built.world.learning.method
    if built.method.traits.sends_nothing and built.plan.mesh is not None:
        yield Statement.note(
            Code.UNUSED,
            "link.isl",
            "method {method!r} sends nothing; links change here only when its clients are in "
            "contact",
            method=method,
        )
    for key in idle_links(isl, built.method, built.options):
        yield Statement.doubt(
            Code.UNUSED,
            f"link.isl.{key}",
            "method {method!r} sends nothing over these links, which change nothing here; methods "
            "that use them are {methods}",
            Set(value="none"),
            method=method,
            methods=methods_over([key]),
        )


def _split_doubts(built: Build) -> Iterator[Statement]:
    """Say that links that lead from plane to plane never join all satellites, if that counts."""
    isl = built.world.link.isl
    isls = built.plan.isls
    if isl is None or isls is None or isl.between_planes == "none":
        return
    over_links = built.plan.topology.mesh
    if not over_links and "between_planes" not in built.method.needs.isl:
        return
    between = "messages between these take a pass, or never arrive"
    if not over_links:
        between = "method {method!r} sends nothing between these"
    sizes = np.sort(isls.parts())[::-1]
    if len(sizes) > 1:
        yield Statement.doubt(
            Code.SPLIT_NETWORK,
            "link.isl",
            "the links never join all satellites, which fall into {parts} parts of "
            f"{_counts(sizes)}; {between}",
            *more_links(built.world),
            parts=len(sizes),
            method=built.world.learning.method,
        )


def _counts(sizes: Ints) -> str:
    """Return how many satellites parts have, like ``5, 3 and 1`` or ``at most 20``."""
    if len(sizes) > MOST_PARTS_NAMED:
        return f"at most {sizes[0]} satellites"
    return f"{listed([str(size) for size in sizes])} satellites"


def _reach_doubts(built: Build) -> Iterator[Statement]:
    """Say that clients have experts to ask and no way to any of them."""
    options = built.options
    asks = getattr(options, "inference_samples", 0) and getattr(options, "gate", None) != "local"
    alone = sum(cluster.devices for cluster in built.plan.clusters) == 1
    link = built.world.link
    if not asks or alone or built.plan.isls is not None:
        return
    if built.sidelinks is None and link.relay == "none":
        ways: tuple[Remedy, ...] = (Give("link.sidelink"), Set("link.relay", "contact"))
        if built.world.topology.client == "satellite":
            ways = (Give("link.isl"),)
        yield Statement.doubt(
            Code.NEVER_LINKED,
            "learning.options.inference_samples",
            "clients have no way to send to each other, so that nobody asks another's expert, and "
            "each answers by its own",
            *ways,
        )


def _memory_doubts(built: Build) -> Iterator[Statement]:
    """Say how many devices do not hold what the method trains at least.

    Networked experts are handed out by other sizes, and the method says who gets none.
    """
    learner = built.learner
    if built.method.traits.own_learning:
        return
    if (
        built.method.traits.trains_at_server
        or kind_of(learner.sized_by.model.kind).expert_per_device
    ):
        return
    experts = list(range(learner.architecture.experts))
    held = experts[:1] if built.method.needs.experts else experts
    keeps = built.method.memory_copies is not Method.memory_copies
    copies = built.new_method().memory_copies if keeps else 0
    cost = learner.round_cost(held, held, gate=not built.method.needs.experts, copies=copies)
    limits = [
        np.broadcast_to(np.inf if c.memory_bytes is None else c.memory_bytes, cluster.devices)
        for c, cluster in zip(built.compute, built.plan.clusters, strict=True)
    ]
    every = np.concatenate(limits)
    if not (lacks := every < cost.memory_bytes).any():
        return
    most = float(every[lacks].max())
    kind = learner.sized_by.model.kind
    at_once = learner.sized_by.samples_at_once
    remedies = less_memory(built.world, at_once, in_pieces=built.method.traits.uses_optimizer)
    needed_bytes = float(cost.memory_bytes)
    yield Statement.doubt(
        Code.DEVICE_MEMORY,
        "compute.memory_gib",
        f"{'no device can' if lacks.all() else '{lacking} of {devices} devices cannot'} train, as "
        f"a round of {{kind!r}} takes {data_size(needed_bytes)} of memory, and they have "
        f"{data_size(most)} at most",
        *remedies,
        lacking=int(lacks.sum()),
        devices=len(lacks),
        kind=kind,
        needed_bytes=needed_bytes,
        most_bytes=most,
    )


def _selection_doubts(built: Build) -> Iterator[Statement]:
    """Say that test samples choose the model, or the end of the run, if they do."""
    learning, stop = built.world.learning, built.world.stop
    keys = {"stop.patience": stop.patience, "learning.keep": learning.keep == "best"}
    asked = [key for key, is_asked in keys.items() if is_asked]
    if not asked or not built.learner.measures or learning.data.validation > 0:
        return
    yield Statement.doubt(
        Code.TEST_SAMPLES,
        "learning.data.validation",
        "is 0, so that {keys} go by test samples, whose figures are then better than those of new "
        "samples",
        *([] if built.method.traits.own_learning else [Set(value=0.2)]),
        keys=listed(asked),
    )


# How many rounds devices may train through the gaps between contacts.


MANY_TIMES, MANY = 20, 1000
"""How many times the rounds of one per device and contact, and how many at all, are doubted."""


@dataclass(frozen=True)
class GapRounds:
    """At most so many device rounds ``in_gaps``, beside ``in_contacts``: one per device and each.

    ``fastest_s`` is the shortest round of any device, ``longest_s`` the longest gap.
    """

    in_gaps: int
    in_contacts: int
    fastest_s: float
    longest_s: float

    @property
    def many(self) -> bool:
        """Whether this is far beyond what methods take that train in contacts."""
        return self.in_gaps > max(MANY, MANY_TIMES * self.in_contacts)


def gap_rounds(built: Build) -> GapRounds:
    """Count the rounds that all gaps hold: from the start, between contacts, and to the end.

    This is an upper bound: devices may have no model yet, be away, or stop sooner. In slots the
    gaps hold a number of rounds per slot.
    """
    plan = built.plan
    experts = list(range(built.learner.architecture.experts))
    cost = built.learner.round_cost(experts, experts, gate=True)
    in_gaps = in_contacts = 0
    fastest_s = np.inf
    longest_s = 0.0
    for compute, cluster in zip(built.compute, plan.clusters, strict=True):
        sessions = plan.sessions(cluster)
        count = len(sessions)
        ends_s = [0.0, *sessions.ends_s]
        begins_s = [*sessions.starts_s, plan.stop_s]
        gaps_s: Floats = np.maximum(np.subtract(begins_s, ends_s), 0.0)
        one_s = compute.round_s(cost) if compute.pace_s is None else np.asarray(compute.pace_s)
        round_s = np.broadcast_to(one_s, (cluster.devices,)).astype(float)
        for seconds, devices in zip(*np.unique(round_s, return_counts=True), strict=True):
            rounds = whole_rounds(gaps_s, seconds)
            if compute.per_gap_max is not None:
                rounds = np.minimum(rounds, compute.per_gap_max)
            in_gaps += int(rounds.sum()) * int(devices)
        in_contacts += count * cluster.devices
        fastest_s = min(fastest_s, float(round_s.min()))
        longest_s = max(longest_s, float(gaps_s.max()))
    return GapRounds(in_gaps, in_contacts, fastest_s, longest_s)


def gap_doubts(built: Build) -> Iterator[Statement]:
    """Say where a method may train far more rounds in gaps than others train in contacts.

    Without training they cost nothing, and methods that train in contacts have none.
    """
    learning, traits = built.world.learning, built.method.traits
    asked = learning.options.get("trains") == "gaps"  # the option of FedAvg
    if not (built.learner.trains and (traits.trains_in_gaps or asked)):
        return
    found = gap_rounds(built)
    if not found.many:
        return
    limit = learning.rounds.per_gap_max
    yield Statement.doubt(
        Code.MANY_ROUNDS,
        "learning.rounds.per_gap_max",
        "up to {in_gaps:,} device rounds of training, as method {method!r} trains through the gaps "
        f"between contacts, which last up to {duration(found.longest_s)}, and a round takes "
        f"{duration(found.fastest_s)} (one round per contact would be {{in_contacts:,}})",
        Give(like=3) if limit is None else Lower(now=limit),
        in_gaps=found.in_gaps,
        method=learning.method,
        longest_s=found.longest_s,
        fastest_s=found.fastest_s,
        in_contacts=found.in_contacts,
    )
