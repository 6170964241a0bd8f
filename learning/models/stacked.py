"""Models as functions of tensors that may be stacked by device: layers, and a run of a module.

A layer takes parameters of its usual shape, shared by all rows, or (K, ...) with those of K
devices. In the second case its input is (K, ...) as well, and device k's rows meet its own
parameters. Weights and biases are stacked independently of each other. Where several groups of
devices are run as one, a parameter that the devices of a group share is :class:`Grouped`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.models.tape import Step, run

Tensors = Mapping[str, Tensor]
"""Tensors by name."""

NARROW = 12
"""Columns below which torch multiplies and normalises a transposed matrix two to five times as
fast (MKL, 32 and 64 bits; batches of small matrices, measured with 1 to 64 columns)."""


class Grouped:
    """A parameter of several groups of devices that are run as one; each group shares one tensor.

    ``parts`` are these, each with the rows of its devices among those of all groups. A product over
    a tensor that devices share may round by their number, so each group has a product of its own:
    the same one as if it were run alone.
    """

    def __init__(self, tensors: Sequence[Tensor], devices: Sequence[int]) -> None:
        ends = list(accumulate(devices))
        rows = map(slice, [0, *ends], ends)
        self.parts = list(zip(rows, tensors, strict=True))
        self.devices = ends[-1]
        self.is_one = all(tensor is tensors[0] for tensor in tensors)

    @property
    def first(self) -> Tensor:
        """The tensor of the first group."""
        return self.parts[0][1]

    @property
    def distinct(self) -> list[Tensor]:
        """The tensors of the groups; where all of them are one, this."""
        return [self.first] if self.is_one else [tensor for _, tensor in self.parts]

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Grouped:
        """Return what a function makes of each tensor."""
        made = [function(tensor) for tensor in self.distinct]
        devices = [rows.stop - rows.start for rows, _ in self.parts]
        return Grouped(made * len(devices) if self.is_one else made, devices)

    def groups(self, *beside: Tensor | Grouped, dim: int = 0) -> list[tuple[Tensor, ...]]:
        """Return of each group its tensor, and what is its own of those that are ``beside``.

        Of a tensor these are the rows of its devices, which are counted through along ``dim``.
        """
        places = [(*[slice(None)] * dim, rows) for rows, _ in self.parts]
        columns = [
            [other[place] for place in places]
            if isinstance(other, Tensor)
            else [tensor for _, tensor in other.parts]
            for other in (self, *beside)
        ]
        return list(zip(*columns, strict=True))

    def dim(self) -> int:
        """Return the number of dimensions of each tensor."""
        return self.first.dim()

    def expanded(self) -> Tensor:
        """Return the tensors as if each device had its own, (K, ...)."""
        return torch.cat([t.expand(r.stop - r.start, *t.shape) for r, t in self.parts])


def with_tensors(model: nn.Module, tensors: Tensors, path: str = "") -> nn.Module:
    """Return a copy of ``model`` whose parameters and buffers are ``tensors`` by path.

    What is not named stays. The modules are copied, and nothing is changed in ``model`` itself:
    threads may run it with tensors of their own at the same time.
    """
    own = model.__dict__
    copy: nn.Module = object.__new__(type(model))
    copy.__dict__.update(own)
    for kind in ("_parameters", "_buffers"):
        copy.__dict__[kind] = {n: tensors.get(path + n, t) for n, t in own[kind].items()}
    copy.__dict__["_modules"] = {
        name: None if part is None else with_tensors(part, tensors, f"{path}{name}.")
        for name, part in own["_modules"].items()
    }
    # Where Python looks first, and not behind them all as torch does.
    for kind in ("_parameters", "_buffers", "_modules"):
        copy.__dict__.update(copy.__dict__[kind])
    return copy


def linear(x: Tensor, weight: Tensor | Grouped, bias: Tensor | Grouped | None) -> Tensor:
    """Return ``x W' + b`` (..., out) of ``x`` (..., in), W (out, in) or (K, out, in)."""
    if isinstance(weight, Grouped):
        of_groups: Tensor = run(_GroupedLinear, x, weight, bias)
        return of_groups
    if isinstance(bias, Grouped):
        bias = bias.expanded()
    if weight.dim() == 2:
        if bias is None or bias.dim() == 1:
            out: Tensor = run(_SharedLinear, x, weight, bias)
            return out
        return functional.linear(x, weight) + by_device(bias, x)
    own: Tensor = run(_OwnLinear, x, weight, bias)
    return own


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return the products (N, n, p) of matrices (N, n, m) and (N, m, p)."""
    return torch.bmm(b.mT, a.mT).mT if b.shape[-1] < NARROW else torch.bmm(a, b)


class _SharedLinear(Step):
    """``x W' + b`` of x (..., in), and W (out, in) and b (out,) that are not trained."""

    plain = staticmethod(functional.linear)

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return _shared_linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return _shared_back(gradients[0], weight), None, None


def _shared_back(of_out: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient (..., in) by what W (out, in) maps to outputs (..., out)."""
    rows = of_out.reshape(-1, of_out.shape[-1])
    return (rows @ weight).view(*of_out.shape[:-1], -1)


def _shared_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``functional.linear`` in calls that can write to memory that is there."""
    rows = x.reshape(-1, x.shape[-1])
    out = rows @ weight.mT if bias is None else torch.addmm(bias, rows, weight.mT)
    return out.view(*x.shape[:-1], -1)


class _GroupedLinear(Step):
    """:class:`_SharedLinear` of each group of devices, x (K, ..., in)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Grouped, bias: Grouped | Tensor | None) -> Tensor:
        ctx.weight = weight
        if isinstance(bias, Grouped):
            return torch.cat([_shared_linear(rows, w, b) for w, rows, b in weight.groups(x, bias)])
        out = torch.cat([_shared_linear(rows, w, None) for w, rows in weight.groups(x)])
        return out if bias is None else out + by_device(bias, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.needs_input_grad[2]:
            raise NotImplementedError("a bias of one's own beside a matrix of a group")
        of_groups = ctx.weight.groups(gradients[0])
        return torch.cat([_shared_back(rows, weight) for weight, rows in of_groups]), None, None


class _OwnLinear(Step):
    """``x W' + b`` of x (N, ..., in), W (N, out, in), and b (N, out), (out,) or none.

    Autograd would make the gradient of W as that of W', transposed: a step along it takes five
    times as long, which is a fifth of the training of many devices' whole models.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = x.reshape(weight.shape[0], -1, x.shape[-1])
        ctx.save_for_backward(rows, weight)
        ctx.form = x.shape
        if bias is None:
            out = product(rows, weight.mT)
        elif weight.shape[1] < NARROW:
            of_each = bias.expand(weight.shape[0], -1)
            out = torch.baddbmm(of_each[:, :, None], weight, rows.mT).mT
        else:
            of_each = bias.expand(weight.shape[0], -1)
            out = torch.baddbmm(of_each[:, None], rows, weight.mT)
        return out.reshape(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (of_out,), (x, weight) = gradients, ctx.saved_tensors
        wanted: tuple[bool, bool, bool] = ctx.needs_input_grad
        rows = of_out.reshape(weight.shape[0], -1, of_out.shape[-1])
        return (
            product(rows, weight).view(ctx.form) if wanted[0] else None,
            product(rows.mT, x) if wanted[1] else None,
            rows.sum(1) if wanted[2] else None,
        )


def plus_linear(out: Tensor, x: Tensor, weight: Tensor, scale: float) -> Tensor:
    """Return ``out + scale x W'`` (..., out) of ``x`` and W as :func:`linear` takes them."""
    if weight.dim() == 2:
        return out + scale * functional.linear(x, weight)
    rows, before = (t.reshape(len(weight), -1, t.shape[-1]) for t in (x, out))
    return torch.baddbmm(before, rows, weight.mT, alpha=scale).view(out.shape)


def in_single(tensor: Tensor) -> Tensor:
    """Return a tensor of sixteen bits in single precision, and any other as it is."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def finite_rows(stacked: Tensor) -> Tensor:
    """Return which devices' rows of ``stacked`` (K, ...) are finite throughout, (K,)."""
    rows = stacked.reshape(len(stacked), math.prod(stacked.shape[1:]))
    found = rows.sum(1).isfinite()  # quicker: a sum is finite only if all its numbers are
    return found if found.all() else rows.isfinite().all(1)


def by_row(values: Tensor | Sequence[bool], like: Tensor) -> Tensor:
    """Return ``values`` (K,), one for each device, to be broadcast over ``like`` (K, ...)."""
    return torch.as_tensor(values, device=like.device).view(-1, *[1] * (like.dim() - 1))


def by_device(values: Tensor, x: Tensor) -> Tensor:
    """Return ``values`` (n,), or (K, n) of K devices, to be broadcast over ``x`` (K, ..., n)."""
    return values if values.dim() == 1 else values.view(len(values), *[1] * (x.dim() - 2), -1)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Return the sum of the means over n of ``logits`` (..., n, C) and classes ``y`` (..., n)."""
    found: Tensor = run(_CrossEntropy, logits, y)
    return found


class _CrossEntropy(Step):
    """One node in place of autograd's six."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, y: Tensor) -> Tensor:
        narrow = logits.shape[-1] < NARROW
        logs = logits.mT.log_softmax(-2).mT if narrow else logits.log_softmax(-1)
        ctx.save_for_backward(logs, y[..., None])
        return logs.gather(-1, y[..., None]).sum() / -y.shape[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        logs, y = ctx.saved_tensors
        share = logs.exp()
        share.scatter_add_(-1, y, share.new_full((1,), -1.0).expand(y.shape))
        return share.mul_(gradients[0] / y.shape[-2]), None


class _GroupedNorm(Step):
    """Layer normalisation with a weight and a bias of each group of devices, x (K, ..., n)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Grouped, bias: Grouped, eps: float) -> Tensor:
        found = [
            torch.native_layer_norm(rows, x.shape[-1:], own, added, eps)
            for own, rows, added in weight.groups(x, bias)
        ]
        out, mean, deviation = map(torch.cat, zip(*found, strict=True))
        ctx.kept = (weight, bias)
        ctx.save_for_backward(x, mean, deviation)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, bias = ctx.kept
        of_x = [
            torch.ops.aten.native_layer_norm_backward(
                of_out, x, x.shape[-1:], mean, deviation, own, added, [True, False, False]
            )[0]
            for own, added, of_out, x, mean, deviation in weight.groups(
                bias, gradients[0], *ctx.saved_tensors
            )
        ]
        return torch.cat(of_x), None, None, None


class _Sum(Step):
    """The sum of two tensors of one shape."""

    plain = staticmethod(torch.add)

    @staticmethod
    def forward(_ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        return gradients[0], gradients[0]


def added(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a + b`` of one shape."""
    out: Tensor = run(_Sum, a, b)
    return out


class _Gelu(Step):
    """The Gaussian error linear unit."""

    plain = staticmethod(functional.gelu)

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return functional.gelu(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor]:
        return (torch.ops.aten.gelu_backward(gradients[0], *ctx.saved_tensors),)


def gelu(x: Tensor) -> Tensor:
    """Return GELU(``x``)."""
    out: Tensor = run(_Gelu, x)
    return out


class _Relu(Step):
    """The rectified linear unit."""

    plain = staticmethod(functional.relu)

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = functional.relu(x)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor]:
        return (torch.ops.aten.threshold_backward(gradients[0], *ctx.saved_tensors, 0),)


def relu(x: Tensor) -> Tensor:
    """Return the positive part of ``x``."""
    out: Tensor = run(_Relu, x)
    return out


class Linear(nn.Linear):
    """``torch.nn.Linear`` that takes stacked parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., in) to (..., out)."""
        return linear(x, self.weight, self.bias)

    @property
    def tensors(self) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """Its matrix and bias, and the factors A and B, of which it has none."""
        return self.weight, self.bias, None, None


class LayerNorm(nn.LayerNorm):
    """``torch.nn.LayerNorm`` over the last dimension that takes stacked parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., n) to the same shape."""
        weight: Tensor | Grouped = self.weight
        bias: Tensor | Grouped = self.bias
        if isinstance(weight, Grouped) and isinstance(bias, Grouped):
            if not (weight.is_one and bias.is_one):
                of_groups: Tensor = run(_GroupedNorm, x, weight, bias, self.eps)
                return of_groups
            weight, bias = weight.first, bias.first  # each row is normalised for itself
        weight, bias = (t.expanded() if isinstance(t, Grouped) else t for t in (weight, bias))
        out: Tensor = run(_Normed, x, weight, bias, self.eps)
        return out


def _normed(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return ``x`` (..., n) with mean 0 and variance 1, times a weight plus a bias."""
    if weight.dim() == 1 and bias.dim() == 1:
        return functional.layer_norm(x, x.shape[-1:], weight, bias, eps)
    # Half as fast without any weights.
    one = x.new_ones(x.shape[-1])
    zero = x.new_zeros(x.shape[-1])
    rows = functional.layer_norm(x, x.shape[-1:], one, zero, eps)
    return torch.addcmul(by_device(bias, x), rows, by_device(weight, x))


class _Normed(Step):
    """Layer normalisation with a weight and a bias (n,), or (K, n) of K devices."""

    plain = staticmethod(_normed)

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        is_shared = weight.dim() == 1 and bias.dim() == 1
        one, zero = (weight, bias) if is_shared else (x.new_ones(x.shape[-1]), None)
        zero = x.new_zeros(x.shape[-1]) if zero is None else zero
        rows, mean, deviation = torch.native_layer_norm(x, x.shape[-1:], one, zero, eps)
        ctx.is_shared = is_shared
        ctx.save_for_backward(x, mean, deviation, one, zero, rows, weight, bias)
        if is_shared:
            return rows
        return torch.addcmul(by_device(bias, x), rows, by_device(weight, x))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (of_out,) = gradients
        x, mean, deviation, one, zero, rows, weight, bias = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        of_rows = of_out
        if not ctx.is_shared:
            scale = by_device(weight, x)
            if ctx.needs_input_grad[2]:
                of_bias = of_out.sum_to_size(by_device(bias, x).shape).view(bias.shape)
            if ctx.needs_input_grad[1]:
                of_weight = (of_out * rows).sum_to_size(scale.shape).view(weight.shape)
            of_rows = of_out * scale
        if ctx.needs_input_grad[0]:
            of_x = torch.ops.aten.native_layer_norm_backward(
                of_rows, x, x.shape[-1:], mean, deviation, one, zero, [True, False, False]
            )[0]
        return of_x, of_weight, of_bias, None


class Embedding(nn.Embedding):
    """``torch.nn.Embedding`` that takes stacked vectors, and then ids (K, ...)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ids ``x`` (...) to vectors (..., n)."""
        if self.weight.dim() == 2:
            return super().forward(x)
        devices, words = self.weight.shape[:2]
        first = words * torch.arange(devices, device=x.device)
        rows = x + by_row(first, x)
        return functional.embedding(rows, self.weight.flatten(0, 1))


class Conv2d(nn.Conv2d):
    """``torch.nn.Conv2d`` that takes stacked parameters, and images (K, n, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., C, H, W) to (..., out, H', W')."""
        if x.dim() < 5:
            return super().forward(x)
        devices, count = x.shape[:2]
        if self.weight.dim() == 4 and (self.bias is None or self.bias.dim() == 1):
            places = super().forward(x.flatten(0, 1))
            return places.view(devices, count, *places.shape[1:])
        # The channels of all devices side by side, one group of channels a device.
        out = functional.conv2d(
            x.transpose(0, 1).flatten(1, 2),
            self.weight.expand(devices, *self.weight.shape[-4:]).flatten(0, 1),
            None if self.bias is None else self.bias.expand(devices, -1).flatten(),
            self.stride,
            self.padding,
            groups=devices * self.groups,
        )
        return out.view(count, devices, -1, *out.shape[2:]).transpose(0, 1)
