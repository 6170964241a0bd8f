"""What a run of a scenario will be: contacts, links and payloads, as text."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from math import ceil
from textwrap import fill
from typing import NamedTuple

import numpy as np

from learning.requests.cluster import Cluster
from learning.settings import PAYLOAD
from sim.advice.remedies import faster_links, less_to_carry, lower_mask
from sim.engine.setup import Build
from sim.facts.directions import Way
from sim.formatting import WIDTH, counted, data_size, duration, some, table
from sim.plan.contacts import PlannedSessions
from sim.plan.plan import Plan
from sim.plan.radios import carries_at_mask
from sim.world.world import World
from statements import remedies_text


class _UsualPass(NamedTuple):
    """What a pass of median length of a client carries for its poorest device, and what it is."""

    carried_bytes: float
    client: str
    text: str
    unit: str


def plan_text(built: Build) -> str:
    """Describe contacts, link and payloads of a scenario that is ready to run."""
    world, plan = built.world, built.plan
    about = [
        f"{world.learning.method}, seed {world.seed}, {_span(plan)}, "
        f"{counted(built.cycles, 'complete cycle')}{_stops_sooner(built)}",
        *([] if built.method.traits.own_learning else _model(built)),
        *_link(world),
        *_outages(plan),
    ]
    usual = {} if plan.topology.over_mesh and plan.mesh is not None else _usual_least(built)
    named = {least.client for least in usual.values()}
    reached = [_clusters(built, named), *_contacts(built, usual)]
    return fitted([_finding(plan), "", *reached, "", *about])


def network_text(world: World, plan: Plan) -> str:
    """Describe what a network study would be of."""
    payloads = [f"{kind.name} ({kind.payload_mb:,g} MB {kind.direction})" for kind in world.traffic]
    about = [
        _finding(plan),
        "",
        f"a network study, seed {world.seed}, {_span(plan)}",
        *([f"traffic: {', '.join(payloads)}"] if payloads else []),
        *_link(world),
        *_outages(plan),
    ]
    return fitted(about)


def fitted(lines: Iterable[str]) -> str:
    """Return lines as those of a screen; tables, which are several, stay as they are."""
    return "\n".join(
        text
        if "\n" in text or len(text) <= WIDTH
        else fill(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        for text in lines
    )


def _span(plan: Plan) -> str:
    stop = plan.start + timedelta(seconds=plan.stop_s)
    return f"{plan.start:%Y-%m-%d %H:%M} to {stop:%Y-%m-%d %H:%M} UTC"


MOST_KEYS = 2
"""Keys of the link that are named."""


def _link(world: World) -> list[str]:
    """Name the link's preset, and the keys that differ from it."""
    keys = [key.removeprefix("link.") for key in world.resolved_link["overridden"]]
    overridden = f", but for {some(keys, MOST_KEYS)}" if keys else ""
    return [f"link preset {world.link.preset}{overridden}"]


def _finding(plan: Plan) -> str:
    """Say how many contacts are served, and who has the fewest of these a day."""
    days = plan.stop_s / 86400
    served = {one.name: len(plan.contacts.services(one.name)) for one in plan.clusters}
    fewest = min(served, key=lambda name: served[name])
    own = f"{served[fewest] / days:.1f} a day"
    differ = len(set(served.values())) > 1
    of_all = f"{sum(served.values()):,} of {len(plan.contacts):,} contacts are served"
    whose = f"{fewest} has the fewest, {own}" if differ else f"{own} of each"
    return f"Ready: {of_all}; {own if len(served) == 1 else whose}"


def _model(built: Build) -> Iterator[str]:
    """Describe the local rounds of the model, and what it stands for; methods of their own learning
    know neither before they learn.
    """
    if (stand_in := built.learner.stand_in) is not None:
        from sim.analysis.run_text import stand_in_text  # what is beside it reads tables

        yield stand_in_text(stand_in)
    yield _round(built)


MOST_OUTAGES = 5
"""Planned outages that are told one by one."""


def planned_outages(plan: Plan) -> list[str]:
    """Return who is out as planned and when, in order of time."""
    planned = {} if plan.faults is None else plan.faults.outages.planned
    told = sorted(
        (begin_s, f"{who} from {begin_s / 3600:g} to {end_s / 3600:g} h")
        for who, out in planned.items()
        for begin_s, end_s in out.between(0.0, plan.stop_s).spans()
    )
    return [text for _, text in told]


def _outages(plan: Plan) -> Iterator[str]:
    if told := planned_outages(plan):
        yield f"out as planned: {some(told, MOST_OUTAGES, '; ')}"


def _stops_sooner(built: Build) -> str:
    """Name what may end a run before the days of its plan are over."""
    stop = built.world.stop
    limits = {"cycles": stop.cycles, "rounds": stop.rounds, **stop.early}
    given = [f"stop.{key}={limit:g}" for key, limit in limits.items() if limit is not None]
    validates = stop.early and built.world.learning.data.validation > 0
    by = f"{' or '.join(given)}{' on validation samples' if validates else ''}"
    return f" at most: {by} may end it sooner" if given else ""


def _round(built: Build) -> str:
    """FLOPs of a local round, and the memory that it takes with one expert or all of them."""
    everything = list(range(built.learner.architecture.experts))
    costs = [built.learner.round_cost(held, held, gate=True) for held in ([0], everything)]
    one, whole = (data_size(float(cost.memory_bytes)) for cost in costs)
    held = (
        f"{one} of memory with one expert, {whole} with all" if everything else f"{whole} of memory"
    )
    counted = built.learner.sized_by
    at_once = f"{counted.samples_at_once} of {counted.batch_size} samples at a time"
    model = built.learner.config.model
    assumed = model.kind == PAYLOAD and model.gflops_per_sample is None
    by = " (assumed: 2 a weight forward; gflops_per_sample sets it)" if assumed else ""
    return f"a local round: {costs[1].flops:.2e} FLOPs{by}, in {held} (estimated, {at_once})"


MOST_LINKED_CONTACTS = 60_000
"""Contacts whose links are all made to find the least upload: some seconds of computing."""


MOST_CLUSTER_ROWS = 10
"""Clusters of which each has a row; of more, those with the fewest services."""


def _clusters(built: Build, named: Collection[str]) -> str:
    """Return a table of clusters: their contacts, those served, and what any of these carries.

    Those that are ``named`` below it have a row, too.
    """
    contacts = built.plan.contacts
    days = built.plan.stop_s / 86400
    every = built.plan.clusters
    fewest = sorted(every, key=lambda cluster: len(contacts.services(cluster.name)))
    shown = {*named, *(cluster.name for cluster in fewest[:MOST_CLUSTER_ROWS])}
    counted_all = len(contacts) <= MOST_LINKED_CONTACTS
    rows = []
    for cluster in (cluster for cluster in every if cluster.name in shown):
        here = len(contacts.numbers(cluster.name))
        served = contacts.services(cluster.name)
        lasts_s = np.sort(contacts.end_s[served] - contacts.start_s[served])
        # np.median would import numpy.ma, a fiftieth of the time of `leomix validate`.
        median_s = (
            lasts_s[[(len(served) - 1) // 2, len(served) // 2]].mean() if len(served) else 0.0
        )
        least = "-"
        if counted_all:
            # What a pass carries while nobody is served is of no use to anybody.
            carried = contacts.links.figures(served).least_in_service_bytes
            least = data_size(float(carried.min()) if len(served) else 0.0)
        a_day = f"{len(served) / days:.1f}"
        counts = str(cluster.devices), str(here), str(len(served)), a_day
        rows.append([cluster.name, *counts, f"{median_s:.0f}", least])
    lines = [table(["cluster", *HEADS], rows)]
    if len(every) > len(rows):
        lines.append(f"and {counted(len(every) - len(rows), 'other')}, none with fewer served")
    if not counted_all:
        lines.append(f"least upload: not computed of more than {MOST_LINKED_CONTACTS} contacts")
    return "\n".join(lines)


HEADS = ("devices", "contacts", "served", "a day", "median s", "least upload")


MOST_SAMPLED_CLUSTERS = 20
"""Clusters whose passes are compared with the payloads."""


def _usual_passes(plan: Plan) -> Iterator[tuple[Cluster, PlannedSessions, int]]:
    """Yield some clusters, each with its sessions and the number of one of median length.

    The links of that session are closed when the next one is asked for.
    """
    for cluster in plan.clusters[:: max(1, len(plan.clusters) // MOST_SAMPLED_CLUSTERS)]:
        sessions = plan.sessions(cluster)
        if not len(sessions):
            continue
        order = sorted(
            range(len(sessions)), key=lambda n: sessions.ends_s[n] - sessions.starts_s[n]
        )
        usual = order[len(order) // 2]
        try:
            yield cluster, sessions, usual
        finally:
            sessions[usual].close()


def _contacts(built: Build, usual: Mapping[Way, _UsualPass]) -> Iterator[str]:
    """Say how clients reach the server, and what their contacts carry."""
    if built.plan.mesh is None:
        yield from _passes(built, usual)
    elif built.plan.topology.over_mesh:
        yield from _over_mesh(built)
    else:
        yield _to_satellite(built.plan)
        yield from _passes(built, usual)


def _to_satellite(plan: Plan) -> str:
    """Say how many passes of clusters on the ground bring messages to their server over links."""
    served = [len(plan.passes(cluster)) for cluster in plan.clusters]
    counts = {cluster.name: len(plan.sessions(cluster)) for cluster in plan.clusters}
    fewest = min(counts, key=lambda name: counts[name])
    whom = repr(plan.server)
    if plan.feeder is not None:
        over = len(set(plan.feeder.station.tolist()))
        feeder = f"{over} of {counted(len(plan.feeder.stations), 'station')}"
        whom = f"stations ({counted(len(plan.feeder), 'feeder link')} to {feeder})"
    return (
        f"over passes and links, {counted(len(counts), 'cluster')} reach {whom}: in "
        f"{sum(counts.values())} of {sum(served)} served passes a message sets off that no later "
        f"pass brings sooner; {fewest!r} has the fewest, {counts[fewest]}"
    )


def _usual_least(built: Build) -> dict[Way, _UsualPass]:
    """Return for each way the pass of median length that carries the least, of some clusters.

    If contact does not end, a session is a part, and counts as a pass.
    """
    plan = built.plan
    least = dict[Way, _UsualPass]()
    for cluster, sessions, usual in _usual_passes(plan):
        start_s = sessions.starts_s[usual]
        lasts = duration(sessions.ends_s[usual] - start_s)
        what, name = f"a pass of median length ({lasts})", "pass"
        if sessions.repeats[usual]:
            given = plan.longest_session_s is not None
            why = "as orbit.max_session_s says" if given else "as contact does not end"
            what, name = f"a session ({lasts}, {why})", "session"
        for way in Way:
            beam = sessions[usual].beam(way)
            if beam is not None:
                bits = float(np.min(sessions.carried_bits(usual, way, start_s)))
                carried_bytes = bits / beam.crowding(cluster.devices) / 8.0
                found = _UsualPass(carried_bytes, cluster.name, what, name)
                least[way] = min(least.get(way, found), found)
    return least


def _passes(built: Build, usual: Mapping[Way, _UsualPass]) -> Iterator[str]:
    """Say for each way what a pass of median length carries for a device, and what fits into it."""
    plan = built.plan
    rows = list[list[str]]()
    carries, helps = list[str](), list[str]()
    for way, (carried, cluster_name, usual_text, unit) in usual.items():
        direction = plan.topology.direction(way)
        size = data_size(carried)
        carries.append(f"{direction}: {usual_text} carries {size} (weakest link, {cluster_name})")
        all_fit = True
        for what, size_bytes in _payloads(built, way).items():
            passes = ceil(size_bytes / carried) if carried >= 1.0 else 0
            all_fit = all_fit and passes == 1
            taken = _passes_taken(passes, unit)
            rows.append([f"{direction}, {what}", data_size(size_bytes), taken])
        if not all_fit:
            helps.append(f"{direction}: {_what_helps(built, way, direction, cluster_name)}")
    yield ""
    if rows:
        yield table(["payload", "size", "takes"], rows)
    yield from carries
    yield from helps


def _payloads(built: Build, way: Way) -> dict[str, float]:
    """Return what goes one way in bytes; of methods of their own learning nothing is known."""
    if built.method.traits.own_learning:
        return {}
    sizes = built.learner.architecture
    everything = list(range(sizes.experts))
    # Factors go down as large as they come up, for each change that a device has missed.
    factors = way is Way.TO_SERVER or built.world.learning.lora.download == "factors"
    size_of = sizes.upload_bytes if factors else sizes.download_bytes
    whole = size_of(everything, gate=True)
    if not everything:
        return {"the model": whole}
    factored = built.learner.config.model.lora.rank is not None and factors
    part = "one expert's factors" if factored else "one expert"
    return {part: size_of([0], gate=False), "all experts and gate": whole}


def _over_mesh(built: Build) -> Iterator[str]:
    """Say how soon satellites reach the server over links and passes."""
    plan = built.plan
    assert plan.mesh is not None
    begins_s = np.sort([sessions.starts_s[0] for sessions in plan.mesh.values()])
    own = sum(len(plan.passes(cluster)) > 0 for cluster in plan.clusters)
    yield (
        f"over links and passes, all {len(plan.mesh)} satellites reach the server, the last one "
        f"first after {duration(float(begins_s[-1]))}; {own} have passes of their own"
    )


def _passes_taken(passes: int, unit: str) -> str:
    """Say how many passes or sessions a payload takes; 0 stands for never."""
    if passes > 1:
        return f"{passes:,} {unit}{'es' if unit == 'pass' else 's'}"
    return f"one {unit}" if passes else "never fits"


def _what_helps(built: Build, way: Way, direction: str, client: str) -> str:
    """Name keys that let a pass of a client carry more in a direction, and what goes this way."""
    world, lora = built.world, built.learner.config.model.lora
    helps = [
        *faster_links(world, {direction}),
        *(lower_mask(world, client) if carries_at_mask(world, direction) else ()),
        *less_to_carry(world, lora, way),
    ]
    return remedies_text(helps)
