"""The device that torch computes on, and how much memory is free."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from ctypes import CDLL
from functools import cache
from mmap import PAGESIZE
from pathlib import Path

# What torch can compute on here, and in which number format.


def describe() -> str:
    """Return one line: CPU threads, and CUDA devices if there are any."""
    import torch

    names = ", ".join(map(torch.cuda.get_device_name, range(torch.cuda.device_count())))
    where = f"CUDA: {names}" if names else "the CPU; no CUDA device"
    return f"torch {torch.__version__} computes on {where}"


def compute_device(asked: str) -> str:
    """Return ``cpu``, ``cuda`` or ``cuda:N`` for ``learning.device``; ``auto`` takes what is there.

    On CUDA, matrices are then multiplied the same way in each run. Raises ValueError where a device
    is asked for that is not there.
    """
    if asked == "auto":
        asked = "cuda" if _cuda_devices() else "cpu"
    if asked == "cpu":
        return asked
    if seen := seen_without(asked):
        raise ValueError(f"learning.device: got {asked!r}, but torch sees {seen}; use 'auto'")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return asked


def cuda_with_generators() -> list[int]:
    """Return the numbers of the CUDA devices that a seed of torch changes: none before CUDA starts.

    Needs torch to be imported.
    """
    cuda = sys.modules["torch"].cuda
    return list(range(cuda.device_count())) if cuda.is_initialized() else []


def seen_without(device: str) -> str:
    """Return which CUDA devices there are where ``cuda:N`` is none of them, else ""."""
    count = _cuda_devices()
    if int(device.partition(":")[2] or 0) < count:
        return ""
    return ", ".join(f"cuda:{number}" for number in range(count)) or "no CUDA device"


@cache
def _cuda_devices() -> int:
    """Count the CUDA devices; torch, slow to import, is asked only where there may be some."""
    from importlib.metadata import version

    build = version("torch")
    if build.endswith("+cpu"):
        return 0
    if sys.platform == "linux" and "rocm" not in build:
        try:
            CDLL("libcuda.so.1")
        except OSError:  # no driver, which is what torch looks for too
            return 0
    import torch

    return torch.cuda.device_count()


MEMINFO = Path("/proc/meminfo")
STATUS = Path("/proc/self/status")
STATM = Path("/proc/self/statm")
CGROUP = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
GROUP_FILES = {
    "": ("memory.max", "memory.current"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}
"""Limit and usage of a control group of version 2, which names no controllers, and of version 1."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation by Python, NumPy or torch (a RuntimeError of its own words) failed."""
    words = ("can't allocate memory", "out of memory", "not enough memory")
    torchs = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return torchs or isinstance(error, MemoryError)


def beyond_memory(needed: int) -> str:
    """Say how much of the CPU's free memory so many bytes would be; "" where they fit into it."""
    free = free_bytes("cpu")
    if free is None or needed <= free:
        return ""
    return f"{needed / 2**30:.1f} GiB of {free / 2**30:.1f} free"


def free_bytes(device: str) -> int | None:
    """Return the free memory of ``cpu`` or ``cuda`` in bytes, None where it is not known.

    Of the CPU it is the least of what the machine has available, what the control groups that this
    process is in leave of their limits, and what the process's own limit leaves.
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    lines = _text(MEMINFO).splitlines()
    available = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    most = address_limit()
    pages = _text(STATM).split()
    if most is not None and pages:
        available.append(max(most - int(pages[0]) * PAGESIZE, 0))
    return min((*available, *_left_in_groups()), default=None)


def peak_bytes() -> int | None:
    """Return the most memory that this process has held, None where that is not known.

    Unlike that of ``getrusage``, it is not what the process held that started it.
    """
    lines = _text(STATUS).splitlines()
    peaks = (int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    return next(peaks, None)


MOST_KERNELS = 64
"""Kernels of sixteen-bit products that are kept on a CPU."""


def keep_few_kernels() -> None:
    """Have torch and oneDNN keep few of the kernels that they make for each shape of a product.

    Experts are given another number of tokens at each step: the thousand of each that would be
    kept take a gigabyte, and are seldom used again. Call it before the first product.
    """
    for cache_of in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(cache_of, str(MOST_KERNELS))


def give_memory_back() -> None:
    """Let the system have the memory that glibc keeps of what was freed; nothing elsewhere."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    return getattr(CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def _text(path: Path) -> str:
    """Return what the kernel says in a file, "" where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _left_in_groups() -> Iterator[int]:
    """What each control group that limits memory has left; of both versions, up to the root."""
    for line in _text(CGROUP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in GROUP_FILES:
            own = Path(path.lstrip("/"))
            for group in (own, *own.parents):
                yield from _left(CGROUPS / controllers / group, *GROUP_FILES[controllers])


def _left(group: Path, limit: str, usage: str) -> Iterator[int]:
    most = _text(group / limit).strip()
    used = _text(group / usage)
    stat = _text(group / "memory.stat").split()
    if most != "max" and most and used and stat:
        # The kernel gives up pages of files that were read, although they count as used.
        files = dict(zip(stat[::2], stat[1::2], strict=False))
        reclaimable = int(files.get("total_inactive_file", files.get("inactive_file", "0")))
        yield max(int(most) - int(used) + reclaimable, 0)


def address_limit() -> int | None:
    """Return the bytes of address space that ``ulimit -v`` allows; None without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if most == resource.RLIM_INFINITY else most
