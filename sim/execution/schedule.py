"""Schedule: the contacts, sessions, links and volumes of a scenario, without a run."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import scenarios
from scenarios import Scenario
from scenarios.parsing import apply_overrides
from sim.capacity.dtn_formats import plan_text
from sim.capacity.operations import as_values
from sim.capacity.study import rows_and_queues
from sim.capacity.volumes import (
    LinkVolumes,
    SessionVolume,
    link_volumes,
    nodes_of,
    session_volumes,
    whole_seconds,
)
from sim.errors import InputError
from sim.execution.ready import build, network_plan
from sim.files import check_file, write_text
from sim.mesh.book import ContactGraph
from sim.mesh.contacts import ContactPlan
from sim.plan.contact_table import contacts_table, feeder_table, isl_table
from sim.plan.plan import Plan
from sim.trace.schema import COLUMNS
from sim.world.world import World
from statements import Code, Statement

if TYPE_CHECKING:
    import pandas as pd


def plan(
    scenario: Scenario | Mapping[str, Any] | str | Path,
    overrides: Mapping[str, Any] | None = None,
) -> Schedule:
    """Return the :class:`sim.Schedule` of a scenario, or of the one of that name, path or mapping.

    ``overrides`` replaces keys by dotted name, as for ``leomix.load``. The whole scenario is
    checked as for a run, and nothing is run. Raises InputError (or the ValueError of a room) for
    wrong input, for overrides of a scenario that is loaded already, and for clients that are never
    seen, or that nothing could serve.
    """
    scenario = scenario_of(scenario, overrides)
    if scenario.learning is None:
        return Schedule(scenario, network_plan(World(scenario)))
    return Schedule(scenario, build(scenario).plan)


def scenario_of(
    source: Scenario | Mapping[str, Any] | str | Path, overrides: Mapping[str, Any] | None = None
) -> Scenario:
    """Return a scenario, or the one of that name, path or mapping, with keys overridden.

    Raises InputError for overrides of a scenario that is loaded already.
    """
    if isinstance(source, str | Path):
        return scenarios.load(source, overrides)
    if isinstance(source, Mapping):
        keys = deepcopy(dict(source))
        apply_overrides(keys, overrides or {})
        return scenarios.from_dict(keys)
    if overrides:
        raise InputError.of(
            Code.CONFLICT,
            "",
            "overrides change a scenario by name, path or mapping; this one is loaded already",
            "give them to leomix.load",
        )
    return source if isinstance(source, Scenario) else scenarios.from_dict(source)


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """Who has contact with whom in a scenario, who is served, and what the links carry.

    Tables are pandas DataFrames, made when they are first asked for. Times are seconds since
    ``start``, and end at ``stop_s``. ``nodes`` are the names of the satellites, and behind them
    those of the stations, of the clusters on the ground, or of the satellite that serves the
    others. Gateways are behind the clusters.
    """

    scenario: Scenario
    _plan: Plan

    @property
    def start(self) -> datetime:
        """When the scenario starts, UTC."""
        return self._plan.start

    @property
    def stop_s(self) -> float:
        """When it ends at the latest, in seconds since its start."""
        return self._plan.stop_s

    @property
    def doubts(self) -> tuple[Statement, ...]:
        """What may be wrong with the contacts; as text each is one line."""
        return self._plan.doubts

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names by node: satellites, and behind them what they have contacts with."""
        return nodes_of(self._plan)

    @property
    def neglected(self) -> tuple[str, ...]:
        """Directions that take no time in the scenario: they have no volume, and no contacts."""
        return self._volumes.neglected

    @cached_property
    def contacts(self) -> pd.DataFrame:
        """One row a contact, served or not, with the columns of a run's table."""
        frame: pd.DataFrame = contacts_table(self._plan, self.stop_s).to_pandas()
        return frame

    @cached_property
    def isl_windows(self) -> pd.DataFrame:
        """One row a window between two satellites, as in a run; none without ``link.isl``."""
        isls = self._plan.isls
        none = pa.schema(list(COLUMNS["isl_windows"].items())).empty_table()
        table = none if isls is None else isl_table(isls, self.stop_s)
        frame: pd.DataFrame = table.to_pandas()
        return frame

    @cached_property
    def feeder_windows(self) -> pd.DataFrame:
        """One row a feeder link while it lasts, as in a run; none without ``link.feeder``."""
        feeder = self._plan.feeder
        none = pa.schema(list(COLUMNS["feeder_windows"].items())).empty_table()
        table = none if feeder is None else feeder_table(feeder, self.stop_s)
        frame: pd.DataFrame = table.to_pandas()
        return frame

    @cached_property
    def sessions(self) -> pd.DataFrame:
        """One row a session: its client, number, contacts, begin and end, and its volumes in bits.

        ``to_server_bits`` and ``to_client_bits`` are what the device with the poorest link can
        transfer if alone; nan in a direction that is neglected. Over a mesh that is what the pass
        of the session carries and, to the satellite that has it, a link.
        """
        import pandas as pd

        return pd.DataFrame(session_volumes(self._plan), columns=SessionVolume._fields)

    @cached_property
    def capacities(self) -> pd.DataFrame:
        """One row a contact that is served, or a window of another link, and direction.

        ``link`` is contact, isl or feeder, and ``number`` the contact_id, or the row of
        ``isl_windows`` or ``feeder_windows``. Then come ``direction``, ``source`` and ``target`` by
        name, ``start_s`` and ``end_s`` of the service, ``capacity_bits`` (of the device with the
        poorest link, if alone), their mean ``rate_bps``, and ``delay_s``, the longest that a signal
        takes. A direction that is neglected has no rows.
        """
        import pandas as pd

        links = self._volumes
        names = np.array(links.nodes, object)
        return pd.DataFrame(
            {
                "link": links.link,
                "number": links.number,
                "direction": links.direction,
                "source": names[links.source],
                "target": names[links.target],
                "start_s": links.start_s,
                "end_s": links.end_s,
                "capacity_bits": links.bits,
                "rate_bps": links.bits / (links.end_s - links.start_s),
                "delay_s": links.delay_s,
            }
        )

    @cached_property
    def operations(self) -> pd.DataFrame:
        """What each station, cluster and satellite carries in a day, and how busy it is.

        One row an end of links, with the columns of ``leomix capacity``: ``kind`` (station,
        cluster, gateway, satellite, or total of a kind) and ``name``; how many it serves
        ``at_a_time`` (inf: any number, nan: it is served); passes and services a day; hours a day
        in view (summed over passes, and each time counted once) and ``busy``; the shares of time
        in which clients are blocked, and have nothing to send; GB a day ``down`` and
        ``up`` if all who are served send all the time, the largest file per pass and in a day; the
        longest time without service, in hours, and that over links between satellites, with what
        an end could then send to the server in a day if alone (nan without such links).
        """
        import pandas as pd

        rows, _ = rows_and_queues(World(self.scenario), self._plan)
        return pd.DataFrame(map(as_values, rows))

    def contact_plan(self, piece_s: int | None = None) -> ContactPlan:
        """Return the links as a plan for :class:`sim.ContactGraph`, over ``nodes``.

        Its contacts are those that :meth:`write` exports: the whole seconds of each link, in one
        piece or in pieces of ``piece_s`` seconds, at the mean rate of each. Pieces follow the rate
        of a pass, but each is a contact of its own: over the graph a message goes in one of them,
        so none passes that takes longer than ``piece_s``. Raises InputError for slots, which have
        no satellites on orbits, and for a ``piece_s`` that is not a whole number of seconds above
        0.
        """
        links = self._pieces(piece_s)
        carry = links.bits > 0.0
        return ContactPlan(
            nodes=len(links.nodes),
            a=links.source[carry],
            b=links.target[carry],
            start_s=links.start_s[carry],
            end_s=links.end_s[carry],
            rate_bps=(links.bits / (links.end_s - links.start_s))[carry],
            delay_s=links.delay_s[carry],
            directed=True,
        )

    def graph(self, piece_s: int | None = None) -> ContactGraph:
        """Return the graph over :meth:`contact_plan`, of which nothing is booked yet.

        A message goes in one piece over each contact of that, and over each piece of one.
        """
        return ContactGraph(self.contact_plan(piece_s))

    def text(self, to: str, piece_s: int | None = None) -> str:
        """Return the contact plan in the format of a DTN stack: ``ion`` or ``hdtn``.

        Raises InputError as :meth:`contact_plan` does, for an unknown format, and where no contact
        lasts a whole second.
        """
        return plan_text(to, self._pieces(piece_s), self.start)

    def write(self, path: str | Path, to: str, piece_s: int | None = None) -> None:
        """Write :meth:`text` to a file.

        Raises InputError as that does, and where no file can be: a folder, pipe or device, or in a
        folder that is not there.
        """
        check_file(Path(path), said_as="")
        write_text(Path(path), self.text(to, piece_s))

    def __repr__(self) -> str:
        """Return how much there is of what, in a line."""
        contacts = self._plan.contacts
        parts = [f"{len(contacts)} contacts, {int(contacts.served.sum())} served"]
        parts += [] if self._plan.isls is None else [f"{len(self._plan.isls)} ISL windows"]
        feeder = self._plan.feeder
        parts += [] if feeder is None else [f"{len(feeder)} feeder windows"]
        return f"Schedule({', '.join([*parts, f'{self.stop_s / 86_400.0:.2f} days'])})"

    @cached_property
    def _volumes(self) -> LinkVolumes:
        return link_volumes(self._plan)

    def _pieces(self, piece_s: int | None) -> LinkVolumes:
        if piece_s is not None and not _is_whole(piece_s):
            raise InputError.of(
                Code.WRONG_VALUE,
                "",
                "piece_s is {piece_s!r}",
                "give a whole number of seconds above 0",
                piece_s=piece_s,
            )
        if self.scenario.orbit.cycle is not None:
            raise InputError.of(
                Code.UNSUPPORTED,
                "",
                "orbit.source 'slots' is a timetable without satellites on "
                "orbits: it has no contact plan",
                "use a source with orbits, or contacts from a file",
            )
        return link_volumes(self._plan, partial(whole_seconds, longest_s=piece_s))


def _is_whole(piece_s: Any) -> bool:
    """Whether it is a number of seconds that is whole and above 0."""
    is_number = isinstance(piece_s, Real) and not isinstance(piece_s, bool)
    return is_number and piece_s >= 1 and float(piece_s).is_integer()
