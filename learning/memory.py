"""Whether a model fits into memory, said before anything of it is loaded."""

from __future__ import annotations

from pathlib import Path

MEMINFO = Path("/proc/meminfo")


def check_memory(needed: float, device: str) -> None:
    """Raise ValueError with both figures where ``needed`` bytes are more than ``device`` has."""
    free = free_bytes(device)
    if free is not None and needed > free:
        where = "CUDA device" if device.startswith("cuda") else "machine"
        raise ValueError(
            f"the model needs {needed / 2**30:.1f} GiB and the {where} has {free / 2**30:.1f} GiB "
            "free; use learning.precision=bfloat16, a smaller model, or learning.train=false"
        )


def free_bytes(device: str) -> int | None:
    """Return the free memory of ``cpu`` or ``cuda`` in bytes, None where it is not known."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None
