"""The trained model of a run folder: its files, and the whole of it read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learning.files import write_bytes
from learning.values.store import load_value, save_tensors
from sim.errors import InputError, helped
from sim.facts.status import COMPLETE
from sim.files import write_text
from statements import Code

if TYPE_CHECKING:
    from learning.learner import Learner
    from learning.values.store import Tensors

WEIGHTS = "model.safetensors"
PERSONAL = "personal.safetensors"
"""What each device has of its own, as CLUSTER/DEVICE/NAME."""
ANEW = "to export the weights, run it anew elsewhere (the tables do not depend on it)"


def write_model(
    folder: Path,
    weights: bytes | Tensors | None,
    about: Mapping[str, Any],
    payloads: Sequence[Mapping[str, Any]],
    personal: Tensors | None = None,
) -> None:
    """Write the final weights if there are any, what they are, and ``payloads``.

    The weights are tensors by name or the bytes of a safetensors file. Tensors that are
    ``personal`` are a file beside it.
    """
    place = folder / "model"
    place.mkdir(parents=True, exist_ok=True)
    if weights is not None:
        if isinstance(weights, bytes):
            write_bytes(place / WEIGHTS, weights)
        else:
            save_tensors(place / WEIGHTS, weights)
        about = {**about, "tensors": _shapes(place / WEIGHTS)}
    if personal is not None:
        save_tensors(place / PERSONAL, personal)
    write_text(place / "model.json", json.dumps(about, indent=2))
    write_text(place / "payloads.json", json.dumps(payloads, indent=2))


def _shapes(path: Path) -> dict[str, list[int]]:
    """Return the shapes of a file's tensors by name."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        shapes = {key: list(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    return dict(sorted(shapes.items()))


def whole_model(folder: Path, manifest: Mapping[str, Any]) -> Tensors:
    """Return all tensors of the trained model of a run folder by their stored names.

    Raises InputError for a run without weights or that is not complete, and for a broken file.
    """
    check_trained(folder, manifest)
    path = folder / "model" / WEIGHTS
    try:
        return load_value(path)
    except ValueError as error:
        raise helped(error, ANEW) from None


def check_trained(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise InputError for a run that is not complete, or has no weights."""
    if (status := manifest["status"]) != COMPLETE:
        raise InputError.of_file(
            folder,
            Code.WRONG_FILE,
            "the run is {status}",
            f"finish it first: leomix run SCENARIO --resume -o {folder}",
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
            "run it anew elsewhere with learning.keep: last, or best",
        )
    if trained and not manifest.get("own_learning"):  # such code may give none
        raise InputError.of_file(path, Code.NO_FILE, "is missing", ANEW)
    raise InputError.of_file(
        folder,
        Code.NOT_RECORDED,
        f"has no weights ({'its code gave none' if trained else 'learning.train was false'})",
        "train a run to export",
    )


def learner_of_run(manifest: Mapping[str, Any]) -> Learner:
    """Return the learner of the run in a folder, for what is made of its weights.

    The scenario may name Python code, and the folder may be somebody else's. Raises InputError as
    for the scenario.
    """
    import scenarios
    from sim.engine.learning_task import learner_of
    from sim.world.world import World

    return learner_of(World(scenarios.from_stored(manifest["scenario"], {})))
