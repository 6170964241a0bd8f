"""`learning:` - the method, its schedule, the model and the data."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, JsonValue, Tag, field_serializer

from scenarios.errors import Problem
from scenarios.section import Count, Many, Positive, Section, Steps, Text, of_kind, setting, word_or

Samples = Annotated[int | None, Field(ge=1)]


class Rounds(Section):
    """The schedule of local rounds."""

    per_contact: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000), Tag("other")]
        | Annotated[Literal["fill"], Tag("fill")],
        word_or("fill", lambda value: type(value) is int, "must be a whole number >= 1, or 'fill'"),
    ] = setting(1, "rounds in a contact, or 'fill' for as many as it holds")
    per_gap_max: Steps = setting(
        None, "most rounds between two contacts; null for all that the gap holds"
    )


class Sizes(Section):
    """A mixture of experts by its sizes."""

    kind: str = setting(
        "vector-moe", "name of the architecture, or MODULE:CLASS for a custom one", min_length=1
    )
    experts: Many = setting(None, "number of experts in a layer; null for that of learning.model")
    top_k: Many = setting(None, "experts that serve one token; null for those of learning.model")
    hidden: Count = setting(64, "width of the hidden layer")
    expert_hidden: Count = setting(64, "width inside an expert")
    layers: int = setting(1, "number of layers with experts", ge=1, le=10_000)
    heads: int = setting(4, "attention heads of a text model", ge=1, le=10_000)
    kv_heads: int = setting(4, "key and value heads of a text model", ge=1, le=10_000)
    vocabulary: int = setting(
        4096, "number of tokens that a text model knows", ge=16, le=10_000_000
    )
    checkpoints: tuple[str, ...] = setting(
        (),
        "local folders of weights: one of a mixture, or one dense model per expert",
        strict=False,
        max_length=1000,
    )


class Model(Sizes):
    """The model that is trained: a mixture of experts, or a plain one."""

    experts: int = setting(4, "number of experts in a layer", ge=1, le=100_000)
    top_k: int = setting(1, "experts that serve one token; at most `experts`", ge=1, le=100_000)
    tokenizer: Text = setting(
        None, "folder, tokenizer.json, or `words` for hashed words; null for the model's own"
    )
    adapter: Text = setting(
        None, "folder of a PEFT adapter, as `export` writes, to start from its experts"
    )
    arguments: dict[str, JsonValue] = setting(
        {}, "keywords that a module of your own is called with"
    )


class Columns(Section):
    """What the columns (of jsonl) or arrays (of npz) of a data file are called."""

    text: Text = setting(None, "text, or first of a pair")
    text_pair: Text = setting(None, "second text of a pair")
    question: Text = setting(None, "question")
    options: Text = setting(None, "list of its options")
    answer: Text = setting(None, "index of the right one")
    label: Text = setting(None, "class of a sample")
    domain: Text = setting(None, "domain of a sample")
    split: Text = setting(None, "`train` or `test`")


SPLITS = {"dirichlet": {"alpha"}, "quantity": {"alpha"}, "shards": {"classes"}}
"""Keys of the kinds of split that have any."""


class Split(Section):
    """How all samples are split over the clients or clusters of a run."""

    over: Literal["clients", "clusters"] = setting(
        "clients", "all devices of the run, or clusters, whose devices share"
    )
    kind: Literal["iid", "dirichlet", "shards", "quantity", "domains"] = setting(
        "iid", "what differs: nothing, labels, labels, sizes, or domains"
    )
    alpha: float | None = setting(None, "concentration of kind dirichlet or quantity", gt=0, le=1e6)
    classes: Many = setting(None, "shards of one label each, with kind shards")

    def problems(self) -> Iterator[Problem]:
        """Keys of another kind, and those that the kind lacks."""
        return of_kind(self, "kind", SPLITS, {"alpha": "0.3", "classes": "2"})


WITHIN = ("own_domain_fraction", "partition", "dirichlet_alpha", "classes_per_device")
"""Keys of the split within a cluster's domain, which a split of all samples takes the place of."""


class Data(Section):
    """The training data, and how it is spread over the clusters."""

    kind: str = setting(
        "digits", "name of the data set, or MODULE:FUNCTION for a custom one", min_length=1
    )
    path: Text = setting(None, "file of the data set, for kinds that are read from one")
    paths: dict[str, str] = setting(
        {}, "one file per cluster, by the cluster's name, in place of path"
    )
    columns: Columns = setting(Columns(), "names of the columns, where they differ")
    tokens: int = setting(128, "longest text that is kept, tokens", ge=2, le=1_000_000)
    arguments: dict[str, JsonValue] = setting(
        {}, "alpha and beta of synthetic, or keywords of a function of your own"
    )
    own_domain_fraction: float = setting(
        1.0, "share of a cluster's samples that come from its own domain", gt=0, le=1
    )
    partition: Literal["even", "dirichlet", "classes"] = setting(
        "even", "how a cluster's samples go to its devices"
    )
    dirichlet_alpha: float = setting(0.5, "concentration, with partition dirichlet", gt=0, le=1e6)
    classes_per_device: int = setting(
        2, "labels per device, with partition classes", ge=1, le=100_000
    )
    split: Split | None = setting(
        None, "split of all samples; null for domains and partition as above"
    )
    trial_samples: Count = setting(
        30, "samples per cluster that are set aside to measure expert relevance"
    )
    train_samples: Samples = setting(None, "most samples read to train a domain; null for all")
    test_samples: Samples = setting(None, "most samples read to test a domain; null for all")
    test_fraction: float = setting(
        0.2, "share held out where a file names no test samples", gt=0, lt=1
    )

    def problems(self) -> Iterator[Problem]:
        """More than one way to split."""
        for name in () if self.split is None else WITHIN:
            if getattr(self, name) != type(self).model_fields[name].default:
                text = "cannot be combined with learning.data.split; keep one of them"
                yield Problem((name,), text)


class Lora(Section):
    """Low-rank adaptation of the experts."""

    rank: Many = setting(4, "rank; null to train the matrices themselves")
    alpha: float | None = setting(None, "alpha; null for twice the rank", gt=0, le=1e6)
    targets: tuple[str, ...] = setting(
        (),
        "names of the experts' matrices that get factors; empty for all",
        strict=False,
        max_length=100,
    )
    aggregate: Literal["merge", "average", "ffa", "stack", "svd"] = setting(
        "merge",
        "average of rebuilt matrices; of factors; of B beside one frozen A; factors stacked; or "
        "the rebuilt one cut to each device's rank",
    )
    download: Literal["full", "factors"] = setting(
        "full", "what goes down: merged matrices, or a change of that rank"
    )


class Pretraining(Section):
    """Gradient steps at the server before time begins; null for the model kind's own number."""

    backbone_steps: Steps = setting(None, "dense start model; 0 for random weights")
    expert_steps: Steps = setting(None, "each expert, on its home domain")
    gate_steps: Steps = setting(None, "gate, on all trial data")


class Aggregation(Section):
    """When an aggregation ends a step with uploads, or a round that waits for clusters."""

    when: Literal["all", "quorum", "deadline"] = setting(
        "all", "with the last one, a share of them, or after a time"
    )
    quorum: float | None = setting(None, "share to wait for; needed with when quorum", gt=0, le=1)
    deadline_s: Positive = setting(None, "longest wait, s; needed with when deadline", le=1e9)

    def problems(self) -> Iterator[Problem]:
        """Keys of another rule, and the one that the rule lacks."""
        used = {"quorum": {"quorum"}, "deadline": {"deadline_s"}}
        return of_kind(self, "when", used, {"quorum": "0.8", "deadline_s": "600"})


_DECAY = {"eps", "weight_decay"}
OPTIMIZERS = {
    "sgd": {"momentum", "nesterov", "weight_decay"},
    "adam": {"betas", *_DECAY},
    "adamw": {"betas", *_DECAY},
    "rmsprop": {"momentum", "smoothing", *_DECAY},
}
_FALLING = {"rounds", "floor"}
SCHEDULES = {
    "step": {"rounds", "factor"},
    "exponential": {"factor"},
    "linear": _FALLING,
    "cosine": _FALLING,
}
"""Keys of each kind of optimiser and of schedule."""


class Optimizer(Section):
    """How local training moves weights; keys mean what they mean in torch.optim."""

    kind: Literal["sgd", "adam", "adamw", "rmsprop"] = setting("sgd", "optimiser")
    momentum: float = setting(0.0, "momentum (sgd, rmsprop)", ge=0, lt=1)
    nesterov: bool = setting(False, "Nesterov's momentum (sgd)")
    weight_decay: float = setting(
        0.0, "decay: times the weight added to its gradient", ge=0, le=1e6
    )
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        setting((0.9, 0.999), "decay of mean and square (adam, adamw)", strict=False)
    )
    smoothing: float = setting(0.99, "decay of the square (rmsprop)", ge=0, lt=1)
    eps: float = setting(1e-8, "added to the root of the square (not of sgd)", gt=0, le=1)
    state: Literal["reset", "keep"] = setting(
        "reset", "what a device remembers when it downloads a model"
    )

    def problems(self) -> Iterator[Problem]:
        """Keys of another kind, and a momentum that is missing."""
        yield from of_kind(self, "kind", OPTIMIZERS)
        if self.nesterov and not self.momentum:
            yield Problem(("nesterov",), "needs momentum above 0; set it, like 0.9")


class Schedule(Section):
    """The step size over the local rounds of a device."""

    kind: Literal["constant", "step", "exponential", "linear", "cosine"] = setting(
        "constant", "how the step size changes"
    )
    rounds: int | None = setting(
        None, "local rounds of a step, or until floor", ge=1, le=1_000_000_000
    )
    factor: float | None = setting(
        None, "factor after so many rounds (step), or each round", gt=0, le=1
    )
    floor: float = setting(0.0, "last step size over the first (linear, cosine)", ge=0, le=1)
    warmup_rounds: int = setting(
        0, "first rounds, over which it grows to 1", ge=0, le=1_000_000_000
    )

    def problems(self) -> Iterator[Problem]:
        """Keys of another kind, and those that the kind lacks."""
        return of_kind(self, "kind", SCHEDULES, {"rounds": "100", "factor": "0.5"})


class Learning(Section):
    """The federated learning of the scenario."""

    method: str = setting("emsfl-enhanced", "name of the learning method", min_length=1)
    train: bool = setting(True, "false for a timing-only run, which trains nothing")
    rounds: Rounds = setting(Rounds(), "schedule of local rounds")
    step_size: float = setting(0.03, "step size of local training", gt=0, le=1e30)
    optimizer: Optimizer = setting(Optimizer(), "how local training moves weights")
    schedule: Schedule = setting(Schedule(), "step size over the local rounds of a device")
    clip_norm: Positive = setting(None, "largest norm of a gradient; null for any", le=1e9)
    gate_step_size_ratio: float = setting(
        0.1, "step size of the gate over that of the experts", ge=0
    )
    steps_per_round: Count = setting(5, "gradient steps in a round")
    batch_size: Count = setting(32, "samples in a gradient step")
    micro_batch: Samples = setting(
        None, "samples of a step that are computed at a time, for less memory; null for all"
    )
    checkpoint_activations: bool = setting(
        False, "true to compute a text model's layers again in the backward pass, for less memory"
    )
    gate_tuning_cycles: int = setting(2, "last cycles, which tune the gate too", ge=0, le=1_000_000)
    aggregation: Aggregation = setting(Aggregation(), "which clients an aggregation waits for")
    lora: Lora = setting(Lora(), "low-rank adaptation of the experts")
    trains_backbone: bool = setting(
        False, "true to train and send backbone and head wherever the gate is"
    )
    upload_format: Literal["native", "float16", "int8"] = setting(
        "native", "number format of uploads"
    )
    device: str = setting(
        "auto", "what computes: auto (CUDA where there is one), cpu, cuda, cuda:N, cuda:0,cuda:1"
    )
    precision: Literal["auto", "float32", "float64", "bfloat16"] = setting(
        "auto", "number format of frozen weights; auto for the checkpoint's, or float32"
    )
    pretraining: Pretraining = setting(Pretraining(), "what the server trains before time begins")
    model: Model = setting(Model(), "the model that is trained")
    sized_as: Sizes | None = setting(
        None, "architecture whose bytes, FLOPs, memory and energy count; null for the model"
    )
    data: Data = setting(Data(), "the data set and its split")
    evaluate_every_hours: float | None = setting(
        None,
        "evaluate in between too, hours; null for complete cycles and the end only",
        gt=0,
        le=1e6,
    )
    targets: tuple[Annotated[float, Field(gt=0, le=1)], ...] = setting(
        (),
        "accuracies, rising, whose first crossing is reported; empty for levels that "
        "the runs reach",
        strict=False,
        max_length=20,
    )
    metrics: tuple[str, ...] = setting(
        (),
        "figures to measure beside accuracy and loss, MODULE:FUNCTION of logits and labels",
        strict=False,
        max_length=20,
    )
    options: dict[str, JsonValue] = setting({}, "the method's own options, checked by it")

    def problems(self) -> Iterator[Problem]:
        """Devices that are none, targets that do not rise, and too many experts per token."""
        named, one = self.device.split(","), r"cuda:(0|[1-9]\d{0,2})"
        known = re.fullmatch(rf"auto|cpu|cuda|{one}(,{one})*", self.device)
        if known is None or len(named) > len(set(named)):
            text = f"got {self.device!r}; must be auto, cpu, cuda or cuda:N, or several cuda:N"
            yield Problem(("device",), text)
        for before, after in pairwise(self.targets):
            if after <= before:
                text = f"{after:g} follows {before:g}; give each once, rising"
                yield Problem(("targets",), text)
        # Networked experts are one per device, whatever the value of this key.
        if self.model.top_k > self.model.experts and not self.model.kind.endswith("-nmoe"):
            most = f"must be at most learning.model.experts, {self.model.experts}"
            yield Problem(("model", "top_k"), f"got {self.model.top_k}; {most}")

    @field_serializer("sized_as")
    def _what_was_given(self, sized_as: Sizes | None) -> dict[str, JsonValue] | None:
        """Leave out defaults: most kinds fix their sizes, and those are not what counts then."""
        if sized_as is None:
            return None
        given: dict[str, JsonValue] = sized_as.model_dump(mode="json", exclude_defaults=True)
        return {"kind": sized_as.kind, **given}
