"""Functions: federated training by plain functions of the user's, on the simulated clock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, cast

import numpy as np
from pydantic.dataclasses import dataclass as checked

from learning.data import load_samples
from learning.methods.base import Protocol, World
from learning.methods.options import CHECKED, option
from learning.methods.own_learning import OwnLearning
from learning.methods.surface import Traits
from learning.metrics import Score, is_share
from learning.own.code import RunningCode, files_of
from learning.own.raised import ANYTHING
from learning.own.unrepeatable import unrepeatable
from learning.requests import UpdatesUsed, Used
from learning.requests.cluster import (
    Chain,
    Cluster,
    Cost,
    Download,
    Evaluate,
    Floats,
    Ints,
    Mask,
    Measure,
    NextContact,
    Receipt,
    Step,
    Train,
    Upload,
)
from learning.requests.facts import Aggregated, Cause, Note, Share, update_refused
from learning.requests.payload import Payload
from learning.requests.peers import Start
from learning.values.replies import key_of
from sim.engine.evaluation import TAKEN
from sim.fly import trees
from sim.fly.call_options import CallOptions
from sim.fly.memories import frozen, thawed
from sim.fly.sample_count import sample_count
from sim.fly.trees import Tree
from sim.fly.user_code import MOST_EXAMPLES, Called, Context, UserCode
from sim.formatting import listed
from statements import Code, Other, Set, Statement

OFTEN = 0.4
"""Share of clusters with contact behind a round from which on it is said that they wait."""
NOT_A_NAME = ".__metadata__"
"""What a file of weights keeps for itself."""


@checked(frozen=True, config=CHECKED)
class FunctionOptions(CallOptions):
    """Options of a run of functions of the user's."""

    code: str = option("", "MODULE:FUNCTION that trains; the others stand in the same module")
    rounds_per_contact: Literal["one", "many"] = option(
        "one", "a cluster takes part once in a contact, as of fedavg, or whenever a round begins"
    )


@dataclass(frozen=True, eq=False)
class ClientUpdate:
    """What one client has sent: its weights, by how many examples, and who it is."""

    weights: Tree
    examples: int
    cluster: str
    device: int


@dataclass(eq=False)
class Part:
    """A cluster's part in a round: which devices (K,) have the model, have trained, have sent."""

    has: Mask
    trained: Mask
    sent: Mask
    updates: list[ClientUpdate]
    bytes: Any
    flops: Any
    contact_id: Ints


class Functions(OwnLearning):
    """Federated rounds of all devices, trained by ``train(weights, data, context)`` of the user's.

    A cluster takes part once in a round, at its contacts, as of :class:`learning.FedAvg`: its
    devices download the model, train and upload. When all clusters have, the server takes
    the mean by examples, or what ``aggregate(weights, updates, context)`` returns. With many
    ``rounds_per_contact`` the next round begins at once for clusters that have contact then.
    """

    Options: ClassVar[type] = FunctionOptions
    traits: ClassVar[Traits] = replace(OwnLearning.traits, waits_for_all=True)

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
        self.first = dict(zip((c.name for c in world.clusters), self._firsts(), strict=True))
        self.memory: dict[int, Tree] = {}
        self.server_memory: Tree = frozen({})
        self._data_contexts: dict[tuple[str, int | None], Context] = {}
        self.parts: dict[str, Part] = {}
        self.arrived: list[str] = []
        self.contact_ends_s: dict[str, float] = {}
        self.received_s = 0.0
        self.kept_waiting = 0.0
        self.examples = 0
        self.uncounted: list[str] = []
        self._counts: dict[str, int | None] = {}
        self.weights: Tree = self._start()

    def _firsts(self) -> list[int]:
        """The number of each cluster's first client."""
        counts = [cluster.devices for cluster in self.world.clusters]
        return [0, *np.cumsum(counts).tolist()][:-1]

    def rehearse(self, longest_gap_s: float) -> list[Statement]:
        """Train on one client and evaluate on one cluster: calls that the run makes no more."""
        first = self.world.clusters[0]
        with self.learner.replies.held():
            self._train(first, 0)
            samples = self._samples(first.name, self._evaluate(first.name))
        files = files_of(self.options.code)
        doubts = [doubt for path in files for doubt in unrepeatable(path, "context.memory")]
        return [*doubts, *self._alike([first.name] if samples is None else [])]

    # -- the user's functions, of which each call is known by what it depends on

    def _context(self, cluster: str, device: int | None, use: str) -> Context:
        """Return the context of a call, with a seed that depends on who is asked for what, when."""
        client = -1 if device is None else self.first[cluster] + device
        named = f"{self.world.seed} {use} {cluster} {device} {self.version + 1}"
        drawn = hashlib.blake2b(named.encode(), digest_size=4).digest()
        memory = self.server_memory if device is None else self.memory.get(client, frozen({}))
        return Context(
            cluster,
            device,
            client,
            sum(one.devices for one in self.world.clusters),
            self.version + 1,
            int.from_bytes(drawn, "little") // 2,
            self.options.config,
            thawed(memory),
        )

    def _start(self) -> Tree:
        """Return the first weights."""
        context = self._context("", None, "start")
        weights = self.code.call("start", context=context).value
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
            made = self.code.call(use, context=replace(context)).value
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
            return self.code.call(use, context=replace(context)).value

    def _asked(self, use: str, context: Context, data: Any, make: Any) -> Any:
        """Return the tree of a call: it is known by its code, what it is given, and its context.

        Where data are no arrays, nobody can tell whether those of another run are the same.
        """
        try:
            named, shared = trees.digest(data), True
        except ValueError:
            named, shared = "", False
        kept = frozen(context.memory)
        given = [trees.digest(self.weights), named, trees.digest(kept)]
        who = [context.cluster, context.device, context.client, context.clients, context.round]
        how = [self.options.time, json.dumps(dict(context.config), sort_keys=True), context.seed]
        key = key_of(use, self.code.digest, given, who, how)
        data_bytes = self.learner.replies.ask(key, lambda: trees.packed(make()), shared=shared)
        return trees.unpacked(data_bytes)

    def _train(self, me: Cluster, device: int) -> dict[str, Any]:
        """Return the update of a device: weights, examples, what it remembers, FLOPs, seconds."""
        context = self._context(me.name, device, "train")
        data = self._data_of(me.name, device)

        def make() -> Tree:
            # The user's function may change what it is given.
            weights = trees.unpacked(trees.packed(self.weights))
            own = self._copy_of_data(me.name, device)

            def call() -> Called:
                return self.code.call(self.code.trains, weights, own, context=context)

            flops = 0.0
            if self.options.time == "counted":
                from learning.training.flop_count import counted_flops  # imports torch

                called, flops = counted_flops(call)
            else:
                called = call()
            trained, examples = self._returned(called.value, context)
            return {
                "weights": trained,
                "examples": examples,
                "memory": self._kept("train", context),
                "flops": flops,
                "took_s": called.took_s,
            }

        return cast("dict[str, Any]", self._asked("train", context, data, make))

    def _returned(self, value: Any, context: Context) -> tuple[Tree, int]:
        """Return what ``train`` should return; raise ValueError for anything else."""
        if not (isinstance(value, tuple | list) and len(value) == 2):
            kind = type(value).__name__
            raise self.code.wrong("train", context, f"a {kind} in place of a pair")
        weights, examples = value
        try:
            differs = trees.unlike(weights, self.weights)
            if differs and not self.code.has("aggregate"):
                raise ValueError(differs)
            if not trees.size_bytes(weights):
                raise ValueError("no numbers, and an upload has some")
            if not 0 <= int(examples) == examples <= MOST_EXAMPLES:
                raise ValueError(f"{examples!r:.40} examples")
        except (TypeError, ValueError, OverflowError) as error:
            raise self.code.wrong("train", context, str(error)) from None
        # The server's own rule alone knows what to do with another form.
        return weights if differs else trees.arranged(weights, self.weights), int(examples)

    def _kept(self, name: str, context: Context) -> Tree:
        """Return what a function has put into its memory; raise ValueError where that cannot be."""
        try:
            return frozen(context.memory)
        except ValueError as error:
            raise ValueError(f"{self.code.file}: {name} ({context.who}): {error}") from None

    def _evaluate(self, cluster: str) -> dict[str, float]:
        """Return the figures of a cluster's test data."""
        context = self._context(cluster, None, "evaluate")
        data = self._data_of(cluster, None)

        def make() -> Tree:
            weights = trees.unpacked(trees.packed(self.weights))
            own = self._copy_of_data(cluster, None)
            said = self.code.call("evaluate", weights, own, context=context).value
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

        figures = self._asked("evaluate", context, data, make)
        return {name: float(value) for name, value in figures.items()}

    def _flops(self, update: Mapping[str, Any]) -> float:
        """FLOPs that a device does for an update."""
        if self.options.time == "declared":
            return float(update["examples"]) * self.options.flops_per_example
        if self.options.time == "measured":
            return float(update["took_s"]) * self.options.host_gflops * 1e9
        return float(update["flops"])

    # -- the protocol

    def cluster(self, me: Cluster) -> Protocol:
        """Take part once in every round; what a pass is too short for carries over to the next."""
        if self.options.rounds_per_contact == "many":
            yield from self._round(me)
            return
        while contact := (yield NextContact()):
            if not contact.repeats:
                self.contact_ends_s[me.name] = contact.end_s
            if me.name in self.arrived:
                missing = ",".join(one.name for one in self._missing())
                yield Note("wait", self.version, f"round:{self.version} waits for {missing}")
                continue
            yield from self._visit(me)
            if not self._missing():
                yield from self._end_round()

    def _round(self, me: Cluster) -> Protocol:
        """Take part in one round; whoever is the last begins the next one for all."""
        fresh = False
        while me.name not in self.arrived:
            if (yield NextContact(fresh)) is None:
                return
            yield from self._visit(me)
            fresh = True
        if not self._missing():
            yield from self._end_round()
            yield Evaluate()  # with contact all the time no cycle may ever be complete
            everybody = self.world.clusters
            rounds = tuple(self._round(one) for one in everybody)
            yield Start(rounds, tuple(one.name for one in everybody))

    def _visit(self, me: Cluster) -> Protocol:
        """Take part in a contact; the cluster has arrived when all its updates are there."""
        if me.name not in self.parts:
            yield from self._begin(me)
        yield from self._take_part(me, self.parts[me.name])
        if self.parts[me.name].sent.all():
            self.arrived.append(me.name)

    def _missing(self) -> list[Cluster]:
        """The clusters that the round waits for."""
        return [one for one in self.world.clusters if one.name not in self.arrived]

    def _begin(self, me: Cluster) -> Protocol:
        """Let a cluster's devices train: what they will send is known, and by when the clock says.

        Numbers are journalled: measured seconds are those of the first time.
        """
        k = me.devices
        known: list[dict[str, Any]] = []

        def train() -> list[list[float]]:
            known[:] = [self._train(me, device) for device in range(k)]
            return [[trees.size_bytes(one["weights"]), self._flops(one)] for one in known]

        numbers = yield Measure(f"training {self.version + 1}", train, None)
        if not known:  # of a run that is resumed
            known = [self._train(me, device) for device in range(k)]
        sizes, flops = np.array(numbers, float).T
        updates = [
            ClientUpdate(one["weights"], int(one["examples"]), me.name, device)
            for device, one in enumerate(known)
        ]
        for device, one in enumerate(known):
            self.memory[self.first[me.name] + device] = one["memory"]
        no, nowhere = np.zeros(k, bool), np.full(k, -1, np.int64)
        self.parts[me.name] = Part(no, no, no, updates, sizes, flops, nowhere)

    def _take_part(self, me: Cluster, part: Part) -> Protocol:
        """Download, train and upload in a contact, each device as far as it comes."""
        number = self.version
        todo = ~part.sent
        down = Payload("model", trees.size_bytes(self.weights), number)
        up = Payload("update", part.bytes, number)
        steps: list[Step] = []
        if (todo & ~part.has).any():
            steps.append(Download(down, todo & ~part.has))
        if (todo & ~part.trained).any():
            steps.append(Train(Cost(part.flops), 1, todo & ~part.trained))
        steps.append(Upload(up, todo))
        replies = yield Chain(tuple(steps))
        for step, reply in zip(steps, replies, strict=True):
            if isinstance(reply, Receipt) and isinstance(step, Download):
                part.has = part.has | reply.done
            elif isinstance(reply, Receipt):
                part.sent = part.sent | reply.done
                received_s = float(np.max(reply.end_s, where=reply.done, initial=0.0))
                self.received_s = max(self.received_s, received_s)
                if reply.contact_id is not None:
                    part.contact_id = np.where(reply.done, reply.contact_id, part.contact_id)
            else:
                part.trained = part.trained | (reply.rounds > 0)

    def _end_round(self) -> Protocol:
        """Aggregate what all clusters have sent, and begin the next round."""
        parts = [self.parts[one.name] for one in self.world.clusters]
        updates = [update for part in parts for update in part.updates]
        updates = [update for update in updates if update.examples]  # else it has no part in it
        self.examples += sum(update.examples for update in updates)
        finite = [update for update in updates if trees.is_finite(update.weights)]
        for update in updates:
            if update not in finite:
                text = update_refused(update.device, spoilt=False)
                yield Note("drop", self.version, text, Cause.UPDATE_NOT_FINITE)
        if finite:
            self.weights = self._aggregate(finite)
        yield Used(self._used(finite), self.version, self.round)
        self.version += 1
        everybody = sum(one.devices for one in self.world.clusters)
        yield Aggregated(
            self.version,
            "model",
            devices=Share(len(finite), everybody),
            clusters=Share(len(parts), len(parts)),
        )
        self.parts = {}
        self.arrived = []
        there = sum(end_s > self.received_s for end_s in self.contact_ends_s.values())
        if self.contact_ends_s:  # else a round never waits for another contact
            others = len(parts) - 1  # the last one has contact in any case
            self.kept_waiting += max(there - 1, 0) / others if others else there

    def doubts(self) -> list[Statement]:
        """Say that nobody trained, how clusters weigh, or that they waited though in contact."""
        first = self.world.clusters[0].name
        doubts = [] if first in self.uncounted else self._alike(self.uncounted)
        if self.version and not self.examples:
            text = "every client returned 0 examples: the weights are those of start"
            return [*doubts, Statement.doubt(Code.NO_EXAMPLES, "learning.options.code", text)]
        if not self.version or self.kept_waiting / self.version < OFTEN:
            return doubts
        share = self.kept_waiting / self.version
        return [
            *doubts,
            Statement.doubt(
                Code.LONG_SESSION,
                "learning.options.rounds_per_contact",
                "{share:.0%} of the clusters had contact when a round was over, in the mean, and "
                "began the next one at another contact, as a cluster takes part once in each",
                Set(value="many"),
                share=share,
            ),
        ]

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

    def _aggregate(self, updates: list[ClientUpdate]) -> Tree:
        """Return the server's next weights."""
        total = sum(update.examples for update in updates)
        if not self.code.has("aggregate"):
            each = [update.examples / total for update in updates]
            return trees.mean([update.weights for update in updates], each, self.weights)
        context = self._context("", None, "aggregate")
        weights = self.code.call("aggregate", self.weights, updates, context=context).value
        try:
            if differs := trees.unlike(weights, self.weights):
                raise ValueError(differs)
        except ValueError as error:
            raise self.code.wrong("aggregate", context, str(error)) from None
        self.server_memory = self._kept("aggregate", context)
        return trees.unpacked(trees.packed(trees.arranged(weights, self.weights)))

    def _used(self, updates: list[ClientUpdate]) -> list[UpdatesUsed]:
        """Return what the server uses of each cluster."""
        every = []
        total = sum(update.examples for update in updates)
        for cluster in self.world.clusters:
            share = np.zeros(cluster.devices)
            for update in updates:
                if update.cluster == cluster.name:
                    share[update.device] = update.examples / total
            used = UpdatesUsed(
                cluster=cluster.name,
                payload="update",
                who=share > 0,
                version=np.full(cluster.devices, self.version),
                contact_id=self.parts[cluster.name].contact_id,
                weigh=partial(_as_given, share),
            )
            every.append(used)
        return every

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
        arrays = trees.arrays_of(self.weights)
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
