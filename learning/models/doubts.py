"""What is legal in a module of one's own and may yet not be what its author means: doubts on it."""

from __future__ import annotations

from statements import Code, Other, Statement

KEY = "learning.model.kind"
SHOWN = 3
"""Most attributes that a line names; of the others it gives the count."""
NOT_FEDERATED = (
    "this state is not sent or averaged, not reset for each client and not stored in a checkpoint, "
    "so that results depend on the order of training"
)


def hidden_state(kind: str, attributes: list[str]) -> Statement:
    """Return the doubt on state in plain attributes of a module or its parts, by their paths."""
    kept_in = "attribute" if len(attributes) == 1 else "attributes"
    return Statement.doubt(
        Code.OWN_CODE,
        KEY,
        f"forward of {{kind!r}} changes the plain {kept_in} {_named(attributes)}: {NOT_FEDERATED}",
        Other(said="use register_buffer, and change the buffer in place in training"),
        kind=kind,
        attributes=attributes,
    )


def passing_buffers(kind: str, buffers: list[str]) -> Statement:
    """Return the doubt on state in buffers that are not persistent, and so no part of the model."""
    return Statement.doubt(
        Code.OWN_CODE,
        KEY,
        f"forward of {{kind!r}} changes {_named(buffers)} in training, which is registered with "
        f"persistent=False: {NOT_FEDERATED}",
        Other(said="leave persistent=False out, and change the buffer in place"),
        kind=kind,
        buffers=buffers,
    )


def replaced_buffers(kind: str, buffers: list[str]) -> Statement:
    """Return the doubt on buffers for which forward puts other tensors, not changing them."""
    return Statement.doubt(
        Code.OWN_CODE,
        KEY,
        f"forward of {{kind!r}} puts another tensor for its buffer {_named(buffers)} in training, "
        "and what is new in it is lost after each step",
        Other(said="change the buffer in place, for example by copy_"),
        kind=kind,
        buffers=buffers,
    )


def coarse_logits(kind: str, logits: str, parameters: str) -> Statement:
    """Return the doubt on logits in another number format than that of the parameters."""
    return Statement.doubt(
        Code.OWN_CODE,
        KEY,
        "{kind!r} returns logits in {logits}, and its parameters are in {parameters}: the loss is "
        "that of rounded logits, and large logits or small gradients may be lost",
        Other(said="return logits in float32"),
        kind=kind,
        logits=logits,
        parameters=parameters,
    )


def probabilities(kind: str, function: str) -> Statement:
    """Return the doubt on logits that are the outputs of ``function``, softmax or sigmoid."""
    return Statement.doubt(
        Code.OWN_CODE,
        KEY,
        "{kind!r} ends with a {function}: the cross-entropy takes a softmax of what forward "
        "returns, so that gradients are small and training is slow",
        Other(said=f"return the logits without the {function}"),
        kind=kind,
        function=function,
    )


def _named(names: list[str]) -> str:
    """Name the first few, and count the others."""
    others = len(names) - SHOWN
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {others} more" if others > 0 else "")
