"""What `leomix validate` foresees of a run that would come to nothing."""

from collections.abc import Iterator

import numpy as np

from learning.methods.base import GlobalModelMethod
from sim.cli.preview import usual_passes
from sim.engine.setup import Build
from sim.facts.directions import Way
from sim.formatting import data_size, duration
from sim.plan.remedies import faster_links, shorter_rounds, smaller_model
from statements import Code, Statement


def foreseen(built: Build) -> Iterator[Statement]:
    """Say where no round can be complete, or no upload get through, before the run is over.

    Methods that train at the server, or that are no method of one model, are not looked at. Neither
    is what only may fail: rounds and uploads that are cut go on in the next pass.
    """
    traits = built.method.traits
    one_model = issubclass(built.method, GlobalModelMethod) and not traits.own_learning
    if traits.trains_at_server or not one_model:
        return
    yield from _rounds(built)
    # Over a mesh alone, a message that is too large has been refused.
    if built.plan.mesh is None or not built.plan.topology.in_orbit:
        yield from _uploads(built)


def _rounds(built: Build) -> Iterator[Statement]:
    """Compare the shortest round of any device with the whole run; in slots they fit by design."""
    experts = list(range(built.learner.architecture.experts))
    held = experts[:1] if built.method.needs.experts else experts
    cost = built.learner.round_cost(held, held, gate=not built.method.needs.experts)
    round_s = min(float(np.min(compute.round_s(cost))) for compute in built.compute)
    if round_s > built.plan.stop_s and all(one.pace_s is None for one in built.compute):
        yield Statement.doubt(
            Code.CAME_TO_NOTHING,
            "compute",
            f"no device can complete a round of training, as one takes {duration(round_s)}, and "
            f"the run {duration(built.plan.stop_s)}",
            *shorter_rounds(built.world),
            round_s=round_s,
            run_s=built.plan.stop_s,
        )


def _uploads(built: Build) -> Iterator[Statement]:
    """Compare the smallest upload with what all passes of a client carry, by a pass of each.

    A pass of median length stands for all of a cluster, and the device with the best link there.
    """
    plan = built.plan
    sizes = built.learner.architecture
    experts = list(range(sizes.experts))
    held = experts[:1] if built.method.needs.experts else experts
    size_bytes = sizes.upload_bytes(held, gate=not built.method.needs.experts)
    most_bytes, passes = 0.0, 0
    for _, sessions, usual in usual_passes(plan):
        bits = sessions.carried_bits(usual, Way.TO_SERVER, sessions.starts_s[usual])
        best_bytes, count = float(np.max(bits)) / 8.0, len(sessions)
        # What is twice as long as a pass of median length is not rare: twice is spared.
        if 2.0 * best_bytes * count >= size_bytes:
            return
        if best_bytes * count >= most_bytes:
            most_bytes = best_bytes * count
            passes = count
    if not passes:
        return
    direction = plan.topology.direction(Way.TO_SERVER)
    yield Statement.doubt(
        Code.CAME_TO_NOTHING,
        f"link.{direction}",
        f"no upload can reach the server, as the smallest holds {data_size(size_bytes)}, and the "
        f"{{passes}} passes of a client carry about {data_size(most_bytes)} at most, all together",
        *faster_links(built.world, {direction}),
        smaller_model(built.world),
        upload_bytes=size_bytes,
        passes=passes,
        most_bytes=most_bytes,
    )
