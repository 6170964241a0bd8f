"""Which keys a scenario needs, and which mean nothing in it: one declaration for each, one loop.

What a method needs are attributes of its class, and what a kind of model or of data uses stands in
its description; the declarations below read them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, TypeVar

from learning.architecture.costs import architecture
from learning.architecture.kinds import DATA_KEYS, has_fixed_experts, kind_of, model_keys
from learning.data import DATASETS
from learning.declarations import given_keys
from learning.learner import Learner
from learning.losses import LOSSES
from learning.methods.base import METHODS, Method, MethodType, find_method
from learning.metrics import looking_at_gradients
from scenarios import Scenario
from scenarios.learning import Learning
from sim.errors import InputError, as_input
from sim.world.isl_use import KEYS, idle_links, methods_over, sends_itself
from sim.world.world import World
from statements import Code, Give, Other, Raise, Remedy, Remove, Rule, Set, said, unused

MOST_BY_GRADIENT = 100_000_000
"""Most parameters of a model whose gradients metrics look at: some 0.4 GB a cluster."""


@dataclass(frozen=True)
class Case:
    """A scenario, as its declarations look at it."""

    world: World

    @property
    def scenario(self) -> Scenario:
        """The scenario."""
        return self.world.scenario

    @property
    def learning(self) -> Learning:
        """The section `learning`."""
        return self.world.learning

    @property
    def kind(self) -> str:
        """The kind of the model."""
        return self.learning.model.kind

    def given(self, place: str) -> list[str]:
        """Return the keys of a section that differ from their defaults, as a user writes them.

        ``place`` is the dotted key of the section and ``*``, or one key of `learning`.
        """
        above, _, last = place.rpartition(".")
        section: Any = self.scenario
        for part in above.split("."):
            section = getattr(section, part)
        given = set() if section is None else given_keys(section)
        return sorted(f"{above}.{key}" for key in given if last in ("*", key))


@dataclass(frozen=True)
class MethodCase(Case):
    """A scenario with its method and its model."""

    method: MethodType
    options: Any
    learner: Learner

    @property
    def name(self) -> str:
        """The method as messages call it."""
        return f"method {self.learning.method!r}"

    @property
    def experts(self) -> int:
        """Number of experts; 0 for a plain model."""
        return self.learner.architecture.experts

    @property
    def methods_over_links(self) -> str:
        """The methods that send over links between satellites."""
        shipped = methods_over(KEYS)
        own = self.learning.method not in METHODS.shipped
        return f"{shipped}, or your own that names them in uses_isl" if own else shipped

    @property
    def steep(self) -> str:
        """The first metric that looks at gradients; empty if none does."""
        return next(iter(looking_at_gradients(self.learner.metrics)), "")

    @property
    def trained_parameters(self) -> int:
        """Parameters of the model that is trained."""
        return architecture(self.learner.config).parameters

    @property
    def has_factors(self) -> bool:
        """Whether experts are trained by low-rank factors."""
        return self.experts > 0 and self.learning.lora.rank is not None


C = TypeVar("C", bound=Case)


# Keys that the kinds of model and data, or factors that are not there, leave unused.


def _keys_of_model(section: str, *also: str) -> Callable[[Case], Collection[str] | None]:
    """Return what tells the keys of `model` or `sized_as` that its kind uses; None for any.

    Every kind uses the keys that are named ``also``.
    """

    def keys(case: Case) -> Collection[str] | None:
        sizes = getattr(case.learning, section)
        used = (
            None if sizes is None else model_keys(sizes.kind, checkpoints=bool(sizes.checkpoints))
        )
        return None if used is None else ("kind", *also, *used)

    return keys


def _keys_of_data(case: Case) -> Collection[str] | None:
    used = DATA_KEYS.get(case.learning.data.kind)
    return None if used is None else ("kind", *used)


OF_LEARNING: tuple[Rule[Case], ...] = (
    Rule(
        keys=("learning.personal",),
        when=lambda case: (
            bool(case.learning.personal)
            and not find_method(case.learning.method).traits.takes_personal
        ),
        text="method {learning.method!r} takes no personal parts",
        remedies=(Remove(), Other(said="take another method, like fedavg")),
        code=Code.UNSUPPORTED,
    ),
    Rule(
        keys=("learning.train",),
        when=lambda case: case.learning.train and kind_of(case.kind).weightless,
        text="got true, and of kind {kind!r} the size is known, and nothing that could be trained",
        remedies=(
            Set("learning.train", value=False),
            Other(said="train another kind, and count this size by learning.sized_as"),
        ),
        code=Code.CONFLICT,
    ),
    unused(
        *(f"learning.{section}.*" for section in ("data", "pretraining")),
        *(f"learning.{key}" for key in ("sized_as", "precision", "trains_backbone", "personal")),
        *(f"learning.{key}" for key in ("loss", "metrics", "targets", "evaluate_every_hours")),
        "learning.keep",
        when=lambda case: kind_of(case.kind).weightless,
        by="by kind {kind!r}, a size alone",
    ),
    Rule(
        keys=("learning.precision",),
        when=lambda case: (
            case.learning.train
            and case.learning.precision == "bfloat16"
            and not kind_of(case.kind).takes_bfloat16
        ),
        text="kind {kind!r} is trained in single or double precision",
        remedies=(
            Set("learning.precision", "float32", ("float64",)),
            Set("learning.train", value=False),
        ),
        code=Code.UNSUPPORTED,
    ),
    Rule(
        keys=("learning.model.top_k",),
        when=lambda case: (
            case.learning.model.top_k > case.learning.model.experts
            and not kind_of(case.learning.model.kind).expert_per_device
            and not has_fixed_experts(case.learning.model)
        ),
        text="got {learning.model.top_k}; must be at most learning.model.experts, "
        "{learning.model.experts}",
        code=Code.WRONG_VALUE,
    ),
    unused(
        "learning.model.experts",
        when=lambda case: (
            kind_of(case.learning.model.kind).merged
            and kind_of(case.learning.model.kind).shape is None
        ),
        by="by kind {learning.model.kind!r}, whose experts are checkpoints x "
        "learning.model.experts_per_checkpoint",
    ),
    unused(
        "learning.model.*",
        but=_keys_of_model("model"),
        by="by kind {learning.model.kind!r}, or fixed by it",
    ),
    unused(
        "learning.sized_as.*",
        but=_keys_of_model("sized_as", "micro_batch"),
        by="by kind {learning.sized_as.kind!r}, or fixed by it",
    ),
    unused(
        "learning.lora.*",
        when=lambda case: case.learning.lora.rank is None,
        by="without factors (learning.lora.rank null)",
        but=("rank",),
    ),
    unused("learning.data.*", but=_keys_of_data, by="by kind {learning.data.kind!r}"),
)
"""What the kinds of model and data, and a method, refuse or do not use."""


def refuse_unused_keys(world: World) -> None:
    """Raise InputError for keys that the kinds of model and data refuse, or do not use."""
    _refuse(OF_LEARNING, Case(world))
    with as_input("learning.data.kind"):
        DATASETS.find(world.learning.data.kind)
    if (loss := world.learning.loss) is not None:
        with as_input("learning.loss"):
            LOSSES.find(loss)


def _refuse(rules: Collection[Rule[C]], case: C) -> None:
    """Raise InputError for the first key of which the rules say something."""
    for refused in said(rules, case, case.given):
        raise InputError(refused, case.world.place_of(refused.path))


# What a method needs, and the keys that it, or a model without experts, leaves unused.


def _takes_no_sizes(case: MethodCase) -> bool:
    """Whether the model is a module of one's own that is not made with sizes."""
    if case.experts or kind_of(case.kind).plain is not None:
        return False
    return not resolve_name("learning.models.custom:takes_config")(case.kind)


LINKS = {"within_plane": "ring", "between_planes": "all", "rate_mbps": 100}
"""Links between satellites that any method can use."""
BY_SERVER = Other(said="take a method of uploads and downloads, like fedavg")


def _needs_links(key: str) -> Rule[MethodCase]:
    """Return the rule that a method that needs links between satellites has any."""
    return Rule(
        keys=(f"link.isl.{key}",),
        when=lambda case: key in case.method.needs.isl and case.world.link.isl is None,
        text="{name} needs links between satellites",
        remedies=(Set("link.isl", LINKS),),
    )


def _needs_these_links(key: str, which: str, first: str, *others: str) -> Rule[MethodCase]:
    """Return the rule that a method's links within planes, or between them, are among all."""
    return Rule(
        keys=(f"link.isl.{key}",),
        when=lambda case: (
            key in case.method.needs.isl
            and case.world.link.isl is not None
            and getattr(case.world.link.isl, key) == "none"
        ),
        text=f"{{name}} needs {which}",
        remedies=(Set("", first, others),),
        code=Code.UNSUPPORTED,
    )


def _sends_over_no_link(case: MethodCase) -> bool:
    """Whether there are links among clients, and the method sends over none of them.

    Those to a server that is a satellite serve every method.
    """
    isl = case.world.link.isl
    if isl is None or case.world.topology.grounded == "relay":
        return False
    return all(
        getattr(isl, key) == "none" or key in idle_links(isl, case.method, case.options)
        for key in KEYS
    )


def _over_mesh(
    key: str, when: Callable[[World], bool], text: str, *remedies: Remedy
) -> Rule[MethodCase]:
    """Return a rule that holds where uploads and downloads travel over links."""
    return Rule(
        keys=(key,),
        when=lambda case: case.world.topology.mesh and when(case.world),
        text=text,
        remedies=remedies,
    )


OVER_MESH: tuple[Rule[MethodCase], ...] = (
    Rule(
        keys=("link.isl.route",),
        when=lambda case: (
            case.world.topology.mesh
            and sends_itself(case.method, case.options)
            and not case.method.traits.sends_over_mesh
        ),
        text="got 'earliest', and {name} sends from one satellite to another by itself, over "
        "the same links",
        remedies=(Set("", "direct"), BY_SERVER),
    ),
    Rule(
        keys=("link.isl.route",),
        when=lambda case: (
            case.world.topology.access
            and sends_itself(case.method, case.options)
            and case.method.traits.sends_over_mesh
        ),
        text="got 'earliest', by which devices on the ground upload and download only, and "
        "{name} sends from one client to another",
        remedies=(Set("roles.clients", "satellites"), BY_SERVER),
    ),
    _over_mesh(
        "orbit.session",
        lambda world: world.topology.over_mesh and world.service.session not in (None, "contact"),
        "is not used with link.isl.route 'earliest', where a message goes on over whatever link or "
        "pass comes next",
        Remove(),
    ),
    _over_mesh(
        "orbit.max_session_s",
        lambda world: world.service.max_session_s is not None,
        "is not used with link.isl.route 'earliest', where a session is a pass",
        Remove(),
    ),
    _over_mesh(
        "link.cut_transfers",
        lambda world: world.topology.over_mesh and world.link.cut_transfers != "resume",
        "is not used with link.isl.route 'earliest', where a message goes in one piece over each "
        "link and pass",
        Remove(),
    ),
    _over_mesh(
        "link.relay",
        lambda world: world.link.relay != "none",
        "is not used with link.isl.route 'earliest', which relays all there is",
        Remove(),
    ),
    _over_mesh(
        "learning.rounds.per_contact",
        lambda world: world.topology.over_mesh and world.learning.rounds.per_contact == "fill",
        "got 'fill', and with link.isl.route 'earliest' no contact ends that could be filled",
        Set("", 1),
    ),
    _over_mesh(
        "learning.aggregation.deadline_s",
        lambda world: world.learning.aggregation.deadline_s is not None,
        "does not go with link.isl.route 'earliest': what is booked is not taken back",
        Remove(),
    ),
    _over_mesh(
        "faults",
        lambda world: any(
            getattr(world.faults, kind) is not None for kind in ("churn", "packets", "uploads")
        ),
        "of link.isl.route 'earliest' are outages and stragglers",
        Other(said="remove churn, packets and uploads"),
        Set("link.isl.route", "direct"),
    ),
)
"""What does not go with uploads and downloads over links."""


def _refuses_factors(key: str, first: str, *others: str) -> Rule[MethodCase]:
    """Return the rule that a method's changes of any rank do not go down as factors."""
    return Rule(
        keys=(f"learning.lora.{key}",),
        when=lambda case: (
            case.has_factors
            and case.method.traits.lora_refused == "download"
            and case.learner.config.model.lora.sends_factors
            and (key == "download") == (case.learning.lora.download == "factors")
        ),
        text="the server of {name} moves matrices by changes of any rank, and "
        f"{{learning.lora.{key}!r}} would carry one rank only",
        remedies=(Set("", first, others),),
    )


OF_OWN_LEARNING: tuple[Rule[MethodCase], ...] = (
    unused(
        "learning.model.*",
        "learning.sized_as.*",
        "learning.pretraining.*",
        "learning.loss",
        "learning.metrics",
        *(f"learning.{key}" for key in ("step_size", "batch_size", "steps_per_round")),
        *(f"learning.{key}" for key in ("precision", "gate_step_size_ratio", "device")),
        when=lambda case: case.method.traits.own_learning,
        by="by {name}, which learns by itself",
    ),
    Rule(
        keys=("learning.keep",),
        when=lambda case: case.method.traits.own_learning and case.learning.keep == "best",
        text="got 'best', and {name} learns by itself and hands over its weights at the end only",
        remedies=(Set("", "last", ("none",)),),
        code=Code.UNSUPPORTED,
    ),
)
"""What means nothing where leomix trains nothing itself."""


OF_METHOD: tuple[Rule[MethodCase], ...] = (
    *OVER_MESH,
    *OF_OWN_LEARNING,
    unused(
        "learning.metrics",
        when=lambda case: case.method.scores is not Method.scores,
        by="by {name}, whose clients answer with models of their own",
    ),
    Rule(
        keys=("learning.metrics",),
        when=lambda case: bool(case.steep) and not case.learning.train,
        text="{steep} looks at gradients, and a run that trains nothing has none",
        remedies=(Set("learning.train", value=True), Remove()),
        code=Code.UNSUPPORTED,
    ),
    Rule(
        keys=("learning.metrics",),
        when=lambda case: bool(case.steep) and case.learner.config.tests_clients,
        text="{steep} looks at gradients of one model, and each client has a part of its own",
        remedies=(Remove(),),
        code=Code.UNSUPPORTED,
    ),
    Rule(
        keys=("learning.metrics",),
        when=lambda case: bool(case.steep) and case.trained_parameters > MOST_BY_GRADIENT,
        text="{steep} looks at gradients, which are held whole beside the model, of up to "
        f"{MOST_BY_GRADIENT:,} parameters; this model has {{trained_parameters:,}}",
        remedies=(Remove(),),
        code=Code.UNSUPPORTED,
    ),
    Rule(
        keys=("learning.aggregation",),
        when=lambda case: (
            case.method.traits.waits_for_all and case.learning.aggregation.when != "all"
        ),
        text="{name} waits for all its clients",
        remedies=(Remove(),),
    ),
    Rule(
        keys=("learning.method",),
        when=lambda case: case.method.needs.experts > 0 and not case.experts,
        text="{name} trains experts, and learning.model.kind {kind!r} has none",
        remedies=(
            Set("", "fedavg"),
            Other(said="use another method for plain models, or a model with MoE layers"),
        ),
    ),
    Rule(
        keys=("learning.model.experts",),
        when=lambda case: case.experts < case.method.needs.experts,
        text="{name} needs {method.needs.experts} or more, not {experts}",
        remedies=(Raise(),),
    ),
    Rule(
        keys=("roles.clients",),
        when=lambda case: case.method.needs.satellites and case.world.topology.client == "cluster",
        text="{name} has satellites as its clients, not devices",
        remedies=(
            Other(said="set roles: {server: stations, clients: satellites}, and ground.stations"),
        ),
    ),
    Rule(
        keys=("roles.clients",),
        when=lambda case: bool(case.method.needs.isl) and case.world.topology.clients == "planes",
        text="{name} forms planes itself, of linked satellites",
        remedies=(Set("", "satellites"),),
    ),
    Rule(
        keys=("link.sidelink",),
        when=lambda case: (
            case.method.needs.sidelinks
            and not (case.world.link.sidelink or case.world.link.isl)
            and case.world.link.relay == "none"
        ),
        text="{name} sends from device to device",
        remedies=(Give(like={"rate_mbps": 10}), Set("link.relay", "contact")),
    ),
    _needs_links("within_plane"),
    _needs_links("between_planes"),
    _needs_these_links("within_plane", "links within planes", "ring"),
    _needs_these_links("between_planes", "links between planes", "neighbours", "all"),
    Rule(
        keys=("link.isl",),
        when=lambda case: (
            case.method.traits.sends_nothing
            and case.world.link.isl is not None
            and case.world.topology.grounded != "relay"
            and not case.world.topology.mesh  # there links say when clients are in contact
        ),
        text="{name} sends nothing, over links between satellites neither",
        remedies=(Remove(),),
    ),
    Rule(
        keys=("link.isl",),
        when=_sends_over_no_link,
        text="{name} sends nothing over links between satellites; these do: {methods_over_links}",
        remedies=(Remove(), Set("link.isl.route", "earliest")),
    ),
    _refuses_factors("download", "full"),
    _refuses_factors("aggregate", "merge", "average"),
    Rule(
        keys=("learning.lora.rank",),
        when=lambda case: case.has_factors and case.method.traits.lora_refused == "rank",
        text="{name} corrects steps on whole matrices, and factors have none",
        remedies=(Set("", None),),
    ),
    unused(
        "learning.lora.*",
        when=lambda case: not case.method.traits.uses_lora,
        by="by {name}",
    ),
    unused(
        "learning.lora.*",
        "learning.pretraining.*",
        "learning.gate_step_size_ratio",
        when=lambda case: not case.experts,
        by="by {kind!r}, which has no experts",
        but=("backbone_steps",),
    ),
    unused(
        "learning.model.*",
        when=_takes_no_sizes,
        by="by {kind!r}, whose signature does not name `config` (model.arguments are its own)",
        but=("kind", "arguments", "tokenizer", "vocabulary"),
    ),
    unused(
        "learning.optimizer.*",
        "learning.schedule.*",
        "learning.clip_norm",
        "learning.micro_batch",
        when=lambda case: not case.method.traits.uses_optimizer,
        by="by {name}, which takes steps of its own",
    ),
    unused(
        "learning.checkpoint_activations",
        when=lambda case: not kind_of(case.kind).is_text,
        by="by {kind!r}, which is small",
    ),
    unused(
        "learning.trains_backbone",
        when=lambda case: "backbone" not in case.method.traits.trains,
        by="by {name}",
    ),
    unused(
        "learning.gate_step_size_ratio",
        when=lambda case: "gate" not in case.method.traits.trains,
        by="by {name}",
    ),
    Rule(
        keys=("ground.clusters",),
        when=lambda case: bool(case.learner.config.ranks) and not case.experts,
        text="lora_rank of kinds is not used by {kind!r}, which has no experts",
        remedies=(Remove(),),
    ),
    Rule(
        keys=("ground.clusters",),
        when=lambda case: bool(case.learner.config.ranks) and not case.method.traits.uses_lora,
        text="lora_rank of kinds is not used by {name}",
        remedies=(Remove(),),
    ),
)


def refuse_for_method(world: World, method: MethodType, options: Any, learner: Learner) -> None:
    """Raise InputError for what the method needs and the scenario lacks, or does not use."""
    _refuse(OF_METHOD, MethodCase(world, method, options, learner))
