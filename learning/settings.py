"""What a learning task is: model, LoRA, data, pre-training and schedule, as checked values."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

WORDS = "words"
"""The tokenizer that needs no file: words by their hashes."""


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adaptation of the experts' matrices (EMS-FL, Remark 1).

    ``rank`` None trains and uploads the matrices themselves. ``alpha`` None stands for twice the
    rank; the factors' product counts ``alpha / rank`` times. ``targets`` are last names of the
    matrices that get factors, () for all. ``aggregate`` says what becomes of them at the server:
    ``merge`` (each device's product is rebuilt before it is averaged), ``average`` (FedIT, arXiv
    2305.05644: A and B are averaged apart), ``ffa`` (FFA-LoRA, arXiv 2403.12313: all share one A,
    which is frozen), ``stack`` (FLoRA, arXiv 2409.05976: the factors go down side by side), ``svd``
    (FlexLoRA, arXiv 2402.11505: the rebuilt mean goes down cut to each device's rank). ``download``
    is ``full`` (merged matrices go down) or ``factors`` (a change of rank ``rank`` goes down, cut
    off from the merged one by a singular value decomposition).
    """

    rank: int | None = 4
    alpha: float | None = None
    targets: tuple[str, ...] = ()
    aggregate: str = "merge"
    download: str = "full"

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
                f"learning.lora.targets names {unknown[0]!r}; an expert's matrices are "
                f"{', '.join(sorted(matrices)) or 'none'}"
            )


@dataclass(frozen=True)
class ModelConfig:
    """A mixture of experts, or with 0 ``experts`` a plain model.

    ``hidden`` is the width of the residual stream, ``expert_hidden`` the inner width of one
    expert. An expert is one index over all ``layers``. ``heads``, ``kv_heads`` and ``vocabulary``
    are those of text models. ``checkpoints`` are local folders: one of a mixture, or one of each
    dense model that becomes an expert; ``tokenizer`` a folder or file, ``words`` for hashed words,
    None for the checkpoint's.
    ``adapter`` is a PEFT adapter folder whose changes the start model gets. ``arguments`` are
    keywords for a module of one's own, as JSON with sorted keys.
    """

    kind: str = "vector-moe"
    experts: int = 4
    top_k: int = 1
    hidden: int = 64
    expert_hidden: int = 64
    layers: int = 1
    heads: int = 4
    kv_heads: int = 4
    vocabulary: int = 4096
    checkpoints: tuple[str, ...] = ()
    tokenizer: str | None = None
    adapter: str | None = None
    arguments: str = "{}"
    lora: LoraConfig = LoraConfig()


@dataclass(frozen=True)
class SplitConfig:
    """How all samples of a run are split ``over`` its ``clients`` or its ``clusters``.

    ``kind`` is ``iid``, ``dirichlet`` (label shares, ``alpha``), ``shards`` (``classes`` each),
    ``quantity`` (sizes, ``alpha``) or ``domains``. The devices of a cluster share evenly what it
    gets by a split over clusters.
    """

    over: str = "clients"
    kind: str = "iid"
    alpha: float | None = None
    classes: int | None = None


@dataclass(frozen=True)
class DataConfig:
    """Which samples each device holds.

    ``path`` is one file for all clusters, ``paths`` one file per cluster as (cluster, file) pairs.
    ``columns`` are (role, column) pairs that differ from a kind's own names. ``tokens`` is the
    longest text, in tokens.

    ``own_domain_fraction`` of a cluster's samples come from its own domain, the rest evenly from
    the other domains. ``partition`` says how a cluster's samples go to its devices: ``even``,
    ``dirichlet`` (label shares of a device drawn from Dirichlet(``dirichlet_alpha``)) or
    ``classes`` (``classes_per_device`` labels each). ``split`` is None, or takes the place of these
    four for all clusters together. ``arguments`` are keywords of the kind's function, as JSON.
    ``trial_samples`` per cluster are shared with the server beforehand. ``train_samples`` and
    ``test_samples`` are the most that are read of a domain, None for all; ``test_fraction`` is held
    out where a file does not say what is test.
    """

    kind: str = "digits"
    path: str | None = None
    paths: tuple[tuple[str, str], ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    tokens: int = 128
    own_domain_fraction: float = 1.0
    partition: str = "even"
    dirichlet_alpha: float = 0.5
    classes_per_device: int = 2
    split: SplitConfig | None = None
    arguments: str = "{}"
    trial_samples: int = 30
    train_samples: int | None = None
    test_samples: int | None = None
    test_fraction: float = 0.2

    @property
    def named(self) -> tuple[str, ...]:
        """Files, folders and data sets that ``path`` and ``paths`` name."""
        single = () if self.path is None else (self.path,)
        return (*single, *(path for _, path in self.paths))


@dataclass(frozen=True)
class Pretraining:
    """Gradient steps at the server before time begins; None stands for the model kind's own.

    The dense model that the experts start from (``backbone_steps``; 0 starts from random weights),
    each expert on its home domain (``expert_steps``), and the gate (``gate_steps``).
    """

    backbone_steps: int | None = None
    expert_steps: int | None = None
    gate_steps: int | None = None


@dataclass(frozen=True)
class OptimizerConfig:
    """How local training moves weights: ``sgd``, ``adam``, ``adamw`` or ``rmsprop``.

    Keys mean what they mean in ``torch.optim``, where RMSprop calls its ``smoothing`` alpha. With
    ``state`` ``reset`` a device forgets what its optimiser remembers when it downloads a model,
    with ``keep`` it goes on.
    """

    kind: str = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    smoothing: float = 0.99
    eps: float = 1e-8
    state: str = "reset"

    @property
    def counts_steps(self) -> bool:
        """Whether the optimiser has to know how many steps it has taken."""
        return self.kind in ("adam", "adamw")

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the tensors that it keeps for each one that it moves."""
        if self.counts_steps:
            return "mean", "square"
        return ("square",) * (self.kind == "rmsprop") + ("velocity",) * (self.momentum > 0)

    @property
    def is_plain(self) -> bool:
        """Whether it is SGD that moves along the gradient alone."""
        return self.kind == "sgd" and not self.momentum and not self.weight_decay


@dataclass(frozen=True)
class ScheduleConfig:
    """The step size over a device's local rounds: ``learning.training.optimizers.factor``."""

    kind: str = "constant"
    rounds: int = 1
    factor: float = 1.0
    floor: float = 0.0
    warmup_rounds: int = 0


@dataclass(frozen=True)
class LearningConfig:
    """Everything that decides a training result, apart from who trains when.

    ``clusters`` are names in canonical (sorted) order and ``devices`` how many each has. Where
    ``holders`` name others for each of them, it has one device, which holds the samples of these.
    ``clip_norm`` is the largest norm of a device's whole gradient in a step, None for any.
    ``trains_backbone`` lets the backbone and the head be trained and sent wherever the gate is
    (EMS-FL, Experiment 2). Gradients of a step are computed over ``micro_batch`` samples at a time
    (None for all), and with ``checkpoint_activations`` those of a text model's layers are computed
    again in the backward pass: both take less memory, and change nothing but rounding.
    ``upload_format`` is what numbers are sent up as: ``native``, ``float16`` or ``int8``.
    ``device`` is ``cpu``, ``cuda``, ``cuda:N`` or ``auto`` for CUDA where there is one.
    ``precision`` is ``float32``, ``float64``, ``bfloat16``, or ``auto`` for
    that of the checkpoint or named architecture: frozen weights are kept and the model is run in
    it. What is trained (factors, gates, whole matrices), what the optimiser remembers, and what
    the server has added to, are in single precision at least. ``ranks`` are those of each device's
    factors by cluster, at most ``model.lora.rank``; () where all have that.
    """

    seed: int
    clusters: tuple[str, ...]
    devices: tuple[int, ...]
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    pretraining: Pretraining = Pretraining()
    step_size: float = 0.03
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    clip_norm: float | None = None
    gate_step_size_ratio: float = 0.1
    steps_per_round: int = 5
    batch_size: int = 32
    micro_batch: int | None = None
    checkpoint_activations: bool = False
    trains_backbone: bool = False
    upload_format: str = "native"
    device: str = "cpu"
    precision: str = "auto"
    holders: tuple[tuple[str, ...], ...] = ()
    ranks: tuple[tuple[int, ...], ...] = ()

    def ranks_of(self, cluster: str) -> tuple[int, ...] | None:
        """Return the rank of each device's factors (K,); None where all have the model's."""
        return dict(zip(self.clusters, self.ranks, strict=False)).get(cluster)

    @property
    def cuts(self) -> tuple[int, ...]:
        """Ranks of devices to which changes go down cut, other than the server keeps them."""
        lora, own = self.model.lora, {rank for ranks in self.ranks for rank in ranks}
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


MASKS = {"-inf": -math.inf, "zero": 0.0}
"""Logits by the name of the mask: out of reach, or the paper's literal zero."""
