"""One model of the Hugging Face hub: looked up, its commit pinned, its weights and texts fetched.

No code of it is fetched, nor weights that are pickled.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learning.files import HUB, sha256_of
from learning.models.checkpoints import COPIED, INDEX
from sim.cli.output import one_line
from sim.errors import InputError
from statements import Code, Other

NAME = re.compile(r"(?P<repository>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w.-]+))?")
WAIT_S = 20.0
"""Seconds that the hub may take to answer."""


@dataclass(frozen=True)
class OnHub:
    """A model at a ``commit``: sizes of the files that are taken, and their SHA-256 where known."""

    repository: str
    commit: str
    licence: str
    sizes: Mapping[str, int]
    sha256: Mapping[str, str]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files that are taken."""
        return sum(self.sizes.values())


def look_up(given: str, name: str) -> OnHub:
    """Return what the hub says of ``hub:OWNER/NAME``, or of its ``@REVISION``.

    Raises InputError for a name that is none, without a network, and for a model without
    safetensors.
    """
    asked = NAME.fullmatch(name.removeprefix(HUB))
    if asked is None:
        raise InputError.of_option(
            given,
            Code.WRONG_VALUE,
            "is no name on the hub",
            Other(said=f"write {HUB}OWNER/NAME, or {HUB}OWNER/NAME@REVISION"),
        )
    from huggingface_hub import HfApi

    with _reaching(given):
        found = HfApi().model_info(
            asked["repository"], revision=asked["revision"], files_metadata=True, timeout=WAIT_S
        )
    files = {one.rfilename: one for one in found.siblings or () if _is_taken(one.rfilename)}
    if not any(name.endswith(".safetensors") for name in files):
        raise InputError.of_option(
            given,
            Code.WRONG_FILE,
            "has no safetensors, and nothing else is read",
            Other(said="name a model that is published in that format"),
        )
    card: Any = found.card_data
    stated = None if card is None else card.get("license")
    return OnHub(
        asked["repository"],
        str(found.sha),
        f"{stated} by the model's card" if stated else "none is stated by the model's card",
        {name: one.size or 0 for name, one in files.items()},
        {name: one.lfs.sha256 for name, one in files.items() if one.lfs is not None},
    )


def download(given: str, model: OnHub, folder: Path, work: Path) -> dict[str, str]:
    """Write the files of a model into a folder by way of ``work``; return their SHA-256.

    Raises InputError where the hub cannot be reached, and for a file that is not the known one.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    # It tries again by itself, and says so each time.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    found: dict[str, str] = {}
    for name in sorted(model.sizes):
        with _reaching(given):
            file = HfApi().hf_hub_download(
                model.repository, name, revision=model.commit, local_dir=work, etag_timeout=WAIT_S
            )
        Path(file).replace(folder / name)
        found[name] = sha256_of(folder / name)
        if found[name] != model.sha256.get(name, found[name]):
            raise InputError.of_option(
                given,
                Code.WRONG_FILE,
                "{file} has the sha256 {found}, and the hub says {known}",
                Other(said="fetch it again"),
                file=name,
                found=found[name],
                known=model.sha256[name],
            )
    return found


def _is_taken(name: str) -> bool:
    """Whether a file of a repository is weights, or says what they are; none of a folder in it."""
    return "/" not in name and (name.endswith(".safetensors") or name in (*COPIED, INDEX))


@contextmanager
def _reaching(given: str) -> Iterator[None]:
    """Say in a line what the hub does not give, and why."""
    try:
        yield
    except Exception as error:  # of the library, of what it speaks HTTP by, or of the system
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError.of_option(
            given,
            Code.UNREACHABLE,
            "the hub did not give it ({why})",
            Other(said="check the network and the name"),
            Other(said="fetch it elsewhere, and name its folder"),
            why=one_line(said[0])[:200],
        ) from None
