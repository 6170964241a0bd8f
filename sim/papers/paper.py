"""A paper as data: who wrote it, what it states entry by entry, and what was measured of that.

Of a paper that nobody here has tuned to, an entry may predict figures: they are committed before
the paper's result is read, and a later commit adds what was read.

The file of a paper is YAML. :func:`read_paper` checks it; what is wrong is one line with the file,
the key and the cure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scenarios.files import read_text
from scenarios.parsing import parse_yaml
from sim.errors import InputError, as_input
from statements import Code

Kind = Literal["figure", "table", "equations", "algorithm", "remark", "theorem", "section"]
State = Literal["implemented", "approximated", "missing"]
Verdict = Literal["equal", "partly", "different", "not printed", "not attempted"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Outcome = Literal["predicted", "equal", "different", "not printed"]
"""What became of a figure that was predicted; ``predicted`` until the paper's is read."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

Text = Annotated[str, Field(min_length=1)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")]
Keys = dict[str, Any]
"""Values by dotted key of a scenario."""
Variants = dict[str, Keys]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Claim(_Part):
    """One thing that the paper states, and what came of measuring it.

    ``commands`` are typed after ``python docs/studies/``, or begin with ``tests/`` (a test) or with
    ``leomix``. A verdict of ``partly`` or ``different`` says why.
    """

    claim: Text
    commands: tuple[Text, ...] = ()
    measured: str = ""
    verdict: Verdict
    why: str = ""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.verdict in ("partly", "different") and not self.why:
            raise ValueError(f"is {self.verdict}; say why, by the key why")
        if self.verdict == "not attempted" and self.commands:
            raise ValueError("is not attempted, and has commands; give the verdict, or remove them")
        return self

    @property
    def verdict_text(self) -> str:
        """The verdict with its reason."""
        return f"{self.verdict}: {self.why}" if self.why else self.verdict


class Printed(_Part):
    """A number that the paper prints, under the name that the form of its entry gives it.

    It is met by a ``value`` that differs by at most the share ``within`` of it, or by what is
    neither below ``least`` nor above ``most``.
    """

    figure: Text
    value: float | None = None
    within: Annotated[float, Field(ge=0)] = 0.05
    least: float | None = None
    most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.value is None and self.least is None and self.most is None:
            raise ValueError("prints nothing; give value, least or most")
        return self

    def is_met(self, measured: float) -> bool:
        """Whether a measured figure is what the paper prints."""
        near = self.value is None or abs(measured - self.value) <= self.within * abs(self.value)
        low = self.least is None or measured >= self.least
        return near and low and (self.most is None or measured <= self.most)

    @property
    def text(self) -> str:
        """What the paper prints, in short."""
        ends = [f"at least {self.least:g}"] if self.least is not None else []
        ends += [f"at most {self.most:g}"] if self.most is not None else []
        return " and ".join([f"{self.value:g}"] if self.value is not None else ends)


class Reading(_Part):
    """What a paper prints of a figure that was predicted: the value, or none.

    ``source`` says where it stands; ``commit`` is that of the verdict, null until a later commit
    names it. ``why`` says what explains a difference. ``informs`` is false of an equal figure that
    could hardly have come out otherwise, and ``why`` then says so.
    """

    value: float | None
    source: Text
    commit: Commit | None = None
    why: str = ""
    informs: bool = True

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if not self.informs and not self.why:
            raise ValueError("informs is false; say why, by the key why")
        return self


class Predicted(_Part):
    """A figure that is predicted, under the name that the form of its entry gives it.

    ``why`` gives the reason for the range ``low`` to ``high``; ``look`` says which number of the
    paper it is to be compared with. A value outside the range is a difference, whose reason the
    reading states.
    """

    figure: Text
    unit: Text
    value: float
    low: float
    high: float
    why: Text
    look: Text
    read: Reading | None = None

    @model_validator(mode="after")
    def _is_in_its_range(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"{self.figure}: the value {self.value:g} is outside of its range, "
                f"{self.low:g} to {self.high:g}; correct one of them"
            )
        if self.outcome == "different" and self.read is not None and not self.read.why:
            raise ValueError(
                f"{self.figure}: what was read is outside of the range; say why, by the key "
                "read.why"
            )
        return self

    def holds(self, value: float) -> bool:
        """Whether a figure is within the range."""
        return self.low <= value <= self.high

    @property
    def ends_text(self) -> str:
        """The range alone, or its only number."""
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}..{self.high:g}"

    @property
    def range_text(self) -> str:
        """The value with its range and unit."""
        ends = "" if self.low == self.high else f" ({self.ends_text})"
        return f"{self.value:g}{ends} {self.unit}"

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if self.read is None:
            return "predicted"
        if self.read.value is None:
            return "not printed"
        return "equal" if self.holds(self.read.value) else "different"


class Finding(_Part):
    """What the authors of a paper would want to know about a published number.

    ``stated`` is what the paper says, ``here`` what comes out by ``commands``, which are those of
    a :class:`Claim` and have printed its figures; ``so`` is what follows, without figures of its
    own.
    """

    stated: Text
    here: Text
    so: Text
    commands: Annotated[tuple[Text, ...], Field(min_length=1)]


class Prediction(_Part):
    """Figures that were worked out before anybody here had read those of the paper.

    ``commit`` is the one that fixed settings and figures, null until a later commit names it.
    ``known_before`` is what was remembered of the paper's results all the same.
    """

    figures: Annotated[tuple[Predicted, ...], Field(min_length=1)]
    findings: tuple[Finding, ...] = ()
    implemented: tuple[Text, ...] = ()
    approximated: tuple[Text, ...] = ()
    missing: tuple[Text, ...] = ()
    known_before: str = ""
    commit: Commit | None = None

    @property
    def outcome_text(self) -> str:
        """How many figures came out how."""
        found = Counter(one.outcome for one in self.figures)
        return ", ".join(f"{found[outcome]} {outcome}" for outcome in OUTCOMES if found[outcome])

    @property
    def verdict_commits(self) -> list[str]:
        """The commits that added what was read, in the order of the figures."""
        read = [one.read for one in self.figures if one.read is not None]
        return list(dict.fromkeys(one.commit for one in read if one.commit is not None))

    @property
    def reasons(self) -> list[str]:
        """Why figures came out as they did, where that is stated."""
        return [
            f"- {one.figure}: {one.outcome}: {one.read.why}"
            for one in self.figures
            if one.read is not None and one.read.why
        ]

    @model_validator(mode="after")
    def _was_committed_before_it_was_read(self) -> Self:
        for one in self.figures:
            if one.read is not None and self.commit is None:
                raise ValueError(
                    f"{one.figure}: was read, but no commit has fixed the prediction; name the "
                    "commit of the prediction first, by the key commit"
                )
        return self


class Shorter(_Part):
    """What ``--quick`` changes of runs: keys, values, variants that are left, and seeds."""

    set: Keys = {}
    vary: dict[str, list[Any]] = {}
    variants: tuple[str, ...] = ()
    seeds: Annotated[int, Field(ge=1)] = 1


class Runs(_Part):
    """The runs that an entry needs: a sweep of a scenario, as ``leomix sweep`` makes it.

    ``scenario`` is the name of a shipped one, or a file beside the paper's. The seeds are those of
    the scenario (or of ``set``) and the next ones. Where data are not there, the timing is that of
    ``stand_in``: keys of data that come along, if the form of samples is only known from the data.
    """

    scenario: Text
    set: Keys = {}
    stand_in: Keys = {}
    variants: Variants = {}
    vary: dict[str, list[Any]] = {}
    seeds: Annotated[int, Field(ge=1)] = 1
    quick: Shorter = Shorter()

    @model_validator(mode="after")
    def _is_shortened_by_what_there_is(self) -> Self:
        for name in self.quick.variants:
            if name not in self.variants:
                raise ValueError(f"quick has the variant {name}, which is not among variants")
        return self

    def shortened(self) -> Runs:
        """Return the runs of ``--quick``."""
        quick = self.quick
        kept = {k: v for k, v in self.variants.items() if k in (quick.variants or self.variants)}
        return self.model_copy(
            update={
                "set": {**self.set, **quick.set},
                "vary": {**self.vary, **quick.vary},
                "variants": kept,
                "seeds": quick.seeds,
            }
        )


class Show(_Part):
    """How an entry is shown: by a form (see :mod:`sim.papers.forms`), of the runs of that name."""

    form: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    runs: Text
    options: dict[str, Any] = {}


class Entry(_Part):
    """A figure, table, block of equations, algorithm, remark, theorem or section of a paper.

    ``code`` names what does it here, ``module:attribute``; ``about`` is what the paper shows, in
    our words; ``deviation`` is what differs here, ``more`` is markdown with links from ``docs``.
    What an entry predicts comes from its ``show``.
    """

    kind: Kind
    label: Text
    about: Text
    state: State
    code: tuple[Text, ...] = ()
    claims: tuple[Claim, ...] = ()
    deviation: str = ""
    more: str = ""
    show: Show | None = None
    printed: tuple[Printed, ...] = ()
    prediction: Prediction | None = None

    @model_validator(mode="after")
    def _shows_what_it_predicts(self) -> Self:
        if self.prediction is not None and self.show is None:
            raise ValueError("predicts figures, and has no scenario; give show, with form and runs")
        return self

    @property
    def verdict(self) -> Verdict:
        """The verdict that its claims share; ``partly`` where they differ.

        Claims that nobody attempted count where there are no others. What states nothing that could
        be measured is ``not printed``, unless it is missing here.
        """
        said = {claim.verdict for claim in self.claims}
        tried = said - {"not attempted"} or said
        if not tried:
            return "not attempted" if self.state == "missing" else "not printed"
        return next(iter(tried)) if len(tried) == 1 else "partly"


class Paper(_Part):
    """A paper; ``text`` says how much of it was available, ``limits`` what bounds all verdicts.

    ``path`` is the file that it was read from.
    """

    path: Path
    name: Id
    method: Text
    title: Text
    authors: Annotated[tuple[Text, ...], Field(min_length=1)]
    year: Annotated[int, Field(ge=1900, le=2100)]
    arxiv: str = ""
    doi: str = ""
    text: Text
    limits: tuple[Text, ...] = ()
    more: str = ""
    runs: dict[Id, Runs] = {}
    entries: Annotated[dict[Id, Entry], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Self:
        for name, entry in self.entries.items():
            if entry.show is not None and entry.show.runs not in self.runs:
                there = ", ".join(self.runs) or "none"
                raise ValueError(
                    f"entries.{name}.show.runs: there are no runs {entry.show.runs!r}; "
                    f"known are {there}: add them below runs, with their scenario"
                )
        return self

    @property
    def identity(self) -> str:
        """Where the paper is found."""
        places = [f"arXiv {self.arxiv}"] if self.arxiv else []
        return ", ".join([*places, *([f"doi {self.doi}"] if self.doi else [])])

    @property
    def predictions(self) -> dict[str, Prediction]:
        """What entries predict, by their id."""
        return {
            name: entry.prediction
            for name, entry in self.entries.items()
            if entry.prediction is not None
        }

    @property
    def shown(self) -> dict[str, Entry]:
        """The entries that can be run, by id."""
        return {name: entry for name, entry in self.entries.items() if entry.show is not None}

    def claims(self) -> Iterator[tuple[Entry, Claim]]:
        """Yield every claim with its entry, in their order."""
        for entry in self.entries.values():
            for claim in entry.claims:
                yield entry, claim

    def verdicts(self) -> dict[Verdict, int]:
        """How many claims have each verdict."""
        found = Counter(claim.verdict for _, claim in self.claims())
        return {verdict: found[verdict] for verdict in VERDICTS}


def read_paper(path: Path) -> Paper:
    """Return the paper in a file; raise InputError, in one line, for what is wrong in it."""
    with as_input(file=str(path)):
        document = parse_yaml(read_text(path)).value
    if not isinstance(document, Mapping):
        raise InputError.of_file(
            path, Code.WRONG_FILE, "should be a mapping of the keys of a paper"
        )
    try:
        return Paper.model_validate({**document, "path": path})
    except ValidationError as error:
        raise InputError.of_file(path, *_problem(error)) from None


_UNKNOWN_KEY = "extra_forbidden"


def _problem(error: ValidationError) -> tuple[Code, str]:
    """Return kind and text of the first problem; unknown keys explain those that are missing."""
    details = error.errors(include_url=False)
    first = min(details, key=lambda detail: detail["type"] != _UNKNOWN_KEY)
    key = ".".join(str(part) for part in first["loc"] if part != "[key]")
    where = f"{key}: " if key else ""
    if first["type"] == _UNKNOWN_KEY:
        return Code.UNKNOWN_KEY, f"{where}is not a key of a paper's file; remove it, or correct it"
    if first["type"] == "missing":
        return Code.MISSING, f"{where}is missing; give it"
    if first["type"] == "value_error":
        return Code.WRONG_VALUE, f"{where}{first['ctx']['error']}"
    said = first["msg"][:1].lower() + first["msg"][1:]
    return Code.WRONG_VALUE, f"{where}{said}; correct it"
