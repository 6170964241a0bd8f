"""The trained model of a run folder: its files, and the whole of it read back.

Weights that nothing trained, and that are those of the checkpoints of `learning.model.checkpoints`
still, are not in `model.safetensors`: `model.references.json` says where they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learning.files import read_object, write_bytes
from sim.errors import InputError, as_input, helped
from sim.facts.status import COMPLETE
from sim.files import write_text
from statements import Code, Other, statement_of

if TYPE_CHECKING:
    from learning.learner import Learner
    from learning.values.store import Tensors

WEIGHTS = "model.safetensors"
PERSONAL = "personal.safetensors"
"""What each device has of its own, as CLUSTER/DEVICE/NAME."""
REFERENCES = "model.references.json"
FOLDERS = "folders"
"""Key of the references: the checkpoints' folders, each by its path and from the run folder."""
PUT_BACK = "put it back: a link to where it lies now is enough"
AS_IT_WAS = "put back the file that the run was made with"
ANEW = "to export the weights, run it anew elsewhere (the tables do not depend on it)"


def write_model(
    folder: Path,
    weights: bytes | None,
    about: Mapping[str, Any],
    payloads: Sequence[Mapping[str, Any]],
    references: Mapping[str, Any],
    personal: bytes | None = None,
) -> None:
    """Write the final weights, if any (a safetensors file), what they are, and ``payloads``.

    ``references`` are those of weights that the file leaves out, {} for none. What is ``personal``
    is a file beside it.
    """
    place = folder / "model"
    place.mkdir(parents=True, exist_ok=True)
    if weights is not None:
        write_bytes(place / WEIGHTS, weights)
        about = {**about, "tensors": _shapes(place / WEIGHTS, references)}
    if personal is not None:
        write_bytes(place / PERSONAL, personal)
    if references:
        write_text(place / REFERENCES, json.dumps(references))
    else:
        (place / REFERENCES).unlink(missing_ok=True)
    write_text(place / "model.json", json.dumps(about, indent=2))
    write_text(place / "payloads.json", json.dumps(payloads, indent=2))


def _shapes(path: Path, references: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return the shapes of the whole model's tensors by name."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        shapes = {key: list(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    if references:
        # Factors are part of the matrix that they are beside.
        shapes = {key: shape for key, shape in shapes.items() if not key.endswith(("+a", "+b"))}
        shapes |= {key: one["shape"] for key, one in references["tensors"].items()}
    return dict(sorted(shapes.items()))


def with_folders(
    references: Mapping[str, Any], checkpoints: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Return references with the folders of the run's checkpoints; {} of none."""
    if not references:
        return {}
    folders = []
    for name in checkpoints:
        path = Path(name).resolve()
        known = {"path": str(path)}
        with suppress(ValueError):  # of another drive
            known["from_run"] = Path(os.path.relpath(path, folder.resolve())).as_posix()
        folders.append(known)
    return {**references, FOLDERS: folders}


def whole_model(folder: Path, manifest: Mapping[str, Any]) -> Tensors:
    """Return all tensors of the trained model of a run folder by their stored names.

    Raises InputError for a run without weights or that is not complete, for a broken file, and for
    a file of a checkpoint that is missing or has changed.
    """
    from learning.values.store import load_value

    check_trained(folder, manifest)
    path = folder / "model" / WEIGHTS
    try:
        rest = load_value(path)
    except ValueError as error:
        raise helped(error, ANEW) from None
    if (said := _references(folder)) is None:
        return rest
    from learning.training.references import References, made_whole

    folders = _found(folder, said)
    with as_input(file=str(folder / "model" / REFERENCES)):
        referenced = References.of(said, len(folders))
    try:
        read = referenced.read(folders)
    except ValueError as error:
        is_missing = statement_of(error).code is Code.NO_FILE
        raise helped(error, PUT_BACK if is_missing else AS_IT_WAS) from None
    return made_whole(rest, referenced, read)


def checkpoint_folders(folder: Path) -> list[Path]:
    """Return where the checkpoints lie that a run folder refers to: [] where it refers to none."""
    said = _references(folder)
    return [] if said is None else _found(folder, said)


def check_trained(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise InputError for a run that is not complete, or has no weights."""
    if (status := manifest["status"]) != COMPLETE:
        raise InputError.of_file(
            folder,
            Code.WRONG_FILE,
            "the run is {status}",
            Other(said=f"finish it first: leomix run SCENARIO --resume -o {folder}"),
            status=status,
        )
    path = folder / "model" / WEIGHTS
    if path.is_file():
        return
    learning = manifest["scenario"]["learning"]
    trained = learning.get("train", True)
    if trained and learning.get("keep") == "none":
        raise InputError.of_file(
            folder,
            Code.NOT_RECORDED,
            "has no weights (learning.keep was none)",
            Other(said="run it anew elsewhere with learning.keep: last, or best"),
        )
    if trained and not manifest.get("own_learning"):  # such code may give none
        raise InputError.of_file(path, Code.NO_FILE, "is missing", Other(said=ANEW))
    raise InputError.of_file(
        folder,
        Code.NOT_RECORDED,
        f"has no weights ({'its code gave none' if trained else 'learning.train was false'})",
        Other(said="train a run to export"),
    )


def _references(folder: Path) -> dict[str, Any] | None:
    path = folder / "model" / REFERENCES
    if not os.path.lexists(path):
        return None
    try:
        return read_object(path)
    except ValueError as error:
        raise helped(error, ANEW) from None


def _found(folder: Path, said: Mapping[str, Any]) -> list[Path]:
    """Return where the checkpoints lie: as they were named, or as seen from the run."""
    places = []
    for one in _folders(folder, said):
        path = Path(one["path"])
        moved = folder.resolve() / one.get("from_run", one["path"])
        places.append(moved if os.path.isdir(moved) and not os.path.isdir(path) else path)
    return places


def _folders(folder: Path, said: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the folders as they were named; raise InputError for what are none."""
    known = said.get(FOLDERS)
    if isinstance(known, list) and all(map(_is_folder, known)):
        return known
    raise InputError.of_file(
        folder / "model" / REFERENCES,
        Code.BROKEN_FILE,
        "is broken (it has no folders of checkpoints)",
        Other(said=ANEW),
    )


def _is_folder(said: Any) -> bool:
    """Whether something is texts by key, which may be paths, and a path among them."""
    return (
        isinstance(said, dict)
        and "path" in said
        and all(isinstance(text, str) and "\0" not in text for text in said.values())
    )


def learner_of_run(folder: Path, manifest: Mapping[str, Any]) -> Learner:
    """Return the learner of the run in a folder, for what is made of its weights.

    Its checkpoints are where they lie now, as for :func:`whole_model`. The scenario may name Python
    code, and the folder may be somebody else's. Raises InputError as for the scenario.
    """
    import scenarios
    from sim.engine.learning_task import learner_of
    from sim.world.world import World

    folders = [str(path.resolve()) for path in checkpoint_folders(folder)]
    moved = {"learning.model.checkpoints": folders} if folders else {}
    return learner_of(World(scenarios.from_stored(manifest["scenario"], moved)))
