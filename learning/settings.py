"""The settings of a learning task: keys, defaults, bounds and meanings, and the rules between them.

Each class is a section of ``learning:`` in a scenario file, or a part of one. A scenario is checked
against them when it is read; what is built in Python is taken as it is.
"""

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from learning.declarations import (
    NO_ENTRIES,
    Arguments,
    Count,
    Decay,
    FrozenDict,
    Many,
    Positive,
    Samples,
    Settings,
    Steps,
    TextOrNone,
    setting,
    used_with_kind,
)
from statements import Code, Remove, Set, Statement

WORDS = "words"
"""The tokenizer that needs no file: words by their hashes."""

PAYLOAD = "payload"
"""The kind of model that is a size alone, for runs that train nothing."""

MASKS = {"-inf": -math.inf, "zero": 0.0}
"""Logits by the name of the mask: out of reach, or the paper's literal zero."""


# The model.


@dataclass(frozen=True)
class Lora(Settings):
    """Low-rank adaptation of the experts."""

    rank: Annotated[Many, setting("rank; null to train the matrices themselves")] = 4
    alpha: Annotated[float | None, setting("alpha; null for twice the rank", gt=0, le=1e6)] = None
    targets: Annotated[
        tuple[str, ...],
        setting(
            "names of the experts' matrices that get factors; empty for all",
            strict=False,
            max_length=100,
        ),
    ] = ()
    aggregate: Annotated[
        Literal["merge", "average", "ffa", "stack", "svd"],
        setting(
            "average of rebuilt matrices; of factors; of B beside one frozen A; factors stacked; "
            "or the rebuilt one cut to each device's rank"
        ),
    ] = "merge"
    """``merge``: each device's product is rebuilt before it is averaged (EMS-FL, Remark 1);
    ``average``: FedIT, arXiv 2305.05644; ``ffa``: FFA-LoRA, arXiv 2403.12313; ``stack``: FLoRA,
    arXiv 2409.05976; ``svd``: FlexLoRA, arXiv 2402.11505."""
    download: Annotated[
        Literal["full", "factors"],
        setting("what goes down: merged matrices, or a change of that rank"),
    ] = "full"
    """``factors``: a change of rank ``rank`` goes down, cut off from the merged one by a singular
    value decomposition."""

    @property
    def sends_factors(self) -> bool:
        """Whether changes go down as factors, not merged matrices."""
        return self.download == "factors" or self.aggregate in ("ffa", "stack", "svd")

    @property
    def scale(self) -> float:
        """alpha / r: what the product B A is multiplied by."""
        if self.rank is None or self.alpha is None:
            return 2.0
        return self.alpha / self.rank

    def is_target(self, matrix: str) -> bool:
        """Whether the matrix of this last name gets factors."""
        return self.rank is not None and (not self.targets or matrix in self.targets)

    def check_targets(self, matrices: Collection[str]) -> None:
        """Raise ValueError for a target that is none of an expert's ``matrices``, by last name."""
        if unknown := sorted(set(self.targets).difference(matrices)):
            raise ValueError(
                f"learning.lora.targets: names {unknown[0]!r}; an expert's matrices are "
                f"{', '.join(sorted(matrices)) or 'none'}"
            )


@dataclass(frozen=True)
class Sizes(Settings):
    """A mixture of experts by its sizes."""

    kind: Annotated[
        str,
        setting("name of the architecture, or MODULE:CLASS for a custom one", min_length=1),
    ] = "vector-moe"
    experts: Annotated[
        Many, setting("number of experts in a layer; null for that of learning.model")
    ] = None
    top_k: Annotated[
        Many, setting("experts that serve one token; null for those of learning.model")
    ] = None
    hidden: Annotated[Count, setting("width of the hidden layer")] = 64
    expert_hidden: Annotated[Count, setting("width inside an expert")] = 64
    layers: Annotated[int, setting("number of layers with experts", ge=1, le=10_000)] = 1
    moe_layers: Annotated[
        Many,
        setting("last layers of a text model that have experts; null for all of its layers"),
    ] = None
    heads: Annotated[int, setting("attention heads of a text model", ge=1, le=10_000)] = 4
    kv_heads: Annotated[int, setting("key and value heads of a text model", ge=1, le=10_000)] = 4
    vocabulary: Annotated[
        int, setting("number of tokens that a text model knows", ge=16, le=10_000_000)
    ] = 4096
    checkpoints: Annotated[
        tuple[str, ...],
        setting(
            "local folders of weights: one of a mixture, or those of dense models",
            strict=False,
            max_length=1000,
        ),
    ] = ()
    experts_per_checkpoint: Annotated[
        int,
        setting("equal experts that each dense model becomes", ge=1, le=100_000),
    ] = 1

    size_mb: Annotated[
        float | None,
        setting("bytes of a payload without weights, MB", gt=0, le=1e6),
        used_with_kind(PAYLOAD, example="50"),
    ] = None
    gflops_per_sample: Annotated[
        float | None,
        setting(
            "work of a payload's forward pass over a sample, GFLOP; null for 2 FLOPs a weight",
            gt=0,
            le=1e9,
        ),
        used_with_kind(PAYLOAD),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _kind_by_size(cls, values: Any) -> Any:
        """A size alone is a payload."""
        return {"kind": PAYLOAD, **values} if _is_size_alone(values) else values


def _is_size_alone(sizes: Any) -> bool:
    """Whether the keys of a model, as they are written, give its size and no kind."""
    return isinstance(sizes, dict) and sizes.get("size_mb") is not None and "kind" not in sizes


def is_payload(model: Any) -> bool:
    """Whether the keys of a model, as they are written, are those of a payload without weights."""
    return isinstance(model, dict) and (_is_size_alone(model) or model.get("kind") == PAYLOAD)


@dataclass(frozen=True)
class CountedSizes(Sizes):
    """The architecture that counts in place of the model, and how a device would compute it."""

    micro_batch: Annotated[
        Samples,
        setting(
            "samples of a step that a device computes at a time, which its memory counts; null "
            "for learning.micro_batch"
        ),
    ] = None


@dataclass(frozen=True)
class Model(Sizes):
    """The model that is trained: a mixture of experts, or a plain one."""

    experts: Annotated[int, setting("number of experts in a layer", ge=1, le=100_000)] = 4
    top_k: Annotated[
        int, setting("experts that serve one token; at most `experts`", ge=1, le=100_000)
    ] = 1
    tokenizer: Annotated[
        TextOrNone,
        setting("folder, tokenizer.json, or `words` for hashed words; null for the model's own"),
    ] = None
    adapter: Annotated[
        TextOrNone,
        setting("folder of a PEFT adapter, as `export` writes, to start from its experts"),
    ] = None
    arguments: Annotated[
        Arguments, setting("keywords that a module of your own is called with")
    ] = NO_ENTRIES


@dataclass(frozen=True)
class Pretraining(Settings):
    """Gradient steps at the server before time begins; null for the model kind's own number."""

    backbone_steps: Annotated[Steps, setting("dense start model; 0 for random weights")] = None
    expert_steps: Annotated[Steps, setting("each expert, on its home domain")] = None
    gate_steps: Annotated[Steps, setting("gate, on all trial data")] = None
    gate_batch: Annotated[Count, setting("samples in a step of the gate")] = 64
    gate_loss: Annotated[
        Literal["task", "origin"],
        setting(
            "what the gate is trained by: the task and each sample's origin, with gradients "
            "through all experts; or the origin alone, which needs none"
        ),
    ] = "task"


# The data.


Objective = Literal["label", "next_token"]
"""What is learnt of a text."""


@dataclass(frozen=True)
class Columns(Settings):
    """What the columns (of jsonl) or arrays (of npz) of a data file are called."""

    text: Annotated[TextOrNone, setting("text, or first of a pair")] = None
    text_pair: Annotated[TextOrNone, setting("second text of a pair")] = None
    question: Annotated[TextOrNone, setting("question")] = None
    options: Annotated[TextOrNone, setting("list of its options")] = None
    answer: Annotated[TextOrNone, setting("index of the right one")] = None
    label: Annotated[TextOrNone, setting("class of a sample")] = None
    domain: Annotated[TextOrNone, setting("domain of a sample")] = None
    split: Annotated[TextOrNone, setting("`train` or `test`")] = None

    @property
    def by_role(self) -> dict[str, str]:
        """The columns that differ from a kind's own names."""
        return {key.name: name for key in fields(self) if (name := getattr(self, key.name))}


@dataclass(frozen=True)
class Split(Settings):
    """How samples are split over the clients or clusters of a run, or within each cluster."""

    over: Annotated[
        Literal["clients", "clusters", "devices"],
        setting(
            "all devices of the run; or clusters, whose devices share; or the devices of each "
            "cluster, which keeps its own domain"
        ),
    ] = "clients"
    kind: Annotated[
        Literal["iid", "dirichlet", "shards", "quantity", "domains"],
        setting("what differs: nothing, labels, labels, sizes, or domains"),
    ] = "iid"
    alpha: Annotated[
        float | None,
        setting("concentration of kind dirichlet or quantity", gt=0, le=1e6),
        used_with_kind("dirichlet", "quantity", example="0.3"),
    ] = None
    classes: Annotated[
        Many,
        setting("shards of one label each, with kind shards"),
        used_with_kind("shards", example="2"),
    ] = None

    def conflicts(self) -> Iterator[Statement]:
        """Yield a kind that does not tell the devices of one cluster apart."""
        yield from super().conflicts()
        if self.over == "devices" and self.kind in ("quantity", "domains"):
            text = "got {kind!r}, which is not used with over 'devices'"
            instead = Set("kind", "iid", ("dirichlet", "shards"))
            yield Statement.of(Code.UNUSED, "kind", text, instead, kind=self.kind)

    @property
    def keeps_domains(self) -> bool:
        """Whether the samples of a cluster are of its own domain."""
        return self.over == "devices" or self.kind == "domains"


@dataclass(frozen=True)
class Data(Settings):
    """The training data, and how it is spread over the clusters."""

    kind: Annotated[
        str,
        setting("name of the data set, or MODULE:FUNCTION for a custom one", min_length=1),
    ] = "digits"
    path: Annotated[
        TextOrNone, setting("file or folder of the data set, for kinds that are read from one")
    ] = None
    paths: Annotated[
        dict[str, str],
        AfterValidator(FrozenDict),
        setting("one file or folder per cluster, by the cluster's name, in place of path"),
    ] = NO_ENTRIES
    size: Annotated[
        int,
        setting("height and width to which images of files are scaled, pixels", ge=1, le=4096),
    ] = 32
    columns: Annotated[Columns, setting("names of the columns, where they differ")] = Columns()
    tokens: Annotated[int, setting("longest text that is kept, tokens", ge=2, le=1_000_000)] = 128
    objective: Annotated[
        Objective,
        setting("what is learnt of texts: the label or right option, or each next token"),
    ] = "label"
    arguments: Annotated[
        Arguments,
        setting("alpha and beta of synthetic, or keywords of a function of your own"),
    ] = NO_ENTRIES
    own_domain_fraction: Annotated[
        float,
        setting("share of a cluster's samples that come from its own domain", gt=0, le=1),
    ] = 1.0
    split: Annotated[
        Split | None,
        setting("split of the samples; null for a domain per cluster, shared by its devices"),
    ] = None
    trial_samples: Annotated[
        Count,
        setting("samples per cluster that are set aside to measure expert relevance"),
    ] = 30
    train_samples: Annotated[
        Samples, setting("most samples read to train a domain; null for all")
    ] = None
    test_samples: Annotated[
        Samples, setting("most samples read to test a domain; null for all")
    ] = None
    test_fraction: Annotated[
        float, setting("share held out where a file names no test samples", gt=0, lt=1)
    ] = 0.2
    validation: Annotated[
        float,
        setting(
            "share of the training samples that is set aside to choose settings by", ge=0, lt=1
        ),
    ] = 0.0

    def conflicts(self) -> Iterator[Statement]:
        """Yield a share of the own domain beside a split that looks at no domains."""
        yield from super().conflicts()
        if self.own_domain_fraction < 1 and self.split and self.split.over != "devices":
            text = "is not used with a split over {over!r}"
            remedies = Set("split.over", "devices"), Remove()
            over = self.split.over
            yield Statement.of(Code.UNUSED, "own_domain_fraction", text, *remedies, over=over)

    @property
    def named(self) -> tuple[str, ...]:
        """Files, folders and data sets that ``path`` and ``paths`` name."""
        single = () if self.path is None else (self.path,)
        return (*single, *self.paths.values())


# What is minimised, by the steps of local training.


CROSS_ENTROPY, MSE, NEXT_TOKEN = "cross_entropy", "mse", "next_token"
"""Losses that need no code."""


def judged_by_loss(loss: str | None, objective: str | None) -> str:
    """Return which key, with its value, says that a run is judged by its loss; "" for none.

    Where one's own loss is named, that is known when the outputs are: logits of classes have an
    accuracy.
    """
    if objective == NEXT_TOKEN:
        return f"learning.data.objective {objective}"
    return f"learning.loss {loss}" if loss in (MSE, NEXT_TOKEN) else ""


@dataclass(frozen=True)
class Optimizer(Settings):
    """How local training moves weights; keys mean what they mean in torch.optim."""

    kind: Annotated[Literal["sgd", "adam", "adamw", "rmsprop"], setting("optimiser")] = "sgd"
    momentum: Annotated[
        float,
        setting("momentum (sgd, rmsprop)", ge=0, lt=1),
        used_with_kind("sgd", "rmsprop"),
    ] = 0.0
    weight_decay: Annotated[
        float, setting("decay: times the weight added to its gradient", ge=0, le=1e6)
    ] = 0.0
    betas: Annotated[
        tuple[Decay, Decay],
        setting("decay of mean and square (adam, adamw)", strict=False),
        used_with_kind("adam", "adamw"),
    ] = (0.9, 0.999)
    eps: Annotated[
        float,
        setting("added to the root of the square (not of sgd)", gt=0, le=1),
        used_with_kind("adam", "adamw", "rmsprop"),
    ] = 1e-8
    state: Annotated[
        Literal["reset", "keep"], setting("what a device remembers when it downloads a model")
    ] = "reset"

    @property
    def counts_steps(self) -> bool:
        """Whether the optimiser has to know how many steps it has taken."""
        return self.kind in ("adam", "adamw")

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the tensors that it keeps for each one that it moves."""
        if self.counts_steps:
            return "mean", "square"
        square = ("square",) if self.kind == "rmsprop" else ()
        return (*square, "velocity") if self.momentum > 0 else square


@dataclass(frozen=True)
class Schedule(Settings):
    """The step size over the local rounds of a device."""

    kind: Annotated[
        Literal["constant", "step", "exponential", "linear", "cosine"],
        setting("how the step size changes"),
    ] = "constant"
    rounds: Annotated[
        int | None,
        setting("local rounds of a step, or until floor", ge=1, le=1_000_000_000),
        used_with_kind("step", "linear", "cosine", example="100"),
    ] = None
    factor: Annotated[
        float | None,
        setting("factor after so many rounds (step), or each round", gt=0, le=1),
        used_with_kind("step", "exponential", example="0.5"),
    ] = None
    floor: Annotated[
        float,
        setting("last step size over the first (linear, cosine)", ge=0, le=1),
        used_with_kind("linear", "cosine"),
    ] = 0.0


@dataclass(frozen=True, kw_only=True)
class Training(Settings):
    """The keys of ``learning:`` that decide a training result whatever the method is."""

    loss: Annotated[
        TextOrNone,
        setting(
            "loss of a minibatch: cross_entropy, next_token, mse, or MODULE:NAME of outputs and "
            "targets; null for what learning.data.objective says"
        ),
    ] = None
    step_size: Annotated[float, setting("step size of local training", gt=0, le=1e30)] = 0.03
    optimizer: Annotated[Optimizer, setting("how local training moves weights")] = Optimizer()
    schedule: Annotated[Schedule, setting("step size over the local rounds of a device")] = (
        Schedule()
    )
    clip_norm: Annotated[Positive, setting("largest norm of a gradient; null for any", le=1e9)] = (
        None
    )
    gate_step_size_ratio: Annotated[
        float, setting("step size of the gate over that of the experts", ge=0)
    ] = 0.1
    steps_per_round: Annotated[Count, setting("gradient steps in a round")] = 5
    batch_size: Annotated[Count, setting("samples in a gradient step")] = 32
    micro_batch: Annotated[
        Samples,
        setting("samples of a step that are computed at a time, for less memory; null for all"),
    ] = None
    checkpoint_activations: Annotated[
        bool,
        setting(
            "true to compute a text model's layers again in the backward pass, for less memory"
        ),
    ] = False
    trains_backbone: Annotated[
        bool, setting("true to train and send backbone and head wherever the gate is")
    ] = False
    personal: Annotated[
        tuple[str, ...],
        setting(
            "parts, by name or pattern, that each device trains for itself and never sends",
            strict=False,
            max_length=1000,
        ),
    ] = ()
    upload_format: Annotated[
        Literal["native", "float16", "int8"], setting("number format of uploads")
    ] = "native"
    device: Annotated[
        str,
        setting("what computes: auto (CUDA where there is one), cpu, cuda, cuda:N"),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "float64", "bfloat16"],
        setting("number format of frozen weights; auto for the checkpoint's, or float32"),
    ] = "auto"
    """What is trained (factors, gates, whole matrices), what the optimiser remembers, and what the
    server has added to, are in single precision at least."""
    pretraining: Annotated[Pretraining, setting("what the server trains before time begins")] = (
        Pretraining()
    )
    data: Annotated[Data, setting("the data set and its split")] = Data()

    @property
    def samples_at_once(self) -> int:
        """Samples of a gradient step whose activations are in memory together."""
        return min(self.batch_size, self.micro_batch or self.batch_size)

    def conflicts(self) -> Iterator[Statement]:
        """Yield a device that is none."""
        yield from super().conflicts()
        if not re.fullmatch(r"auto|cpu|cuda(:(0|[1-9]\d{0,2}))?", self.device):
            text = f"got {self.device!r}; must be auto, cpu, cuda or cuda:N"
            if "," in self.device:
                text += "; for several, start sweep --join once for each, by CUDA_VISIBLE_DEVICES"
            yield Statement.of(Code.UNUSED, "device", text)


# What a learner gets: the settings, with what the run around them says.


@dataclass(frozen=True)
class ModelConfig(Model):
    """A model as it is made: with its LoRA, and paths from the current folder.

    An expert is one index over all ``layers``; a plain model has 0 ``experts``.
    """

    lora: Lora = Lora()


@dataclass(frozen=True)
class LearningConfig(Training):
    """Everything that decides a training result, apart from who trains when.

    ``clusters`` are names in canonical (sorted) order and ``devices`` how many each has. Where
    ``holders`` name others for each of them, it has one device, which holds the samples of these.
    ``ranks`` are those of each device's factors by cluster, at most ``model.lora.rank``; () where
    all have that. With ``tests_clients`` each device is tested for itself, on samples of its own.
    """

    seed: int
    clusters: tuple[str, ...]
    devices: tuple[int, ...]
    model: ModelConfig = ModelConfig()
    device: str = field(default="cpu", kw_only=True)
    holders: tuple[tuple[str, ...], ...] = ()
    ranks: tuple[tuple[int, ...], ...] = ()
    tests_clients: bool = field(default=False, kw_only=True)

    def ranks_of(self, cluster: str) -> tuple[int, ...] | None:
        """Return the rank of each device's factors (K,); None where all have the model's."""
        return dict(zip(self.clusters, self.ranks, strict=False)).get(cluster)

    @property
    def cuts(self) -> tuple[int, ...]:
        """Ranks of devices to which changes go down cut, other than the server keeps them."""
        lora = self.model.lora
        own = {rank for ranks in self.ranks for rank in ranks}
        if lora.rank is None or not lora.sends_factors or lora.aggregate == "stack":
            return ()
        if lora.aggregate == "svd":  # the server's are not cut
            return tuple(sorted(own or {lora.rank}))
        return tuple(sorted(own - {lora.rank}))

    @property
    def named(self) -> tuple[str, ...]:
        """Files and folders that the data, the model, its tokenizer and adapter are read from."""
        single = (self.model.tokenizer, self.model.adapter)
        given = (name for name in single if name not in (None, WORDS))
        return (*self.data.named, *self.model.checkpoints, *given)
