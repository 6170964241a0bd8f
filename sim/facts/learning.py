"""What is learnt of and by whom: evaluations, assignments, aggregations, inferences, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from learning.requests.facts import Aggregated, Cause
from sim.facts.events import Event, EventKind
from sim.facts.row import ColumnKind, Flag, Real, Row, Text, Whole, column, computed, single


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricsRow(Row):
    """The scores at an evaluation: pooled, of one cluster each, or of one client each."""

    table: ClassVar[str] = "metrics"
    order: ClassVar[tuple[str, ...]] = ("time_s", "cycle")

    time_s: Real = field(metadata=column("when it was evaluated"))
    cycle: Whole = field(metadata=column("complete cycles by then"))
    version: Whole = field(metadata=column("of the server's model"))
    scope: Text = field(metadata=column("global (pooled over all test samples), cluster or client"))
    cluster: Text = field(metadata=column("whose test samples; null: of all"))
    device: Whole = field(
        default=None,
        metadata=column("number of the client in its cluster; null: of all", learned=True),
    )
    accuracy: Real = field(
        default=None, metadata=column("share of samples that are right", learned=True)
    )
    loss: Real = field(default=None, metadata=column("mean loss", learned=True))
    samples: Whole = field(metadata=column("test samples", learned=True))
    f1: Real = field(default=None, metadata=column("mean macro F1 of the clients", learned=True))
    local_ratio: Real = field(
        default=None,
        metadata=column("samples that go to the own expert first", learned=True),
    )
    local_count_share: Real = field(
        default=None,
        metadata=column("own expert among all selected ones", learned=True),
    )
    local_weight_share: Real = field(
        default=None,
        metadata=column("weight of the own expert", learned=True),
    )
    local_reach_ratio: Real = field(
        default=None,
        metadata=column(
            "local_ratio among the experts within reach",
            learned=True,
        ),
    )
    reach_accuracy: Real = field(
        default=None,
        metadata=column("accuracy by the experts within reach", learned=True),
    )
    validation_accuracy: Real = field(
        default=None,
        metadata=column(
            "share of validation samples that are right",
            learned=True,
        ),
    )
    validation_loss: Real = field(
        default=None,
        metadata=column("mean loss of validation samples", learned=True),
    )
    validation_samples: Whole = field(
        default=None,
        metadata=column("validation samples", learned=True),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AssignmentRow(Row):
    """Which experts a client is given: one row each of E experts."""

    table: ClassVar[str] = "assignments"
    order: ClassVar[tuple[str, ...]] = ("time_s",)

    time_s: Real = field(metadata=column("when they were given"))
    cycle: Whole = field(metadata=column("complete cycles by then"))
    cluster: Text = field(metadata=column("to which cluster"))
    device: Whole = field(metadata=column("to which device of it; null: to the cluster"))
    expert: Whole = field(metadata=column("number of the expert"))
    relevance: Real = field(metadata=column("what the assignment goes by", learned=True))
    probability: Real = field(metadata=column("chance, or share of the gate", learned=True))
    assigned: Flag = field(metadata=column("whether it is the client's now", learned=True))
    samples: Whole = field(
        metadata=column("samples that it served since the last time", learned=True)
    )
    expert_class: Text = field(metadata=column("shared, domain or seldom", learned=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClientRow(Row):
    """How many training samples of each class the devices hold: a whole table."""

    table: ClassVar[str] = "clients"
    order: ClassVar[tuple[str, ...]] = ("cluster", "device", "class")
    optional: ClassVar[bool] = True

    cluster: Text = field(metadata=column("whose device", learned=True))
    device: Whole = field(metadata=column("number of the device in its cluster", learned=True))
    label: Whole = field(metadata=column("number of the class", name="class", learned=True))
    samples: Whole = field(metadata=column("training samples of the class", learned=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpdateRow(Row):
    """Updates that the server has used, one row for each of N devices of a cluster."""

    table: ClassVar[str] = "updates"
    order: ClassVar[tuple[str, ...]] = ("time_s", "cluster", "device")
    optional: ClassVar[bool] = True

    time_s: Real = field(metadata=column("when it was used"))
    cluster: Text = field(metadata=column("whose device"))
    device: Whole = field(metadata=column("number of the device in its cluster"))
    round: Whole = field(metadata=column("round of the method, from 1"))
    version_base: Whole = field(metadata=column("server's version that it stems from"))
    version_server: Whole = field(metadata=column("server's version that it entered"))
    staleness: Whole = field(metadata=column("versions between these two"))
    weight: Real = field(metadata=column("its factor in the server's model", learned=True))
    samples: Whole = field(metadata=column("training samples of the device", learned=True))
    contact_id: Whole = field(metadata=column("contact in which it got through"))
    payload: Text = field(metadata=column("name of the payload"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InferenceRow(Row):
    """Answers to the queries of a client: one row for each of N groups that took the same way."""

    table: ClassVar[str] = "inferences"
    order: ClassVar[tuple[str, ...]] = ("time_s", "cluster", "device", "batch")
    optional: ClassVar[bool] = True

    time_s: Real = field(metadata=column("when the queries came"))
    cluster: Text = field(metadata=column("of whose device"))
    device: Whole = field(metadata=column("number of the device in its cluster"))
    batch: Whole = field(metadata=column("number of the client's queries"))
    experts: Text = field(metadata=column("experts that were asked"))
    samples: Whole = field(metadata=column("samples of the group"))
    latency_s: Real = field(metadata=column("from the query to the answer; nan: never"))
    sent_bytes: Real = field(metadata=column("bytes over links for it"))
    outcome: Text = field(metadata=column("local, complete, renormalised, fallback or failed"))
    correct: Whole = field(
        default=None,
        metadata=column("samples answered correctly", learned=True),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswerRow(Row):
    """How long the expert of another client took to answer a query, and what for.

    ``latency_s`` is the sum of the parts of the request, of computing, and of the answer.
    """

    table: ClassVar[str] = "answers"
    order: ClassVar[tuple[str, ...]] = ("time_s", "cluster", "device", "batch", "expert")
    optional: ClassVar[bool] = True

    time_s: Real = field(metadata=column("when the request was sent"))
    cluster: Text = field(metadata=column("of whose device"))
    device: Whole = field(metadata=column("number of the device in its cluster"))
    batch: Whole = field(metadata=column("number of the client's queries"))
    expert: Whole = field(metadata=column("number of the expert that was asked"))
    peer: Text = field(metadata=column("client that holds it, CLUSTER/DEVICE"))
    samples: Whole = field(metadata=column("samples that it was asked about"))
    request_hops: Whole = field(metadata=column("links that the request went over"))
    request_propagation_s: Real = field(metadata=column("light time over these"))
    request_transmission_s: Real = field(metadata=column("its bits leaving, at each of them"))
    request_window_s: Real = field(metadata=column("waiting until links opened"))
    request_queue_s: Real = field(metadata=column("waiting while links carried others"))
    computing_s: Real = field(metadata=column("computing, behind what was computed there already"))
    answer_hops: Whole = field(metadata=column("links that the answer went over"))
    answer_propagation_s: Real = field(metadata=column("light time over these"))
    answer_transmission_s: Real = field(metadata=column("its bits leaving, at each of them"))
    answer_window_s: Real = field(metadata=column("waiting until links opened"))
    answer_queue_s: Real = field(metadata=column("waiting while links carried others"))
    latency_s: Real = field(metadata=column("from the request to the answer; null: never"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assigned(Event):
    """A client is given ``experts``."""

    of_kind: ClassVar[EventKind] = EventKind.ASSIGN

    experts: Sequence[int]

    def text(self) -> str:
        """List them."""
        return f"experts:{','.join(map(str, self.experts))}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelAggregated(Event):
    """The server has aggregated updates into a new version of its model, as a method told."""

    of_kind: ClassVar[EventKind] = EventKind.AGGREGATE

    told: Aggregated

    @computed(
        ColumnKind.INT,
        "clients that have brought an update, where it ends a round of them",
        behind="cause",
    )
    def clusters(self) -> int | None:
        """Clusters in the round, of those that the text counts; None where it counts none."""
        return None if self.told.clusters is None else self.told.clusters.some

    @computed(
        ColumnKind.INT,
        "least staleness of its updates",
        behind="clusters",
    )
    def staleness_low(self) -> int | None:
        """None where no transfer shows the version of each update."""
        return None if self.told.staleness is None else self.told.staleness.low

    @computed(
        ColumnKind.INT,
        "greatest staleness of its updates",
        behind="staleness_low",
    )
    def staleness_high(self) -> int | None:
        """None where no transfer shows the version of each update."""
        return None if self.told.staleness is None else self.told.staleness.high

    def text(self) -> str:
        """Say what has been aggregated."""
        return self.told.text()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inferred(Event):
    """The queries of a client were answered, or were not, in N groups of ``samples`` (N,).

    ``latency_s`` (N,) is not finite where there was no answer; ``local`` samples needed nobody.
    """

    of_kind: ClassVar[EventKind] = EventKind.INFER

    batch: int
    samples: np.ndarray
    latency_s: np.ndarray
    local: int

    def text(self) -> str:
        """Count them, and state their mean latency."""
        answered = np.isfinite(self.latency_s) & (self.samples > 0)
        mean = "-"
        if answered.any():
            mean_s = np.average(self.latency_s[answered], weights=self.samples[answered])
            mean = f"{mean_s:.3f}"
        total = int(self.samples.sum())
        return f"batch:{self.batch} samples:{total} local:{self.local} latency:{mean}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluated(Event):
    """The server's model was evaluated; its ``scores`` are of the metrics' rows, the pooled first.

    Where nothing is measured that is the only one. They lack what all ``rows`` share: time, cycle
    and version. ``accuracy`` is the one to follow a run by: of validation samples where some are
    set aside, else of test samples; nan where nothing is measured. Scores have figures of the
    user's own, too.
    """

    of_kind: ClassVar[EventKind] = EventKind.EVALUATE

    cycle: int
    accuracy: float
    scores: Sequence[Mapping[str, Any]]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Whole rows of the metrics table."""
        shared = {"time_s": single(self.time_s), "cycle": self.cycle, "version": self.version}
        return [{**score, **shared} for score in self.scores]

    def text(self) -> str:
        """Name the cycle."""
        return f"cycle {self.cycle}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Noted(Event):
    """What a method has noted, of a kind and for a cause that it names."""

    noted_kind: str
    noted_cause: Cause | None
    words: str

    @property
    def kind(self) -> str:
        """The kind that the method names."""
        return self.noted_kind

    @property
    def cause(self) -> Cause | None:
        """The cause that the method names, if any."""
        return self.noted_cause

    def text(self) -> str:
        """Repeat the method's words."""
        return self.words
