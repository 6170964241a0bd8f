"""`leomix specialise`: a dense model tuned on one domain, for an expert of a merged one."""

from __future__ import annotations

import json
import math
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from sim.cli.new_folder import SOURCE, check_new_folder, write_source
from sim.cli.options import Json, spread_out
from sim.cli.output import print_json
from sim.errors import InputError
from sim.files import folder_at_once, folder_bytes
from sim.formatting import Bar, counted, data_size, seconds
from statements import Code, Other, Place, dotted, statement_of

if TYPE_CHECKING:
    from learning.clients.specialise import Specialising

TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Tuning:
    """How it is tuned."""

    steps: Annotated[
        int, typer.Option(metavar="N", min=1, max=1_000_000, help="gradient steps")
    ] = 30
    batch: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="texts in a step")] = 8
    rank: Annotated[int, typer.Option(metavar="R", min=1, help="rank of the tuned factors")] = 4
    layers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="last layers that are tuned; default: all"),
    ] = None
    step_size: Annotated[float, typer.Option(metavar="X", help="step size of Adam")] = 2e-3
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="seed of all that is drawn")] = 0


@dataclass(frozen=True)
class Texts:
    """What it is tuned on."""

    data: Annotated[
        Path,
        typer.Option(metavar="FILE", help="JSON lines: texts, or questions with options"),
    ]
    tokens: Annotated[
        int, typer.Option(metavar="T", min=2, max=1_000_000, help="longest text that is kept")
    ] = 64
    objective: Annotated[
        str, typer.Option(metavar="WHAT", help="next_token, or label: the right option")
    ] = "next_token"


@spread_out
def specialise_command(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="folder of a dense Llama (safetensors)")
    ],
    texts: Texts,
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="a new or empty folder")
    ],
    tuning: Tuning,
    *,
    json_: Json = False,
) -> None:
    """Tune a dense Llama on a file of texts, and write it as a new checkpoint.

    The feed-forward networks of its last layers are tuned by factors of low rank, which are merged
    into their matrices; all other weights stay what they are. A share of the texts is held out.
    """
    began = time.monotonic()
    asked = _asked(checkpoint, texts, tuning)
    _check(asked, folder)
    with Bar(quiet=False) as bar, folder_at_once(folder) as part:
        bar.start(f"tuning {checkpoint} on {texts.data}")
        with _by_options(asked):
            from learning.clients.specialise import specialise, write

            done = specialise(asked)
            write(asked, done.tensors, part)
        source = _source(asked)
        write_source(part, source)
    told = {
        "folder": str(folder),
        "bytes": folder_bytes(folder),
        **source,
        "trained_samples": done.trained,
        "test_samples": done.before["samples"],
        "before": {key: done.before[key] for key in ("loss", "accuracy")},
        "after": {key: done.after[key] for key in ("loss", "accuracy")},
        "seconds": time.monotonic() - began,
        "next": _next(asked, folder),
    }
    if json_:
        print_json(told)
    else:
        _show(told)


def _show(told: dict[str, Any]) -> None:
    before, after = told["before"], told["after"]
    print(
        f"tuned    {told['checkpoint']}: {counted(told['steps'], 'step')} of {told['batch']} texts "
        f"out of {told['trained_samples']}, {counted(told['layers'], 'layer')} at rank "
        f"{told['rank']}, in {seconds(told['seconds'])}"
    )
    print(f"loss     {before['loss']:.3f} -> {after['loss']:.3f} nats")
    print(f"right    {before['accuracy']:.1%} -> {after['accuracy']:.1%}")
    print(f"tested   on {counted(told['test_samples'], 'text')} of {told['data']}, held out")
    print(f"wrote    {told['folder']}, {data_size(told['bytes'])}")
    print(f"next     {told['next']}")


def _asked(checkpoint: Path, texts: Texts, tuning: Tuning) -> Specialising:
    """Return what is asked for; InputError for an option out of its range."""
    from learning.clients.specialise import Specialising
    from learning.settings import Objective

    if texts.objective not in get_args(Objective):
        raise InputError.of_option(
            f"--objective {texts.objective}",
            Code.WRONG_VALUE,
            "is no objective",
            Other(said=f"give {' or '.join(get_args(Objective))}"),
        )
    if not 0 < tuning.step_size < math.inf:
        raise InputError.of_option(
            f"--step-size {tuning.step_size:g}", Code.WRONG_VALUE, "must be a number above 0"
        )
    return Specialising(
        checkpoint,
        texts.data,
        tokens=texts.tokens,
        objective=cast("Objective", texts.objective),
        **asdict(tuning),
    )


def _check(asked: Specialising, folder: Path) -> None:
    """Raise InputError for all that can be known to be wrong before torch is imported."""
    from learning.architecture.text_shape import LLAMAS
    from learning.clients.specialise import check_texts

    with _by_options(asked):
        shape = LLAMAS.read(asked.checkpoint, (1, 1))
    if asked.layers is not None and asked.layers > shape.layers:
        raise InputError.of_option(
            f"--layers {asked.layers}",
            Code.WRONG_VALUE,
            "{model} has {layers} layers",
            model=asked.checkpoint,
            layers=shape.layers,
        )
    most = min(shape.hidden, shape.expert_hidden)
    if asked.rank > most:
        raise InputError.of_option(
            f"--rank {asked.rank}",
            Code.WRONG_VALUE,
            "a matrix of {model} has rank {most} at most",
            model=asked.checkpoint,
            most=most,
        )
    if not (asked.checkpoint / TOKENIZER).is_file():
        raise InputError.of_file(
            asked.checkpoint,
            Code.NO_FILE,
            f"has no {TOKENIZER}, without which no text is read",
            Other(said="save the model with its tokenizer"),
        )
    if not asked.data.exists():
        raise InputError.of_option(
            f"--data {asked.data}",
            Code.NO_FILE,
            "no such file",
            Other(said="name a file of JSON lines"),
        )
    weights = asked.checkpoint.glob("*.safetensors")
    check_new_folder(folder, sum(file.stat().st_size for file in weights))
    with _by_options(asked):
        check_texts(asked)


@contextmanager
def _by_options(asked: Specialising) -> Iterator[None]:
    """Say of what is refused by a key which option stands for it."""
    options = {
        "learning.data.path": f"--data {asked.data}",
        "learning.data.objective": f"--objective {asked.objective}",
        "learning.data.tokens": f"--tokens {asked.tokens}",
        "learning.model.tokenizer": str(asked.checkpoint / TOKENIZER),
        "learning.step_size": f"--step-size {asked.step_size:g}",
    }
    try:
        yield
    except ValueError as error:
        refused = statement_of(error)
        option = options.get(dotted(refused.path))
        if option is None:
            raise
        raise InputError(replace(refused, keys=()), Place(option=option)) from None


def _source(asked: Specialising) -> dict[str, Any]:
    """Return where the written weights come from; of the checkpoint, too, where it says so."""
    from learning.architecture.kinds import text_shape
    from learning.files import read_object

    shape = text_shape(asked.config.model)
    earlier = asked.checkpoint / SOURCE
    return {
        "made_by": "leomix specialise",
        **{
            key: str(value) if isinstance(value, Path) else value
            for key, value in asdict(asked).items()
        },
        "layers": shape.layers - shape.dense_layers,
        "of_layers": shape.layers,
        "source": read_object(earlier) if earlier.is_file() else None,
    }


def _next(asked: Specialising, folder: Path) -> str:
    """Return the keys of a scenario that take the checkpoint and its variant as two experts."""
    keys = [
        "learning.model.kind=merged-llama",
        f"learning.model.checkpoints=[{_in_list(asked.checkpoint)}, {_in_list(folder)}]",
    ]
    if asked.layers is not None:
        keys.append(f"learning.model.moe_layers={asked.layers}")
    return " ".join(f"--set {shlex.quote(key)}" for key in keys)


def _in_list(path: Path) -> str:
    """Return a path as an item of a list of YAML."""
    plain = re.fullmatch(r"[\w./+-]+", str(path), re.ASCII)
    return str(path) if plain else json.dumps(str(path))
