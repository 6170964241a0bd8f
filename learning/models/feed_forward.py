"""An MoE layer that runs its experts as one: those of one form are stacked, as devices are.

Their gradient is written out. Autograd would walk some twenty nodes for each expert, which costs
several times the arithmetic of matrices as small as these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from learning.models.moe import MoELayer
from learning.models.stacked import Grouped, added, product
from learning.models.tape import Step, run


class ExpertsAtOnce(MoELayer):
    """The same function. Where experts run on every row, those of one form are one product."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., hidden), or (K, ..., hidden) of K devices, to the same shape."""
        if not self.dense:
            return super().forward(x)
        only = self.gate.only
        share = None
        if only is None or self.gate.is_watched:
            share = self.gate(x).weight
        numbers = tuple(map(int, self.experts)) if only is None else (only,)
        held = [t for number in numbers for t in _tensors(self.experts[str(number)])]
        sums = []
        for group in _groups(numbers, tuple(-1 if t is None else t.dim() for t in held)):
            part = None if only is not None else share
            sums.append(_summed(x, part, group, held, self.scale))
        total = sums[0]
        for other in sums[1:]:
            total = added(total, other)
        return total


DIMENSIONS = (2, 1, 2, 2) * 2
"""Of W, b, A and B of an expert's two maps; each has one more if it is stacked by device."""


def _tensors(expert: Any) -> list[Tensor | None]:
    """Return the tensors of an expert's two maps; None for factors that it does not have."""
    return [*expert.up.tensors, *expert.down.tensors]


class _Group(NamedTuple):
    """Experts of one form: their ``numbers``, and where their tensors are among those of a layer.

    ``order`` lists them name by name. ``own`` says which names are stacked by device, those at
    ``alone`` only for the product; ``first`` is a tensor that is stacked, -1 if there is none.
    """

    numbers: list[int]
    order: list[int]
    own: list[bool]
    alone: frozenset[int]
    first: int


@lru_cache(maxsize=256)
def _groups(numbers: tuple[int, ...], dimensions: tuple[int, ...]) -> list[_Group]:
    """Return the groups of experts whose tensors have these ``dimensions``, -1 for none."""
    names = len(DIMENSIONS)
    forms = [dimensions[at : at + names] for at in range(0, len(dimensions), names)]
    groups = []
    for form in dict.fromkeys(forms):
        members = [at for at, other in enumerate(forms) if other == form]
        given = [have > plain for have, plain in zip(form, DIMENSIONS, strict=True)]
        own: list[bool] = []
        for weight, bias in ((0, 1), (4, 5)):  # factors always, W and b both or none
            own += [given[weight] or given[bias]] * 2 + [True] * 2
        alone = [name for name in range(names) if own[name] > given[name] and form[name] >= 0]
        groups.append(
            _Group(
                [numbers[at] for at in members],
                [at * names + name for name in range(names) for at in members],
                own,
                frozenset(at * names + name for at in members for name in alone),
                members[0] * names + given.index(True) if any(given) else -1,
            )
        )
    return groups


def _summed(
    x: Tensor, share: Tensor | None, group: _Group, held: Sequence[Tensor | None], scale: float
) -> Tensor:
    """Return the outputs of a group on ``x`` times their ``share`` (..., E), summed."""
    first = held[group.first] if group.first >= 0 else None
    tensors = [held[at] for at in group.order]
    devices = _devices(tensors) if first is None else first.shape[0]
    if group.alone:
        tensors = [
            _of_each(t, devices) if t is not None and at in group.alone else t
            for at, t in zip(group.order, tensors, strict=True)
        ]
    form = _Form(devices, group.own, group.numbers, scale)
    out: Tensor = run(_FeedForward, x, share, form, *tensors)
    return out


def _devices(shared: Sequence[Tensor | Grouped | None]) -> int:
    """Return how many devices are run with tensors of which none is a device's own.

    They count as one where they share them all.
    """
    return next((tensor.devices for tensor in shared if isinstance(tensor, Grouped)), 1)


def _of_each(tensor: Tensor | Grouped, devices: int) -> Tensor:
    """Return what devices share as if each had its own, (K, ...)."""
    if isinstance(tensor, Grouped):
        return tensor.expanded()
    return tensor.expand(devices, *tensor.shape)


class _Form(NamedTuple):
    """How the experts of a group are run: which columns of the share are theirs, for K devices."""

    devices: int
    own: list[bool]
    numbers: list[int]
    scale: float


class _Map(NamedTuple):
    """Linear maps: W (N, out, in), b (N, out), and factors (M, r, in) and (M, out, r) or None.

    M is E K, and N as many or E: then K devices share a matrix. Those of several groups of devices
    are :class:`~learning.models.stacked.Grouped`.
    """

    scale: float
    weight: Any
    bias: Any
    a: Tensor | None
    b: Tensor | None

    def of(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the outputs (M, n, out) of ``x`` (M, n, in), and ``scale x A'`` of factors."""
        if isinstance(self.weight, Grouped) and isinstance(self.bias, Grouped):
            out = _by_group(self.weight, _affine, x, self.bias)
        else:
            out = _affine(x, self.weight, self.bias)
        if self.a is None or self.b is None:
            return out, None
        inner = product(x, self.a.mT).mul_(self.scale)
        return out.baddbmm_(inner, self.b.mT), inner

    def gradient(
        self, of_out: Tensor, x: Tensor, inner: Tensor | None, wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        """Return the gradient by ``x``, W, b, A and B out of the one by the outputs."""
        of_x = of_weight = of_bias = of_a = of_b = None
        if wanted[0] or wanted[1] or wanted[2]:
            if isinstance(self.weight, Grouped):
                assert not wanted[1]  # what a group shares is frozen
                of_x = _by_group(self.weight, _back, of_out)
            else:
                rows = _rows(of_out, self.weight)
                of_x = _back(of_out, self.weight) if wanted[0] else None
                of_weight = torch.bmm(rows.mT, _rows(x, self.weight)) if wanted[1] else None
                of_bias = rows.sum(1) if wanted[2] else None
        if self.a is not None and self.b is not None and inner is not None:
            of_inner = product(of_out, self.b).mul_(self.scale)
            if of_x is not None:
                of_x.baddbmm_(of_inner, self.a)
            of_a = product(of_inner.mT, x)
            of_b = product(of_out.mT, inner)
        return of_x, of_weight, of_bias, of_a, of_b


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the outputs (M, n, out) of ``x`` (M, n, in), W (N, out, in) and b (N, out)."""
    out = torch.baddbmm(bias[:, None], _rows(x, weight), weight.mT)
    return out.view(*x.shape[:-1], -1)


def _rows(x: Tensor, weight: Tensor) -> Tensor:
    """Return ``x`` (M, n, ...) as the rows (N, ...) that meet the same W of N."""
    matrices = weight.shape[0]  # len() of a tensor is slow
    return x if x.shape[0] == matrices else x.reshape(matrices, -1, x.shape[-1])


def _back(of_out: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient (M, n, in) by what W (N, out, in) maps to outputs (M, n, out)."""
    return torch.bmm(_rows(of_out, weight), weight).view(*of_out.shape[:-1], -1)


def _by_group(
    weight: Grouped, compute: Callable[..., Tensor], x: Tensor, *beside: Grouped
) -> Tensor:
    """Return what ``compute`` makes of each group's ``x`` (E K, n, ...) and its W (E, ...)."""
    experts = weight.first.shape[0]
    of_experts = x.view(experts, weight.devices, *x.shape[1:])
    found = []
    for own, of_group, *others in weight.groups(of_experts, *beside, dim=1):
        out = compute(of_group.reshape(-1, *x.shape[1:]), own, *others)
        found.append(out.view(*of_group.shape[:2], *out.shape[1:]))
    return torch.cat(found, 1).flatten(0, 1)


class _FeedForward(Step):
    """``sum_e share_e down_e(GELU(up_e(x)))`` of x (..., in), or of one expert without a share.

    The share is (..., E') of all experts. Tensors are those of both maps by name, of each expert of
    the group; those that are its own are stacked by device.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, share: Tensor | None, form: _Form, *tensors: Tensor | None
    ) -> Tensor:
        devices, own, numbers, scale = form
        experts = len(numbers)
        stacks = [
            _stack([*tensors[at * experts : (at + 1) * experts]], own=is_own)
            for at, is_own in enumerate(own)
        ]
        up = _Map(scale, *stacks[:4])
        down = _Map(scale, *stacks[4:])
        one = x.reshape(devices, -1, x.shape[-1])
        rows = one if experts == 1 else one.expand(experts, *one.shape).flatten(0, 1)
        before, first = up.of(rows)
        after = functional.gelu(before)
        out, second = down.of(after)
        part = None
        if share is not None:
            part = share[..., numbers] if experts < share.shape[-1] else share
            part = part.reshape(devices, -1, experts).movedim(-1, 0)
        ctx.maps = (up, down)
        ctx.form = form
        ctx.shapes = (x.shape, None if share is None else share.shape)
        ctx.save_for_backward(rows, part, before, after, out, first, second)
        if part is None:
            return out.view(x.shape)
        return (out.view(experts, *one.shape) * part[..., None]).sum(0).view(x.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        x, part, before, after, out, first, second = ctx.saved_tensors
        by_x, by_share, _, *wanted = ctx.needs_input_grad
        (up, down), (x_shape, share_shape) = ctx.maps, ctx.shapes
        devices, own, numbers, _ = ctx.form
        experts = len(numbers)
        of_out = gradients[0].reshape(devices, -1, x_shape[-1])
        any_of = [any(wanted[i : i + experts]) for i in range(0, len(wanted), experts)]
        of_share = None
        if part is not None:
            if by_share:
                found = (out.view(experts, *of_out.shape) * of_out).sum(-1).movedim(0, -1)
                of_share = _of_columns(found, share_shape, numbers)
            of_out = (of_out * part[..., None]).flatten(0, 1)
        of_after, *of_down = down.gradient(of_out, after, second, [True, *any_of[4:]])
        assert of_after is not None
        of_before = torch.ops.aten.gelu_backward(of_after, before)
        of_x, *of_up = up.gradient(of_before, x, first, [by_x, *any_of[:4]])
        if of_x is not None:
            of_x = of_x if experts == 1 else of_x.view(experts, -1, *of_x.shape[1:]).sum(0)
            of_x = of_x.view(x_shape)
        named = zip((*of_up, *of_down), own, strict=True)
        parts = [part for of, is_own in named for part in _split(of, experts, own=is_own)]
        return of_x, of_share, None, *parts


def _of_columns(found: Tensor, shape: torch.Size, numbers: list[int]) -> Tensor:
    """Return the gradient of all columns, ``shape``, where those at ``numbers`` are known."""
    known = found.reshape(*shape[:-1], len(numbers))
    if len(numbers) == shape[-1]:
        return known
    every = known.new_zeros(shape)
    every[..., numbers] = known
    return every


def _stack(tensors: list[Any], *, own: bool) -> Any:
    """Return the tensors of E experts as one, None for none."""
    first = tensors[0]
    if first is None:
        return None
    if isinstance(first, Grouped):
        parts = [[t.parts[group][1] for t in tensors] for group in range(len(first.parts))]
        devices = [rows.stop - rows.start for rows, _ in first.parts]
        return Grouped([_stack(part, own=False) for part in parts], devices)
    if len(tensors) == 1:
        return first if own else first[None]
    return torch.cat(tensors) if own else torch.stack(tensors)


def _split(stacked: Tensor | None, experts: int, *, own: bool) -> Sequence[Tensor | None]:
    """Return the parts of E experts, each as its tensor: (K, ...) if it is the devices' own."""
    if stacked is None:
        return [None] * experts
    if experts == 1 and own:
        return [stacked]
    return stacked.chunk(experts) if own else stacked.unbind()
