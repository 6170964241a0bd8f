"""What a user should know of a finished run."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.cluster import Floats, Ints, Mask
from learning.requests.facts import INJECTED, Cause
from sim.analysis.experts import density_ratio, own_mass
from sim.engine.meetings import Waiting
from sim.engine.setup import Build
from sim.execution.came_to_nothing import CameToNothing
from sim.facts.coded import Coded
from sim.formatting import counted, some
from sim.plan.contacts import LAST_BITS_S
from sim.plan.plan import Plan
from sim.trace.arrow import array, as_numpy
from sim.trace.directions import Way
from sim.trace.parquet import plain
from sim.trace.sorting import coded, grouped, grouped_by, says
from sim.trace.tables import pieces_of
from sim.trace.vocabulary import Vocabulary

LOW_MASS = 0.8
"""Own gate mass below which a cluster's data mostly goes to experts that others train."""

UNIFORM = 0.25
"""How far from 1 (uniform data) towards C (all at home) the mean density ratio has to lie.

On the digits of docs/results.md EMS-FL loses below it, with 40 % of the data at home in four
clusters, and still gains above it, with 70 %.
"""


def warnings_of(
    tables: Mapping[str, pa.Table],
    built: Build,
    nothing: CameToNothing | None = None,
    waiting: Sequence[Waiting] = (),
) -> list[str]:
    """Return one line for each doubt about a finished run, whose tables are read piece by piece.

    That it came to ``nothing`` is the first of them. ``waiting`` are the clients that waited for
    each other when it ended.
    """
    splits = built.learner.trains and built.method.splits_experts
    refused, faults, faulty = _troubles(tables)
    lost = [f"{refused} updates refused by the server, not finite: lower learning.step_size"]
    return [
        *([] if nothing is None else [nothing.line]),
        *(_conditions(tables["assignments"]) if splits else ()),
        *_unused(built),
        *_alone(built),
        *built.module_doubts,
        *_diverged(tables["metrics"]),
        *(_progress(tables, built) if nothing is None else ()),  # else it says why by itself
        *(lost if refused else ()),
        *built.doubts,
        *_silent(tables, built.plan, faulty),
        *([waiting_line(waiting)] if waiting else ()),
        *(f"{counted(count, 'time')}: {detail}" for detail, count in sorted(faults.items())),
    ]


def _progress(tables: Mapping[str, pa.Table], built: Build) -> Iterator[str]:
    """Say what a run moved too little of: the model, rounds, or payloads."""
    yield from _still(tables, built)
    yield from _unfinished(tables, built)
    yield from cut_lines(tables, built.plan)


MOST_WAITING = 2
"""Clients that waited, of whom each is named with whom it waited for."""


def waiting_line(waiting: Sequence[Waiting]) -> str:
    """Say who waited for whom when the run was over."""
    each = [
        f"{some(one.here, MOST_WAITING)} waited for "
        + (some(one.awaited, MOST_WAITING) or counted(one.missing, "other client"))
        for one in waiting
    ]
    return (
        "the run ended in the middle of a round, which the model lacks: "
        f"{some(each, MOST_WAITING, '; ')}"
    )


def _unused(built: Build) -> Iterator[str]:
    """Keys that mean nothing in a run that trains nothing."""
    learning = built.scenario.learning
    for key in ("targets", "metrics") if not built.learner.trains else ():
        if getattr(learning, key):
            yield f"learning.{key} is not used: nothing is measured with learning.train false"


def _alone(built: Build) -> Iterator[str]:
    """A model whose devices cannot be trained at once."""
    if why := built.learner.alone:
        kind = built.scenario.learning.model.kind
        yield (
            f"learning.model.kind: {kind!r} is trained device by device, which is slower: "
            f"torch.func.vmap {why}; the class attribute batched = False asks for that"
        )


def _conditions(assignments: pa.Table) -> Iterator[str]:
    """Whether the conditions for a gain over the synchronous baseline are there."""
    mass, ratios = own_mass(assignments), density_ratio(assignments)
    if mass is not None and min(mass.values()) < LOW_MASS:
        yield (
            f"own gate mass {mass['start']:.2f} at the start, {mass['end']:.2f} at the end: the "
            "gate sends much of a cluster's data to experts that others train, so that EMS-FL has "
            "little to gain over the synchronous baseline here"
        )
    known = [ratio for ratio in (ratios or {}).values() if ratio is not None]
    if ratios and known and np.mean(known) < 1 + UNIFORM * (len(ratios) - 1):
        shown = {name: "-" if r is None else f"{r:.2f}" for name, r in ratios.items()}
        each = ", ".join(f"{name} {ratio}" for name, ratio in shown.items())
        yield (
            "data related to a cluster's experts are hardly denser with it than elsewhere: ratio "
            f"{each} (1 is uniform, {len(ratios)} all at home), so that the synchronous baseline "
            "may be as fast as EMS-FL or faster"
        )


GROWN, NOTICED = 2.0, 0.05
"""How many times its first loss a model ends with that diverged, and what accuracy may gain then.

A model that overfits ends with a larger loss too, but is more often right than at the start.
"""


def _diverged(metrics: pa.Table) -> Iterator[str]:
    """Since when the loss of the server's model has not been finite, or how much it has grown."""
    cure = "training diverged: lower learning.step_size"
    lost = metrics.filter(pc.invert(pc.is_finite(metrics.column("loss"))))
    for row in lost.slice(0, 1).to_pylist():
        cycle = row["cycle"]
        yield f"the loss of the server's model is not finite from cycle {cycle} on, {cure}"
    rows = _overall(metrics).select(["loss", "accuracy"]).drop_null().to_pylist()
    if not len(lost) and rows and rows[-1]["loss"] > GROWN * rows[0]["loss"]:
        first, last = rows[0], rows[-1]
        if last["accuracy"] < first["accuracy"] + NOTICED:
            yield (
                f"the loss of the server's model grew from {first['loss']:.3g} to "
                f"{last['loss']:.3g}, and its accuracy did not, {cure}"
            )


def _overall(metrics: pa.Table) -> pa.Table:
    """Return the rows on all clusters together, in order of time."""
    return metrics.filter(array(says(metrics, "scope", "global")))


def _still(tables: Mapping[str, pa.Table], built: Build) -> Iterator[str]:
    """Say that a run that was to train has moved nothing."""
    losses = _overall(tables["metrics"]).column("loss")
    if len(losses) < 2 or pc.count_distinct(losses, mode="all").as_py() > 1:
        return
    if losses[0].as_py() is None or not np.isfinite(losses[0].as_py()):
        return
    used = sum(map(len, pieces_of(tables, "updates", ["device"]))) if "updates" in tables else 0
    step_size = built.scenario.learning.step_size
    why = (
        f"{used} updates moved nothing: raise learning.step_size ({step_size:g})"
        if used
        else "no update got to the server: see the kinds fault and drop of the table events"
    )
    yield f"nothing was learnt, the loss is {losses[0].as_py():.4g} from start to end; {why}"


def _unfinished(tables: Mapping[str, pa.Table], built: Build) -> Iterator[str]:
    """Say that satellites have exchanged models without a single round in a timing-only run."""
    kinds = Counter[str]()
    for events in pieces_of(tables, "events", ["kind"]):
        kinds.update({k: int(says(events, "kind", k).sum()) for k in ("aggregate", "drop")})
    if built.method.needs_satellites and not (built.learner.trains or kinds["aggregate"]):
        yield (
            f"no round is complete, and {kinds['drop']} messages were lost (kind drop of the table "
            "events): simulate longer, or raise the rates of the links"
        )


def _silent(
    tables: Mapping[str, pa.Table], plan: Plan, faulty: Collection[tuple[str, int]]
) -> Iterator[str]:
    """Devices that sent nothing while others of their cluster did, but for the ``faulty`` ones."""
    heard = {cluster.name: np.zeros(cluster.devices, bool) for cluster in plan.clusters}
    for cluster, device in faulty:
        heard[cluster][device] = True
    for transfers in pieces_of(tables, "transfers", ["cluster", "device", "toward"]):
        up = transfers.filter(array(says(transfers, "toward", "server")))
        _, _, pairs = grouped_by(up, ["cluster", "device"])
        for cluster, device in zip(*pairs.to_pydict().values(), strict=True):
            heard[cluster][device] = True
    for name, there in heard.items():
        silent = np.flatnonzero(~there)
        if 0 < len(silent) < len(there):
            yield (
                f"{len(silent)} of the {len(there)} devices of {name} sent nothing, "
                f"device {silent[0]} for one: they may never see a satellite above their mask"
            )


def _troubles(
    tables: Mapping[str, pa.Table],
) -> tuple[int, Counter[str], set[tuple[str, int]]]:
    """Count updates that the server refused, and faults that were not asked for, by their text.

    Updates that the scenario spoils itself do not count, nor do clients that waited at the end, who
    have a line of their own. The last are all devices with a fault.
    """
    refused, details, devices = 0, Counter[str](), set[tuple[str, int]]()
    expected = array(np.array([*INJECTED, Cause.NO_CONTACT_LEFT]))
    for events in pieces_of(tables, "events", ["kind", "cluster", "device", "detail", "cause"]):
        refused += int(says(events, "cause", Cause.UPDATE_NOT_FINITE).sum())
        rows = plain(events.filter(array(says(events, "kind", "fault"))))
        known = pc.is_in(rows.column("cause"), value_set=expected)
        details.update(rows.column("detail").filter(pc.invert(known)).drop_null().to_pylist())
        mine = rows.filter(pc.is_valid(rows.column("device"))).select(["cluster", "device"])
        devices.update(map(tuple, map(dict.values, mine.to_pylist())))
    return refused, details, devices


# Payloads that did not get through in the session in which they were sent, counted row by row.


READ = ("contact_id", "cluster", "device", "toward", "payload", "version", "start_s", "outcome")


class Offers:
    """Offers of one way: a device's payload in one version and one session.

    An offer is closed when rows begin behind its session, so that only those of sessions that go on
    are in memory.
    """

    def __init__(self) -> None:
        self.closed = 0
        self.cut = 0
        self._texts = {"cluster": Vocabulary(), "payload": Vocabulary()}
        self._keys: Ints = np.zeros((0, 5), np.int64)
        self._through: Mask = np.zeros(0, bool)
        self._over_s: Floats = np.zeros(0)

    def add(self, rows: pa.Table, session: Ints, over_s: Floats) -> None:
        """Count rows in order of ``start_s``, of a session each (N,) that is over at ``over_s``."""
        if not len(rows):
            return
        numbers = [as_numpy(rows.column(key)) for key in ("device", "version")]
        texts = [self._codes(rows, key) for key in self._texts]
        self._keys = np.concatenate([self._keys, np.stack([*texts, *numbers, session], axis=1)])
        self._through = np.concatenate([self._through, says(rows, "outcome", "delivered")])
        self._over_s = np.concatenate([self._over_s, over_s])
        order, first = grouped(list(self._keys.T))
        self._keys, self._over_s = self._keys[order[first]], self._over_s[order[first]]
        self._through = np.logical_or.reduceat(self._through[order], first)
        self._close(self._over_s + LAST_BITS_S < rows.column("start_s")[-1].as_py())

    def close(self) -> None:
        """Close all offers: there are no more rows."""
        self._close(np.ones(len(self._keys), bool))

    def _close(self, which: Mask) -> None:
        self.closed += int(which.sum())
        self.cut += int((which & ~self._through).sum())
        self._keys, self._through = self._keys[~which], self._through[~which]
        self._over_s = self._over_s[~which]

    def _codes(self, rows: pa.Table, key: str) -> Ints:
        return self._texts[key].codes(Coded(*coded(rows.column(key))))


def cut_lines(tables: Mapping[str, pa.Table], plan: Plan) -> Iterator[str]:
    """Yield a line for each way on which most payloads were cut by the end of a session."""
    found, over_s = {way: Offers() for way in Way}, plan.contacts.session_end_s
    for transfers in pieces_of(tables, "transfers", READ):
        for way, offers in found.items():
            rows = transfers.filter(array(says(transfers, "toward", way)))
            contacts = as_numpy(rows.column("contact_id"))
            offers.add(rows, plan.contacts.session[contacts], over_s[contacts])
    for way, offers in found.items():
        offers.close()
        if offers.cut > offers.closed / 2:
            yield (
                f"{offers.cut} of {offers.closed} transfers {plan.topology.toward(way)} were cut "
                "by the end of their contact: the payload is large for these passes"
            )
