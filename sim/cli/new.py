"""`leomix new`: a first scenario of one's own, with comments, and what editors want beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sim.cli.about import schema_of_files
from sim.errors import InputError
from sim.files import write_text


def new_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="writes NAME.yaml")],
    data: Annotated[
        str | None,
        typer.Option(metavar="FORM", help="data of your own: text, pairs, choice or images"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="with --data: plain, or moe for a mixture of experts"),
    ] = None,
) -> None:
    """Write a first scenario of your own, with comments at what to edit."""
    learning = _learning(data, model)
    path, schema = write_scenario(name, learning)
    if not learning.file:
        print(f"wrote {path}, which runs as it is, and {schema} for editors that complete keys")
        print(f"next:  leomix run {path}")
        print(f"then:  edit the places marked [1] to [4] in {path}, and leomix validate {path}")
        return
    print(f"wrote {path}, and {schema} for editors that complete keys")
    print(f"next:  put your data at {path.with_name(learning.file)}, or their path at [4]")
    print(f"then:  leomix validate {path}, and leomix run {path}")


# What is learnt: by the form of the data and the kind of the model.


@dataclass(frozen=True)
class Learning:
    """What a scenario learns in so many ``days``, as lines of YAML; and the ``file`` it needs."""

    what: str
    days: int
    lines: str
    file: str = ""


DIGITS = Learning(
    "a small mixture of experts",
    3,
    """\
  method: emsfl-enhanced       # `leomix list` has the others
  rounds:
    per_contact: 1
    per_gap_max: 3             # between two contacts
  # [4] Your data: JSON lines, one {"text": "...", "label": "..."} a line. Take the two lines at the
  # end in the place of these two; `columns` says what your file calls its text and label.
  # `leomix new NAME --data text` (or pairs, choice, images) has settings that learn more of them.
  model: {kind: vector-moe, experts: 4}
  data: {kind: digits}
  # model: {kind: mixtral, experts: 4, hidden: 64}
  # data: {kind: jsonl, path: my.jsonl, tokens: 32, columns: {text: text, label: label}}
""",
)

SETTINGS = """\
  method: fedavg               # `leomix list` has the others
  optimizer: {{kind: adam}}      # plain SGD takes a larger step size, 0.1 to 1
  step_size: {step_size}
  steps_per_round: {steps}          # gradient steps of a device in a round
{mixture}  model: {model}
"""
MIXTURE = """\
  trains_backbone: true        # what is around the experts begins at random: train it too,
  lora: {rank: null}           # and the experts themselves, not factors of low rank beside them
"""
LINES = """\
  # [4] Your data: JSON lines, one object in each, like
  #   {example}
  # {about}
  # A column `split` says train or test (else a fifth is held out), `domain` where a sample is from.
  data:
    kind: jsonl
    path: my.jsonl             # counted from this file
    tokens: {tokens}                 # longest text that is kept
    # columns: {columns}
"""
ARRAYS = """\
  # [4] Your data: a file of numpy.savez with x_train, (n, height, width, channels) uint8, and
  # y_train, (n,) whole numbers or strings; x_test and y_test too, or a fifth is held out.
  data:
    kind: npz
    path: my.npz               # counted from this file
    train_samples: 5000        # at most, drawn at random; null for all
    test_samples: 1000
"""
LABELS = "Labels are words, or numbers from 0."
MIXTRAL = "{kind: mixtral, experts: 4, hidden: 32, vocabulary: 4096, tokenizer: words}"
TEXT_MEAN = "{kind: text-mean, hidden: 32, vocabulary: 8192}"


@dataclass(frozen=True)
class Form:
    """Data of one form: lines on them, a model of each kind, with step size, steps and days."""

    what: str
    file: str
    lines: str
    models: dict[str, tuple[str, float, int, int]]


OF_TEXTS = {"plain": (TEXT_MEAN, 0.005, 20, 6), "moe": (MIXTRAL, 0.003, 20, 6)}

FORMS = {
    "text": Form(
        "texts",
        "my.jsonl",
        LINES.format(
            example='{"text": "...", "label": "..."}',
            about=LABELS,
            tokens=48,
            columns="{text: review, label: stars}",
        ),
        OF_TEXTS,
    ),
    "pairs": Form(
        "pairs of texts",
        "my.jsonl",
        LINES.format(
            example='{"text": "...", "text_pair": "...", "label": "..."}',
            about=f"{LABELS} What one text says of the other is hardly learnt from nothing:\n"
            "  # accuracies of 0.55 on QNLI, and of chance on RTE.",
            tokens=64,
            columns="{text: premise, text_pair: claim, label: verdict}",
        ),
        OF_TEXTS,
    ),
    "choice": Form(
        "questions with options",
        "my.jsonl",
        LINES.format(
            example='{"question": "...", "options": ["...", "..."], "answer": 0}',
            about="`answer` is the number of the right option, from 0. From nothing a small model\n"
            "  # guesses (0.25 on MMLU): name weights that can read at learning.model.checkpoints.",
            tokens=64,
            columns="{question: stem, options: choices, answer: key}",
        ),
        {"moe": (MIXTRAL, 0.003, 20, 2)},
    ),
    "images": Form(
        "images",
        "my.npz",
        ARRAYS,
        {
            "plain": ("{kind: image-cnn, hidden: 64}", 0.002, 20, 3),
            "moe": ("{kind: image-moe, experts: 4, hidden: 32}", 0.003, 30, 6),
        },
    ),
}
KINDS = {"plain": "a plain model", "moe": "a mixture of experts"}


def _learning(data: str | None, model: str | None) -> Learning:
    """Return what to learn; raise InputError for a form or kind that is none."""
    if data is None:
        if model is not None:
            raise InputError(f"--model {model}: goes with --data; add --data {', '.join(FORMS)}")
        return DIGITS
    form = FORMS.get(data)
    if form is None:
        raise InputError(f"--data {data}: is no form of data; give one of {', '.join(FORMS)}")
    chosen = model or next(iter(form.models))
    if chosen not in KINDS:
        raise InputError(f"--model {chosen}: is no kind of model; give one of {', '.join(KINDS)}")
    if chosen not in form.models:
        others = ", ".join(form.models)
        raise InputError(f"--model {chosen}: does not take {form.what}; give --model {others}")
    kind, step_size, steps, days = form.models[chosen]
    mixture = MIXTURE if chosen == "moe" else ""
    settings = SETTINGS.format(step_size=step_size, steps=steps, mixture=mixture, model=kind)
    what = f"{KINDS[chosen]} on {form.what}"
    return Learning(what, days, settings + form.lines, form.file)


# The file.


SCHEMA = "leomix.schema.json"
"""The schema beside the scenario, named in its first line."""

TEMPLATE = """\
# yaml-language-server: $schema=./leomix.schema.json
# Two cities train {what} through one satellite.
#
# {runs} To make it yours, edit the four places marked [1] to [4]; then
# `leomix validate FILE` says what is wrong, or what the scenario would do.
# Keys carry their units. Those that are left out take their defaults: `leomix schema` has them all.

description: Two cities, one satellite
seed: 1

stop:
  days: {days}                      # [1] How long: simulated days.

orbit:
  source: tle
  # [2] Your satellite: its two lines, with or without its name above them. Or keep them in a file
  # and write `path: my.tle` in the place of `elements`. The run starts at their epoch.
  elements: |
    IRIDIUM 106
    1 41917U 17003A   26234.58488911  .00000059  00000+0  14148-4 0  9999
    2 41917  86.3915  60.7760 0002378  82.9635 277.1831 14.34217750502724
  min_elevation_deg: 10        # a contact lasts while the satellite is above this

ground:
  clusters:
    # [3] Your cities: a line for each, in degrees, north and east positive.
    - {{name: Munich,  latitude_deg: 48.14, longitude_deg: 11.58, devices: 3}}
    - {{name: Nairobi, latitude_deg: -1.29, longitude_deg: 36.82, devices: 3}}

compute:
  seconds_per_round: 60        # one round of local training on one device

learning:
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def write_scenario(name: str, learning: Learning = DIGITS) -> tuple[Path, Path]:
    """Write a first scenario to ``name``.yaml, and the schema beside it; return both paths.

    ``name`` may say a folder, which is made. Raises InputError for a name that is taken, or that
    is none.
    """
    path = _path(name)
    if path.exists():
        raise InputError(f"new {name}: {path} is there already; choose another name")
    schema = path.with_name(SCHEMA)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(schema, json.dumps(schema_of_files(), indent=2) + "\n")
    runs = f"It needs {learning.file}, your data." if learning.file else "It runs as it is."
    head = TEMPLATE.format(what=learning.what, days=learning.days, runs=runs)
    write_text(path, head + learning.lines)
    return path, schema


def _path(name: str) -> Path:
    given = Path(name)
    stem = given.stem if given.suffix in (".yaml", ".yml") else given.name
    if not _NAME.fullmatch(stem):
        raise InputError(
            f"new {name!r}: is no name; give one of the letters A to Z, digits and _ . -, like mine"
        )
    import scenarios

    if stem in scenarios.shipped():
        raise InputError(f"new {name}: a shipped scenario is called {stem}; choose another name")
    return given.with_name(f"{stem}.yaml")
