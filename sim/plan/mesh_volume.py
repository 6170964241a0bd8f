"""What all passes of a mesh carry per hour."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from learning.requests.cluster import Floats
from sim.facts.directions import Way
from sim.plan.mesh_limits import pass_bytes
from sim.plan.plan import Plan

SAMPLED = 300
"""Passes that are looked at: all, or as many of even ranks by their duration."""


def bytes_per_hour(plan: Plan) -> Mapping[Way, float]:
    """Return about what all passes carry each way in an hour, for the poorest device of each.

    Of many passes a sample is looked at, and the others carry as much per second.
    """
    contacts = plan.contacts
    own = [contacts.services(cluster.name) for cluster in plan.clusters]
    numbers = np.concatenate(own)
    lasts_s: Floats = contacts.end_s[numbers] - contacts.start_s[numbers]
    order = np.argsort(lasts_s, kind="stable")
    count = min(SAMPLED, len(order))
    sample = order[((np.arange(count) + 0.5) * len(order) / max(count, 1)).astype(np.int64)]
    # In order of time: links are made quickest so.
    sample = sample[np.argsort(contacts.start_s[numbers[sample]], kind="stable")]
    scale = float(lasts_s.sum() / lasts_s[sample].sum()) if count else 0.0
    total = dict.fromkeys(Way, 0.0)
    for number in numbers[sample].tolist():
        contact = contacts[number]
        for way in Way:
            total[way] += scale * float(pass_bytes(contact, way).min())
        contact.links.close()
    hours = plan.stop_s / 3600.0
    return {way: size / hours for way, size in total.items()}
