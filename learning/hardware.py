"""What torch can compute on here."""

from __future__ import annotations


def describe() -> str:
    """Return one line: CPU threads, and CUDA devices if there are any."""
    import torch

    if not torch.cuda.is_available():
        return f"torch {torch.__version__} computes on the CPU; no CUDA device"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"torch {torch.__version__} sees CUDA: {', '.join(names)}; training runs on the CPU"
