"""Messages of a method over a mesh: which are too large for links and passes, at any time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from learning.learner import Learner
from learning.methods.base import GlobalModelMethod, MethodType
from sim.errors import InputError
from sim.facts.directions import Way
from sim.formatting import data_size
from sim.plan.mesh_limits import WindowBytes, too_large
from sim.plan.plan import Plan
from sim.plan.remedies import faster_isls, faster_mesh, smaller_model
from sim.world.world import World
from statements import Code, Statement


def least_messages(world: World, method: MethodType, learner: Learner) -> Mapping[Way, float]:
    """Return the bytes that the least message of a method has each way, where they are known.

    Downloads of what a client misses may be of any size, and uploads of what it has changed.
    Methods that learn by themselves, and those without one model at the server, tell none.
    """
    if method.traits.trains_at_server or not issubclass(method, GlobalModelMethod):
        return {}
    if world.learning.upload != "all":
        return {}
    experts = list(range(learner.architecture.experts))
    held = experts[:1] if method.needs.experts else experts
    gate = not method.needs.experts
    copies = method.traits.payload_copies
    sizes = {Way.TO_SERVER: copies * learner.architecture.upload_bytes(held, gate=gate)}
    if not learner.config.model.lora.sends_factors:
        sizes[Way.TO_CLIENT] = copies * learner.architecture.download_bytes(held, gate=gate)
    return sizes


def check_messages(world: World, plan: Plan, method: MethodType, learner: Learner) -> None:
    """Raise InputError where the least message of a method never gets through a mesh."""
    isl = world.link.isl
    if plan.mesh is None or isl is None:
        return
    in_parts = world.link.cut_transfers == "resume"
    for way, size_bytes in least_messages(world, method, learner).items():
        found = too_large(plan, way, size_bytes, in_parts=in_parts)
        if found is None:
            continue
        raise InputError(
            Statement.of(
                Code.NEVER_CARRIED,
                "link.isl.route",
                f"{_message(method, size_bytes)} never gets {plan.topology.toward(way)} for "
                f"{{client!r}}: in one piece, {data_size(found.most_bytes)} is the most that all "
                "links and passes of any path hold",
                *faster_mesh(world, plan.topology.direction(way), feeder=plan.feeder is not None),
                smaller_model(world),
                client=found.client,
                message_bytes=size_bytes,
                most_bytes=found.most_bytes,
            )
        )


def narrow_link_doubts(
    world: World, plan: Plan, method: MethodType, learner: Learner
) -> Iterator[Statement]:
    """Say that no link between satellites holds one message of a method while it is open."""
    isl = world.link.isl
    if plan.mesh is None or plan.isls is None or isl is None:
        return
    links = WindowBytes(plan.isls)
    sizes = least_messages(world, method, learner)
    narrow = {way: size for way, size in sizes.items() if not links.hold(size)}
    if narrow:
        ways = " and ".join(plan.topology.toward(way) for way in narrow)
        least_bytes = min(narrow.values())
        yield Statement.doubt(
            Code.NARROW_LINK,
            "link.isl",
            f"no link between satellites is open long enough for {_message(method, least_bytes)} "
            f"in one piece, and the best one carries {data_size(links.largest)} while it is open; "
            f"messages {ways} go by passes alone, or never arrive",
            faster_isls(isl),
            smaller_model(world),
            message_bytes=least_bytes,
            largest_bytes=links.largest,
        )


def _message(method: MethodType, size_bytes: float) -> str:
    """Name a message of a method with its size."""
    if method.traits.payload_copies == 1:
        return f"a model of {data_size(size_bytes)}"
    return f"a message of {data_size(size_bytes)} ({method.traits.payload_copies} times the model)"
