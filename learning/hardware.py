"""What torch can compute on here, and in which number format."""

from __future__ import annotations

import sys
from ctypes import CDLL
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from learning.config import LearningConfig
    from learning.values import Tensors


def describe() -> str:
    """Return one line: CPU threads, and CUDA devices if there are any."""
    import torch

    if not torch.cuda.is_available():
        return f"torch {torch.__version__} computes on the CPU; no CUDA device"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"torch {torch.__version__} computes on CUDA: {', '.join(names)}"


def compute_device(asked: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``learning.device``; ``auto`` takes CUDA where there is one.

    Raises ValueError where CUDA is asked for and not there.
    """
    if asked == "cpu":
        return "cpu"
    if _has_cuda():
        return "cuda"
    if asked == "cuda":
        raise ValueError("learning.device is 'cuda', but torch sees no CUDA device; use 'auto'")
    return "cpu"


def _has_cuda() -> bool:
    """Whether there is a CUDA device; torch, slow to import, is asked only where one may be."""
    build = version("torch")
    if build.endswith("+cpu"):
        return False
    if sys.platform == "linux" and "rocm" not in build:
        try:
            CDLL("libcuda.so.1")
        except OSError:  # no driver, which is what torch looks for too
            return False
    import torch

    return torch.cuda.is_available()


def torch_dtype(config: LearningConfig) -> torch.dtype:
    """Return the number format of weights and training."""
    import torch

    from learning.precision import precision_of

    dtype: torch.dtype = getattr(torch, precision_of(config))
    return dtype


def on_device(tensors: Tensors, device: str) -> Tensors:
    """Return ``tensors`` where they are computed on: those read from disk are on the CPU."""
    if device == "cpu":
        return tensors
    return {name: tensor.to(device) for name, tensor in tensors.items()}
