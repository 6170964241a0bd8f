"""What became of messages between clients, told as facts."""

from __future__ import annotations

from learning.requests.peers import Send
from learning.requests.reasons import Reason
from sim.facts.directions import TOWARD_PEER
from sim.facts.faults import PacketsResent
from sim.facts.stream import Facts
from sim.facts.transfers import MessageLost, TransferRow


class MessageFacts:
    """Tells what moved of messages, and which of them were lost."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def moved(
        self,
        send: Send,
        direction: str,
        moved_bytes: float,
        begin_s: float,
        end_s: float,
        outcome: str,
    ) -> None:
        """What moved of a message, until it was there, or its window or the run was over."""
        self._facts.emit(
            TransferRow(
                cluster=send.source.cluster,
                device=send.source.device,
                peer=str(send.target),
                direction=direction,
                toward=TOWARD_PEER,
                payload=send.payload.name,
                version=int(send.payload.version),
                payload_bytes=float(send.payload.bytes),
                delivered_bytes=moved_bytes,
                start_s=begin_s,
                end_s=end_s,
                outcome=outcome,
                on_air_bytes=moved_bytes,
            )
        )

    def resent(self, send: Send, again: int, packets: int, time_s: float) -> None:
        """How many packets of a message are sent again, if any are."""
        if again:
            self._facts.emit(
                PacketsResent(
                    time_s=time_s,
                    cluster=send.source.cluster,
                    payload=send.payload.name,
                    again=again,
                    packets=packets,
                )
            )

    def lost(self, send: Send, time_s: float, why: Reason) -> None:
        """A message that will never arrive."""
        self._facts.emit(
            MessageLost(
                time_s=time_s,
                cluster=send.source.cluster,
                device=send.source.device,
                version=int(send.payload.version),
                payload=send.payload.name,
                target=str(send.target),
                reason=why,
            )
        )
