"""Options of a question in one row behind what they share, so that it is computed once.

A question with its options is one sequence: what all options begin with, then the rest of each.
A token attends to what is before it in its own option's text, and has the position that it has
there. So every token's hidden state is what it is where each option is run by itself, but for
rounding: attention sums in another order, and all else is done token by token.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

LEAST_SAVED = 2
"""A question has a row of its own where it is so many times as short as the texts of its options,
padding included: attention takes longer over a long row."""
MOST_PADDED = 1.25
"""How much longer the longest row of some that are run together is than the shortest."""


class Lengths(NamedTuple):
    """Of questions (n): tokens that all options begin with (n, 1), and where each goes on (n, O).

    ``sizes`` (n,) are the lengths of their rows.
    """

    shared: Tensor
    starts: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, ids: Tensor) -> Self:
        """Measure token ids (n, O, T), padded with -1 behind each text."""
        real = ids >= 0
        there = real.any(-1, keepdim=True)
        rows = torch.arange(len(ids), device=ids.device)
        first = ids[rows, there.squeeze(-1).int().argmax(1), None]
        alike = (((ids == first) & real) | ~there).all(1)
        shared = alike.int().cumprod(-1).sum(-1)[:, None]
        own = (real.sum(-1) - shared).clamp_min(0)
        starts = shared + own.cumsum(-1) - own
        return cls(shared, starts, starts[:, -1] + own[:, -1])


def grouped(ids: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return numbers of questions whose rows are run together, and of those with no such row.

    Of token ids (n, O, T). Rows of a group are about as long as each other; a question has none
    where its options share too little, or padding is before a text.
    """
    real = ids >= 0
    padded_before = (real[..., 1:] > real[..., :-1]).flatten(1).any(1)
    sizes = Lengths.of(ids).sizes
    shares = (LEAST_SAVED * sizes <= ids[0].numel()) & ~padded_before
    order = sizes.argsort(stable=True)
    order = order[shares[order]]
    groups: list[list[int]] = []
    shortest = 0
    for number, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        if not groups or size > MOST_PADDED * shortest:
            groups.append([])
            shortest = size
        groups[-1].append(number)
    made = [torch.tensor(group, device=ids.device) for group in groups]
    return made, (~shares).nonzero(as_tuple=True)[0]


class SharedPrefix(NamedTuple):
    """Questions (n) with their options (O, texts of up to T tokens) as rows of L tokens.

    ``tokens`` (n, L) are ids, -1 behind the last one; ``positions`` (n, L) those of the tokens in
    their own texts; ``visible`` (n, 1, L, L) says which token (the last axis) each one attends to.
    ``places`` (n, O, T) are where the tokens of the texts are, -1 of padding.
    """

    tokens: Tensor
    positions: Tensor
    visible: Tensor
    places: Tensor

    @classmethod
    def of(cls, ids: Tensor) -> Self:
        """Put token ids (n, O, T), padded with -1 behind each text, into rows."""
        real = ids >= 0
        n, options, length = ids.shape
        shared, starts, sizes = Lengths.of(ids)
        size = int(sizes.max())
        at = torch.arange(length, device=ids.device)
        in_prefix = at < shared[..., None]
        places = torch.where(in_prefix, at, starts[..., None] + at - shared[..., None])
        # What is padding goes to a column behind the last one, which is cut off.
        target = torch.where(real, places, size).flatten(1)
        numbers = torch.arange(1, options + 1, device=ids.device)[:, None]
        owners = torch.where(in_prefix, 0, numbers)

        def row(values: Tensor, empty: int) -> Tensor:
            made = ids.new_full((n, size + 1), empty)
            return made.scatter(1, target, values.expand_as(ids).flatten(1))[:, :size]

        tokens, positions, owner = row(ids, -1), row(at, 0), row(owners, -1)
        before = positions[:, None, :] <= positions[:, :, None]
        ours = (owner[:, None, :] == 0) | (owner[:, None, :] == owner[:, :, None])
        seen = before & ours & (tokens >= 0)[:, None, :]
        # Padding attends to itself: a softmax over nothing has no value.
        seen |= torch.eye(size, dtype=torch.bool, device=ids.device)
        return cls(tokens, positions, seen[:, None], torch.where(real, places, -1))

    def packed(self, hidden: Tensor) -> Tensor:
        """Return states (n, L, hidden) of the rows, from those of the texts (n, O, T, hidden)."""
        n, size = self.tokens.shape
        index = torch.where(self.places < 0, size, self.places).flatten(1)
        numbers = torch.arange(index.shape[1], device=index.device).expand_as(index)
        # What options share comes from the first that has it.
        source = index.new_zeros(n, size + 1).scatter_reduce(
            1, index, numbers, "amin", include_self=False
        )[:, :size]
        rows = torch.arange(n, device=index.device)[:, None]
        return hidden.flatten(1, 2)[rows, source]

    def unpacked(self, hidden: Tensor) -> Tensor:
        """Return states (n O, T, hidden) of the texts, from those of the rows (n, L, hidden)."""
        n, options, length = self.places.shape
        rows = torch.arange(n, device=hidden.device)[:, None]
        return hidden[rows, self.places.clamp_min(0).flatten(1)].view(n * options, length, -1)
