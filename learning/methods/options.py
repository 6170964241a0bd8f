"""Options of methods: declared with their bounds, read from a scenario, refused in one line.

Neither numpy nor torch is imported here, so that ``leomix schema`` shows them at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass, is_pydantic_dataclass

CHECKED = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""How options are checked: ``@dataclass(frozen=True, config=CHECKED)`` of ``pydantic``."""


@dataclass(frozen=True, config=CHECKED)
class NoOptions:
    """Options of a method that has none."""


@dataclass(frozen=True, config=CHECKED)
class EmsFlOptions:
    """Options of both forms of EMS-FL."""

    threshold: float = Field(
        0.1, ge=0, le=1, description="relevance below which an expert counts for nobody, eq. (32)"
    )
    resplit_cycles: int = Field(
        0, ge=0, description="complete cycles after which experts are split anew; 0: never"
    )


@dataclass(frozen=True, config=CHECKED)
class EnhancedOptions(EmsFlOptions):
    """Options of the enhanced form: ``zero`` is the paper's literal text."""

    mask: Literal["-inf", "zero"] = Field(
        "-inf", description="the gate's logits of experts that are not the cluster's, eq. (43)"
    )


@dataclass(frozen=True, config=CHECKED)
class FedBuffOptions:
    """Options of FedBuff; with a buffer of 1 nothing would be buffered."""

    buffer_size: int = Field(
        0, ge=0, description="updates aggregated together; 0: half the clusters, at least 2"
    )
    server_step_size: float = Field(1.0, gt=0, description="factor of the mean of the buffer")


def _policy(name: str) -> str:
    """Return the name of an assignment policy that exists; raise ValueError for any other."""
    from learning.policies import POLICIES  # numpy and scipy, which an editor's schema can spare

    policy = POLICIES.find(name)
    if not callable(policy):
        raise ValueError(f"{name!r} is a {type(policy).__name__}, no function")
    return name


@dataclass(frozen=True, config=CHECKED)
class AlignedOptions:
    """Options of client-expert alignment."""

    policy: Annotated[str, AfterValidator(_policy)] = Field(
        "balanced-fitness", description="who trains what: one of learning.policies or MODULE:NAME"
    )
    capacity: int = Field(0, ge=0, description="most experts per device; 0: as its means allow")
    fitness: Literal["accuracy", "loss"] = Field(
        "accuracy", description="of the samples that an expert serves; loss: exp(-fitness_alpha L)"
    )
    fitness_alpha: float = Field(1.0, gt=0, description="factor of the loss in the fitness")
    fitness_average: float = Field(
        0.5, gt=0, le=1, description="weight of the newest fitness in the moving average"
    )
    balance_low: float = Field(
        1.0, ge=0, le=1, description="least devices per expert, over the even number"
    )
    balance_high: float = Field(
        1.0, ge=1, description="most devices per expert, over the even number"
    )
    deficit_weight: float = Field(
        0.0, ge=0, description="fitness that the expert gains which has fallen furthest behind"
    )
    exploration: float = Field(
        0.0, ge=0, le=1, description="probability that a device swaps one of its experts"
    )
    local_rounds: int = Field(
        0, ge=0, description="rounds that a device trains; 0: learning.rounds.per_contact"
    )


# From a scenario's `learning.options` to an object, or a line that says what is allowed.


def read_options(options: type, given: Mapping[str, Any]) -> Any:
    """Return a method's ``Options`` filled from a scenario.

    A frozen dataclass that is not pydantic's is checked by the types of its defaults. Raises
    ValueError in one line with the key, the value and what is allowed.
    """
    known = [field.name for field in dataclasses.fields(options)]
    for key in given:
        if key not in known:
            allowed = ", ".join(known) or "none"
            raise ValueError(f"{key}: unknown option; this method's options are: {allowed}")
    if not is_pydantic_dataclass(options):
        _check_types(options(), given)
    try:
        return options(**given)
    except ValidationError as error:
        raise ValueError(_line(options, error)) from None


def _check_types(defaults: object, given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        wanted = type(getattr(defaults, key))
        number = wanted is float and type(value) is int
        if wanted not in (type(None), type(value)) and not number:
            raise ValueError(f"{key}: {value!r} should be a {wanted.__name__}")


_TYPES = {
    "bool_type": "true or false",
    "float_type": "a number",
    "int_type": "a whole number",
    "string_type": "text",
}
_RANGES = {
    ("ge",): "be {ge:g} or more",
    ("gt",): "be above {gt:g}",
    ("ge", "le"): "lie in {ge:g} to {le:g}",
    ("ge", "lt"): "lie in {ge:g} to below {lt:g}",
    ("gt", "le"): "lie above {gt:g} and up to {le:g}",
}


def _line(options: Any, error: ValidationError) -> str:
    """Return the first finding of pydantic as one line."""
    found = error.errors(include_url=False)[0]
    if not found["loc"]:
        return str(found["ctx"]["error"])
    key = str(found["loc"][0])
    if found["type"] == "value_error":
        return f"{key}: {found['ctx']['error']}"
    field = options.__pydantic_fields__[key]
    return f"{key}: {found['input']!r} should {_allowed(found['type'], field, found['msg'])}"


def _allowed(kind: str, field: Any, message: str) -> str:
    """Say what a field takes, in the words of its declaration; else in pydantic's."""
    if kind in _TYPES:
        return f"be {_TYPES[kind]}"
    if kind == "literal_error":
        names = [str(name) for name in get_args(field.annotation)]
        return (
            f"be {'one of ' * (len(names) > 2)}{(', ' if len(names) > 2 else ' or ').join(names)}"
        )
    limits = {
        name: getattr(limit, name)
        for limit in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if hasattr(limit, name)
    }
    text = _RANGES.get(tuple(sorted(limits)))
    return message.removeprefix("Input should ") if text is None else text.format(**limits)
