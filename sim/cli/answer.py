"""`leomix answer`: what a run's model writes behind questions, before and after its training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sim.cli.options import Json, RunFolder
from sim.cli.output import print_json
from sim.errors import InputError
from statements import Code, Other


def answer_command(
    run: RunFolder,
    questions: Annotated[
        list[str] | None, typer.Argument(metavar="[QUESTION...]", help="what to answer")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a question a line, behind those named")
    ] = None,
    tokens: Annotated[
        int, typer.Option(metavar="N", min=1, max=100_000, help="longest answer, in tokens")
    ] = 40,
    *,
    before: Annotated[
        bool, typer.Option("--before", help="answer by the model at time 0 too")
    ] = False,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="where a checkpoint lies now, if it has moved"),
    ] = None,
    json_: Json = False,
) -> None:
    """Answer questions by the trained language model of a run, each token the likeliest.

    A question stands before a newline, as questions and their options are learnt; a chat template
    is not used.
    """
    asked = [*(questions or ()), *(() if file is None else _lines(file))]
    if not asked:
        raise InputError.of_option(
            "answer", Code.MISSING, "has no question", Other(said="name one, or a --file of them")
        )
    from sim.execution.folder import as_written
    from sim.execution.result import load

    with as_written([run]):
        found = replace(load(run), checkpoints=tuple(checkpoints or ()))
        models = ("before", "after") if before else ("after",)
        written = {m: found.generate(asked, tokens, before=m == "before") for m in models}
    answers = [
        {"question": question, **{m: written[m][number] for m in models}}
        for number, question in enumerate(asked)
    ]
    if json_:
        print_json(answers)
        return
    for one in answers:
        print("\n".join(f"{head:<9} {' '.join(text.split())}" for head, text in one.items()))


def _lines(file: Path) -> list[str]:
    """Return the lines of a file that are not blank; raise InputError for one that is no text."""
    try:
        with file.open(encoding="utf-8") as lines:
            return [line.strip() for line in lines if line.strip()]
    except UnicodeDecodeError:
        raise InputError.of_file(
            file, Code.WRONG_FILE, "is no text in UTF-8", Other(said="save it as UTF-8")
        ) from None
