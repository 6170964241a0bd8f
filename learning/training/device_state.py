"""What the devices of a cluster hold: downloaded bases, LoRA factors and a gate, stacked over K.

Names: ``base.{name}`` as downloaded, of every expert that is held and of what is shared (the
gates, and a backbone that is trained); ``factor.expert.{e}.{l}.{matrix}.{a,b}`` trained since the
last upload was staged; and plain ``{name}`` for what is trained without factors: what is shared,
and experts where LoRA has no rank. ``optimizer.{slot}.{name}`` is what the optimiser remembers of
what is trained as ``{name}``. A device that has never loaded an expert has NaN in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor

from learning.architecture.costs import as_sent
from learning.models.interface import ADDED_A, ADDED_B, expert_of, is_of
from learning.models.moe import fresh_a, product
from learning.models.stacked import by_row
from learning.rng import stream
from learning.training.task import Task

State = dict[str, Tensor]

BASE = "base."
FACTOR = "factor."
DELTA = "delta."
OPTIMIZER = "optimizer."
PENDING = "pending."


def load(
    task: Task,
    server: Mapping[str, Tensor],
    state: Mapping[str, Tensor] | None = None,
    *,
    cluster: str,
    who: Sequence[bool],
    experts: Collection[int],
    adapter_epoch: Sequence[int],
    whole_only: bool = False,
) -> State:
    """Download ``experts`` and what is shared of ``server`` to the devices in ``who`` (K,).

    A device keeps what it has trained since its last offer, on top of the new base: factors of
    experts that stay, and changes of what has no factors. A newly held expert starts with fresh
    factors, drawn for each device's ``adapter_epoch`` (K,); all other experts are dropped.
    ``whole_only`` leaves out the bases of what has factors.
    """
    _check_rows(task, cluster, who, adapter_epoch)
    before = state or {}
    after: State = {}
    for name, tensor in server.items():
        if not task.is_shared(name) and not is_of(name, experts):
            continue
        if whole_only and not is_whole(task, name):
            continue
        after[BASE + name] = rows_of(who, task.as_run(tensor), before.get(BASE + name))
        if is_whole(task, name):
            after[name] = _with_own_change(who, after[BASE + name], before, name)
    kept = {
        name: tensor
        for name, tensor in before.items()
        if name.startswith(FACTOR) and is_of(name.removeprefix(FACTOR), experts)
    }
    new = set(experts) - {expert_of(name.removeprefix(FACTOR)) for name in kept}
    sizes = {m: server[f"{m}.weight"].shape for m in task.factored if is_of(m, new)}
    after |= kept | _fresh_factors(task, cluster, sizes, adapter_epoch)
    return after | _forgotten(task, before, who, after.__contains__)


def load_gate(
    task: Task, server: Mapping[str, Tensor], state: Mapping[str, Tensor], *, who: Sequence[bool]
) -> State:
    """Download what is shared to the devices in ``who`` (K,), in place of what they had."""
    after = dict(state)
    for name in filter(task.is_shared, server):
        base, alike = task.as_run(server[name]), state[name] is state[BASE + name]
        after[BASE + name] = rows_of(who, base, state[BASE + name])
        own = rows_of(who, base, state[name])
        after[name] = after[BASE + name] if alike or all(who) else own
    return after | _forgotten(task, state, who, task.is_shared)


def commit(
    task: Task,
    state: Mapping[str, Tensor],
    *,
    cluster: str,
    who: Sequence[bool],
    adapter_epoch: Sequence[int],
    experts: Collection[int],
    gate: bool,
) -> State:
    """Add what the devices in ``who`` trained of ``experts`` to their bases, and begin anew.

    The function of the model is unchanged: base := base + scale B A, A of the new ``adapter_epoch``
    (K,), B = 0; what is trained without factors becomes its own base, and so does what is shared
    if ``gate``. Other changes can still be offered later.
    """
    _check_rows(task, cluster, who, adapter_epoch)
    sizes = {
        m: (state[f"{FACTOR}{m}.b"].shape[1], state[f"{FACTOR}{m}.a"].shape[2])
        for m in task.factored
        if is_of(m, experts) and f"{FACTOR}{m}.a" in state
    }
    folded = _fresh_factors(task, cluster, sizes, adapter_epoch)
    for name, tensor in state.items():
        stored = name.removeprefix(BASE)
        if name.startswith(OPTIMIZER) and trained_name(name) in folded:
            folded[name] = torch.zeros_like(tensor)
        elif name.startswith(BASE) and (
            is_of(stored, experts) or (gate and task.is_shared(stored))
        ):
            delta = delta_of(task, state, stored)
            if stored in state:
                folded[name] = state[stored]
            elif delta is not None:
                folded[name] = tensor + delta
    return {
        n: rows_of(who, folded[n], t, stacked=True) if n in folded else t for n, t in state.items()
    }


def select(
    task: Task, new: Mapping[str, Tensor], old: Mapping[str, Tensor], *, who: Sequence[bool]
) -> State:
    """Return ``new`` for the devices in ``who`` (K,) and ``old`` for the others.

    Raises :class:`ValueError` where the two hold different tensors.
    """
    if differing := sorted(set(new) ^ set(old)):
        raise ValueError(
            f"states to select from differ in {differing[0]!r}; both must hold the same experts"
        )
    return {name: rows_of(who, tensor, old[name], stacked=True) for name, tensor in new.items()}


def offer(
    task: Task,
    state: Mapping[str, Tensor],
    *,
    experts: Collection[int],
    gate: bool,
    held: Collection[int] | None = None,
) -> State:
    """Return what is uploaded: factors of ``experts``, and changes of what has none.

    Names are ``factor.expert...`` as in the state and ``delta.{name}``, the latter for what is
    shared too if ``gate``. Numbers are rounded to the format they are sent in. Buffers are there
    by their own names as they are: a variance that others have changed meanwhile, plus a change,
    may be none.
    """
    held = experts_held(state) if held is None else tuple(held)
    if missing := sorted(set(experts) - set(held)):
        raise ValueError(f"expert {missing[0]} is not held; held: {held}")
    offered = {}
    for name, tensor in state.items():
        if name.startswith(FACTOR) and is_of(name.removeprefix(FACTOR), experts):
            offered[name] = tensor
        elif BASE + name in state and (is_of(name, experts) or (gate and task.is_shared(name))):
            if name in task.buffers:
                offered[name] = tensor
            else:
                offered[DELTA + name] = tensor - state[BASE + name]
    sent_as = task.config.upload_format
    if sent_as == "native":
        return {name: task.as_run(tensor) for name, tensor in offered.items()}
    return {n: as_sent(t, sent_as) if t.is_floating_point() else t for n, t in offered.items()}


def trained_name(name: str) -> str:
    """Return the name of what ``optimizer.{slot}.{name}`` is remembered of, else ``name``."""
    return name.split(".", 2)[2] if name.startswith(OPTIMIZER) else name


def remembered_of(state: Mapping[str, Tensor], moved: Mapping[str, str]) -> State:
    """Return what the optimiser remembers of what is ``moved``, as ``{slot}.{path}``."""
    found: State = {}
    for name, tensor in state.items():
        if name.startswith(OPTIMIZER) and (trained := trained_name(name)) in moved:
            found[f"{name.split('.', 2)[1]}.{moved[trained]}"] = tensor
    return found


def as_remembered(memory: Mapping[str, Tensor], moved: Mapping[str, str]) -> State:
    """Invert :func:`remembered_of`."""
    names = {path: name for name, path in moved.items()}
    found: State = {}
    for known, tensor in memory.items():
        slot, path = known.split(".", 1)
        found[f"{OPTIMIZER}{slot}.{names[path]}"] = tensor
    return found


def _forgotten(
    task: Task, state: Mapping[str, Tensor], who: Sequence[bool], of: Callable[[str], bool]
) -> State:
    """Return what the optimiser remembers ``of`` tensors by name.

    Those in ``who`` forget it, unless they are to keep it.
    """
    memory = {n: t for n, t in state.items() if n.startswith(OPTIMIZER) and of(trained_name(n))}
    if task.config.optimizer.state == "keep":
        return memory
    return {n: rows_of(who, torch.zeros_like(t), t, stacked=True) for n, t in memory.items()}


def experts_held(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the experts in ``state``, in order."""
    stored = (name.removeprefix(BASE) for name in state if name.startswith(BASE))
    return tuple(sorted({e for name in stored if (e := expert_of(name)) is not None}))


def delta_of(task: Task, state: Mapping[str, Tensor], stored: str) -> Tensor | None:
    """Return ``scale B A`` (K, out, in) of the matrix called ``stored``, None without factors."""
    matrix = FACTOR + stored.removesuffix(".weight")
    if not stored.endswith(".weight") or f"{matrix}.a" not in state:
        return None
    return product(state[f"{matrix}.a"], state[f"{matrix}.b"], task.config.model.lora.scale)


def whole(task: Task, server: Mapping[str, Tensor]) -> State:
    """Return the server's model with what has been added to it in its matrices."""
    after = {n: t for n, t in server.items() if not n.endswith((ADDED_A, ADDED_B))}
    for name, a in server.items():
        if name.endswith(ADDED_A):
            stored = name.removesuffix(ADDED_A)
            b = server[stored + ADDED_B]
            after[stored] = after[stored] + product(a, b, task.config.model.lora.scale)
    return after


def model_of_device(task: Task, state: Mapping[str, Tensor], device: int) -> State:
    """Return the tensors of one device's model as trained, in full matrices, by stored name."""
    own = {name: tensor[device : device + 1] for name, tensor in state.items()}
    tensors: State = {}
    for name, base in own.items():
        if not name.startswith(BASE):
            continue
        stored = name.removeprefix(BASE)
        delta = delta_of(task, own, stored)
        trained = own[stored] if stored in own else base if delta is None else base + delta
        tensors[stored] = trained[0]
    return tensors


def _with_own_change(
    who: Sequence[bool], base: Tensor, before: Mapping[str, Tensor], name: str
) -> Tensor:
    """Return the new base plus what the devices in ``who`` have trained and not offered yet.

    A device that had nothing before, or whose change is not finite, begins at the base.
    """
    if name not in before or before[name] is before[BASE + name]:  # the same, so no change
        return base
    change = before[name] - before[BASE + name]
    sound = finite_rows(change)
    change = change.where(by_row(sound, change), torch.zeros_like(change))
    # Where nothing is unsent, devices continue to share the memory of one base.
    new = base + change if change.any() else base
    return rows_of(who, new, before[name], stacked=True)


def finite_rows(stacked: Tensor) -> Tensor:
    """Return which devices' rows of ``stacked`` (K, ...) are finite throughout, (K,)."""
    rows = stacked.reshape(len(stacked), math.prod(stacked.shape[1:]))
    found = rows.sum(1).isfinite()  # quicker: a sum is finite only if all its numbers are
    return found if found.all() else rows.isfinite().all(1)


def is_whole(task: Task, name: str) -> bool:
    """Whether a stored tensor that devices hold is trained without factors, if at all."""
    return task.is_shared(name) or task.config.model.lora.rank is None


def rows_of(
    who: Sequence[bool], new: Tensor, old: Tensor | None, *, stacked: bool = False
) -> Tensor:
    """Return ``new`` (one for all, unless ``stacked``) in the rows ``who``, else ``old``."""
    rows = new if stacked else new.expand(len(who), *new.shape)
    if len(rows) != len(who) or (old is not None and len(old) != len(who)):
        devices = len(rows if old is None else old)
        raise ValueError(f"who has {len(who)} entries; the state holds {devices} devices")
    if all(who):
        return rows
    mask = by_row(torch.tensor(who, device=rows.device), rows)
    if old is None:  # counts of batches have no NaN
        old = torch.full_like(rows, torch.nan if rows.is_floating_point() else 0)
    return torch.where(mask, rows, old)


def _fresh_factors(
    task: Task,
    cluster: str,
    sizes: Mapping[str, Sequence[int]],
    adapter_epoch: Sequence[int],
) -> State:
    """Return factors of the matrices of ``sizes`` (out, in), at least in single precision."""
    rank = task.config.model.lora.rank
    if rank is None:
        return {}
    factors: State = {}
    for matrix, (out_features, in_features) in sorted(sizes.items()):
        drawn = {
            g: torch.from_numpy(
                fresh_a(rank, in_features, stream(task.config.seed, "lora", cluster, g, matrix))
            )
            for g in set(adapter_epoch)
        }
        alike, rows = len(drawn) == 1, len(adapter_epoch)  # then in one memory
        first = drawn[adapter_epoch[0]]
        a = first.expand(rows, -1, -1) if alike else torch.stack([drawn[g] for g in adapter_epoch])
        a = a.to(task.device, torch.promote_types(task.dtype, torch.float32))
        factors[f"{FACTOR}{matrix}.a"] = a
        factors[f"{FACTOR}{matrix}.b"] = a.new_zeros(1, out_features, rank).expand(rows, -1, -1)
    return factors


def _check_rows(task: Task, cluster: str, who: Sequence[bool], epochs: Sequence[int]) -> None:
    devices = task.devices(cluster)
    if len(who) != devices or len(epochs) != devices:
        raise ValueError(
            f"who has {len(who)} and adapter_epoch {len(epochs)} entries; "
            f"cluster {cluster!r} has {devices} devices"
        )
