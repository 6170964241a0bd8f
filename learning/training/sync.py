"""Downloads, offers and what devices count as their bases: between a server's models and a state.

``versions`` are those of :mod:`learning.training.state`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from learning.architecture.costs import as_sent
from learning.models.interface import (
    Parameter,
    Parameters,
    expert_of,
    is_of,
    model_of,
    pair_of,
)
from learning.models.moe import fresh_a
from learning.models.stacked import Tensors, by_row, finite_rows
from learning.rng import stream
from learning.training.state import (
    Memory,
    Offer,
    State,
    Versions,
    assembled_state,
    bases_of,
    flatten,
    is_frozen,
    is_whole,
    map_tensors,
    model_of_device,
    rows_of,
)
from learning.training.task import Task


def load(
    task: Task,
    server: Tensors,
    *before: Tensors,
    versions: Versions = (),
    cluster: str,
    who: Sequence[bool],
    experts: Collection[int],
    adapter_epoch: Sequence[int],
) -> dict[str, Tensor]:
    """Download ``experts`` and what is shared of ``server`` to the devices in ``who`` (K,).

    A device keeps what it has trained since its last offer, on top of the new base: factors of
    experts that stay, changes of what has no factors, and what is personal as it is. A newly held
    expert starts with fresh factors, drawn for each device's ``adapter_epoch`` (K,); all other
    experts are dropped.
    ``before`` are the state and the server's models that it refers to, none for the first download.
    """
    _check_rows(task, cluster, who, adapter_epoch)
    own_tensors, *servers = before or ({},)
    own = State.of(own_tensors)
    bases = _bases_of_whole(task, own, servers, versions) if before else {}
    loaded = [
        Parameter(name)
        for name in server
        if is_whole(task, name) and (task.goes_with_gate(name) or is_of(name, experts))
    ]
    after = State()
    for key in loaded:
        base = rows_of(who, task.as_run(server[key.stored]), bases.get(key))
        if key in own.base and not all(who):
            after.base[key] = base
        if key in own.trained and key.stored in task.personal:
            after.trained[key] = _kept(own.trained[key], base)
        elif key in own.trained:
            trained = _with_own_change(who, base, bases[key], own.trained[key])
            if trained is not base:
                after.trained[key] = trained
    kept = {key: t for key, t in own.trained.items() if key.factor and is_of(key.stored, experts)}
    new = set(experts) - {expert_of(key.stored) for key in own.trained if key.factor}
    sizes = {f"{m}.weight": server[f"{m}.weight"].shape for m in task.factored if is_of(m, new)}
    after.trained.update(kept | _fresh_factors(task, cluster, sizes, adapter_epoch))
    after.added.update(_still_added(own.added, who, experts))
    known = {*after.trained, *loaded}
    after.optimizer.update(_forgotten(task, own.optimizer, who, known.__contains__))
    return flatten(after)


def _still_added(added: Parameters, who: Sequence[bool], experts: Collection[int]) -> Parameters:
    """Return what was added to ``experts`` but for that of ``who``, in the ranks that are left."""
    if all(who):
        return {}
    left = map_tensors(lambda t: rows_of(who, torch.zeros_like(t), t, stacked=True), added)
    kept: Parameters = {}
    for stored in dict.fromkeys(key.stored for key in left if is_of(key.stored, experts)):
        a, b = left[Parameter(stored, "a")], left[Parameter(stored, "b")]
        if rank := _ranks_used(b):
            kept |= _pair(stored, a[:, :rank], b[..., :rank])
    return kept


def _ranks_used(b: Tensor) -> int:
    """Return behind which of its ranks a factor B (K, out, r) is 0 for all devices."""
    used = b.flatten(0, 1).any(0).nonzero()
    return int(used[-1]) + 1 if len(used) else 0


def _side_by_side(
    before: tuple[Tensor, Tensor] | None, who: Sequence[bool], a: Tensor, b: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the factors of ``before`` with a pair as further ranks of the devices in ``who``.

    It stands behind the last rank that one of these has used.
    """
    if before is None:
        before = a[:, :0], b[..., :0]
    here = [device for device, is_here in enumerate(who) if is_here]
    first = _ranks_used(before[1][here])
    end = first + a.shape[1]
    if all(who) and not first and before[1].shape[-1] <= end:
        return a, b
    room = max(0, end - before[1].shape[-1])
    old_a, old_b = pad(before[0], (0, 0, 0, room)), pad(before[1], (0, room))
    new_a, new_b = old_a.clone(), old_b.clone()
    new_a[here, first:end] = a[here]
    new_b[here, :, first:end] = b[here]
    return new_a, new_b


def _pair(stored: str, a: Tensor, b: Tensor) -> Parameters:
    return {Parameter(stored, "a"): a, Parameter(stored, "b"): b}


def load_gate(
    task: Task,
    server: Tensors,
    own_tensors: Tensors,
    *servers: Tensors,
    versions: Versions,
    who: Sequence[bool],
) -> dict[str, Tensor]:
    """Download what is shared to the devices in ``who`` (K,), in place of what they had."""
    own = State.of(own_tensors)
    after = map_tensors(lambda tensor: tensor, own)
    models = [model_of(model) for model in servers]

    def is_shared(key: Parameter) -> bool:
        return task.is_shared(key.stored)

    for key, before in bases_of(task, own, models, versions[-1:]).items():
        base = rows_of(who, task.as_run(server[key.stored]), before)
        for part in (after.trained, after.base):
            if key in part:
                old = part.pop(key)
                if not all(who):
                    part[key] = rows_of(who, base, old, stacked=True)
    for slot, memory in _forgotten(task, own.optimizer, who, is_shared).items():
        after.optimizer[slot].update(memory)
    return flatten(after)


def commit(
    task: Task,
    own_tensors: Tensors,
    *servers: Tensors,
    versions: Versions,
    cluster: str,
    who: Sequence[bool],
    adapter_epoch: Sequence[int],
    experts: Collection[int],
    gate: bool,
) -> dict[str, Tensor]:
    """Count what the devices in ``who`` trained of ``experts`` as their bases, and begin anew.

    The function of the model is unchanged: factors are added from now on, beside new ones with A
    of the new ``adapter_epoch`` (K,) and B = 0; what is trained without factors becomes its own
    base, and so does what is shared if ``gate``. Other changes can still be offered later.
    """
    _check_rows(task, cluster, who, adapter_epoch)
    own = State.of(own_tensors)
    after = map_tensors(lambda tensor: tensor, own)
    trained = {
        key: tensor
        for key, tensor in own.trained.items()
        if key.factor and is_of(key.stored, experts)
    }
    sizes = {}
    for stored in dict.fromkeys(key.stored for key in trained):
        out_features = own.trained[Parameter(stored, "b")].shape[1]
        in_features = own.trained[Parameter(stored, "a")].shape[2]
        sizes[stored] = (out_features, in_features)
    fresh = _fresh_factors(task, cluster, sizes, adapter_epoch)
    for stored in sizes:
        a, b = trained[Parameter(stored, "a")], trained[Parameter(stored, "b")]
        after.added.update(_pair(stored, *_side_by_side(pair_of(own.added, stored), who, a, b)))
    for key, tensor in trained.items():
        after.trained[key] = rows_of(who, fresh[key], tensor, stacked=True)
    for memory in after.optimizer.values():
        for key in memory.keys() & trained.keys():
            zeros = torch.zeros_like(memory[key])
            memory[key] = rows_of(who, zeros, memory[key], stacked=True)
    for key, base in _bases_of_whole(task, own, servers, versions).items():
        of_part = is_of(key.stored, experts) or (gate and task.is_shared(key.stored))
        if key in own.trained and of_part:
            after.base[key] = rows_of(who, own.trained[key], base, stacked=True)
            if all(who):
                del after.trained[key]
    return flatten(after)


def select(_task: Task, new: Tensors, old: Tensors, *, who: Sequence[bool]) -> dict[str, Tensor]:
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
    own_tensors: Tensors,
    *servers: Tensors,
    versions: Versions,
    experts: Collection[int],
    gate: bool,
) -> dict[str, Tensor]:
    """Return what is uploaded: factors of ``experts``, and changes of what has none.

    The latter are those of what is shared too if ``gate``. Numbers are rounded to the format they
    are sent in. Buffers are there as they are: a variance that others have changed meanwhile, plus
    a change, may be none. An A that is frozen is there as it is, and not sent.
    """
    held = tuple(expert for expert, row in enumerate(versions[:-1]) if max(row) >= 0)
    if missing := sorted(set(experts) - set(held)):
        raise ValueError(f"expert {missing[0]} is not held; held: {held}")
    own = State.of(own_tensors)
    offered = Offer()
    for key, tensor in own.trained.items():
        if key.factor and is_of(key.stored, experts):
            offered.factors[key] = tensor if is_frozen(task, key) else _sent(task, tensor)
    for key, base in _bases_of_whole(task, own, servers, versions).items():
        name = key.stored
        if is_of(name, experts) or (gate and task.is_shared(name)):
            trained = own.trained.get(key, base)
            if name in task.buffers:
                offered.whole[name] = _sent(task, trained)
            else:
                offered.changes[name] = _sent(task, trained - base)
    return flatten(offered)


def _sent(task: Task, tensor: Tensor) -> Tensor:
    """Return numbers as they arrive at the server; counts as they are."""
    if not tensor.is_floating_point():
        return tensor
    sent_as = task.config.upload_format
    return task.as_run(tensor) if sent_as == "native" else as_sent(tensor, sent_as)


def _forgotten(
    task: Task, memory: Memory, who: Sequence[bool], of: Callable[[Parameter], bool]
) -> Memory:
    """Return what the optimiser remembers ``of`` tensors.

    Those in ``who`` forget it, unless they are to keep it.
    """
    known = {slot: {k: t for k, t in part.items() if of(k)} for slot, part in memory.items()}
    if task.config.optimizer.state == "keep":
        return known
    return map_tensors(lambda t: rows_of(who, torch.zeros_like(t), t, stacked=True), known)


def assembled(task: Task, own: Tensors, *servers: Tensors, versions: Versions) -> dict[str, Tensor]:
    """Return :func:`assembled_state` by flat names, in their order."""
    return flatten(assembled_state(task, State.of(own), servers, versions))


def personal(task: Task, server: Tensors, *own: Tensors, devices: int) -> dict[str, Tensor]:
    """Return what is personal of so many devices, (K, ...) by stored name.

    It is that of the state ``own`` or, of what nobody has trained yet, as in every server's model.
    """
    trained = State.of(own[0]).trained if own else {}
    return {
        name: trained[key]
        if (key := Parameter(name)) in trained
        else server[name].expand(devices, *server[name].shape).contiguous()
        for name in sorted(task.personal)
    }


def models(task: Task, state: Tensors) -> dict[str, Tensor]:
    """Return the models (K, ...) of all devices as trained, in full matrices, by stored name."""
    held = State.of(state)
    devices = len(next(iter(held.base.values())))
    each = [model_of_device(task, held, device) for device in range(devices)]
    return {name: torch.stack([model[name] for model in each]) for name in each[0]}


def _with_own_change(who: Sequence[bool], base: Tensor, before: Tensor, trained: Tensor) -> Tensor:
    """Return the new base plus what the devices in ``who`` have trained since the one ``before``.

    A device whose change is not finite begins at the base.
    """
    change = trained - before
    sound = finite_rows(change)
    change = change.where(by_row(sound, change), torch.zeros_like(change))
    # Where nothing is unsent, devices continue to share the memory of one base.
    new = base + change if change.any() else base
    return rows_of(who, new, trained, stacked=True)


def _kept(trained: Tensor, start: Tensor) -> Tensor:
    """Return what devices have trained for themselves; one that is not finite begins anew."""
    sound = finite_rows(trained)
    return trained if sound.all() else torch.where(by_row(sound, trained), trained, start)


def _fresh_factors(
    task: Task, cluster: str, sizes: Mapping[str, Sequence[int]], adapter_epoch: Sequence[int]
) -> Parameters:
    """Return factors of the matrices of ``sizes`` (out, in), at least in single precision.

    Those of a device of lower rank end in rows of zeros, which training leaves as they are.
    """
    lora = task.config.model.lora
    ranks = task.config.ranks_of(cluster)
    if lora.rank is None:
        return {}
    factors: Parameters = {}
    rows = len(adapter_epoch)
    frozen = lora.aggregate == "ffa"
    drawn_for = [() if frozen else (cluster, epoch) for epoch in adapter_epoch]
    for stored, (out_features, in_features) in sorted(sizes.items()):
        matrix = Parameter(stored).matrix
        drawn = {
            key: torch.from_numpy(
                fresh_a(lora.rank, in_features, stream(task.config.seed, "lora", *key, matrix))
            )
            for key in set(drawn_for)
        }
        alike = len(drawn) == 1  # then in one memory
        a = torch.stack([drawn[key] for key in (drawn_for[:1] if alike else drawn_for)])
        a = a.to(task.device, torch.promote_types(task.dtype, torch.float32)).expand(rows, -1, -1)
        if ranks is not None:
            below = torch.arange(lora.rank) < torch.tensor(ranks[:rows])[:, None]
            a = a * below.to(a)[..., None]
        b = a.new_zeros(1, out_features, lora.rank).expand(rows, -1, -1)
        factors[Parameter(stored, "a")] = a
        factors[Parameter(stored, "b")] = b
    return factors


def _check_rows(task: Task, cluster: str, who: Sequence[bool], epochs: Sequence[int]) -> None:
    devices = task.devices(cluster)
    if len(who) != devices or len(epochs) != devices:
        raise ValueError(
            f"who has {len(who)} and adapter_epoch {len(epochs)} entries; "
            f"cluster {cluster!r} has {devices} devices"
        )


def _bases_of_whole(
    task: Task, own: State, servers: Sequence[Tensors], versions: Versions
) -> Parameters:
    """Return the bases (K, ...) of what is trained without factors."""
    as_whole = task.config.model.lora.rank is None
    models = [model_of(server) for server in servers]
    return bases_of(task, own, models, versions if as_whole else versions[-1:])
