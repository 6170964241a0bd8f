"""Calls: what a method whose training is a function of the user's trains, sends and merges."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, cast

import numpy as np

from learning.clients.cluster import ClusterState
from learning.clients.updates import Moved, ServerModel, Update, Weighted, refuse
from learning.data import load_samples
from learning.learner import Learner
from learning.methods.base import GlobalModelMethod, Protocol, World
from learning.methods.own_learning import OwnLearning
from learning.metrics import Score, is_share
from learning.own.code import RunningCode
from learning.own.raised import ANYTHING
from learning.own.replies import key_of
from learning.requests import UpdatesUsed
from learning.requests.cluster import Cluster, Cost, Measure, Receipt, TrainUntilContact
from learning.requests.payload import Payload
from learning.requests.request import Request
from sim.engine.evaluation import TAKEN
from sim.fly import trees
from sim.fly.trees import Tree
from sim.fly.user_code import MOST_EXAMPLES, Context, UserCode
from sim.formatting import listed
from statements import Code, Other, Statement
from statements.arrays import Floats, Ints, Mask

NOT_A_NAME = ".__metadata__"
"""What a file of weights keeps for itself."""
NOTHING = trees.packed_as_is({}, "")
"""What a client remembers that has not been called yet."""
START = "weights of start"
"""What the first weights are called among digests."""
MEMORY = "context.memory"
"""What memories are called in messages."""


@dataclass(frozen=True, eq=False)
class ClientUpdate:
    """What one client has sent: its weights, by how many examples, and who it is."""

    weights: Tree
    examples: int
    cluster: str
    device: int


@dataclass(frozen=True, eq=False)
class Call:
    """What a client's call came to: its update, what it remembers, what the weights were before."""

    update: ClientUpdate
    memory: bytes
    before: Tree


class Clients(ClusterState):
    """Devices that a function trains: their bytes and FLOPs are those of what it returns."""

    def __init__(self, learner: Learner, cluster: Cluster) -> None:
        super().__init__(learner, cluster)
        self.model_bytes = 0
        self.update_bytes: Floats = np.zeros(cluster.devices)
        self.flops: Floats = np.zeros(cluster.devices)
        self.finite: Mask = np.ones(cluster.devices, bool)

    def download_bytes(self, server: ServerModel, experts: Sequence[int], *, gate: bool) -> Floats:
        """Return the bytes (K,) of the weights."""
        return np.full(self.cluster.devices, float(self.model_bytes))

    def upload_payload(
        self, name: str, experts: Sequence[int], version: int | Ints, *, gate: bool
    ) -> Payload:
        """Return what devices send up: each what its call has returned."""
        return Payload(name, self.update_bytes, version)

    def train_until_contact(
        self, experts: Sequence[int], *, gate: bool = False, mask: str | None = None
    ) -> TrainUntilContact:
        """Ask for the time until the next contact: who has new weights is called once."""
        return TrainUntilContact(Cost(self.flops), self.complete, rounds=1, from_now=True)

    def arrived(
        self, receipt: Receipt, among: Mask | None = None
    ) -> Generator[Request, Any, Update | None]:
        """Return the finite updates that an upload has brought; refuse the others by name."""
        done = self.deliver(receipt)
        yield from refuse(np.flatnonzero(done & ~self.finite).tolist())
        return self.update(done & self.finite, among, receipt.contact_id)


class Calls(OwnLearning, GlobalModelMethod):
    """A method in which ``train(weights, data, context)`` of the user's trains.

    ``tree`` are the server's weights, and ``calls`` what devices have trained and the server has
    not merged, by cluster, device and the version that they began with. ``first`` is the number of
    each cluster's first client.
    """

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        if not self.learner.measures:
            raise ValueError(
                "learning.train: bytes and times of your own functions come from what they "
                "return; set it to true"
            )
        if ":" not in self.options.code:
            raise ValueError(
                "learning.options.code: give MODULE:FUNCTION, or run leomix fly FILE.py"
            )
        self.code = UserCode(self.options.code, self.options.call_limit_s)
        self.code.check()
        self.learner.replies.code = RunningCode([self.options.code])
        before = [0, *np.cumsum([cluster.devices for cluster in world.clusters]).tolist()]
        self.first = dict(zip((c.name for c in world.clusters), before[:-1], strict=True))
        self.memory: dict[int, bytes] = {}
        self.server_memory = NOTHING
        self._data_contexts: dict[tuple[str, int | None], Context] = {}
        self.calls: dict[tuple[str, int, int], Call] = {}
        self.examples = 0
        self.uncounted: list[str] = []
        self._counts: dict[str, int | None] = {}
        self._digests: dict[str, str] = {}
        self._unrepeatable: list[str] = []
        self.tree: Tree = self._start()
        self._first_weights = self.tree

    def rehearse(self, longest_gap_s: float) -> list[Statement]:
        """Train on one client and evaluate on one cluster: calls that the run makes no more."""
        first = self.world.clusters[0]
        with self.learner.replies.held():
            self._train(first, 0, twice=True)
            samples = self._samples(first.name, self._evaluate(first.name, twice=True))
        doubts = [
            Statement.doubt(
                Code.OWN_CODE,
                "learning.options.code",
                "{name} returns something else when it is called again with the same weights, "
                "data, memory and seed: no run repeats it",
                Other(said=f"draw from context.rng, and keep state in {MEMORY}"),
                name=name,
            )
            for name in self._unrepeatable
        ]
        return [*doubts, *self._alike([first.name] if samples is None else [])]

    # -- the user's functions, of which each call is known by what it depends on

    def _context(self, cluster: str, device: int | None, use: str) -> Context:
        """Return the context of a call, with a seed that depends on who is asked for what, when."""
        client = -1 if device is None else self.first[cluster] + device
        named = f"{self.world.seed} {use} {cluster} {device} {self.version + 1}"
        drawn = hashlib.blake2b(named.encode(), digest_size=4).digest()
        memory = self.server_memory if device is None else self.memory.get(client, NOTHING)
        return Context(
            cluster,
            device,
            client,
            sum(one.devices for one in self.world.clusters),
            self.version + 1,
            int.from_bytes(drawn, "little") // 2,
            self.options.config,
            trees.unpacked(memory),
        )

    def _start(self) -> Tree:
        """Return the first weights."""
        context = self._context("", None, "start")
        weights = self.code.call("start", context=context)
        try:
            arrays = trees.arrays_of(weights)
            if not any(array.size for array in arrays.values()):
                raise ValueError("no weights")
            if NOT_A_NAME in arrays:
                raise ValueError(f"no array can be called {NOT_A_NAME} in a file of weights")
            return trees.unpacked(trees.packed(weights))
        except ValueError as error:
            raise self.code.wrong("start", context, str(error)) from None

    @cached_property
    def _data(self) -> dict[tuple[str, int | None], Any]:
        """Data of the devices, and test data of the clusters (device None), as they were made."""
        found: dict[tuple[str, int | None], Any] = {}
        if not self.code.has("data"):
            samples = load_samples(self.learner.config)
            for name, parts in samples.shards.items():
                found |= {(name, number): (part.x, part.y) for number, part in enumerate(parts)}
            found |= {(name, None): (own.x, own.y) for name, own in samples.test.items()}
        return found

    def _data_of(self, cluster: str, device: int | None) -> Any:
        """Return the data of a device, or the test data of a cluster, made when first needed."""
        known = self._data
        if (cluster, device) not in known:
            use = "test_data" if device is None else "data"
            context = self._data_contexts[cluster, device] = self._context(cluster, device, use)
            made = self.code.call(use, context=replace(context))
            if any(isinstance(part, Iterator) for part in _parts_of(made)):
                what = "an iterator, which has nothing left after one round; give a list"
                raise self.code.wrong(use, context, what)
            known[cluster, device] = made
        return known[cluster, device]

    def _copy_of_data(self, cluster: str, device: int | None) -> Any:
        """Return data that the user's function may change; what cannot be copied is made anew."""
        try:
            return deepcopy(self._data_of(cluster, device))
        except ANYTHING:  # data are of any library
            context = self._data_contexts[cluster, device]
            use = "test_data" if device is None else "data"
            return self.code.call(use, context=replace(context))

    def _asked(
        self,
        use: str,
        context: Context,
        data: Any,
        make: Callable[[Context], Tree],
        *,
        twice: bool,
    ) -> Any:
        """Return the tree of a call: it is known by its code, what it is given, and its context.

        Where data are no arrays, nobody can tell whether those of another run are the same. A call
        that is made ``twice`` is noted where it returns something else the second time.
        """
        try:
            named, shared = trees.digest(data), True
        except ValueError:
            named, shared = "", False
        memory = trees.packed_as_is(context.memory, MEMORY)
        given = [trees.digest(self.tree), named, hashlib.sha256(memory).hexdigest()]
        who = [context.cluster, context.device, context.client, context.clients, context.round]
        how = [self.options.time, json.dumps(dict(context.config), sort_keys=True), context.seed]
        key = key_of(use, self.code.digest, given, who, how)

        def call() -> bytes:
            return trees.packed_as_is(make(replace(context, memory=trees.unpacked(memory))), use)

        def made() -> bytes:
            reply = call()
            if twice and call() != reply:
                self._unrepeatable.append(use)
            return reply

        return trees.unpacked(self.learner.replies.ask(key, made, shared=shared))

    def _train(self, me: Cluster, device: int, *, twice: bool = False) -> dict[str, Any]:
        """Return the update of a device: weights, examples, what it remembers, FLOPs."""
        context = self._context(me.name, device, "train")
        data = self._data_of(me.name, device)

        def make(context: Context) -> Tree:
            # The user's function may change what it is given.
            weights = trees.unpacked(trees.packed(self.tree))
            own = self._copy_of_data(me.name, device)

            def call() -> Any:
                return self.code.call(self.code.trains, weights, own, context=context)

            returned, flops = self.options.counted(call)
            trained, examples = self._returned(returned, context)
            memory = self._kept("train", context)
            told = {"examples": examples, "flops": flops}
            return {"weights": trained, "memory": np.frombuffer(memory, np.uint8), **told}

        return cast("dict[str, Any]", self._asked("train", context, data, make, twice=twice))

    def _returned(self, value: Any, context: Context) -> tuple[Tree, int]:
        """Return what ``train`` should return; raise ValueError for anything else."""
        if not (isinstance(value, tuple | list) and len(value) == 2):
            kind = type(value).__name__
            raise self.code.wrong("train", context, f"a {kind} in place of a pair")
        weights, examples = value
        try:
            differs = trees.unlike(weights, self.tree)
            if differs and not self.code.has("aggregate"):
                raise ValueError(differs)
            if not trees.size_bytes(weights):
                raise ValueError("no numbers, and an upload has some")
            if not 0 <= int(examples) == examples <= MOST_EXAMPLES:
                raise ValueError(f"{examples!r:.40} examples")
        except (TypeError, ValueError, OverflowError) as error:
            raise self.code.wrong("train", context, str(error)) from None
        # The server's own rule alone knows what to do with another form.
        alike = trees.plain(weights) if differs else trees.arranged(weights, self.tree)
        return alike, int(examples)

    def _kept(self, name: str, context: Context) -> bytes:
        """Return what a function has put into its memory; raise ValueError where that cannot be."""
        try:
            return trees.packed_as_is(context.memory, MEMORY)
        except ValueError as error:
            raise ValueError(f"{self.code.file}: {name} ({context.who}): {error}") from None

    def _evaluate(self, cluster: str, *, twice: bool = False) -> dict[str, float]:
        """Return the figures of a cluster's test data."""
        context = self._context(cluster, None, "evaluate")
        data = self._data_of(cluster, None)

        def make(context: Context) -> Tree:
            weights = trees.unpacked(trees.packed(self.tree))
            own = self._copy_of_data(cluster, None)
            said = self.code.call("evaluate", weights, own, context=context)
            figures = said if isinstance(said, Mapping) else {"accuracy": said}
            try:
                there = {str(name): one for name, one in figures.items() if one is not None}
                found = {name: _number(value) for name, value in there.items()}
            except ValueError:
                raise self.code.wrong("evaluate", context, f"{said!r:.80}") from None
            if not is_share(found.get("accuracy", 0.0)):
                what = f"an accuracy of {found['accuracy']:g}, which is a share from 0 to 1"
                raise self.code.wrong("evaluate", context, f"{what}; divide it, or rename it")
            examples = found.get("examples", 0.0)
            if not (examples.is_integer() and 0 <= examples <= MOST_EXAMPLES):
                raise self.code.wrong("evaluate", context, f"{examples:g} examples")
            if taken := TAKEN.intersection(found):
                what = f"a figure called {min(taken)}, as a column of every run is"
                raise self.code.wrong("evaluate", context, f"{what}; call it otherwise")
            return found

        return cast("dict[str, float]", self._asked("evaluate", context, data, make, twice=twice))

    def _flops(self, update: Mapping[str, Any]) -> float:
        """FLOPs that a device does for an update."""
        if self.options.time == "declared":
            return float(update["examples"]) * self.options.flops_per_example
        return float(update["flops"])

    # -- training, as an operation of the method's

    def devices(self, me: Cluster) -> Clients:
        """Return the devices of a cluster."""
        return cast("Clients", super().devices(me))

    def new_devices(self, me: Cluster) -> Clients:
        """Return devices that the function trains."""
        return Clients(self.learner, me)

    def measure_shares(self) -> Generator[Request, Any, dict[str, Floats]]:
        """Let all devices have the same share: how many examples they have is known later."""
        everybody = sum(one.devices for one in self.world.clusters)
        yield from ()
        return {one.name: np.full(one.devices, 1 / everybody) for one in self.world.clusters}

    def call(self, clients: Clients, who: Mask) -> Protocol:
        """Let devices in ``who`` train the server's weights, once they have got them.

        What they will send is known then, and by when the clock says.
        """
        me = clients.cluster
        numbers_of = np.flatnonzero(who).tolist()
        known: list[dict[str, Any]] = []

        def train() -> list[list[float]]:
            known[:] = [self._train(me, device) for device in numbers_of]
            return [[trees.size_bytes(one["weights"]), self._flops(one)] for one in known]

        numbers = yield Measure(f"training {self.version + 1}", train, None)
        if not known:  # of a run that is resumed
            known = [self._train(me, device) for device in numbers_of]
        clients.model_bytes = trees.size_bytes(self.tree)
        # New columns: requests under way keep theirs.
        clients.update_bytes, clients.flops = clients.update_bytes.copy(), clients.flops.copy()
        clients.update_bytes[who], clients.flops[who] = np.array(numbers, float).T
        clients.finite[who] = [trees.is_finite(one["weights"]) for one in known]
        for device, one in zip(numbers_of, known, strict=True):
            update = ClientUpdate(one["weights"], int(one["examples"]), me.name, device)
            memory = one["memory"].tobytes()
            self.calls[me.name, device, self.version] = Call(update, memory, self.tree)

    def remember(self, clients: Clients, who: Mask) -> None:
        """Keep what the calls of the devices in ``who`` remember, now that they have trained."""
        for device in np.flatnonzero(who).tolist():
            key = clients.name, device, int(clients.version[device])
            self.memory[self.first[clients.name] + device] = self.calls[key].memory

    def examples_of(self, update: Update) -> Floats:
        """Return by how many examples each device (K,) of an update has trained; 0 without one."""
        examples = np.zeros(len(update.who))
        for device in np.flatnonzero(update.who).tolist():
            call = self.calls[update.cluster, device, int(update.version[device])]
            examples[device] = call.update.examples
        return examples

    def server_step(self, updates: Sequence[Weighted]) -> Moved:
        """Move the server's weights by what has come, each by its weight (K,)."""
        weighted = [(update, np.asarray(weight)) for update, weight in updates]
        came = [
            (self.calls.pop((update.cluster, device, int(update.version[device]))), weight[device])
            for update, weight in weighted
            for device in np.flatnonzero(update.who).tolist()
        ]
        came = [(call, weight) for call, weight in came if call.update.examples]
        came.sort(key=lambda one: self.first[one[0].update.cluster] + one[0].update.device)
        self.examples += sum(call.update.examples for call, _ in came)
        if came:
            self.tree = self._aggregate([call for call, _ in came], [w for _, w in came])
        used = [
            UpdatesUsed(
                update.cluster,
                "model",
                update.who & (weight > 0),
                update.version,
                update.contact_id,
                partial(_as_given, weight),
            )
            for update, weight in weighted
        ]
        return self.weights, used

    def _aggregate(self, calls: Sequence[Call], shares: Sequence[float]) -> Tree:
        """Return the server's next weights."""
        updates = [call.update for call in calls]
        if not self.code.has("aggregate"):
            each = [update.weights for update in updates]
            if math.isclose(sum(shares), 1.0) and all(call.before is self.tree for call in calls):
                return trees.mean(each, shares, self.tree)
            before = [call.before for call in calls]
            less = [-share for share in shares]
            return trees.mean([self.tree, *each, *before], [1.0, *shares, *less], self.tree)
        context = self._context("", None, "aggregate")
        weights = self.code.call("aggregate", self.tree, updates, context=context)
        try:
            if differs := trees.unlike(weights, self.tree):
                raise ValueError(differs)
        except ValueError as error:
            raise self.code.wrong("aggregate", context, str(error)) from None
        self.server_memory = self._kept("aggregate", context)
        return trees.unpacked(trees.packed(trees.arranged(weights, self.tree)))

    def made_by_code(self, names: Collection[str] = ()) -> dict[str, str]:
        """Return digests of the first weights and of all data that were made, as far as arrays."""
        sets = {
            f"data of {me.name}" if device is None else f"data of {me.name}/{device}": (me, device)
            for me in self.world.clusters
            for device in (None, *range(me.devices))
        }
        made = {START: self._first_weights}
        for name, (me, device) in sets.items() if self.code.has("data") else ():
            if name in names or (me.name, device) in self._data:
                made[name] = self._data_of(me.name, device)
        for name in made.keys() - self._digests.keys():
            with suppress(ValueError):  # of other objects nobody can tell whether they are the same
                self._digests[name] = trees.digest(made[name])
        return dict(self._digests)

    def doubts(self) -> list[Statement]:
        """Say that nobody trained, or how clusters weigh."""
        first = self.world.clusters[0].name
        doubts = [] if first in self.uncounted else self._alike(self.uncounted)
        if self.version and not self.examples:
            text = "every client returned 0 examples: the weights are those of start"
            doubts.append(Statement.doubt(Code.NO_EXAMPLES, "learning.options.code", text))
        return doubts

    def _alike(self, clusters: Sequence[str]) -> list[Statement]:
        """Say that all clusters weigh alike, as the samples of some cannot be counted."""
        if not clusters or len(self.world.clusters) == 1:
            return []
        return [
            Statement.doubt(
                Code.OWN_CODE,
                "learning.options.code",
                "the samples in the test data of {clusters} cannot be counted: in the figures of "
                "all clusters, these weigh alike",
                Other(said="let evaluate return their number as examples"),
                clusters=listed(clusters),
            )
        ]

    # -- what is measured

    def scores(self) -> list[Score]:
        """Evaluate each cluster's test data; the sizes of these are their weights in the mean."""
        figures = {cluster.name: self._evaluate(cluster.name) for cluster in self.world.clusters}
        samples = {name: self._samples(name, own) for name, own in figures.items()}
        self.uncounted = [name for name, count in samples.items() if count is None]
        rows = []
        for name, own in figures.items():
            count = 1 if self.uncounted else samples[name]
            row = {"cluster": name, "accuracy": None, "loss": None, "samples": count}
            own.pop("examples", None)
            rows.append(cast("Score", row | own))
        return rows

    def _samples(self, cluster: str, figures: Mapping[str, float]) -> int | None:
        """How many samples a cluster's figures are of; None where nobody can say."""
        if "examples" in figures:
            return int(figures["examples"])
        if cluster not in self._counts:
            self._counts[cluster] = sample_count(self._data_of(cluster, None))
        return self._counts[cluster]

    def final_weights(self) -> bytes | None:
        """Return the weights as a safetensors file, by their places in the tree."""
        arrays = trees.arrays_of(self.tree)
        named = {place.removeprefix(".") or "weights": array for place, array in arrays.items()}
        return trees.safetensors(named)


def _number(value: Any) -> float:
    """Return a figure as a number: libraries give arrays of no dimension, or of one element."""
    if isinstance(value, str):
        raise ValueError(value)
    array = trees.array_of(value)
    if array.size != 1:
        raise ValueError(f"{array.size} numbers")
    return float(array.reshape(()))


def _parts_of(data: Any) -> list[Any]:
    """Return data, and what is right in them where they are a tuple, a list or a dict."""
    inside = data.values() if isinstance(data, Mapping) else data
    return [data, *inside] if isinstance(data, tuple | list | Mapping) else [data]


def _as_given(share: Floats, _: object) -> Floats:
    return share


OF_EDGES = "edge_"
"""How names of arrays begin that are of the edges of a graph, whose samples are its nodes."""


def sample_count(data: Any) -> int | None:
    """How many samples data hold; None where they can be read as none, or in several ways.

    An array has rows, a loader those of its data set, other objects their length. A tuple and a
    dictionary hold columns of one length; a list holds samples, batches or columns.
    """
    try:
        counts = _counts_of(data)
    except (*ANYTHING, RecursionError):  # data are of a library's, or the user's own, types
        return None
    return counts.pop() if len(counts) == 1 else None


def _counts_of(data: Any, *, whole: bool = False) -> set[int]:
    """Return each number of samples that data can be read as.

    ``whole`` data, in a list, are columns or samples by themselves: a number or a text among
    them, a label or a name, says that they are one sample.
    """
    if isinstance(data, Mapping):
        data = {name: part for name, part in data.items() if not str(name).startswith(OF_EDGES)}
    if isinstance(data, Mapping | list | tuple):
        parts = list(data.values()) if isinstance(data, Mapping) else data
        is_of_records = parts and all(isinstance(part, Mapping | tuple) for part in parts)
        if isinstance(data, list) or is_of_records:
            return _counts_of_list(parts)
        columns = [part for part in parts if not _is_single(part)]
        return set() if whole and len(columns) < len(parts) else _common(map(_counts_of, columns))
    shape = getattr(data, "shape", None)
    if isinstance(shape, tuple):
        return {int(shape[0])} if shape else set()
    if hasattr(data, "batch_size"):  # a loader, whose length is that of its batches
        data = data.sampler if hasattr(getattr(data, "sampler", None), "__len__") else data.dataset
    is_sized = hasattr(data, "__len__") and not hasattr(data, "keys") and not _is_single(data)
    return {len(data)} if is_sized else set()


def _counts_of_list(parts: Sequence[Any]) -> set[int]:
    """Return each number of samples that a list can be read as."""
    kinds = {(type(part), getattr(part, "ndim", 0)) for part in parts}
    samples = {len(parts)} if len(kinds) <= 1 or all(map(_is_single, parts)) else set()
    each: list[set[int]] = []
    for part in parts:
        each.append(set() if _is_single(part) else _counts_of(part, whole=True))
        if not each[-1]:  # then neither columns nor batches
            return samples
    return samples | _common(each) | ({sum(map(min, each))} if samples else set())


def _common(each: Iterable[set[int]]) -> set[int]:
    """Return the numbers that all have; none of nothing."""
    sets = list(each)
    return set.intersection(*sets) if sets else set()


def _is_single(part: Any) -> bool:
    """Whether a part of data is one value: a number, a text, or nothing."""
    is_plain = part is None or isinstance(part, int | float | str | bytes)
    return is_plain or getattr(part, "ndim", None) == 0
