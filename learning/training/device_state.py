"""What the devices of a cluster hold: the server's versions by reference, and what is their own.

A state's own tensors are stacked over its K devices: ``factor.expert.{e}.{l}.{matrix}.{a,b}``,
trained since the last upload was staged; ``pending.{number}.expert.{e}.{l}.{matrix}.{a,b}``,
offered since the last download and counted as part of the base, 0 where a device has none; plain
``{name}`` of what is trained without factors (what is shared, and experts where LoRA has no rank),
and ``base.{name}`` of that once it was offered, each only where it differs from what it began as;
``optimizer.{slot}.{name}``, what the optimiser remembers of what is trained as ``{name}``.

``versions`` (E + 1, K) says which of the server's models each device has of each expert, and in
the last row of what is shared; -1 for none. An expert is held where any device has one.
:func:`assembled` adds ``base.{name}`` of all of them. A device that has never loaded an expert has
NaN in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor

from learning.architecture.costs import as_sent
from learning.models.interface import ADDED_A, ADDED_B, expert_of, is_of
from learning.models.moe import fresh_a, product
from learning.models.stacked import Tensors, by_row, in_single
from learning.rng import stream
from learning.training.task import Task
from learning.values.operation import operation

State = dict[str, Tensor]
Versions = Sequence[Sequence[int]]

BASE = "base."
FACTOR = "factor."
DELTA = "delta."
OPTIMIZER = "optimizer."
PENDING = "pending."


@operation()
def load(
    task: Task,
    server: Tensors,
    *before: Tensors,
    versions: Versions = (),
    cluster: str,
    who: Sequence[bool],
    experts: Collection[int],
    adapter_epoch: Sequence[int],
) -> State:
    """Download ``experts`` and what is shared of ``server`` to the devices in ``who`` (K,).

    A device keeps what it has trained since its last offer, on top of the new base: factors of
    experts that stay, and changes of what has no factors. A newly held expert starts with fresh
    factors, drawn for each device's ``adapter_epoch`` (K,); all other experts are dropped.
    ``before`` are the state and the server's models that it refers to, none for the first download.
    """
    _check_rows(task, cluster, who, adapter_epoch)
    own, *servers = before or ({},)
    bases = _bases_of_whole(task, own, servers, versions) if before else {}
    loaded = [n for n in server if is_whole(task, n) and (task.is_shared(n) or is_of(n, experts))]
    after: State = {}
    for name in loaded:
        base = rows_of(who, task.as_run(server[name]), bases.get(name))
        if BASE + name in own and not all(who):
            after[BASE + name] = base
        if name in own:
            trained = _with_own_change(who, base, bases[name], own[name])
            after |= {} if trained is base else {name: trained}
    for name, tensor in own.items():
        if name.startswith(FACTOR) and is_of(_matrix(name), experts):
            after[name] = tensor
        elif name.startswith(PENDING) and name.endswith(".b") and is_of(_matrix(name), experts):
            pair = {n: own[n] for n in (name.removesuffix("b") + "a", name)}
            left = {n: rows_of(who, torch.zeros_like(t), t, stacked=True) for n, t in pair.items()}
            after |= left if left[name].any() else {}
    new = set(experts) - {expert_of(_matrix(name)) for name in own if name.startswith(FACTOR)}
    sizes = {m: server[f"{m}.weight"].shape for m in task.factored if is_of(m, new)}
    after |= _fresh_factors(task, cluster, sizes, adapter_epoch)
    known = {*after, *loaded}
    return after | _forgotten(task, own, who, known.__contains__)


@operation()
def load_gate(
    task: Task,
    server: Tensors,
    own: Tensors,
    *servers: Tensors,
    versions: Versions,
    who: Sequence[bool],
) -> State:
    """Download what is shared to the devices in ``who`` (K,), in place of what they had."""
    after = dict(own)
    for name, before in bases_of(task, own, servers, versions[-1:]).items():
        base = rows_of(who, task.as_run(server[name]), before)
        for known in {name, BASE + name} & own.keys():
            del after[known]
            if not all(who):
                after[known] = rows_of(who, base, own[known], stacked=True)
    return after | _forgotten(task, own, who, task.is_shared)


@operation()
def commit(
    task: Task,
    own: Tensors,
    *servers: Tensors,
    versions: Versions,
    cluster: str,
    who: Sequence[bool],
    adapter_epoch: Sequence[int],
    experts: Collection[int],
    gate: bool,
) -> State:
    """Count what the devices in ``who`` trained of ``experts`` as their bases, and begin anew.

    The function of the model is unchanged: factors are pending from now on, beside new ones with A
    of the new ``adapter_epoch`` (K,) and B = 0; what is trained without factors becomes its own
    base, and so does what is shared if ``gate``. Other changes can still be offered later.
    """
    _check_rows(task, cluster, who, adapter_epoch)
    after = dict(own)
    trained = {n: t for n, t in own.items() if n.startswith(FACTOR) and is_of(_matrix(n), experts)}
    matrices = [_matrix(name).removesuffix(".a") for name in trained if name.endswith(".a")]
    pairs = {m: (own[f"{FACTOR}{m}.b"], own[f"{FACTOR}{m}.a"]) for m in matrices}
    sizes = {m: (b.shape[1], a.shape[2]) for m, (b, a) in pairs.items()}
    fresh = _fresh_factors(task, cluster, sizes, adapter_epoch)
    slot = f"{PENDING}{_free_slot(own, who)}."
    for name, tensor in trained.items():
        pending = slot + _matrix(name)
        before = own[pending] if pending in own else torch.zeros_like(tensor)
        after[pending] = rows_of(who, tensor, before, stacked=True)
        after[name] = rows_of(who, fresh[name], tensor, stacked=True)
    for name, tensor in own.items():
        if name.startswith(OPTIMIZER) and trained_name(name) in trained:
            after[name] = rows_of(who, torch.zeros_like(tensor), tensor, stacked=True)
    for name, base in _bases_of_whole(task, own, servers, versions).items():
        if name in own and (is_of(name, experts) or (gate and task.is_shared(name))):
            after[BASE + name] = rows_of(who, own[name], base, stacked=True)
            if all(who):
                del after[name]
    return after


@operation()
def select(task: Task, new: Tensors, old: Tensors, *, who: Sequence[bool]) -> State:
    """Return ``new`` for the devices in ``who`` (K,) and ``old`` for the others.

    Raises :class:`ValueError` where the two hold different tensors.
    """
    if differing := sorted(set(new) ^ set(old)):
        raise ValueError(
            f"states to select from differ in {differing[0]!r}; both must hold the same experts"
        )
    return {name: rows_of(who, tensor, old[name], stacked=True) for name, tensor in new.items()}


@operation()
def offer(
    task: Task,
    own: Tensors,
    *servers: Tensors,
    versions: Versions,
    experts: Collection[int],
    gate: bool,
) -> State:
    """Return what is uploaded: factors of ``experts``, and changes of what has none.

    Names are ``factor.expert...`` as in the state and ``delta.{name}``, the latter for what is
    shared too if ``gate``. Numbers are rounded to the format they are sent in. Buffers are there
    by their own names as they are: a variance that others have changed meanwhile, plus a change,
    may be none. An A that is frozen is there as it is, and not sent.
    """
    held = tuple(expert for expert, row in enumerate(versions[:-1]) if max(row) >= 0)
    if missing := sorted(set(experts) - set(held)):
        raise ValueError(f"expert {missing[0]} is not held; held: {held}")
    offered = {n: t for n, t in own.items() if n.startswith(FACTOR) and is_of(_matrix(n), experts)}
    for name, base in _bases_of_whole(task, own, servers, versions).items():
        if is_of(name, experts) or (gate and task.is_shared(name)):
            trained, is_buffer = own.get(name, base), name in task.buffers
            offered[name if is_buffer else DELTA + name] = trained if is_buffer else trained - base
    for name, tensor in offered.items():
        if not (is_frozen(task, name) or not tensor.is_floating_point()):
            sent_as = task.config.upload_format
            native = sent_as == "native"
            offered[name] = task.as_run(tensor) if native else as_sent(tensor, sent_as)
    return offered


def trained_name(name: str) -> str:
    """Return the name of what ``optimizer.{slot}.{name}`` is remembered of, else ``name``."""
    return name.split(".", 2)[2] if name.startswith(OPTIMIZER) else name


def remembered_of(state: Tensors, moved: Mapping[str, str]) -> State:
    """Return what the optimiser remembers of what is ``moved``, as ``{slot}.{path}``."""
    found: State = {}
    for name, tensor in state.items():
        if name.startswith(OPTIMIZER) and (trained := trained_name(name)) in moved:
            found[f"{name.split('.', 2)[1]}.{moved[trained]}"] = tensor
    return found


def as_remembered(memory: Tensors, moved: Mapping[str, str]) -> State:
    """Invert :func:`remembered_of`."""
    names = {path: name for name, path in moved.items()}
    found: State = {}
    for known, tensor in memory.items():
        slot, path = known.split(".", 1)
        found[f"{OPTIMIZER}{slot}.{names[path]}"] = tensor
    return found


def _forgotten(task: Task, state: Tensors, who: Sequence[bool], of: Callable[[str], bool]) -> State:
    """Return what the optimiser remembers ``of`` tensors by name.

    Those in ``who`` forget it, unless they are to keep it.
    """
    memory = {n: t for n, t in state.items() if n.startswith(OPTIMIZER) and of(trained_name(n))}
    if task.config.optimizer.state == "keep":
        return memory
    return {n: rows_of(who, torch.zeros_like(t), t, stacked=True) for n, t in memory.items()}


@operation()
def assembled(
    task: Task, own: Tensors, *servers: Tensors, versions: Versions, folds: bool = True
) -> State:
    """Return the state with its bases (K, ...), and with what is trained where it equals its base.

    Pending changes, and what the server has added to its matrices, are added to the bases where it
    ``folds``, and else stay the factors that they are.
    """
    state = {n: t for n, t in own.items() if not (folds and n.startswith(PENDING))}
    models = [whole(task, server) for server in servers] if folds else servers
    for name, base in bases_of(task, own, models, versions).items():
        if is_whole(task, name):
            state.setdefault(name, base)
        elif folds and name.endswith(".weight"):
            for number in _slots(own):
                matrix = f"{PENDING}{number}.{name.removesuffix('.weight')}"
                if f"{matrix}.a" in own:
                    a, b = own[f"{matrix}.a"], own[f"{matrix}.b"]
                    base = base + product(a, b, task.config.model.lora.scale)
        state[BASE + name] = base
    return dict(sorted(state.items()))


def of_one_model(task: Task, devices: int) -> list[list[int]]:
    """Return the ``versions`` of devices that all hold the whole of one model."""
    return [[0] * devices for _ in (*task.all_experts, "what is shared")]


def bases_of(task: Task, own: Tensors, models: Sequence[Tensors], versions: Versions) -> State:
    """Return the bases (K, ...) of what is held by stored name.

    They are in one memory where all devices have the same version.
    """
    found: State = {}
    for expert, row in [*enumerate(versions[:-1]), (None, versions[-1])]:
        known = sorted(set(row) - {-1})
        for name in dict.fromkeys(name for version in known for name in models[version]):
            if expert_of(name) != expert or (expert is None and not task.is_shared(name)):
                continue
            base = own.get(BASE + name)
            if base is None:
                for version in known:
                    tensor = task.as_run(models[version][name])
                    base = rows_of([v == version for v in row], tensor, base)
            assert base is not None  # for the type checker: a model has the name
            found[name] = base
    return found


def _bases_of_whole(
    task: Task, own: Tensors, servers: Sequence[Tensors], versions: Versions
) -> State:
    """Return the bases (K, ...) of what is trained without factors by stored name."""
    as_whole = task.config.model.lora.rank is None
    return bases_of(task, own, servers, versions if as_whole else versions[-1:])


def _slots(own: Tensors) -> list[int]:
    """Return the numbers of the pending changes, oldest first."""
    return sorted({int(name.split(".", 2)[1]) for name in own if name.startswith(PENDING)})


def _free_slot(own: Tensors, who: Sequence[bool]) -> int:
    """Return the first number behind the last one at which a device in ``who`` has a change."""
    numbers, rows = _slots(own), [device for device, here in enumerate(who) if here]
    free = numbers[-1] + 1 if numbers else 0
    for number in reversed(numbers):
        if any(t[rows].any() for n, t in own.items() if n.startswith(f"{PENDING}{number}.")):
            break
        free = number
    return free


def _matrix(name: str) -> str:
    """Return the stored name of a factor without its prefix."""
    return name.split(".", 2)[2] if name.startswith(PENDING) else name.removeprefix(FACTOR)


def experts_held(state: Tensors) -> tuple[int, ...]:
    """Return the experts in ``state``, in order."""
    stored = (name.removeprefix(BASE) for name in state if name.startswith(BASE))
    return tuple(sorted({e for name in stored if (e := expert_of(name)) is not None}))


def delta_of(task: Task, state: Tensors, stored: str) -> Tensor | None:
    """Return ``scale B A`` (K, out, in) of the matrix called ``stored``, None without factors."""
    matrix = FACTOR + stored.removesuffix(".weight")
    if not stored.endswith(".weight") or f"{matrix}.a" not in state:
        return None
    return product(state[f"{matrix}.a"], state[f"{matrix}.b"], task.config.model.lora.scale)


def whole(task: Task, server: Tensors) -> State:
    """Return the server's model with what has been added to it in its matrices."""
    after = {n: t for n, t in server.items() if not n.endswith((ADDED_A, ADDED_B))}
    for name, a in server.items():
        if name.endswith(ADDED_A):
            stored = name.removesuffix(ADDED_A)
            b = server[stored + ADDED_B]
            after[stored] = after[stored] + product(in_single(a), b, task.config.model.lora.scale)
    return after


def model_of_device(task: Task, state: Tensors, device: int) -> State:
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


def finite_rows(stacked: Tensor) -> Tensor:
    """Return which devices' rows of ``stacked`` (K, ...) are finite throughout, (K,)."""
    rows = stacked.reshape(len(stacked), math.prod(stacked.shape[1:]))
    found = rows.sum(1).isfinite()  # quicker: a sum is finite only if all its numbers are
    return found if found.all() else rows.isfinite().all(1)


def is_frozen(task: Task, name: str) -> bool:
    """Whether ``name`` in a state is a factor that is not trained: A, where all have the same."""
    ffa = task.config.model.lora.aggregate == "ffa"
    return ffa and name.startswith(FACTOR) and name.endswith(".a")


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
    if old is None:  # counts of batches have no NaN
        old = torch.full_like(rows, torch.nan if rows.is_floating_point() else 0)
    return torch.where(by_row(who, rows), rows, old)


def _fresh_factors(
    task: Task, cluster: str, sizes: Mapping[str, Sequence[int]], adapter_epoch: Sequence[int]
) -> State:
    """Return factors of the matrices of ``sizes`` (out, in), at least in single precision.

    Those of a device of lower rank end in rows of zeros, which training leaves as they are.
    """
    lora, ranks = task.config.model.lora, task.config.ranks_of(cluster)
    if lora.rank is None:
        return {}
    factors: State = {}
    rows, frozen = len(adapter_epoch), lora.aggregate == "ffa"
    drawn_for = [() if frozen else (cluster, epoch) for epoch in adapter_epoch]
    for matrix, (out_features, in_features) in sorted(sizes.items()):
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
        factors[f"{FACTOR}{matrix}.a"] = a
        factors[f"{FACTOR}{matrix}.b"] = a.new_zeros(1, out_features, lora.rank).expand(
            rows, -1, -1
        )
    return factors


def _check_rows(task: Task, cluster: str, who: Sequence[bool], epochs: Sequence[int]) -> None:
    devices = task.devices(cluster)
    if len(who) != devices or len(epochs) != devices:
        raise ValueError(
            f"who has {len(who)} and adapter_epoch {len(epochs)} entries; "
            f"cluster {cluster!r} has {devices} devices"
        )
