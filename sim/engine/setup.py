"""Build: a scenario made ready, with its plan, devices, learner and method."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pkgutil import resolve_name
from typing import Any

import numpy as np

import scenarios
from learning import settings
from learning.architecture.kinds import DATA_KEYS, kind_of, model_keys
from learning.data import DATASETS
from learning.data.table import missing_file
from learning.hardware import compute_devices
from learning.learner import CorruptUpdates, Learner
from learning.methods.base import (
    METHODS,
    GlobalModelMethod,
    Method,
    MethodType,
    World,
    find_method,
    try_hooks,
)
from learning.methods.options import read_options
from learning.metrics import check_metrics
from learning.requests.cluster import Floats, Quorum
from learning.settings import WORDS, DataConfig, LearningConfig, ModelConfig
from scenarios import Scenario, local_path
from scenarios.learning import Learning, Sizes
from scenarios.section import Section
from sim.devices.battery import Power, supplies_of
from sim.devices.compute import Compute, compute_of, transmitter_of
from sim.devices.energy import Transmitter
from sim.devices.faults import FaultsUntilFork
from sim.devices.satellites import made_once
from sim.devices.sites import client_names, device_counts, holders_of
from sim.engine.gap_rounds import gap_doubts
from sim.errors import InputError, as_input
from sim.formatting import data_size
from sim.links.sidelinks import Sidelinks, sidelinks_of
from sim.plan.plan import Plan, make_plan
from sim.plan.plan_size import CONTACT_BYTES, check_plan
from sim.plan.windows import Find, find_windows


@dataclass(frozen=True)
class Build:
    """A scenario made ready to run."""

    scenario: Scenario
    plan: Plan
    compute: tuple[Compute, ...]
    transmitter: Transmitter
    learner: Learner
    method: MethodType
    options: Any
    sidelinks: Sidelinks | None = None
    supplies: Mapping[str, tuple[Power, Floats]] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        """Complete cycles that the run can reach."""
        limit = self.scenario.stop.cycles
        return self.plan.cycles if limit is None else min(limit, self.plan.cycles)

    @property
    def world(self) -> World:
        """What the method knows of the run."""
        waits = self.scenario.learning.aggregation
        return World(
            clusters=self.plan.clusters,
            cycles=self.cycles,
            seed=self.scenario.seed,
            learner=self.learner,
            gate_tuning_cycles=self.scenario.learning.gate_tuning_cycles,
            closing=Quorum(
                1.0 if waits.quorum is None else waits.quorum,
                inf if waits.deadline_s is None else waits.deadline_s,
            ),
            rings=() if self.plan.isls is None else self.plan.isls.rings,
        )

    @property
    def corruption(self) -> CorruptUpdates:
        """Which updates are to be not finite."""
        uploads = self.scenario.faults.uploads
        return CorruptUpdates(self.scenario.seed, 0.0 if uploads is None else uploads.not_finite)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Lines for the user on what may be wrong with contacts, links and the devices' memory."""
        return (*self.plan.doubts, *_isl_doubts(self), *_memory_doubts(self))

    @property
    def module_doubts(self) -> tuple[str, ...]:
        """Lines for the user on a module of one's own: data and model are made to find them."""
        return tuple(doubt.text for doubt in self.learner.doubts)

    @property
    def gap_doubts(self) -> tuple[str, ...]:
        """Lines for who plans a run: where training in gaps would take very many rounds."""
        return tuple(gap_doubts(self.scenario, self.method, self.learner, self.plan, self.compute))

    def try_hooks(self) -> None:
        """Try what a method of one's own adds; raise InputError with the hook that fails."""
        if issubclass(self.method, GlobalModelMethod) and self.learner.trains:
            # With values of its own: the run's are its own alone.
            world = replace(self.world, learner=Learner(self.learner.config))
            with as_input(located=self.scenario.located):
                try_hooks(self.method(world, self.options))

    def new_method(self) -> Method:
        """Return the method with its server state as it is before the run."""
        return self.method(self.world, self.options)


@made_once()
def build(
    scenario: Scenario, find: Find = find_windows, before: FaultsUntilFork | None = None
) -> Build:
    """Check the whole scenario against the rooms and return what a run needs.

    ``find`` looks for the contact windows. ``before`` says what faults held until a fork.
    Raises InputError (or the ValueError of a room) with one line for everything that is wrong.
    """
    method, options, learner = method_of(scenario)
    check_plan(scenario, CONTACT_BYTES)
    plan = make_plan(scenario, find, before, method.needs_isl)
    with as_input("learning.options."):
        method.check_clients(plan.clusters, options)
    compute, transmitter = compute_of(scenario), transmitter_of(scenario)
    supplies = supplies_of(scenario, plan.start, plan.stop_s)
    made = scenario, plan, compute, transmitter, learner, method, options
    built = Build(*made, sidelinks_of(scenario), supplies)
    learner.corruption = built.corruption
    return built


def method_of(scenario: Scenario) -> tuple[MethodType, Any, Learner]:
    """Return a scenario's method with its options, and its learner: all but plan and links.

    Raises InputError with one line for what is wrong in ``learning``.
    """
    with as_input("learning.method: "):
        method = find_method(scenario.learning.method)
    with as_input("learning.options."):
        options = read_options(method.Options, scenario.learning.options)
    learner = learner_of(scenario)
    learner.metrics = _metrics(scenario, method)
    for problem in _unmet(scenario, method, learner):
        raise InputError(problem)
    with as_input():
        method.check(learner.config)
    return method, options, learner


def _metrics(scenario: Scenario, method: MethodType) -> tuple[str, ...]:
    """Return the figures that are measured beside accuracy and loss."""
    names = scenario.learning.metrics
    if not names:
        return ()
    from sim.trace.schema import COLUMNS  # of Arrow, which commands without a run do without

    with as_input("learning.metrics: "):
        check_metrics(names, COLUMNS["metrics"])
    if method.scores is not Method.scores:
        raise InputError(
            f"learning.metrics: is not used by method {scenario.learning.method!r}, whose clients "
            "answer with models of their own; remove it"
        )
    return names


def _unmet(scenario: Scenario, method: MethodType, learner: Learner) -> Iterator[str]:
    """Say which needs of the method, its class attributes, the scenario does not meet."""
    learning, link, kind = scenario.learning, scenario.link, scenario.learning.model.kind
    experts = learner.architecture.experts
    name = f"method {learning.method!r}"
    if method.waits_for_all and learning.aggregation.when != "all":
        yield f"learning.aggregation: {name} waits for all its clients; remove it"
    if not experts and method.needs_experts:
        yield (
            f"learning.method: {name} trains experts, and learning.model.kind {kind!r} has none; "
            "use 'fedavg' or another method for plain models, or a model with MoE layers"
        )
    if experts < method.needs_experts:
        yield f"learning.model.experts: {name} needs {method.needs_experts} or more, not {experts}"
    if method.needs_satellites and not scenario.roles.satellites_learn:
        yield (
            f"roles.clients: {name} has satellites as its clients, not devices; set roles: "
            "{server: stations, clients: satellites}, and ground.stations"
        )
    if method.needs_isl and scenario.roles.clients == "planes":
        yield (
            f"roles.clients: {name} forms planes itself, of linked satellites; set "
            "roles.clients: satellites"
        )
    if method.needs_sidelinks and not (link.sidelink or link.isl) and link.relay == "none":
        yield f"link.sidelink: {name} sends from device to device; set it, or link.relay: contact"
    for key in method.needs_isl:
        if link.isl is None or getattr(link.isl, key) == "none":
            yield (
                f"link.isl.{key}: {name} needs links between satellites; set link.isl: "
                "{within_plane: ring, between_planes: all, rate_mbps: 100}"
            )
    if experts and learning.lora.rank is not None:
        key = "download" if learning.lora.download == "factors" else "aggregate"
        if method.lora_refused == "download" and learner.config.model.lora.sends_factors:
            yield (
                f"learning.lora.{key}: the server of {name} moves matrices by changes of any rank, "
                f"and {getattr(learning.lora, key)!r} would carry one rank only; set it to "
                f"{'full' if key == 'download' else 'merge or average'}"
            )
        if method.lora_refused == "rank":
            yield (
                f"learning.lora.rank: {name} corrects steps on whole matrices, and factors have "
                "none; set it to null"
            )
    for keys, by in _unused(learning, method, experts):
        yield from (f"learning.{key}: is not used by {by}; remove it" for key in sorted(keys))
    if learner.config.ranks and not (experts and method.uses_lora):
        by = name if experts else f"{kind!r}, which has no experts"
        yield f"ground.clusters: lora_rank of kinds is not used by {by}; remove it"


def _unused(learning: Learning, method: MethodType, experts: int) -> Iterator[tuple[set[str], str]]:
    """Return keys that a scenario sets and that mean nothing in it, with what does not use them."""

    def of(*sections: str) -> set[str]:
        return {f"{one}.{key}" for one in sections for key in _said(getattr(learning, one))}

    own, kind, name = _said(learning), learning.model.kind, f"method {learning.method!r}"
    yield (set() if method.uses_lora else of("lora")), name
    if not experts:
        of_mixtures = of("lora", "pretraining") - {"pretraining.backbone_steps"}
        yield of_mixtures | own & {"gate_step_size_ratio"}, f"{kind!r}, which has no experts"
        known = (f"model.{key}" for key in ("kind", "arguments", "tokenizer", "vocabulary"))
        sizes = of("model").difference(known)
        if sizes and kind_of(kind).plain is None:
            takes_config = resolve_name("learning.models.custom:takes_config")(kind)
            hint = f"{kind!r}, whose signature does not name `config` (model.arguments are its own)"
            yield (set() if takes_config else sizes), hint
    if not method.uses_optimizer:
        steps = of("optimizer", "schedule") | own & {"clip_norm", "micro_batch"}
        yield steps, f"{name}, which takes steps of its own"
    layered = kind_of(kind).is_text
    yield (set() if layered else own & {"checkpoint_activations"}), f"{kind!r}, which is small"
    yield (set() if "backbone" in method.trains else own & {"trains_backbone"}), name
    yield (set() if "gate" in method.trains else own & {"gate_step_size_ratio"}), name


def _isl_doubts(built: Build) -> Iterator[str]:
    """Say which links between satellites the method never sends over."""
    isl, method = built.scenario.link.isl, built.method
    if isl is None or built.plan.isls is None:
        return
    kinds = "within_plane", "between_planes"
    on = not method.isl_option or getattr(built.options, method.isl_option)
    used = method.uses_isl if on else ()
    idle = [key for key in kinds if getattr(isl, key) != "none" and key not in used]
    if not idle:
        return
    known = {name: METHODS.find(name) for name in METHODS.shipped}
    uses = [
        f"{name} (with learning.options.{one.isl_option})" if one.isl_option else name
        for name, one in sorted(known.items())
        if set(idle) <= set(one.uses_isl)
    ]
    yield (
        f"link.isl.{' and '.join(idle)}: method {built.scenario.learning.method!r} sends nothing "
        f"over these links, which change nothing here; methods that use them are {', '.join(uses)}."
        " Updates of the others do not go over links between satellites yet"
    )


def _memory_doubts(built: Build) -> Iterator[str]:
    """Say how many devices do not hold what the method trains at least.

    Networked experts are handed out by other sizes, and the method says who gets none.
    """
    learner = built.learner
    if built.method.trains_at_server or kind_of(learner.sized_by.model.kind).networked:
        return
    experts = list(range(learner.architecture.experts))
    held = experts[:1] if built.method.needs_experts else experts
    keeps = built.method.memory_copies is not Method.memory_copies
    copies = built.new_method().memory_copies if keeps else 0
    cost = learner.round_cost(held, held, not built.method.needs_experts, copies)
    limits = [
        np.broadcast_to(np.inf if c.memory_bytes is None else c.memory_bytes, cluster.devices)
        for c, cluster in zip(built.compute, built.plan.clusters, strict=True)
    ]
    every = np.concatenate(limits)
    if not (lacks := every < cost.memory_bytes).any():
        return
    most, kind = float(every[lacks].max()), learner.sized_by.model.kind
    who = "no device can" if lacks.all() else f"{lacks.sum()} of {len(lacks)} devices cannot"
    yield (
        f"{who} train: a round of {kind!r} takes {data_size(float(cost.memory_bytes))} of "
        f"memory, and compute.memory_gib gives {data_size(most)} at most: raise it, or take a "
        "smaller learning.model"
    )


# What a scenario trains: its model and data as the learning room knows them.


def learner_of(scenario: Scenario) -> Learner:
    """Return the learner of a scenario; raise InputError for keys that contradict each other."""
    learning = scenario.learning
    _check_keys(learning)
    for name in learning.data.paths:
        if name not in (sum(holders_of(scenario), ()) or client_names(scenario)):
            where = "satellites" if scenario.roles.satellites_learn else "ground.clusters"
            raise InputError(f"learning.data.paths: no cluster {name!r} in {where}")
    if scenario.stop.accuracy is not None and not learning.train:
        raise InputError("stop.accuracy: is never measured with learning.train=false; remove it")
    config = _config(scenario)
    sized_as = None if learning.sized_as is None else _sizes(scenario, learning.sized_as)
    try:
        if learning.train and learning.device.startswith("cuda"):
            compute_devices(learning.device)
        return Learner(config, learning.train, sized_as)
    except ValueError as error:
        lacks_file = isinstance(error.__context__, FileNotFoundError)
        text = (lacks_file and lacking_file(scenario, config.data)) or str(error)
        text = text if text.startswith("learning.") else f"learning: {text}"
        raise InputError(scenario.located(text)) from None


def lacking_file(scenario: Scenario, data: DataConfig) -> str:
    """Say which data file of a scenario is missing and where to put it; "" for none.

    A shipped scenario lies in the installation: its data are the user's, in the current folder.
    """
    source = scenario.source_path
    if source is None or not scenarios.is_shipped(source):
        return missing_file(data)
    return missing_file(
        data,
        "put yours into the current folder, or name it by --set learning.data.path=FILE (the page "
        "your-own.md of the documentation says what is in it)",
    )


def _check_keys(learning: Learning) -> None:
    """Raise InputError for keys that the kinds of model and data do not use."""

    def refuse(section: str, keys: set[str], by: str) -> None:
        for key in sorted(keys):
            raise InputError(f"learning.{section}.{key}: is not used {by}; remove it")

    lora, data = learning.lora, learning.data
    for section, sizes in (("model", learning.model), ("sized_as", learning.sized_as)):
        if sizes and (allowed := model_keys(sizes.kind, bool(sizes.checkpoints))) is not None:
            unused = _said(sizes) - {"kind", *allowed}
            refuse(section, unused, f"by kind {sizes.kind!r}, or fixed by it")
    if lora.rank is None:
        refuse("lora", _said(lora) - {"rank"}, "without factors (learning.lora.rank null)")
    with as_input("learning.data.kind: "):
        DATASETS.find(data.kind)
    if (own := DATA_KEYS.get(data.kind)) is not None:
        refuse("data", _said(data) - {"kind", *own}, f"by kind {data.kind!r}")


def _said(section: Section) -> set[str]:
    """Keys that say something else than their default."""
    plain = type(section)().model_dump()
    return {key for key, value in section.model_dump().items() if value != plain[key]}


def _ranks(scenario: Scenario) -> tuple[tuple[int, ...], ...]:
    """Return the ranks of all devices' factors by cluster, () where none has one of its own."""
    most, clusters = scenario.learning.lora.rank, scenario.ground.clusters
    own = [[k.lora_rank for k in c.kinds or () for _ in range(k.devices)] for c in clusters]
    if most is None or not any(map(any, own)):
        return ()
    counts = zip(own, device_counts(scenario), strict=True)
    return tuple(tuple(rank or most for rank in ranks or [None] * n) for ranks, n in counts)


def _config(scenario: Scenario) -> LearningConfig:
    learning, model = scenario.learning, scenario.learning.model
    return LearningConfig(
        seed=scenario.seed,
        clusters=tuple(client_names(scenario)),
        devices=device_counts(scenario),
        model=replace(
            _sizes(scenario, model),
            tokenizer=WORDS if model.tokenizer == WORDS else _place(scenario, model.tokenizer),
            arguments=json.dumps(model.arguments, sort_keys=True),
            adapter=_place(scenario, model.adapter),
        ),
        data=_data(scenario),
        pretraining=settings.Pretraining(**learning.pretraining.model_dump()),
        optimizer=settings.OptimizerConfig(**learning.optimizer.model_dump()),
        schedule=settings.ScheduleConfig(**learning.schedule.model_dump(exclude_none=True)),
        holders=holders_of(scenario),
        ranks=_ranks(scenario),
        **learning.model_dump(include=SAME),
    )


SAME = {
    *("step_size", "clip_norm", "gate_step_size_ratio", "steps_per_round", "batch_size"),
    *("micro_batch", "checkpoint_activations", "trains_backbone", "upload_format"),
    *("device", "precision"),
}
"""Keys of ``learning`` that the learning room knows by the same names."""


def _sizes(scenario: Scenario, sizes: Sizes) -> ModelConfig:
    """Return what both a model and an architecture say; None stands for what the model says."""
    said = sizes.model_dump(exclude={"checkpoints", "tokenizer", "adapter", "arguments"})
    said |= {key: getattr(scenario.learning.model, key) for key, n in said.items() if n is None}
    if kind_of(sizes.kind).networked:
        said["experts"] = sum(device_counts(scenario))
    return ModelConfig(
        **said,
        checkpoints=tuple(local_path(scenario, name) for name in sizes.checkpoints),
        lora=settings.LoraConfig(**scenario.learning.lora.model_dump()),
    )


def _place(scenario: Scenario, name: str | None) -> str | None:
    return None if name is None else local_path(scenario, name)


def _data(scenario: Scenario) -> DataConfig:
    data = scenario.learning.data
    said = data.model_dump(exclude={"path", "paths", "columns", "split", "arguments"})
    return DataConfig(
        **said,
        arguments=json.dumps(data.arguments, sort_keys=True),
        split=None if data.split is None else settings.SplitConfig(**data.split.model_dump()),
        path=_place(scenario, data.path),
        paths=tuple((name, local_path(scenario, path)) for name, path in data.paths.items()),
        columns=tuple(data.columns.model_dump(exclude_none=True).items()),
    )
