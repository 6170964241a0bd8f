"""Whether results of a task may be shared between runs, and what they all depend on."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from learning.architecture.kinds import DATA_KEYS, model_keys
from learning.files import SOURCE, files_under, fingerprints_under, source_fingerprints
from learning.losses import is_own
from learning.settings import LearningConfig

LIBRARIES = ("leomix", "torch", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow")
READERS = ("safetensors", "transformers", "tokenizers", "peft", "datasets", "pillow")
SETTINGS = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_MAX_CPU_ISA",
)
"""Environment variables that change which instructions compute numbers."""


def why_not_cacheable(config: LearningConfig) -> str:
    """Return why results of this task must not be shared between runs; empty where they may.

    Code that is not part of leomix, and data that are not local files, can change unnoticed.
    """
    model = config.model
    data = config.data
    if config.loss is not None and is_own(config.loss):
        return f"learning.loss {config.loss!r} is not part of leomix"
    for key, kind, known in (
        (
            "learning.model.kind",
            model.kind,
            model_keys(model.kind, checkpoints=bool(model.checkpoints)),
        ),
        ("learning.data.kind", data.kind, DATA_KEYS.get(data.kind)),
    ):
        if known is None:
            return f"{key} {kind!r} is not part of leomix"
    for name in config.named:
        if not files_under(name):
            return f"{name!r} is no local file or folder"
    if source_fingerprints(Path(__file__).parent) != SOURCE:
        return "leomix itself has changed since this program began"
    return ""


@cache
def source_digest() -> str:
    """Return a digest of what this package's source files hold, wherever they are."""
    digest = hashlib.blake2b(digest_size=8)
    for path, _, _ in SOURCE:
        digest.update(f"{path}\n".encode() + (Path(__file__).parent / path).read_bytes())
    return digest.hexdigest()


def environment(config: LearningConfig) -> dict[str, Any]:
    """Return, as JSON, what every result of the task depends on: files, program, machine."""
    return {
        "config": asdict(config),
        "files": fingerprints_under(config.named),
        "source": SOURCE,
        "versions": {name: _version(name) for name in (*LIBRARIES, *READERS)},
        "python": platform.python_version(),
        "machine": [platform.system(), platform.machine(), *processor()],
        # Whether torch uses oneDNN, as it does by default; it is not imported for that.
        "mkldnn": "torch" not in sys.modules or bool(sys.modules["torch"].backends.mkldnn.enabled),
        "gpu": gpu_name(config.device),
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def processor() -> list[str]:
    """Return what the processor is called, and on Linux what it can do."""
    facts = Path("/proc/cpuinfo")
    if not facts.exists():
        return [platform.processor()]
    lines = facts.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    telling = ("model name", "flags", "Features", "CPU part")
    return [" ".join(line.split()) for line in lines if line.startswith(telling)]


def gpu_name(device: str) -> str:
    """Return what a CUDA device is called, "" for the CPU."""
    if not device.startswith("cuda"):
        return ""
    import torch

    return torch.cuda.get_device_name(device)
