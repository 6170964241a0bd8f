"""Learning results as bytes, quick to write and read, and as the bytes of a model's file.

A packed value is a safetensors file of few tensors: all of one type in a row, and where each of
them begins. Rows that all devices of a stacked value share are held once, and a value that is read
is laid out in memory as the one that was written.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from learning.tensor_files import check_header

if TYPE_CHECKING:
    from learning.values import Tensors

LAYOUT = "leomix.layout"
"""Name, type, rows that are alike (0: none are) and shape of each tensor, as JSON."""
ALIGNMENT_BYTES = 64


def packed(tensors: Tensors) -> bytes:
    """Return a value as bytes."""
    import torch
    from safetensors.torch import save

    layout, parts = [], dict[str, list[Any]]()
    for name, tensor in tensors.items():
        alike = tensor.dim() > 0 and len(tensor) > 1 and tensor.stride(0) == 0
        own = tensor[0] if alike else tensor
        kind = str(tensor.dtype)
        parts.setdefault(kind, []).append(own.reshape(-1))
        layout.append([name, kind, len(tensor) if alike else 0, list(own.shape)])
    text = bytearray(json.dumps(layout).encode())
    flat = {kind: torch.cat(rows) for kind, rows in parts.items()}
    data: bytes = save({**flat, LAYOUT: torch.frombuffer(text, dtype=torch.uint8)})
    return data


def unpacked(data: bytes) -> Tensors:
    """Return the value that :func:`packed` wrote, or the tensors of a model's file.

    Raises ValueError for other bytes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    check_header(data)
    try:
        flat = load(data)
    except SafetensorError as error:
        raise ValueError(f"no value: {error}") from None
    if LAYOUT not in flat:
        return {name: _aligned(tensor) for name, tensor in flat.items()}
    try:
        return _laid_out(flat, json.loads(bytes(flat[LAYOUT].numpy())))
    except (ValueError, KeyError, TypeError, RuntimeError, RecursionError) as error:
        raise ValueError(f"no value: a layout that does not fit ({error})") from None


def _laid_out(flat: Tensors, layout: list[tuple[str, str, int, list[int]]]) -> Tensors:
    tensors, begin = {}, dict.fromkeys(flat, 0)
    for name, kind, rows, shape in layout:
        end = begin[kind] + math.prod(shape)
        own = _aligned(flat[kind][begin[kind] : end]).view(shape)
        tensors[name] = own.expand(rows, *shape) if rows else own
        begin[kind] = end
    return tensors


def _aligned(tensor: Any) -> Any:
    """Return the tensor where torch would put a new one: vector units may round by the address."""
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT_BYTES else tensor


def as_file(tensors: Tensors) -> bytes:
    """Return ``tensors`` as the bytes of a safetensors file: the same ones for the same tensors."""
    from safetensors.torch import save

    # Stacked states share memory between devices (expand); a file needs its own copy of each.
    data: bytes = save({name: tensor.contiguous().clone() for name, tensor in tensors.items()})
    return data
