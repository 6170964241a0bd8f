"""`leomix new`: a first scenario of one's own, with comments, and what editors want beside it.

``templates/`` has the scenario, and what is learnt by the form of the data and the kind of model.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from sim.cli.about import schema_of_files
from sim.errors import InputError
from sim.files import packaged, write_text
from sim.formatting import filled
from statements import Code

SCHEMA_FILE = "leomix.schema.json"
"""The schema beside the scenario, named in its first line."""

DEFAULT_LEARNING = {"what": "a small model", "days": 3, "file": ""}
"""What is learnt without data of one's own."""

KINDS = {"plain": "a plain model", "moe": "a mixture of experts"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


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
    takes = "leomix validate tells what memory it takes"
    if not learning["file"]:
        print(f"wrote {path}, which runs as it is, and {schema} for editors that complete keys")
        print(f"next:  leomix run {path}")
        print(f"then:  edit the places marked [1] to [4] in {path}, and leomix validate {path}")
        print(takes)
        return
    print(f"wrote {path}, and {schema} for editors that complete keys")
    print(f"next:  put your data at {path.with_name(learning['file'])}, or their path at [4]")
    print(f"then:  leomix validate {path}, and leomix run {path}")
    print(takes)


def _learning(data: str | None, model: str | None) -> dict[str, Any]:
    """Return what the template asks for; raise InputError for a form or kind that is none."""
    from scenarios.parsing import shipped_table

    forms = shipped_table(packaged("sim.cli", "templates/forms.yaml"))
    if data is None:
        if model is not None:
            raise InputError.of_option(
                f"--model {model}",
                Code.CONFLICT,
                "goes with --data",
                f"add --data {', '.join(forms)}",
            )
        return DEFAULT_LEARNING
    if data not in forms:
        raise InputError.of_option(
            f"--data {data}",
            Code.WRONG_VALUE,
            "is no form of data",
            f"give one of {', '.join(forms)}",
        )
    form = forms[data]
    chosen = model or next(iter(form["models"]))
    if chosen not in KINDS:
        raise InputError.of_option(
            f"--model {chosen}",
            Code.WRONG_VALUE,
            "is no kind of model",
            f"give one of {', '.join(KINDS)}",
        )
    if chosen not in form["models"]:
        others = ", ".join(form["models"])
        raise InputError.of_option(
            f"--model {chosen}",
            Code.UNSUPPORTED,
            f"does not take {form['what']}",
            f"give --model {others}",
        )
    what = f"{KINDS[chosen]} on {form['what']}"
    return {**form, **form["models"][chosen], "kind": chosen, "what": what}


def write_scenario(name: str, learning: dict[str, Any] = DEFAULT_LEARNING) -> tuple[Path, Path]:
    """Write a first scenario to ``name``.yaml, and the schema beside it; return both paths.

    ``name`` may say a folder, which is made. Raises InputError for a name that is taken, or that
    is none.
    """
    path = _path(name)
    if path.exists():
        raise InputError.of_option(
            f"new {name}",
            Code.WRONG_VALUE,
            "{path} is there already",
            "choose another name",
            path=path,
        )
    schema = path.with_name(SCHEMA_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(schema, json.dumps(schema_of_files(), indent=2) + "\n")
    write_text(path, filled("sim.cli", "templates", "scenario.yaml.j2", learning))
    return path, schema


def _path(name: str) -> Path:
    given = Path(name)
    stem = given.stem if given.suffix in (".yaml", ".yml") else given.name
    if not _NAME.fullmatch(stem):
        raise InputError.of_option(
            f"new {name!r}",
            Code.WRONG_VALUE,
            "is no name",
            "give one of the letters A to Z, digits and _ . -, like mine",
        )
    import scenarios

    if stem in scenarios.shipped():
        raise InputError.of_option(
            f"new {name}",
            Code.WRONG_VALUE,
            "a shipped scenario is called {stem}",
            "choose another name",
            stem=stem,
        )
    return given.with_name(f"{stem}.yaml")
