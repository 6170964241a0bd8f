"""What a scenario trains: its model, its data and the learner of both, in the terms of learning."""

from __future__ import annotations

from dataclasses import replace

from learning.architecture.kinds import kind_of, plain_kind
from learning.data.table import BESIDE, missing_file
from learning.declarations import FrozenDict, values_of
from learning.hardware import compute_device
from learning.learner import Learner
from learning.methods.base import Method, find_method
from learning.metrics import check_metrics
from learning.settings import WORDS, Data, LearningConfig, Model, ModelConfig, Sizes, Training
from sim.errors import InputError, as_input
from sim.facts.learning import MetricsRow
from sim.facts.row import columns_of
from sim.world.key_rules import refuse_unused_keys
from sim.world.world import World
from statements import Code, Other, Remove, Statement, statement_of


def learner_of(world: World) -> Learner:
    """Return the learner of a scenario; raise InputError for keys that contradict each other.

    Where its method learns by itself, of the scenario's data if it likes, the model means nothing.
    A method that has no use for factors trains whole matrices.
    """
    learning = world.learning
    with as_input("learning.method"):
        method = find_method(learning.method)
    refuse_unused_keys(world)
    for name in learning.data.paths:
        if name not in (sum(world.sites.holders, ()) or world.sites.client_names):
            where = "ground.clusters" if world.ground.clusters else "satellites"
            raise InputError.of(
                Code.WRONG_VALUE, "learning.data.paths", f"no cluster {name!r} in {where}"
            )
    for key in () if learning.train else world.stop.early:
        text = "is never measured with learning.train=false; remove it"
        raise InputError.of(Code.WRONG_VALUE, f"stop.{key}", text)
    config = learning_config(world)
    counted = learning.sized_as
    if method.traits.own_learning:
        config = replace(config, model=ModelConfig(plain_kind(config)))
    named = None if counted is None else _sized_as(world, counted)
    if not method.traits.uses_lora:
        config = replace(config, model=_without_factors(config.model))
        named = None if named is None else _without_factors(named)
    metrics = _metrics(world)
    try:
        if learning.train and learning.device.startswith("cuda"):
            compute_device(learning.device)
        return Learner(
            config,
            train=learning.train,
            sized_as=named,
            counted_micro_batch=None if counted is None else counted.micro_batch,
            metrics=metrics,
            own_learning=method.traits.own_learning,
        )
    except ValueError as error:
        lacks_file = isinstance(error.__context__, FileNotFoundError)
        refused = (lacks_file and lacking_file(world, config.data)) or statement_of(error)
        if refused.path[:1] != ("learning",):
            refused = statement_of(error, "learning")
        raise InputError(refused, world.place_of(refused.path)) from None


def _metrics(world: World) -> tuple[str, ...]:
    """Return the figures that are measured beside accuracy and loss."""
    names = world.learning.metrics
    with as_input("learning.metrics"):
        check_metrics(names, [column.name for column in columns_of(MetricsRow)])
    return names


def lacking_file(world: World, data: Data) -> Statement | None:
    """Say which data file of a scenario is missing and where to put it; None for none.

    A shipped scenario lies in the installation: its data are the user's, in the current folder.
    """
    text = missing_file(data)
    if not text:
        return None
    cures = BESIDE
    if world.is_shipped:
        cures = (
            "put yours into the current folder",
            "name it by --set learning.data.path=FILE (the page your-own.md of the documentation "
            "says what is in it)",
        )
    remedies = tuple(Other(said=cure) for cure in cures)
    return replace(statement_of(ValueError(text)), code=Code.NO_FILE, remedies=remedies)


def without_accuracy(world: World, learner: Learner) -> Statement | None:
    """Say which key is an accuracy, of a task that has none; None if none is."""
    given = {"learning.targets": world.learning.targets, "stop.accuracy": world.stop.accuracy}
    wrong = [key for key, value in given.items() if value not in (None, ())]
    if not wrong or learner.has_accuracy:
        return None
    text = "is of accuracies; what learning.loss {loss!r} is of has none, and is judged by its loss"
    return Statement.of(Code.UNUSED, wrong[0], text, Remove(), loss=world.learning.loss)


def learning_config(world: World) -> LearningConfig:
    """Return the learning task of a scenario: its settings, with the devices that there are."""
    settings = values_of(Training, world.learning)
    settings["data"] = _data(world)
    return LearningConfig(
        seed=world.seed,
        clusters=tuple(world.sites.client_names),
        devices=world.sites.device_counts,
        model=_model(world),
        holders=world.sites.holders,
        ranks=_ranks(world),
        # A method may say itself what each client is tested with.
        tests_clients=bool(world.learning.personal)
        or find_method(world.learning.method).own_part is not Method.own_part,
        **settings,
    )


def _ranks(world: World) -> tuple[tuple[int, ...], ...]:
    """Return the ranks of all devices' factors by cluster, () where none has one of its own."""
    most = world.learning.lora.rank
    own = [
        [kind.lora_rank for kind in cluster.kinds or () for _ in range(kind.devices)]
        for cluster in world.ground.clusters
    ]
    if most is None or not any(map(any, own)):
        return ()
    counts = zip(own, world.sites.device_counts, strict=True)
    return tuple(tuple(rank or most for rank in ranks or [None] * n) for ranks, n in counts)


def _model(world: World) -> ModelConfig:
    model = world.learning.model
    named = ModelConfig(**values_of(Model, model), lora=world.learning.lora)
    is_file = model.tokenizer not in (None, WORDS)
    return replace(
        named,
        experts=_experts(world, model),
        checkpoints=_checkpoints(world, model),
        tokenizer=_path(world, model.tokenizer) if is_file else model.tokenizer,
        adapter=_path(world, model.adapter),
    )


def _sized_as(world: World, sizes: Sizes) -> ModelConfig:
    """Return the architecture that is counted; what it does not say is as in the model."""
    model = world.learning.model
    given = {key: value for key, value in values_of(Sizes, sizes).items() if value is not None}
    named = replace(
        ModelConfig(experts=model.experts, top_k=model.top_k, lora=world.learning.lora), **given
    )
    return replace(
        named,
        experts=_experts(world, named),
        checkpoints=_checkpoints(world, named),
    )


def _without_factors(model: ModelConfig) -> ModelConfig:
    """Return a model whose matrices get no factors, whatever ``learning.lora`` says."""
    return replace(model, lora=replace(model.lora, rank=None))


def _experts(world: World, model: Model) -> int:
    """Return the number of experts; of some kinds each device has one."""
    return (
        sum(world.sites.device_counts) if kind_of(model.kind).expert_per_device else model.experts
    )


def _checkpoints(world: World, model: Model) -> tuple[str, ...]:
    return tuple(world.local_path(name) for name in model.checkpoints)


def _path(world: World, name: str | None) -> str | None:
    return None if name is None else world.local_path(name)


def _data(world: World) -> Data:
    data = world.learning.data
    paths = {name: world.local_path(path) for name, path in data.paths.items()}
    return replace(data, path=_path(world, data.path), paths=FrozenDict(paths))
