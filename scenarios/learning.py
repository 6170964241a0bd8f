"""`learning:` - the method, its schedule, the model and the data."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, JsonValue, Tag, field_serializer, field_validator, model_validator

from scenarios.errors import Problem, refuse
from scenarios.section import (
    Count,
    Positive,
    Rule,
    Section,
    Steps,
    Text,
    broken,
    needed_with,
    only_with,
    refused_keys,
    word_or,
)


class Rounds(Section):
    """The schedule of local rounds."""

    per_contact: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000), Tag("other")]
        | Annotated[Literal["fill"], Tag("fill")],
        word_or(
            "fill",
            lambda value: type(value) is int,
            "must be a whole number >= 1, or 'fill'",
        ),
    ] = Field(default=1, description="rounds in a contact, or 'fill' for as many as it holds")
    per_gap_max: Steps = Field(
        default=None,
        description="most rounds between two contacts; null for all that the gap holds",
    )


class Sizes(Section):
    """A mixture of experts by its sizes."""

    kind: str = Field(
        default="vector-moe",
        min_length=1,
        description="name of the architecture, or MODULE:CLASS for a custom one",
    )
    experts: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="number of experts in a layer; null for that of learning.model",
    )
    top_k: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="experts that serve one token; null for those of learning.model",
    )
    hidden: Count = Field(default=64, description="width of the hidden layer")
    expert_hidden: Count = Field(default=64, description="width inside an expert")
    layers: int = Field(default=1, ge=1, le=10_000, description="number of layers with experts")
    heads: int = Field(default=4, ge=1, le=10_000, description="attention heads of a text model")
    kv_heads: int = Field(
        default=4, ge=1, le=10_000, description="key and value heads of a text model"
    )
    vocabulary: int = Field(
        default=4096, ge=16, le=10_000_000, description="number of tokens that a text model knows"
    )
    checkpoints: tuple[str, ...] = Field(
        default=(),
        strict=False,
        max_length=1000,
        description="local folders of weights: one of a mixture, or one dense model per expert",
    )


class Model(Sizes):
    """The model that is trained: a mixture of experts, or a plain one."""

    experts: int = Field(default=4, ge=1, le=100_000, description="number of experts in a layer")
    top_k: int = Field(
        default=1, ge=1, le=100_000, description="experts that serve one token; at most `experts`"
    )
    tokenizer: Text = Field(
        default=None,
        description="folder, tokenizer.json, or `words` for hashed words; null for the model's own",
    )
    adapter: Text = Field(
        default=None,
        description="folder of a PEFT adapter, as `export` writes, to start from its experts",
    )
    arguments: dict[str, JsonValue] = Field(
        default={}, description="keywords that a module of your own is called with"
    )


class Columns(Section):
    """What the columns (of jsonl) or arrays (of npz) of a data file are called."""

    text: Text = Field(default=None, description="text, or first of a pair")
    text_pair: Text = Field(default=None, description="second text of a pair")
    question: Text = Field(default=None, description="question")
    options: Text = Field(default=None, description="list of its options")
    answer: Text = Field(default=None, description="index of the right one")
    label: Text = Field(default=None, description="class of a sample")
    domain: Text = Field(default=None, description="domain of a sample")
    split: Text = Field(default=None, description="`train` or `test`")


_SPLIT_RULES: tuple[Rule, ...] = (
    (
        "alpha",
        lambda facts: facts["kind"] not in ("dirichlet", "quantity"),
        "is not used with kind {kind!r}; set kind: dirichlet or quantity, or leave it out",
    ),
    only_with("classes", "kind", "shards"),
)
_SPLIT_NEEDS = (
    needed_with("alpha", "kind", "dirichlet", "like 0.3"),
    needed_with("alpha", "kind", "quantity", "like 0.5"),
    needed_with("classes", "kind", "shards", "like 2"),
)


class Split(Section):
    """How all samples are split over the clients or clusters of a run."""

    over: Literal["clients", "clusters"] = Field(
        default="clients", description="all devices of the run, or clusters, whose devices share"
    )
    kind: Literal["iid", "dirichlet", "shards", "quantity", "domains"] = Field(
        default="iid", description="what differs: nothing, labels, labels, sizes, or domains"
    )
    alpha: float | None = Field(
        default=None, gt=0, le=1e6, description="concentration of kind dirichlet or quantity"
    )
    classes: int | None = Field(
        default=None, ge=1, le=100_000, description="shards of one label each, with kind shards"
    )

    @model_validator(mode="after")
    def _each_key_with_its_kind(self) -> "Split":
        keys = dict(self)
        refuse([*refused_keys(_SPLIT_RULES, keys, keys), *broken(_SPLIT_NEEDS, keys)])
        return self


WITHIN = ("own_domain_fraction", "partition", "dirichlet_alpha", "classes_per_device")
"""Keys of the split within a cluster's domain, which a split of all samples takes the place of."""


class Data(Section):
    """The training data, and how it is spread over the clusters."""

    kind: str = Field(
        default="digits",
        min_length=1,
        description="name of the data set, or MODULE:FUNCTION for a custom one",
    )
    path: Text = Field(
        default=None, description="file of the data set, for kinds that are read from one"
    )
    paths: dict[str, str] = Field(
        default={}, description="one file per cluster, by the cluster's name, in place of path"
    )
    columns: Columns = Field(
        default=Columns(), description="names of the columns, where they differ"
    )
    tokens: int = Field(
        default=128, ge=2, le=1_000_000, description="longest text that is kept, tokens"
    )
    arguments: dict[str, JsonValue] = Field(
        default={}, description="alpha and beta of synthetic, or keywords of a function of your own"
    )
    own_domain_fraction: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of a cluster's samples that come from its own domain",
    )
    partition: Literal["even", "dirichlet", "classes"] = Field(
        default="even", description="how a cluster's samples go to its devices"
    )
    dirichlet_alpha: float = Field(
        default=0.5, gt=0, le=1e6, description="concentration, with partition dirichlet"
    )
    classes_per_device: int = Field(
        default=2, ge=1, le=100_000, description="labels per device, with partition classes"
    )
    split: Split | None = Field(
        default=None, description="split of all samples; null for domains and partition as above"
    )
    trial_samples: Count = Field(
        default=30, description="samples per cluster that are set aside to measure expert relevance"
    )
    train_samples: int | None = Field(
        default=None, ge=1, description="most samples read to train a domain; null for all"
    )
    test_samples: int | None = Field(
        default=None, ge=1, description="most samples read to test a domain; null for all"
    )
    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="share held out where a file names no test samples"
    )

    @model_validator(mode="after")
    def _one_way_to_split(self) -> "Data":
        plain = {name: type(self).model_fields[name].default for name in WITHIN}
        given = [name for name in WITHIN if getattr(self, name) != plain[name]]
        text = "cannot be combined with learning.data.split; keep one of them"
        refuse(Problem((name,), text) for name in given if self.split is not None)
        return self


class Lora(Section):
    """Low-rank adaptation of the experts."""

    rank: int | None = Field(
        default=4, ge=1, le=100_000, description="rank; null to train the matrices themselves"
    )
    alpha: float | None = Field(
        default=None, gt=0, le=1e6, description="alpha; null for twice the rank"
    )
    targets: tuple[str, ...] = Field(
        default=(),
        strict=False,
        max_length=100,
        description="names of the experts' matrices that get factors; empty for all",
    )
    aggregate: Literal["merge", "average"] = Field(
        default="merge", description="average rebuilt matrices, or the factors themselves"
    )
    download: Literal["full", "factors"] = Field(
        default="full", description="what goes down: merged matrices, or a change of that rank"
    )


class Pretraining(Section):
    """Gradient steps at the server before time begins; null for the model kind's own number."""

    backbone_steps: Steps = Field(
        default=None, description="dense start model; 0 for random weights"
    )
    expert_steps: Steps = Field(default=None, description="each expert, on its home domain")
    gate_steps: Steps = Field(default=None, description="gate, on all trial data")


_UNUSED = (only_with("quorum", "when", "quorum"), only_with("deadline_s", "when", "deadline"))
_MISSING = (
    needed_with("quorum", "when", "quorum", "like 0.8"),
    needed_with("deadline_s", "when", "deadline", "like 600"),
)


class Aggregation(Section):
    """When an aggregation ends a step with uploads, or a round that waits for clusters."""

    when: Literal["all", "quorum", "deadline"] = Field(
        default="all", description="with the last one, a share of them, or after a time"
    )
    quorum: float | None = Field(
        default=None, gt=0, le=1, description="share to wait for; needed with when quorum"
    )
    deadline_s: Positive = Field(
        default=None, le=1e9, description="longest wait, s; needed with when deadline"
    )

    @model_validator(mode="after")
    def _each_key_with_its_rule(self) -> "Aggregation":
        keys = dict(self)
        refuse([*refused_keys(_UNUSED, keys, keys), *broken(_MISSING, keys)])
        return self


def _of_kind(section: Section, used: dict[str, set[str]], needed: dict[str, str]) -> list[Problem]:
    """Return problems of keys that a kind does not use, and of those that it needs and lacks.

    ``used`` are the keys of each kind of the section, ``needed`` examples of those without default.
    """
    kind, plain = section.kind, type(section).model_construct()  # type: ignore[attr-defined]
    given = {key for key, value in dict(section).items() if value != getattr(plain, key)}
    unused = sorted((given & set[str]().union(*used.values())) - used[kind])
    missing = [key for key in needed if key in used[kind] - given]
    return [
        *(Problem((key,), f"is not used with kind {kind!r}; remove it") for key in unused),
        *(Problem((k,), f"is missing; kind {kind!r} needs it, like {needed[k]}") for k in missing),
    ]


_DECAY = {"eps", "weight_decay"}
OPTIMIZERS = {
    "sgd": {"momentum", "nesterov", "weight_decay"},
    "adam": {"betas", *_DECAY},
    "adamw": {"betas", *_DECAY},
    "rmsprop": {"momentum", "smoothing", *_DECAY},
}
_FALLING = {"rounds", "floor"}
SCHEDULES = {
    "constant": set[str](),
    "step": {"rounds", "factor"},
    "exponential": {"factor"},
    "linear": _FALLING,
    "cosine": _FALLING,
}
"""Keys of each kind of optimiser and of schedule."""


class Optimizer(Section):
    """How local training moves weights; keys mean what they mean in torch.optim."""

    kind: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(default="sgd", description="optimiser")
    momentum: float = Field(default=0.0, ge=0, lt=1, description="momentum (sgd, rmsprop)")
    nesterov: bool = Field(default=False, description="Nesterov's momentum (sgd)")
    weight_decay: float = Field(
        default=0.0, ge=0, le=1e6, description="decay: times the weight added to its gradient"
    )
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        default=(0.9, 0.999), strict=False, description="decay of mean and square (adam, adamw)"
    )
    smoothing: float = Field(default=0.99, ge=0, lt=1, description="decay of the square (rmsprop)")
    eps: float = Field(
        default=1e-8, gt=0, le=1, description="added to the root of the square (not of sgd)"
    )
    state: Literal["reset", "keep"] = Field(
        default="reset", description="what a device remembers when it downloads a model"
    )

    @model_validator(mode="after")
    def _each_key_with_its_kind(self) -> "Optimizer":
        problems = _of_kind(self, OPTIMIZERS, {})
        if self.nesterov and not self.momentum:
            problems.append(Problem(("nesterov",), "needs momentum above 0; set it, like 0.9"))
        refuse(problems)
        return self


class Schedule(Section):
    """The step size over the local rounds of a device."""

    kind: Literal["constant", "step", "exponential", "linear", "cosine"] = Field(
        default="constant", description="how the step size changes"
    )
    rounds: int | None = Field(
        default=None, ge=1, le=1_000_000_000, description="local rounds of a step, or until floor"
    )
    factor: float | None = Field(
        default=None, gt=0, le=1, description="factor after so many rounds (step), or each round"
    )
    floor: float = Field(
        default=0.0, ge=0, le=1, description="last step size over the first (linear, cosine)"
    )
    warmup_rounds: int = Field(
        default=0, ge=0, le=1_000_000_000, description="first rounds, over which it grows to 1"
    )

    @model_validator(mode="after")
    def _each_key_with_its_kind(self) -> "Schedule":
        refuse(_of_kind(self, SCHEDULES, {"rounds": "100", "factor": "0.5"}))
        return self


class Learning(Section):
    """The federated learning of the scenario."""

    method: str = Field(
        default="emsfl-enhanced", min_length=1, description="name of the learning method"
    )
    train: bool = Field(
        default=True, description="false for a timing-only run, which trains nothing"
    )
    rounds: Rounds = Field(default=Rounds(), description="schedule of local rounds")
    step_size: float = Field(default=0.03, gt=0, le=1e30, description="step size of local training")
    optimizer: Optimizer = Field(
        default=Optimizer(), description="how local training moves weights"
    )
    schedule: Schedule = Field(
        default=Schedule(), description="step size over the local rounds of a device"
    )
    clip_norm: Positive = Field(
        default=None, le=1e9, description="largest norm of a gradient; null for any"
    )
    gate_step_size_ratio: float = Field(
        default=0.1, ge=0, description="step size of the gate over that of the experts"
    )
    steps_per_round: Count = Field(default=5, description="gradient steps in a round")
    batch_size: Count = Field(default=32, description="samples in a gradient step")
    gate_tuning_cycles: int = Field(
        default=2, ge=0, le=1_000_000, description="last cycles, which tune the gate too"
    )
    aggregation: Aggregation = Field(
        default=Aggregation(), description="which clients an aggregation waits for"
    )
    lora: Lora = Field(default=Lora(), description="low-rank adaptation of the experts")
    trains_backbone: bool = Field(
        default=False, description="true to train and send backbone and head wherever the gate is"
    )
    upload_format: Literal["native", "float16", "int8"] = Field(
        default="native", description="number format of uploads"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="what tensors are computed on; auto for CUDA where there is one"
    )
    precision: Literal["auto", "float32", "float64", "bfloat16"] = Field(
        default="auto",
        description="number format of weights; auto for the checkpoint's, or float32",
    )
    pretraining: Pretraining = Field(
        default=Pretraining(), description="what the server trains before time begins"
    )
    model: Model = Field(default=Model(), description="the model that is trained")
    sized_as: Sizes | None = Field(
        default=None,
        description="architecture whose bytes, FLOPs, memory and energy count; null for the model",
    )
    data: Data = Field(default=Data(), description="the data set and its split")
    evaluate_every_hours: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="evaluate in between too, hours; null for complete cycles and the end only",
    )
    targets: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        default=(),
        strict=False,
        max_length=20,
        description="accuracies, rising, whose first crossing is reported; empty for levels that "
        "the runs reach",
    )
    metrics: tuple[str, ...] = Field(
        default=(),
        strict=False,
        max_length=20,
        description="figures to measure beside accuracy and loss, MODULE:FUNCTION of logits and "
        "labels",
    )
    options: dict[str, JsonValue] = Field(
        default={}, description="the method's own options, checked by it"
    )

    @field_validator("targets")
    @classmethod
    def _rising(cls, targets: tuple[float, ...]) -> tuple[float, ...]:
        for before, after in pairwise(targets):
            if after <= before:
                raise ValueError(f"{after:g} follows {before:g}; give each once, rising")
        return targets

    @field_serializer("sized_as")
    def _what_was_given(self, sized_as: Sizes | None) -> dict[str, JsonValue] | None:
        """Leave out defaults: most kinds fix their sizes, and those are not what counts then."""
        if sized_as is None:
            return None
        given: dict[str, JsonValue] = sized_as.model_dump(mode="json", exclude_defaults=True)
        return {"kind": sized_as.kind, **given}
