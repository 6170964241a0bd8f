"""Aggregation: the sum of weighted changes, by samples, staleness or usage."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import compress

import torch
from torch import Tensor

from learning.architecture.costs import as_sent
from learning.invariants import WEIGHTS, check_shares, violation
from learning.models.interface import (
    ADDED_A,
    ADDED_B,
    Parameter,
    expert_of,
    pair_of,
    parameter_of,
)
from learning.models.moe import Residency, product
from learning.models.stacked import Guard, Tensors, by_row, finite_rows, in_single
from learning.settings import Lora
from learning.training.recipe import Devices, Weighing
from learning.training.state import Offer, State, flatten
from learning.training.task import Task

Masks = Sequence[Sequence[bool]]
"""Devices (K,) of several clusters."""


def aggregate(
    task: Task,
    server: Tensors,
    offered: Tensors,
    *,
    weighing: Weighing,
    experts: Collection[int],
    gate: bool,
    cut: int | None = None,
) -> dict[str, Tensor]:
    """Return the server's model after the updates of some devices of a cluster.

    ``experts`` move by equation (35) and, with ``gate``, what is shared by (36): changes against
    the version that each device downloaded, weighted by ``weighing``. An expert that nobody has
    used stays as it is. Changes of factors may be ``cut`` to a rank. It checks that nothing else
    has changed. Raises :class:`ValueError` as :func:`add_changes` does.
    """
    what = f"the update of {weighing.cluster!r}"

    def may(name: str) -> bool:
        return task.moves(parameter_of(name), experts, gate=gate)

    guard = Guard(server, [offered], may, what)
    shares = sample_weights(task, weighing.cluster, weighing.who, weighing.eligible)
    scale = weighing.scale
    scales = [scale] * len(shares) if isinstance(scale, int | float) else scale
    weights = [by * share for by, share in zip(scales, shares, strict=True)]
    by_expert: dict[int, Sequence[float]] = dict.fromkeys(experts, weights)
    usage = weighing.usage
    if usage is not None:
        by_expert = {expert: [row[expert] for row in usage] for expert in experts}
        for expert, own in by_expert.items():
            check_shares(own, f"the users of expert {expert}", whole=False)
        by_expert = {expert: own for expert, own in by_expert.items() if any(own)}
    after = add_changes(task, server, offered, by_expert, weights if gate else None, cut)
    guard.check(after)
    return after


def add_changes(
    task: Task,
    server: Tensors,
    offered: Tensors,
    experts: Mapping[int, Sequence[float]],
    gate: Sequence[float] | None = None,
    cut: int | None = None,
) -> dict[str, Tensor]:
    """Return the server's model with ``W += sum_k w_k dW_k``, the weights (K,) given by expert.

    ``gate`` are the weights of what is shared, which stays as it is without them. With factors,
    each device's update ``scale B_k A_k`` is rebuilt at the satellite before it is averaged (Remark
    1), as the average of the factors would be another matrix. Its rank is up to K r, so the server
    keeps full matrices, unless it is ``cut``. Factors of lower ranks end in rows of zeros. What is
    offered as a whole moves the server's towards it. Raises
    :class:`ValueError` for weights that are negative or not finite, and for an update that is not
    finite.
    """
    offer = Offer.of(offered)
    after = dict(server)
    for name, tensor in server.items():
        expert = expert_of(name)
        weights = gate if expert is None else experts.get(expert)
        if weights is None or (expert is None and not task.is_shared(name)):
            continue
        pair = pair_of(offer.factors, name)
        if pair is not None:
            for beside in (name + ADDED_A, name + ADDED_B):
                after.pop(beside, None)
            after |= _with_product(task, server, name, pair, weights, cut)
        elif name in offer.changes:
            after[name] = tensor + summed(offer.changes[name], weights, name)
        elif name in offer.whole:
            after[name] = tensor + summed(offer.whole[name] - tensor, weights, name)
        elif expert is None:
            raise ValueError(f"no change of {name!r} in what was offered; offer the gate first")
        elif name.removesuffix(".weight") in task.factored:
            raise ValueError(f"no factors of {name!r} in what was offered; offer that expert first")
    return after


def _with_product(
    task: Task,
    server: Tensors,
    name: str,
    factors: tuple[Tensor, Tensor],
    weights: Sequence[float],
    cut: int | None,
) -> dict[str, Tensor]:
    """Return what becomes of a server's matrix, and of what is beside it, by devices' factors."""
    a, b = factors
    lora = task.config.model.lora
    stays = server[name].dtype == torch.bfloat16 and not task.traits.batched
    left, right = _factors_of_sum(lora, a, b, weights, name, cut, looks=stays)
    if stays:
        return _beside(server, name, left / lora.scale, right, lora.scale)
    change = left @ right
    if not finite_rows(change).all():  # of finite factors: raises with the device's number
        change = weighted_sum(product(a, b, lora.scale), weights, name)
    return {name: server[name] + change}


def summed(changes: Tensor, weights: Sequence[float], name: str) -> Tensor:
    """Return the weighted sum of changes (K, ...), of counts in whole numbers."""
    if changes.is_floating_point():
        return weighted_sum(changes, weights, name)
    return weighted_sum(changes.double(), weights, name).round().to(changes.dtype)


def _beside(
    server: Tensors, name: str, left: Tensor, right: Tensor, scale: float
) -> dict[str, Tensor]:
    """Return what becomes of a matrix of sixteen bits, (out, in): it stays, with factors beside.

    They are kept in the format in which they run, as the matrix is: each product is rounded once,
    when it is added, and not with the sum of all. Once the factors would be larger than the matrix,
    they are added to it in single precision. What is added, ``scale left right``, would vanish in
    sixteen bits.
    """
    left, right = (factor.to(server[name].dtype) for factor in (left, right))
    if name + ADDED_A in server:
        left = torch.cat([server[name + ADDED_B], left], 1)
        right = torch.cat([server[name + ADDED_A], right])
    if left.numel() + right.numel() < server[name].numel():
        return {name: server[name], name + ADDED_A: right, name + ADDED_B: left}
    return {name: server[name] + product(in_single(right), in_single(left), scale)}


def _factors_of_sum(
    lora: Lora,
    a: Tensor,
    b: Tensor,
    weights: Sequence[float],
    name: str,
    cut: int | None,
    *,
    looks: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return factors of ``scale sum_k w_k B_k A_k``: those of the devices side by side.

    Out of ``a`` (K, r, in) and ``b`` (K, out, r) they are (out, K r) and (K r, in); the devices'
    products are not made one by one. Averages of factors are of rank r, and so is the sum where all
    have the same A. What is ``cut`` is the nearest matrix of that rank or, of factors that are
    averaged, their first rows.
    """
    if lora.aggregate == "average":
        total = sum(weights)
        means = [weight / total for weight in weights]
        mean_a = weighted_sum(a, means, name)
        mean_b = weighted_sum(b, means, name)
        return total * lora.scale * mean_b[:, :cut], mean_a[:cut]
    if lora.aggregate == "ffa":
        here = [device for device, weight in enumerate(weights) if weight > 0]
        shared = max(a[here], key=torch.count_nonzero)  # the others hold its first rows
        return lora.scale * weighted_sum(b, weights, name)[:, :cut], in_single(shared)[:cut]
    looks |= cut is not None  # a number that is not finite shows in the product too
    (a, b), shares = _weighted((a, b), weights, name, looks=looks)
    left = (by_row(lora.scale * shares, b) * b).transpose(0, 1).flatten(1)
    if cut is not None:
        return _truncated(left, a.flatten(0, 1), cut)
    return left, a.flatten(0, 1)


def _truncated(left: Tensor, right: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return factors of the nearest matrix of ``rank`` to ``left right``: (K r) to r.

    The factors are made orthogonal first, so that the singular value decomposition is one of K r
    rows and columns at most (Eckart and Young).
    """
    exact = torch.float64 if left.dtype == torch.float64 else torch.float32
    q_left, r_left = torch.linalg.qr(left.to(exact))
    q_right, r_right = torch.linalg.qr(right.T.to(exact))
    u, values, v = torch.linalg.svd(r_left @ r_right.T, full_matrices=False)
    found = (q_left @ u[:, :rank]) * values[:rank], v[:rank] @ q_right.T
    return found[0].to(left.dtype), found[1].to(left.dtype)


def sample_weights(
    task: Task, cluster: str, who: Devices, eligible: Devices | None = None
) -> tuple[float, ...]:
    """Return ``n_k / n_c`` (K,) for the devices in ``who``, 0 for the others.

    ``n_c`` counts the samples of all ``eligible`` devices of the cluster, as in (28), (35) and
    (36): their weights sum to 1, whether they arrive together or not. Raises
    :class:`~learning.invariants.Violation` where a device that is not eligible takes part, with
    which they would sum to more.
    """
    counts = task.shards[cluster].sizes
    if len(who) != len(counts) or not any(who):
        raise ValueError(
            f"who is {tuple(who)}; name at least one of the {len(counts)} devices of {cluster!r}"
        )
    eligible = [True] * len(counts) if eligible is None else eligible
    total = sum(compress(counts, eligible))
    shares = [count / total for count in counts]
    everybody = [a or here for a, here in zip(eligible, who, strict=True)]
    check_shares(compress(shares, everybody), f"the devices of {cluster!r}")
    return tuple(share if here else 0.0 for share, here in zip(shares, who, strict=True))


def client_weights(
    task: Task, clusters: Sequence[str], who: Masks, *, weighted: bool
) -> tuple[float, ...]:
    """Return the weight of every device of ``clusters``, 0 where it is not in ``who``.

    They sum to 1 over those in ``who``: by their samples if ``weighted``, else evenly. Raises
    ValueError where nobody is in ``who``.
    """
    counts = [
        (size if weighted else 1) * bool(here)
        for cluster, mask in zip(clusters, who, strict=True)
        for size, here in zip(task.shards[cluster].sizes, mask, strict=True)
    ]
    total = sum(counts)
    if not total:
        raise ValueError("nobody is left to average over; name at least one client")
    shares = tuple(count / total for count in counts)
    check_shares(shares, "the clients")
    return shares


def weighted_sum(stacked: Tensor, weights: Sequence[float], name: str) -> Tensor:
    """Return ``sum_k w_k x_k`` over the devices of positive weight."""
    (parts,), shares = _weighted((stacked,), weights, name)
    return torch.tensordot(shares, parts, dims=1)


def _weighted(
    several: Sequence[Tensor], weights: Sequence[float], name: str, *, looks: bool = True
) -> tuple[list[Tensor], Tensor]:
    """Return the rows of the devices of positive weight in each of some tensors, and these weights.

    Devices of weight 0 may hold anything. Raises ValueError for weights that are negative or not
    finite, and where it ``looks`` for rows that are not finite.
    """
    devices = several[0].shape[0]
    if len(weights) != devices or not all(0 <= w < math.inf for w in weights):
        what = f"weights are {tuple(weights)}; give {devices} that are 0 or more"
        raise violation(WEIGHTS, f"of {name!r} the {what}")
    here = [device for device, weight in enumerate(weights) if weight > 0]
    everybody = len(here) == devices
    parts = [in_single(stacked if everybody else stacked[here]) for stacked in several]
    for finite in [finite_rows(part).tolist() for part in parts] if looks else ():
        if not all(finite):
            broken = here[finite.index(False)]
            raise ValueError(
                f"the update of {name!r} from device {broken} is not finite; leave that device "
                "out, or lower learning.step_size if its training diverges"
            )
    shares = [weights[device] for device in here]
    return parts, torch.tensor(shares, dtype=parts[0].dtype, device=parts[0].device)


# Means of what clients have trained: extractors of stage 1, gates of stage 3.


def average(
    task: Task,
    *held: Tensors,
    clusters: Sequence[str],
    who: Masks,
    names: Sequence[str] = (),
    weighted: bool = True,
) -> dict[str, Tensor]:
    """Return the mean over the clients in ``who`` of what those of ``clusters`` hold, (K, ...).

    Copies count as they arrive, rounded to ``learning.upload_format``. Where the server's tensors
    come first, both sides have them, and the changes to them are sent. With ``names`` there are
    none: clients' tensors of these names may differ from each other before, and are sent whole.
    """
    shares = client_weights(task, clusters, who, weighted=weighted)
    sent_as = task.config.upload_format
    server, trained = ({}, held) if names else (held[0], held[1:])
    means = {}
    for name in names or server:
        copies = torch.cat([part[name] for part in trained])
        if name in server and sent_as != "native":
            sent = server[name] + as_sent(copies - server[name], sent_as)
        else:
            sent = as_sent(copies, sent_as)
        means[name] = weighted_sum(sent, shares, name).to(copies.dtype)
    return means


def zeros(_task: Task, server: Tensors, *, devices: int | None = None) -> dict[str, Tensor]:
    """Return zeros like the server's tensors, or (K, ...) for each of ``devices``."""
    rows = () if devices is None else (devices,)
    whole = {name: t for name, t in server.items() if not name.endswith((ADDED_A, ADDED_B))}
    return {name: tensor.new_zeros((*rows, *tensor.shape)) for name, tensor in whole.items()}


def changes(task: Task, offered: Tensors, *, who: Sequence[bool]) -> dict[str, Tensor]:
    """Return what each device offers as changes (K, ...) by stored name; factors as matrices.

    Those of buffers, which are offered as they are, are 0, and so are those of what is personal,
    which is not offered. Devices outside ``who`` (K,) have changed nothing.
    """
    found = _offered_changes(task, offered)
    if task.personal:
        like, start = (
            next(iter(found.values())),
            task.shapes(Residency(task.all_experts)).state_dict(),
        )
        for name in sorted(task.personal):
            found[name] = like.new_zeros((len(like), *start[task.names.path(name)].shape))
    others = [device for device, here in enumerate(who) if not here]
    if not others:
        return found
    return {n: t.index_fill(0, torch.tensor(others, device=t.device), 0) for n, t in found.items()}


def _offered_changes(task: Task, offered: Tensors) -> dict[str, Tensor]:
    offer = Offer.of(offered)
    found = dict(offer.changes)
    for stored in dict.fromkeys(key.stored for key in offer.factors):
        a = in_single(offer.factors[Parameter(stored, "a")])
        b = in_single(offer.factors[Parameter(stored, "b")])
        found[stored] = product(a, b, task.config.model.lora.scale)
    for name, tensor in offer.whole.items():  # a buffer
        found[name] = torch.zeros_like(tensor)
    return found


def models(task: Task, offered: Tensors, state: Tensors) -> dict[str, Tensor]:
    """Return the models (K, ...) that devices' bases become by what they offer, by stored name."""
    base = State.of(state).base
    moved = _offered_changes(task, offered)
    after = {name: base[Parameter(name)] + change for name, change in moved.items()}
    return after | Offer.of(offered).whole


def towards(_task: Task, offered: Tensors, server: Tensors) -> dict[str, Tensor]:
    """Return what is offered as a whole as the changes that lead there from ``server``."""
    offer = Offer.of(offered)
    changed = {name: tensor - server[name] for name, tensor in offer.whole.items()}
    return flatten(Offer(offer.factors, offer.changes | changed))
