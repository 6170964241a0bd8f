"""`learning:` - the method, its schedule, and the settings of training."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, Tag, model_validator

from learning.declarations import (
    NO_ENTRIES,
    Arguments,
    Positive,
    Settings,
    Steps,
    UsedWith,
    given_keys,
    setting,
)
from learning.settings import CountedSizes, Lora, Model, Training, is_payload, judged_by_loss
from scenarios.section import word_or
from statements import Code, Remove, Statement


@dataclass(frozen=True)
class Rounds(Settings):
    """The schedule of local rounds."""

    per_contact: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000), Tag("other")]
        | Annotated[Literal["fill"], Tag("fill")],
        word_or("fill", lambda value: type(value) is int, "must be a whole number >= 1, or 'fill'"),
        setting("rounds in a contact, or 'fill' for as many as it holds"),
    ] = 1
    per_gap_max: Annotated[
        Steps, setting("most rounds between two contacts; null for all that the gap holds")
    ] = None


@dataclass(frozen=True)
class Aggregation(Settings):
    """When an aggregation ends a step with uploads, or a round that waits for clusters."""

    when: Annotated[
        Literal["all", "quorum", "deadline"],
        setting("with the last one, a share of them, or after a time"),
    ] = "all"
    quorum: Annotated[
        float | None,
        setting("share to wait for; needed with when quorum", gt=0, le=1),
        UsedWith("when", ("quorum",), example="0.8"),
    ] = None
    deadline_s: Annotated[
        Positive,
        setting("longest wait, s; needed with when deadline", le=1e9),
        UsedWith("when", ("deadline",), example="600"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Course(Settings):
    """Which method learns, and when its rounds and aggregations are."""

    method: Annotated[str, setting("name of the learning method", min_length=1)] = "emsfl-enhanced"
    train: Annotated[
        bool,
        setting(
            "false for a timing-only run, which trains nothing; false by default for a payload"
        ),
    ] = True
    rounds: Annotated[Rounds, setting("schedule of local rounds")] = Rounds()
    gate_tuning_cycles: Annotated[
        int, setting("last cycles, which tune the gate too", ge=0, le=1_000_000)
    ] = 2
    aggregation: Annotated[Aggregation, setting("which clients an aggregation waits for")] = (
        Aggregation()
    )


def _as_given(sized_as: CountedSizes | None) -> dict[str, Any] | None:
    """Leave out defaults: most kinds fix their sizes, and those are not what counts then."""
    if sized_as is None:
        return None
    given = given_keys(sized_as)
    return {"kind": sized_as.kind} | {
        key: value for key, value in vars(sized_as).items() if key in given
    }


@dataclass(frozen=True, kw_only=True)
class Learning(Training, Course):
    """The federated learning of the scenario."""

    lora: Annotated[Lora, setting("low-rank adaptation of the experts")] = Lora()
    model: Annotated[Model, setting("the model that is trained")] = Model()
    sized_as: Annotated[
        CountedSizes | None,
        PlainSerializer(_as_given),
        setting("architecture whose bytes, FLOPs, memory and energy count; null for the model"),
    ] = None
    evaluate_every_hours: Annotated[
        float | None,
        setting(
            "evaluate in between too, hours; null for complete cycles and the end only",
            gt=0,
            le=1e6,
        ),
    ] = None
    targets: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...],
        setting(
            "accuracies, rising, whose first crossing is reported; empty for levels that "
            "the runs reach",
            strict=False,
            max_length=20,
        ),
    ] = ()
    metrics: Annotated[
        tuple[str, ...],
        setting(
            "figures to measure beside accuracy and loss: squared_gradient_norm, that of the "
            "_gate or _experts, or MODULE:FUNCTION of logits and labels",
            strict=False,
            max_length=20,
        ),
    ] = ()
    keep: Annotated[
        Literal["best", "last", "none"],
        setting(
            "the model that the run folder keeps: that of the best evaluation, by validation "
            "samples where there are any, the last one, or none"
        ),
    ] = "last"
    options: Annotated[Arguments, setting("the method's own options, checked by it")] = NO_ENTRIES

    @model_validator(mode="before")
    @classmethod
    def _a_payload_is_not_trained(cls, values: Any) -> Any:
        if isinstance(values, dict) and is_payload(values.get("model")):
            return {"train": False, **values}
        return values

    def conflicts(self) -> Iterator[Statement]:
        """Yield targets that do not rise, and targets and metrics where there are no labels."""
        yield from super().conflicts()
        for before, after in pairwise(self.targets):
            if after <= before:
                text = f"{after:g} follows {before:g}; give each once, rising"
                yield Statement.of(Code.UNUSED, "targets", text)
        loss = judged_by_loss(self.loss, self.data.objective)
        if self.targets and loss:
            text = f"are accuracies; with {loss} runs are judged by loss"
            yield Statement.of(Code.UNUSED, "targets", text, Remove())
        if self.metrics and self.data.objective == "next_token":
            text = "are functions of logits and labels; learning.data.objective next_token has none"
            yield Statement.of(Code.UNUSED, "metrics", text, Remove())
