"""FlowerApp: a Flower app in a folder, and the calls of its ClientApp, known by their content."""

from __future__ import annotations

import ast
import hashlib
import socket
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from learning.own.code import RunningCode, code_digest, files_of
from learning.own.file_writes import parsed
from learning.own.raised import ANYTHING
from learning.own.replies import Replies, key_of
from sim.errors import custom_line
from sim.fly import trees
from sim.fly.flower.library import RUN_ID, prepare
from sim.fly.project import check_project
from sim.fly.user_code import MOST_EXAMPLES, CallOptions, TooLong, packages, seeded, within
from statements import Code, Statement

prepare()

from flwr.app import Context, Error, Message, RecordDict  # noqa: E402
from flwr.common.config import (  # noqa: E402
    flatten_dict,
    get_fused_config_from_dir,
    get_project_config,
)
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode, SType  # noqa: E402
from flwr.common.serde import (  # noqa: E402
    error_from_proto,
    error_to_proto,
    recorddict_from_proto,
    recorddict_to_proto,
)
from flwr.proto.error_pb2 import Error as ProtoError  # noqa: E402
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecordDict  # noqa: E402
from flwr.supercore.object_ref import load_app  # noqa: E402

FIRST_NODE = SUPERLINK_NODE_ID + 1
"""The server is a node of Flower's, too, and no client may be called like it."""
EXAMPLES = ("num-examples", "num_examples")
"""Keys of metrics by which replies say how many examples they are made of."""
AWAY = (FileNotFoundError, ConnectionError, TimeoutError, socket.gaierror)
"""Errors of the system where data are not there; libraries' own have no number."""
UNSEEN = {
    "datetime.now": "the time of day",
    "datetime.utcnow": "the time of day",
    "asyncio.sleep": "real time",
    "Event": "waits of its own threads",
    "Condition": "waits of its own threads",
}
"""Names in an app's code that know nothing of simulated time, and what they take in its place."""


@dataclass(frozen=True)
class Answer:
    """A client's reply, its bytes, the examples that it names, and its FLOPs if they are counted.

    ``failed`` is the last line of the error that the client raised, empty if it raised none, and
    ``cure`` what may be done about it. ``reshaped`` names an array whose shape is another than that
    which the client got; ``is_finite`` tells whether all numbers of its arrays are.
    """

    reply: Message
    bytes: int
    examples: float
    flops: float
    failed: str = ""
    cure: str = ""
    reshaped: str = ""
    is_finite: bool = True


class FlowerApp:
    """The ServerApp and the ClientApp that a folder's ``pyproject.toml`` names.

    ``config`` replaces values of its run configuration. The node with partition n is called
    ``FIRST_NODE + n``. Raises ValueError, in one line with a remedy, for a folder that holds no
    such app.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], nodes: int, seed: int) -> None:
        self.folder = folder
        self.nodes = list(range(FIRST_NODE, FIRST_NODE + nodes))
        self._seed = seed
        self._parts = parts = components_of(folder)
        try:
            self._config = get_fused_config_from_dir(folder, flatten_dict(dict(config)))
        except ValueError as error:
            keys = ", ".join(get_fused_config_from_dir(folder, {})) or "none"
            raise ValueError(
                f"learning.options.config: {error}; the app's keys are {keys}"
            ) from None
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        self.code = RunningCode(parts.values())
        with seeded(seed):
            self.server = self._loaded(parts["serverapp"])
            self.client = self._loaded(parts["clientapp"])
        self._states = {node: RecordDict() for node in self.nodes}
        self._calls: Counter[tuple[int, str]] = Counter()

    def _loaded(self, place: str) -> Any:
        try:
            return load_app(place, ValueError, str(self.folder))
        except ANYTHING as error:  # an app may raise anything
            cause = error.__cause__ or error
            cure = self.cure(cause) or "correct it, or [tool.flwr.app.components]"
            raise ValueError(
                f"{self.folder}: {place} cannot be loaded: {_line(cause)}{custom_line(error)}; "
                f"{cure}"
            ) from None

    def cure(self, error: BaseException) -> str:
        """Return what may be done about an error of the app's; nothing where that is not known."""
        chain = [error]
        while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
            chain.append(cause)
        absent = [str(one.name) for one in chain if isinstance(one, ImportError)]
        if any(name.partition(".")[0] == "flwr" for name in absent):
            return f"the app is for another version of flwr than {version('flwr')}: update the app"
        if any(isinstance(one, ModuleNotFoundError) for one in chain):
            return f"install what the app needs: pip install -e {self.folder}"
        if any(isinstance(one, FileExistsError) for one in chain):
            return "remove it, or let the app go on where it is there (exist_ok=True)"
        if any(isinstance(one, OSError) and _of_data(one) for one in chain):
            return (
                "get the data that the app wants to download before the run, or put its files "
                "where it looks for them, from the current folder"
            )
        return ""

    @cached_property
    def digest(self) -> str:
        """A key that names the app's code and what it imports, its configuration, and flwr."""
        code = [
            [code_digest(place, running=True), packages(place)] for place in self._parts.values()
        ]
        return key_of(code, self._config, version("flwr"))

    def unseen(self) -> Iterator[Statement]:
        """Yield what in the app's code takes real time, or is not repeated."""
        files = {path for place in self._parts.values() for path in files_of(place)}
        for path in sorted(path for path in files if path.is_relative_to(self.folder)):
            for node in ast.walk(parsed(path)):
                name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
                for known, what in UNSEEN.items():
                    if name == known or name.endswith(f".{known}"):
                        where = f"{path.relative_to(self.folder)}:{getattr(node, 'lineno', 0)}"
                        yield Statement.doubt(
                            Code.OWN_CODE,
                            "",
                            "{at}: {name} takes {what}, and not simulated time",
                            at=where,
                            name=name,
                            what=what,
                        )

    @contextmanager
    def as_before(self) -> Iterator[None]:
        """Let what is asked meanwhile change no node's state, and count for nothing."""
        states, calls = dict(self._states), self._calls.copy()
        try:
            yield
        finally:
            self._states, self._calls = states, calls

    def server_context(self) -> Context:
        """Return the context of the ServerApp."""
        return Context(RUN_ID, 0, {}, RecordDict(), dict(self._config))

    @staticmethod
    def partition_of(node: int) -> int:
        """Return the partition of a node, from 0."""
        return node - FIRST_NODE

    def _context(self, node: int) -> Context:
        own = {"partition-id": self.partition_of(node), "num-partitions": len(self.nodes)}
        state = recorddict_from_proto(recorddict_to_proto(self._states[node]))
        return Context(RUN_ID, node, own, state, dict(self._config))

    def ask(
        self, message: Message, how: CallOptions, replies: Replies, weighted_by: str = ""
    ) -> Answer:
        """Return what the ClientApp of a node answers; its state is that behind the call.

        The seed of a call is that of the node, the type of message and the number of the call, not
        of the content: of that the last bit would change everything. Raises ValueError for a reply
        that weighs by no number of samples.
        """
        node, kind = message.metadata.dst_node_id, message.metadata.message_type
        number = self._calls[node, kind]
        self._calls[node, kind] += 1
        content = recorddict_to_proto(message.content).SerializeToString(deterministic=True)
        state = recorddict_to_proto(self._states[node]).SerializeToString(deterministic=True)
        given = [hashlib.sha256(part).hexdigest() for part in (content, state)]
        named = [self._seed, self.partition_of(node), len(self.nodes), kind, number]
        key = key_of(
            "reply of Flower's", self.digest, named, given, how.time, message.metadata.group_id
        )
        data = replies.ask(
            key,
            lambda: self._called(message, named, how),
            shared=True,
            is_sound=lambda made: not trees.unpacked(made)["failed"],
        )
        said = trees.unpacked(data)
        self._states[node] = _records(said["state"])
        failed = said["failed"]
        body: Any
        if failed:
            body = error_from_proto(ProtoError.FromString(said["reply"].tobytes()))
        else:
            body = _records(said["reply"])
            try:
                for weight in ("", weighted_by):
                    weight_of(body, weight)
            except ValueError as error:
                raise ValueError(
                    f"{self.folder}: the client with partition {self.partition_of(node)} replies "
                    f"to {kind} with {error}; let it give how many samples it has used"
                ) from None
        return Answer(
            Message(body, reply_to=message),
            bytes=int(said["reply"].nbytes),
            examples=0.0 if failed else weight_of(body) or 0.0,
            flops=said["flops"],
            failed=failed,
            cure=said["cure"],
            reshaped="" if failed else reshaped(message.content, body),
            is_finite=bool(failed) or all(map(is_finite, body.array_records.values())),
        )

    def _called(self, message: Message, named: list[Any], how: CallOptions) -> bytes:
        """Call the ClientApp, and return its reply and its state as bytes."""
        context = self._context(message.metadata.dst_node_id)
        drawn = hashlib.blake2b(repr(named).encode(), digest_size=4).digest()
        failed = ""
        cure = ""
        flops = 0.0
        try:
            with seeded(int.from_bytes(drawn, "little") // 2), within(how.call_limit_s):
                reply, flops = how.counted(lambda: self.client(message, context))
            body = recorddict_to_proto(reply.content) if reply.has_content() else None
        except TooLong:
            raise ValueError(
                f"the ClientApp did not return within {how.call_limit_s:g} s (node "
                f"{context.node_id}, {message.metadata.message_type}); raise "
                "learning.options.call_limit_s, or do less in a call"
            ) from None
        except ANYTHING as error:  # an app may raise anything; so answers flwr
            failed = f"{_line(error)}{custom_line(error)}"
            cure = self.cure(error)
            traceback.clear_frames(error.__traceback__)
            body = None
        if body is None:
            failed = failed or _line(reply.error.reason)
            raised = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, failed)
            body = error_to_proto(raised)
            state = self._states[context.node_id]
        else:
            state = context.state
        said = {"failed": failed, "cure": cure, "flops": flops}
        protos = {"reply": body, "state": recorddict_to_proto(state)}
        for name, proto in protos.items():
            said[name] = np.frombuffer(proto.SerializeToString(deterministic=True), np.uint8)
        return trees.packed_as_is(said, "the reply")


def components_of(folder: Path) -> dict[str, str]:
    """Return where a folder's ``serverapp`` and ``clientapp`` stand, each as MODULE:NAME.

    Raises ValueError for a folder without them.
    """
    try:
        check_project(folder)
        said = get_project_config(folder)
        parts = said["tool"]["flwr"]["app"]["components"]
        return {name: str(parts[name]) for name in ("serverapp", "clientapp")}
    except (OSError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{folder}: is no Flower app: {_line(error)}; name the ServerApp and the ClientApp in "
            "[tool.flwr.app.components] of its pyproject.toml"
        ) from None


def weight_of(content: RecordDict, named: str = "") -> float | None:
    """Return by how much a reply weighs: the metric of that name, else its examples, or None.

    Raises ValueError that names one which no reply can weigh by.
    """
    for key in (named, *EXAMPLES):
        for record in content.metric_records.values():
            if key in record:
                weight = record[key]
                if not (isinstance(weight, int | float) and 0 <= weight <= MOST_EXAMPLES):
                    raise ValueError(f"{key} {weight!r:.40}, which is no number of samples")
                return float(weight)
    return None


def figures_of(content: RecordDict, weighted_by: str = "") -> dict[str, float]:
    """Return all metrics of a reply that are one number, but for the examples and the weight.

    Classic clients' own metrics stand in a record of configuration, called ``...metrics``.
    """
    classic = (own for name, own in content.config_records.items() if name.endswith("metrics"))
    return {
        key: float(value)
        for record in (*content.metric_records.values(), *classic)
        for key, value in record.items()
        if key not in (*EXAMPLES, weighted_by) and isinstance(value, int | float)
    }


def _of_data(error: OSError) -> bool:
    return isinstance(error, AWAY) or error.errno is None


def reshaped(asked: RecordDict, replied: RecordDict) -> str:
    """Name an array of a reply whose shape is another than in the message; empty for none."""
    both = list(asked.array_records.values()), list(replied.array_records.values())
    if [len(records) for records in both] != [1, 1]:
        return ""
    before, after = both[0][0], both[1][0]
    for name in after:
        if name in before and tuple(before[name].shape) != tuple(after[name].shape):
            return f"{name} {tuple(after[name].shape)} for {tuple(before[name].shape)}"
    return ""


def is_finite(record: Mapping[str, Any]) -> bool:
    """Whether all numbers are in the arrays of a record that are NumPy's."""
    return all(_all_finite(one) for one in record.values() if one.stype == SType.NUMPY)


def _all_finite(array: Any) -> bool:
    try:
        numbers = array.numpy()
    except (ValueError, EOFError):  # bytes that only the app knows to read
        return True
    return numbers.dtype.kind not in "fc" or bool(np.isfinite(numbers).all())


def refused(message: Message) -> Message:
    """Return the reply to training that is not finite: the strategy goes on without it."""
    reason = "its arrays hold numbers that are not finite"
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)


def content_bytes(message: Message) -> int:
    """Return the bytes of what a message says, as flwr sends it."""
    return int(recorddict_to_proto(message.content).ByteSize())


def _records(data: np.ndarray) -> RecordDict:
    return recorddict_from_proto(ProtoRecordDict.FromString(data.tobytes()))


def _line(error: object) -> str:
    kind = f"{type(error).__name__}: " if isinstance(error, BaseException) else ""
    return " ".join(f"{kind}{error}".split())
