"""Digests of a run's tables, which depend on nothing but their values and the rows' order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from sim.schema import LEARNED


def digests(tables: Mapping[str, pa.Table]) -> tuple[str, str]:
    """Return the digest of all tables, and that of their timing, without what was learnt."""
    whole, timing = hashlib.sha256(), hashlib.sha256()
    for name in sorted(tables):
        table = tables[name]
        for column in table.column_names:
            said = f"{name}.{column}:{len(table)}:{_digest(table.column(column))}\n".encode()
            whole.update(said)
            if column not in LEARNED.get(name, ()):
                timing.update(said)
    return whole.hexdigest(), timing.hexdigest()


def sha256(tables: Mapping[str, pa.Table], timing_only: bool = False) -> str:
    """Return one of the two ``digests``."""
    return digests(tables)[timing_only]


def _digest(values: pa.ChunkedArray) -> str:
    """Digest of a column: which rows are null, and the others' values."""
    digest = hashlib.sha256()
    if values.null_count:
        for chunk in values.chunks:
            digest.update(chunk.is_null().to_numpy(zero_copy_only=False))
    for part in _text(values) if pa.types.is_string(values.type) else _numbers(values):
        digest.update(part)
    return digest.hexdigest()


def _numbers(values: pa.ChunkedArray) -> Iterator[memoryview]:
    """Whole numbers, times and flags as int64, others as float64; 0 where nothing is known."""
    if pa.types.is_timestamp(values.type) or pa.types.is_boolean(values.type):
        values = values.cast(pa.int64())
    kind = "<f8" if pa.types.is_floating(values.type) else "<i8"
    for chunk in values.chunks:
        filled = chunk.fill_null(0) if chunk.null_count else chunk
        yield np.ascontiguousarray(filled.to_numpy(), kind).data


def _text(values: pa.ChunkedArray) -> Iterator[bytes | memoryview]:
    """The texts that occur, by the alphabet, and then which of them each row has; -1 for none."""
    encoded = values.dictionary_encode().unify_dictionaries()
    words = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    yield json.dumps(sorted(words)).encode()
    place = {word: number for number, word in enumerate(sorted(words))}
    ranks = np.array([*(place[word] for word in words), -1], "<i4")
    for chunk in encoded.chunks:
        yield ranks[chunk.indices.fill_null(-1).to_numpy()].data
