"""How many rows one sample brings through the experts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from learning.config import LearningConfig
from learning.networked.shapes import KINDS as NETWORKED_KINDS
from learning.shapes import TEXT_KINDS
from learning.tensors import text_spec

IMAGE_STRIDE = 4
"""Two convolutions halve an image each: a token is a place of four by four pixels."""

USUAL_OPTIONS = 4
"""Options of a multiple-choice question where the data are not there to be asked."""


@dataclass(frozen=True)
class Rows:
    """Of one sample: sequences that run through the model, and tokens in each."""

    sequences: int
    tokens: int


def rows_of(config: LearningConfig) -> Rows:
    """Return the rows of one sample.

    A text is one sequence, a question as many as it has options, an image a sequence of its
    places; networked experts serve the features of a whole image. Another kind of model of text is
    taken to run over its tokens, too.
    """
    if config.model.kind in TEXT_KINDS:
        spec = text_spec(config)
        if spec is None:
            return Rows(USUAL_OPTIONS, config.data.tokens)
        return Rows(spec.shape[0] if spec.form == "choices" else 1, spec.shape[-1])
    if config.data.kind == "digits" or config.model.kind in NETWORKED_KINDS:
        return Rows(1, 1)
    from learning.data import load_samples

    spec = load_samples(config).spec
    if spec.form == "image":
        return Rows(1, math.prod(-(-side // IMAGE_STRIDE) for side in spec.shape[1:]))
    if spec.form == "choices":
        return Rows(spec.shape[0], spec.shape[-1])
    return Rows(1, spec.shape[-1] if spec.form == "text" else 1)
