"""What a method needs of a scenario, and what it is like: two values that its class declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass


@dataclass(frozen=True)
class Needs:
    """What a method needs of a scenario; one that lacks it is refused by name.

    ``experts``: how many the model has at least, 0 for any model. ``sidelinks``: devices send to
    each other. ``satellites``: its clients are satellites. ``isl``: keys of ``link.isl`` that have
    to give links, ``within_plane`` or ``between_planes``.
    """

    experts: int = 0
    sidelinks: bool = False
    satellites: bool = False
    isl: tuple[str, ...] = ()


@dataclass(frozen=True)
class Traits:
    """What a method is like: which keys mean something to it, and what others may count on.

    A scenario that sets a key which means nothing to the method is refused by name.

    Training: ``trains`` are the parts of the model that move. With ``splits_experts`` clusters
    train experts of their own (a user is warned where the data do not keep to them). ``uses_lora``
    and ``uses_optimizer``: ``learning.lora``, and ``optimizer``, ``schedule`` and ``clip_norm``
    mean something to it; ``lora_refused`` is the key of ``lora`` that it cannot do with: ``rank``
    where it takes steps on whole matrices, ``download`` where the server's changes are of any rank.
    With ``takes_personal`` devices may keep a part of the model for themselves
    (``learning.personal``). With ``trains_at_server`` devices need no memory. With
    ``trains_in_gaps`` devices train as many rounds between two contacts as there is time for, up to
    ``learning.rounds.per_gap_max``, whatever the options are. With
    ``tunes_at_the_end`` the last ``learning.gate_tuning_cycles`` cycles before the stop are others
    than those before them, so that a run cannot be extended. With ``own_learning`` it learns by
    itself, and the scenario's model is not made
    (:class:`~learning.methods.own_learning.OwnLearning`).

    Rounds: ``waits_for_all`` where it cannot do without any device, so that
    ``learning.aggregation`` means nothing to it. Rounds that are ``asynchronous`` are one or a few
    updates, not to be compared with those of all clients. It ``decides`` where it asks for
    decisions (:class:`~learning.requests.Decide`), so that its runs can be played.

    What is sent: with ``sends_nothing`` nothing goes to or from its clients. ``uses_isl`` are the
    keys of ``link.isl`` over whose links it sends if they are there (links are refused if it sends
    over none of them), with ``isl_option`` only if this option is set. With ``sends_over_mesh``
    what it sends from one client to another may take any route over links. ``payload_copies`` is
    how many sets of tensors like the model's each payload holds: 2 with a control variate beside
    the model. With ``offers_models`` updates are whole models, else what has changed.

    ``trial_kind`` is the kind of model that ``leomix.testing`` tries it with, where it takes
    none of the usual ones.
    """

    trains: tuple[str, ...] = ("experts", "gate", "backbone")
    splits_experts: bool = False
    uses_lora: bool = True
    lora_refused: str = ""
    uses_optimizer: bool = True
    takes_personal: bool = False
    trains_at_server: bool = False
    trains_in_gaps: bool = False
    tunes_at_the_end: bool = False
    own_learning: bool = False
    waits_for_all: bool = False
    asynchronous: bool = False
    decides: bool = False
    sends_nothing: bool = False
    uses_isl: tuple[str, ...] = ()
    isl_option: str = ""
    sends_over_mesh: bool = False
    payload_copies: int = 1
    offers_models: bool = False
    trial_kind: str = ""


_NEEDS = frozenset(f"needs_{key.name}" for key in fields(Needs))
_TRAITS = frozenset(key.name for key in fields(Traits))


def check_declared(name: str, attributes: Mapping[str, object]) -> None:
    """Raise ValueError for a class whose attributes declare what they mean in another way."""
    for attribute, value in attributes.items():
        if attribute in _NEEDS:
            instead = f"needs = Needs({attribute.removeprefix('needs_')}=...)"
        elif attribute in _TRAITS:
            instead = f"traits = Traits({attribute}=...)"
        elif (kind := _DECLARED.get(attribute)) and not isinstance(value, kind):
            instead = f"{attribute} = {kind.__name__}(...)"
        elif attribute == "Options" and not (isinstance(value, type) and is_dataclass(value)):
            instead = "Options, a frozen dataclass, each option with its default"
        else:
            continue
        raise ValueError(f"class {name}: {attribute} means nothing; write {instead}")


_DECLARED = {"needs": Needs, "traits": Traits}
