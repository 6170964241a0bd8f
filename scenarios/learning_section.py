"""`learning:` - the method, its schedule, the model and the data."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, JsonValue, Tag

from scenarios.section import Section


def _pace_of(value: Any) -> str | None:
    if type(value) is int:
        return "rounds"
    return "fill" if value == "fill" else None


_ROUNDS_OR_FILL = Discriminator(
    _pace_of,
    custom_error_type="choice",
    custom_error_message="must be a whole number >= 1, or 'fill'",
)


class Rounds(Section):
    """How many local rounds are trained when."""

    per_contact: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000), Tag("rounds")]
        | Annotated[Literal["fill"], Tag("fill")],
        _ROUNDS_OR_FILL,
    ] = Field(default=1, description="rounds in a contact, or 'fill' for as many as it holds")
    per_gap_max: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="most rounds between two contacts; null for all that the gap holds",
    )


class Model(Section):
    """The mixture of experts that is trained."""

    kind: str = Field(default="vector-moe", min_length=1, description="name of the architecture")
    experts: int = Field(default=4, ge=1, le=100_000, description="number of experts in a layer")
    top_k: int = Field(
        default=1, ge=1, le=100_000, description="experts that serve one token; at most `experts`"
    )
    hidden: int = Field(default=64, ge=1, le=1_000_000, description="width of the hidden layer")
    expert_hidden: int = Field(default=64, ge=1, le=1_000_000, description="width inside an expert")
    layers: int = Field(default=1, ge=1, le=10_000, description="number of layers with experts")


class Data(Section):
    """What is learnt from, and how it is spread over the clusters."""

    kind: str = Field(default="digits", min_length=1, description="name of the data set")
    path: str | None = Field(
        default=None,
        min_length=1,
        description="file of the data set, for kinds that are read from one",
    )
    own_domain_fraction: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of a cluster's samples that come from its own domain",
    )
    trial_samples: int = Field(
        default=30,
        ge=1,
        le=1_000_000,
        description="samples a cluster sets aside to measure expert relevance",
    )


class Learning(Section):
    """The federated learning of the scenario."""

    method: str = Field(
        default="emsfl-enhanced", min_length=1, description="name of the learning method"
    )
    train: bool = Field(
        default=True, description="false for a timing-only run, which trains nothing"
    )
    rounds: Rounds = Field(default=Rounds(), description="schedule of local rounds")
    step_size: float = Field(default=0.03, gt=0, description="step size of local training")
    gate_step_size_ratio: float = Field(
        default=0.1, ge=0, description="step size of the gate over that of the experts"
    )
    steps_per_round: int = Field(
        default=5, ge=1, le=1_000_000, description="gradient steps in a round"
    )
    batch_size: int = Field(
        default=32, ge=1, le=1_000_000, description="samples in a gradient step"
    )
    gate_tuning_cycles: int = Field(
        default=2, ge=0, le=1_000_000, description="last cycles, which tune the gate too"
    )
    lora_rank: int = Field(default=4, ge=1, le=100_000, description="rank of the low-rank adapters")
    model: Model = Field(default=Model(), description="the mixture of experts")
    data: Data = Field(default=Data(), description="the data set and its split")
    evaluate_every_hours: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="evaluate in between too, hours; null for complete cycles and the end only",
    )
    options: dict[str, JsonValue] = Field(
        default={}, description="the method's own options, checked by it"
    )
