"""Request: all that a method may yield, of a cluster's own, to other devices, and without time."""

from __future__ import annotations

from learning.requests.cluster import (
    Assign,
    Chain,
    Download,
    EndRun,
    Evaluate,
    Forecast,
    Measure,
    Meet,
    NextContact,
    Train,
    TrainUntilContact,
    Upload,
)
from learning.requests.decide import Decide
from learning.requests.facts import Aggregated, Note, Used
from learning.requests.peers import (
    All,
    Answered,
    Compute,
    Infer,
    NextLink,
    Reach,
    Send,
    Start,
    Wait,
)

Request = (
    NextContact
    | TrainUntilContact
    | Train
    | Upload
    | Download
    | Chain
    | Meet
    | Measure
    | Decide
    | Note
    | Aggregated
    | Used
    | Assign
    | Forecast
    | EndRun
    | Evaluate
    | Send
    | Compute
    | All
    | Start
    | Wait
    | Reach
    | Answered
    | NextLink
    | Infer
)
"""What a generator of a method yields; the reply to each is described where it is defined."""
