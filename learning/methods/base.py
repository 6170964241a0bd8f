"""What a federated method is: Method, World, options, and the register of names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from learning.clients.cluster import ClusterState
from learning.clients.updates import Moved, ServerModel, Update, Weighted, changes_in, merge_all
from learning.learner import Learner, LocalLoss
from learning.methods.options import NoOptions, read_options
from learning.methods.surface import Needs, Traits, check_declared
from learning.registry import Register
from learning.requests.cluster import WAITS_FOR_ALL, Cluster, Measure, Quorum
from learning.requests.facts import Aggregated, Share, Used
from learning.requests.payload import Payload
from learning.requests.request import Request
from learning.settings import LearningConfig
from learning.training.recipe import Turns
from learning.values.lazy import Handle
from statements.arrays import Floats, Ints, Mask

if TYPE_CHECKING:
    from learning.metrics import Score
    from statements import Statement


Protocol = Generator[Request, Any, None]
"""A method's side of the conversation with simulated time."""


@dataclass(frozen=True)
class World:
    """What a method is told before it begins.

    ``cycles`` is how many complete cycles the contact plan holds, or fewer where the scenario
    stops earlier. ``closing`` says whom an aggregation waits for: chains with uploads keep to it by
    themselves, rounds that wait for clusters are the method's. ``over_mesh`` clients reach the
    server over links and passes of others, nearly always.
    """

    clusters: tuple[Cluster, ...]
    cycles: int
    seed: int
    learner: Learner
    gate_tuning_cycles: int = 2
    closing: Quorum = WAITS_FOR_ALL
    rings: tuple[tuple[str, ...], ...] = ()
    over_mesh: bool = False

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of all clusters."""
        return frozenset(cluster.name for cluster in self.clusters)

    @cached_property
    def by_name(self) -> tuple[str, ...]:
        """The same by alphabet."""
        return tuple(sorted(self.names))


class Method(ABC):
    """A federated learning method: a generator per cluster, and the server's state as attributes.

    Subclass it, write :meth:`cluster` and :meth:`model`, and register the class under a name. The
    attributes may change between yields only, so that each change is atomic in simulated time.
    This one learns nothing, and counts what it hears:

    >>> import learning, scenarios, sim
    >>> from learning.requests import Aggregated, NextContact, Payload, Upload
    >>> @learning.register("counting")
    ... class Counting(learning.Method):
    ...     def cluster(self, me):
    ...         while (yield NextContact()):
    ...             receipt = yield Upload(Payload("hello", bytes=1e6, version=self.version))
    ...             self.version += 1
    ...             yield Aggregated(self.version, f"{receipt.done.sum()} of {me.devices}")
    ...
    ...     def model(self):
    ...         return self.learner.start()
    >>> said = {"stop.cycles": 1, "learning.method": "counting", "learning.train": False}
    >>> events = sim.run(scenarios.load("paper-slots", said)).events
    >>> for row in events[events.kind == "aggregate"][:3].itertuples():
    ...     print(f"{row.time_s:.1f} s: {row.cluster} {row.detail}")
    1.6 s: A 5 of 5
    601.6 s: B 5 of 5
    1201.6 s: C 5 of 5

    ``Options`` is a frozen dataclass of what may stand under ``learning.options``: pydantic's where
    it has bounds (:mod:`learning.methods.options`).

    ``version`` counts the server's models; ``registry`` knows what has been aggregated
    into each expert, and who holds it.

    ``needs`` says what the method needs of a scenario, ``traits`` what it is like
    (:mod:`learning.methods.surface`); a scenario that lacks what it needs, or sets a key that means
    nothing to it, is refused by name.

    ``colour`` is that of its curves (``#rrggbb``): methods that are compared with each other have
    different ones. ``alone_is_sgd`` claims that with one device the server's model is that of
    central training, as ``leomix.testing`` tries. A class says both for itself alone.
    ``registers``: names that its options may take, by what these are called (`leomix list` shows
    them).

    ``server_rounds`` counts the local rounds that the server has trained by itself, and ``merged``
    how many times it has merged the samples of all devices, where that is counted.
    """

    Options: ClassVar[type] = NoOptions
    needs: ClassVar[Needs] = Needs()
    traits: ClassVar[Traits] = Traits()
    colour: ClassVar[str] = ""
    alone_is_sgd: ClassVar[bool] = False
    registers: ClassVar[Mapping[str, Register[Any]]] = {}
    server_rounds: int = 0
    merged: float = 0.0

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        check_declared(cls.__name__, vars(cls))

    def __init__(self, world: World, options: Any = None) -> None:
        self.world = world
        self.learner = world.learner
        self.options = read_options(self.Options, {}) if options is None else options
        self.version = 0
        self.registry = ExpertRegistry(self.learner.architecture.experts)
        self.sides: dict[str, ClusterState] = {}

    @classmethod
    def check(cls, config: LearningConfig) -> None:
        """Raise ValueError, in one line, for a task that the method cannot train."""
        return

    @classmethod
    def check_clients(cls, clusters: Sequence[Cluster], options: Any) -> None:
        """Raise ValueError, in one line that begins with an option, for clients it cannot serve."""
        return

    @classmethod
    def for_options(cls, options: Any) -> type[Self]:
        """Return the class that these options make: this one, or one that is derived from it."""
        return cls

    @classmethod
    def rounds_counted_to(cls, options: Any) -> Literal["rise", "set"] | None:
        """Return how its authors' programs count rounds over passes; None where they do not.

        They count from the rise of the first pass after the round before to the rise, or the set,
        of the first pass after the round itself.
        """
        return None

    def rehearse(self, longest_gap_s: float) -> list[Statement]:
        """Try what the method calls of the user's own; return what is doubtful.

        Called on the method of a run that measures anything, before it runs, and by ``leomix
        validate``: nothing of the user's is begun twice. What is tried and is no part of the run is
        undone. A client may have no contact for ``longest_gap_s``. Raises ValueError, in one line,
        if something fails.
        """
        return []

    def dismiss(self) -> None:
        """End what the method has begun in this process: it runs no more, or never did."""
        return

    def prepare(self) -> Protocol:
        """Run before time begins; asks only for what takes no time and concerns no device."""
        yield from ()

    @abstractmethod
    def cluster(self, me: Cluster) -> Protocol:
        """Return the protocol of one cluster with the server."""

    def server_protocol(self) -> Protocol | None:
        """Return what the server does at times of its own; None, the default, for nothing.

        It asks only for Wait and for what takes no time and concerns no device.
        """
        return None

    def devices(self, me: Cluster) -> ClusterState:
        """Return the state of a cluster's devices, made when it is first asked for.

        It is one of the method's ``sides``, by name.
        """
        if me.name not in self.sides:
            self.sides[me.name] = self.new_devices(me)
        return self.sides[me.name]

    def new_devices(self, me: Cluster) -> ClusterState:
        """Return devices of a cluster that have no model, and train with the local loss."""
        has_term = type(self).local_loss is not Method.local_loss
        return ClusterState(
            self.learner,
            me,
            local_loss=partial(self.local_loss, me) if has_term else None,
            copies=self.traits.payload_copies,
            memory_copies=self.memory_copies,
            offers_models=self.traits.offers_models,
            turns=None if type(self).turns is Method.turns else partial(self.turns, me),
        )

    def measure_samples(self, default: int) -> Generator[Request, Any, dict[str, Ints]]:
        """Return each device's number of samples, (K,) by cluster; timing-only: ``default``."""
        clusters = self.world.clusters
        alike = [[default] * cluster.devices for cluster in clusters]
        counts = yield Measure("samples", self.learner.samples, alike)
        pairs = zip(clusters, counts, strict=True)
        return {cluster.name: np.array(own, np.int64) for cluster, own in pairs}

    @property
    def memory_copies(self) -> int:
        """Sets of tensors like those trained that a device keeps in memory for its local loss."""
        return 0

    def local_loss(self, me: Cluster) -> LocalLoss | None:
        """Return what is added to the loss of the cluster's devices that train now; None: nothing.

        Asked for whenever they have trained, so that it may follow the method's state.
        """
        return None

    def turns(self, me: Cluster, rounds: Ints) -> Turns:
        """Split the ``rounds`` (K,) that a cluster's devices train at a time.

        Each turn says what moves in it, "personal", "shared" (all else) or "all", and in how many
        of the rounds (K,). All rounds take as long as one that moves all.
        """
        return [("all", rounds)]

    @abstractmethod
    def model(self) -> Handle:
        """Return the server's model as it is now; evaluated at every complete cycle."""

    def personal(self, me: Cluster) -> Handle:
        """Return what a cluster's devices have trained for themselves, (K, ...) by stored name."""
        side = self.sides.get(me.name) or ClusterState(self.learner, me)
        return side.personal(self.model())

    def own_part(self, me: Cluster) -> Handle:
        """Return what each device of a cluster is tested with in the place of the server's tensors.

        They are (K, ...) by stored name; by default what is personal. A method with a rule of its
        own has each device tested on its own samples, whatever ``learning.personal`` is.
        """
        return self.personal(me)

    def made_by_code(self, names: Collection[str] = ()) -> dict[str, str]:
        """Return digests of what custom code has made for the run by now: data, start weights.

        A method with data of its own also makes those that the ``names`` of digests say.
        """
        return self.learner.made_by_code()

    def scores(self) -> list[Score]:
        """Test the server's model as it is now; called where there is something to be measured.

        Where clients are tested for themselves it has what is their own in it.
        """
        apart = self.learner.config.tests_clients
        own = [self.own_part(me) for me in self.world.clusters] if apart else []
        return self.learner.evaluate(self.model(), own)

    @property
    def round(self) -> int:
        """The round of which updates are used now, from 1; by default, of every version one."""
        return self.version + 1

    @property
    def changes(self) -> Ints:
        """How many changes have been aggregated into each expert (E,) of the server's model."""
        return self.registry.changes

    def aggregated(self, experts: Sequence[int], changes: int | Ints = 1) -> None:
        """Count a new version of the server's model, with ``changes`` more in ``experts`` each."""
        self.version += 1
        self.registry.changed(experts, changes)

    def changes_in(self, updates: Sequence[Update]) -> Ints:
        """Return how many changes ``updates`` are to each expert (E,), or stacked ranks."""
        total: Ints = np.zeros(len(self.changes), np.int64)
        if not len(total):
            return total
        for update in updates:
            total = total + changes_in(self.learner, update.cluster, update.who)
        return total

    def conclude(self) -> Protocol:
        """Run after time has ended; asks only for Measure, Assign, Aggregated, Note, Forecast."""
        yield from ()


class GlobalModelMethod(Method):
    """A method whose server holds one model: it is what goes down, and what updates move.

    ``weights`` is that model, ``experts`` counts its experts through, and ``server`` is what
    devices download now.
    """

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.experts = list(range(self.learner.architecture.experts))
        self.weights = self.learner.start()

    @property
    def server(self) -> ServerModel:
        """The model at the server as it is now."""
        return ServerModel(self.weights, self.version, self.changes)

    def model(self) -> Handle:
        """Return the model at the server."""
        return self.weights

    @property
    def partial(self) -> Payload:
        """What is sent of any number of updates together: as large as one."""
        sizes = self.learner.architecture
        tensors = sizes.upload_tensors(self.experts, gate=True)
        size = sizes.upload_bytes(self.experts, gate=True)
        return Payload("aggregate", size, self.version, tensors)

    def measure_shares(self) -> Generator[Request, Any, dict[str, Floats]]:
        """Return each device's share of all samples, (K,) by cluster; timing-only: all alike."""
        counts = yield from self.measure_samples(1)
        total = sum(own.sum() for own in counts.values())
        return {name: own / total for name, own in counts.items()}

    def send(self, devices: ClusterState, name: str = "", *, carry: bool = True) -> Protocol:
        """Upload what a cluster has on its way, and collect what has come through."""
        if devices.pending.any():
            yield from self.collect((yield from devices.send(name, carry=carry)))

    def collect(self, update: Update | None) -> Protocol:
        """Take an update, if one has arrived: move the model, and count and note a version."""
        if update is None:
            return
        staleness = update.staleness(self.version)
        yield self.move([(update, 1.0)])
        experts = update.sent.experts
        self.aggregated(experts, self.changes_in([update])[list(experts)])
        yield Aggregated(
            self.version,
            update.sent.name,
            devices=Share(int(update.who.sum()), len(update.who)),
            staleness=staleness,
            rounds=update.rounds_held,
        )

    def move(self, updates: Sequence[Weighted]) -> Used:
        """Move the server's model by its step; return the request that tells what it used."""
        self.weights, used = a_pair(self.server_step(updates))
        return Used(used, self.version, self.round)

    def server_step(self, updates: Sequence[Weighted]) -> Moved:
        """Return the server's next model, from updates and their weights, and what was used for it.

        The weighted sum of the updates is added. An update is the mean over its devices, and a
        weight one number or one for each device: in (28) and (35) 1, in FedAvg the clusters'
        shares. A method with another rule at the server overrides this, and may take the sum, and
        what was used, from :func:`learning.mean_change`.
        """
        return merge_all(self.learner, self.weights, updates, start=self.weights)


def a_pair(moved: Moved) -> Moved:
    """Return what a step of the server gives; raise ValueError where it is a model alone."""
    if not isinstance(moved, tuple) or len(moved) != 2:
        raise ValueError(
            "it returns a model alone; return it with what was used for it: model, used "
            "(merge and mean_change return both)"
        )
    return moved


MethodType = type[Method]

METHODS: Register[MethodType] = Register(
    "method",
    "leomix.methods",
    {
        "synchronous": "learning.methods.synchronous:Synchronous",
        "emsfl": "learning.methods.emsfl:EmsFl",
        "emsfl-enhanced": "learning.methods.emsfl:EnhancedEmsFl",
        "fedavg": "learning.methods.fedavg:FedAvg",
        "fedavg-per-cluster": "learning.methods.per_cluster:PerCluster",
        "fedprox": "learning.methods.fedprox:FedProx",
        "fedopt": "learning.methods.fedopt:FedOpt",
        "scaffold": "learning.methods.scaffold:Scaffold",
        "fedbuff": "learning.methods.asynchronous:FedBuff",
        "fedasync": "learning.methods.asynchronous:FedAsync",
        "fedavg-sat": "learning.methods.fedavg_sat:FedAvgSat",
        "fedprox-sat": "learning.methods.fedavg_sat:FedProxSat",
        "fedsat": "learning.methods.fedsat:FedSat",
        "fedisl": "learning.methods.fedisl:FedIsl",
        "fedleo": "learning.methods.fedisl:FedLeo",
        "autoflsat": "learning.methods.fedisl:AutoFlSat",
        "fedspace": "learning.methods.fedspace:FedSpace",
        "select": "learning.methods.select:Select",
        "local": "learning.methods.baselines:Local",
        "centralised": "learning.methods.baselines:Centralised",
        "nmoe": "learning.nmoe.method:NMoE",
        "aligned": "learning.alignment.method:Aligned",
    },
    "a subclass of learning.Method",
    Method,
)
"""Methods by what ``learning.method`` calls them."""


register = METHODS.add
method_names = METHODS.names
find_method = METHODS.find
"""A class decorator, the names of all, and the one that a name stands for: see `Register`."""


# The expert registry: how large each expert is, how often it has changed, and who holds it.


NOBODY = -1


class ExpertRegistry:
    """What the server knows of E experts.

    ``changes`` (E,) counts what has been aggregated into each: its version. ``holders`` (C, E) says
    which clients hold, and train, which expert: the clusters of EMS-FL, the devices of other
    methods; nobody before :meth:`hand_out`. ``owner`` (E,) is the client that holds each expert,
    the first of several, or ``NOBODY``.
    """

    def __init__(self, experts: int) -> None:
        self.changes: Ints = np.zeros(experts, np.int64)
        self.hand_out(np.zeros((0, experts), bool))

    def changed(self, experts: Sequence[int], changes: int | Ints = 1) -> None:
        """Count ``changes`` more in each of ``experts``, one number or one for each.

        Replaces ``changes`` (E,) instead of writing into it: what is on its way down keeps its own.
        """
        self.changes = self.changes.copy()
        self.changes[list(experts)] += changes

    def hand_out(self, holders: Mask) -> None:
        """Let clients hold experts as ``holders`` (C, E) says, and no others."""
        self.holders: Mask = np.array(holders, bool)
        self._find_owners()

    def hold(self, client: int, experts: Sequence[int], *, held: bool = True) -> None:
        """Let ``client`` hold ``experts`` too or, without ``held``, no more."""
        self.holders[client, list(experts)] = held
        self._find_owners()

    def held_by(self, client: int) -> list[int]:
        """Return the experts that ``client`` holds."""
        return np.flatnonzero(self.holders[client]).tolist()

    def _find_owners(self) -> None:
        first = self.holders.argmax(axis=0) if len(self.holders) else NOBODY
        self.owner: Ints = np.where(self.holders.any(axis=0), first, NOBODY)
