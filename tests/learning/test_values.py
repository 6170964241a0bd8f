"""Lazy values: named by content, computed once, kept in a store, shared between runs."""

import gc
import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save

from learning import Learner, LearningConfig
from learning import files as files_module
from learning import learner as learner_module
from learning.invariants import Violation
from learning.learner import TASKS, TRAINS
from learning.models.stacked import Frozen, Guard
from learning.provenance import environment
from learning.settings import Data
from learning.values.lazy import Values, arguments_in, found_at
from learning.values.store import FolderStore, as_file, packed, unpacked
from sim.execution.cache import Cache, Namespace


@dataclass(frozen=True)
class By:
    by: list[int]


ONE, ADD, TOTAL, SCALE, TRAIN, FROM_FILES = (
    f"learning.tests:{name}" for name in ("one", "add", "total", "scale", "train", "files")
)
OWN = "own.maths:train"
FILES = {name: torch.full((1 << 18,), 2.0) for name in ("weight", "own=weight")}
FUNCTIONS = {
    "files": lambda: {**FILES, "again=": FILES["weight"], "=": torch.ones(1)},
    "one": lambda: {"x": torch.ones(1)},
    "train": lambda a, by=1: {"x": a["x"] * 1.25 + by},
    "add": lambda *parts: {"x": sum(part["x"] for part in parts)},
    "scale": lambda a, by: {"x": a["x"] * sum(by)},
    "total": lambda *parts: [float(part["x"]) for part in parts],
}


class Numbers(Values):
    def __init__(self, folder=None, context="c", keep=True):
        super().__init__(self.count, context, keep=keep, trains={TRAIN, OWN})
        self.applied = Counter()
        self.cache = None if folder is None else Namespace(Cache(folder), "results", context)

    def count(self, place, parents, said):
        name = place.rpartition(":")[2]
        self.applied[name] += 1
        return FUNCTIONS[name](*parents, **said)

    def make(self, place, *parents, **arguments):
        return super().make(place, parents, arguments)

    def number(self, place, *parents):
        return super().number(place, parents, {})


def test_nothing_is_computed_before_it_is_forced_and_then_once():
    values = Numbers()
    one = values.make(ONE)
    two = values.make(ADD, one, one)
    assert not values.applied
    assert values.force(two)["x"].item() == values.force(two)["x"].item() == 2
    assert values.applied == {"one": 1, "add": 1}
    with pytest.raises(TypeError, match="yield Measure"):
        float(two)


def test_a_run_that_keeps_time_alone_has_keys_and_no_tensors_or_numbers():
    values = Numbers(keep=False)
    two = values.make(ADD, values.make(ONE))
    assert two.parents == ()
    for ask in (lambda: values.force(two), lambda: values.number(TOTAL, two)):
        with pytest.raises(RuntimeError, match="timing-only"):
            ask()


def test_large_tensors_that_a_run_has_from_its_files_are_stored_by_name(tmp_path):
    first = Numbers()
    second = Numbers()
    store = FolderStore(tmp_path / "values")
    for values in (first, second):
        values.known = lambda: FILES
    files = first.make(FROM_FILES)
    wanted = first.force(files)
    store.save(files.key, first.kept(files))
    assert store.load(files.key)["=weight=weight"].numel() == 0
    second.store = store
    found = second.force(second.make(FROM_FILES))
    assert found.keys() == wanted.keys() and not second.applied
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_equal_content_is_the_same_value_and_other_content_another():
    values = Numbers()
    by = np.array([2.0])
    one = values.make(ONE)
    doubled = values.make(SCALE, one, by=by)
    assert values.make(SCALE, one, by=[2.0]) is doubled
    others = [values.make(SCALE, one, by=[3]), Numbers(context="other").make(SCALE, one, by=by)]
    others += [values.make(f"{SCALE}d", one, by=by), values.make(SCALE, one, one, by=by)]
    assert len({handle.key for handle in (doubled, *others)}) == 5
    by[0] = 100.0  # an array that changes later does not change what was asked for
    assert values.force(doubled)["x"].item() == 2


def test_long_chains_need_no_recursion_and_are_forgotten(tmp_path):
    """So long that a call, or the end, of one inside of the other would end the process."""
    first = Numbers(tmp_path)
    second = Numbers(tmp_path)
    for values in (first, second):
        total = one = values.make(ONE)
        for _ in range(30_000):
            total = values.make(ADD, total, one)
        assert values.number(TOTAL, total) == [30_001.0]
        assert len(values.live()) == (2 if values is first else 30_001)
    assert not second.applied
    del total, one
    gc.collect()
    assert not second.live()


def test_a_store_keeps_what_it_is_told_and_its_ancestors_are_never_needed(tmp_path):
    first = Numbers()
    second = Numbers()
    store = FolderStore(tmp_path)
    one = first.make(ONE)
    total = first.make(ADD, one, one)
    first.force(total)
    for handle in (one, total):
        store.save(handle.key, handle.value)
    store.keep_only([total.key])
    second.store = FolderStore(tmp_path, store.checksums)
    second.store.check()
    assert one.key not in second.store
    again = second.make(ADD, second.make(ONE), second.make(ONE))
    assert again.parents == ()
    assert second.force(again)["x"].item() == 2 and not second.applied


PLACES = st.integers(0, 12)


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=3), min_size=1, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.sets(PLACES),
    st.lists(PLACES, min_size=1),
    st.sets(st.integers(0, 40)),
)
def test_any_part_of_a_cache_gives_the_values_of_none_and_counts_them(
    tmp_path_factory, parents, trains, first, second, lost
):
    folder = tmp_path_factory.mktemp("cache")

    def ask(values, places):
        made = [values.make(ONE)]
        for number, wanted in enumerate(parents):
            chosen = [made[parent % len(made)] for parent in wanted]
            if trains[number]:
                made.append(values.make(TRAIN, chosen[0], by=number))
            else:
                made.append(values.make(ADD, *chosen))
        return [values.number(TOTAL, made[place % len(made)]) for place in places]

    ask(Numbers(folder), sorted(first))
    for number, path in enumerate(sorted(folder.rglob("*.*"))):
        if number in lost:
            path.unlink()
    plain = Numbers()
    cached = Numbers(folder)
    assert ask(cached, second) == ask(plain, second)
    assert cached.reuse.done == cached.applied["train"]
    assert cached.reuse.done + len(cached.reuse.spared) == plain.applied["train"]


def test_what_comes_of_somebody_elses_operation_is_not_shared(tmp_path):
    for _ in range(2):
        values = Numbers(tmp_path)
        own = values.make(OWN, values.make(ONE))
        values.number(TOTAL, values.make(TRAIN, values.make(ADD, own)))
        assert values.applied == {"one": 1, "train": 2, "add": 1, "total": 1}
        assert (values.reuse.foreign, values.reuse.spared) == ({"own.maths:train"}, set())


DTYPES = [torch.bool, torch.uint8, torch.int16, torch.int32, torch.int64]
DTYPES += [torch.float16, torch.bfloat16, torch.float32, torch.float64]
FORMS = {
    "plain": lambda t: t,
    "a row for each of one": lambda t: t[None].expand(1, *t.shape),
    "a row for each of three": lambda t: t[None].expand(3, *t.shape),
    "expanded last": lambda t: t[..., None].expand(*t.shape, 2),
    "every second": lambda t: t[..., ::2] if t.dim() else t,
    "one of every second": lambda t: t[..., ::2][..., :1] if t.dim() else t,
    "turned": lambda t: t.mT if t.dim() > 1 else t,
    "with a gradient": lambda t: t.requires_grad_() if t.is_floating_point() else t,
}


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 4), max_size=3),
    st.sampled_from(list(FORMS)),
    st.sampled_from(list(FORMS)),
)
@example(torch.int64, [], "a row for each of one", "plain")
def test_tensors_of_every_format_and_form_come_back_as_they_are(dtype, shape, form, again):
    whole = (torch.arange(math.prod(shape)) - 5).reshape(shape).to(dtype)
    tensor = FORMS[again](FORMS[form](whole))
    for back in (unpacked(packed({"t": tensor})), unpacked(as_file({"t": tensor}))):
        assert (back["t"].dtype, back["t"].shape) == (tensor.dtype, tensor.shape)
        assert back["t"].tolist() == tensor.tolist()


def test_shared_rows_are_packed_once_and_files_are_those_of_safetensors():
    rows = {"w": torch.randn(100, 100).expand(50, 100, 100)}
    assert len(packed(rows)) < 2 * 100 * 100 * 4
    ill = {"a*b": torch.tensor([math.nan, math.inf, -0.0]), "nothing": torch.zeros(0, 4)}
    assert as_file(ill) == save(ill)
    with pytest.raises(ValueError, match="no value"):
        unpacked(b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}")


def test_a_file_that_changes_before_it_is_read_ends_the_run(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros((40, 3)), y=np.arange(40) % 2)
    data = Data(kind="npz", path=str(path), trial_samples=2)
    learner = Learner(LearningConfig(1, ("A", "B"), (1, 1), data=data))
    learner.environment()  # what is shared is named by the file as it is now
    np.savez(path, x=np.zeros((50, 3)), y=np.arange(50) % 2)
    with pytest.raises(ValueError, match="has changed since the run began"):
        learner.task  # noqa: B018


def test_folders_behind_links_count_once(tmp_path):
    deep = tmp_path / "far" / "deep"
    near = tmp_path / "near"
    for folder in (deep, near):
        folder.mkdir(parents=True)
    (deep / "one").write_text("1")
    (deep / "round").symlink_to(tmp_path / "far")
    (near / "train").symlink_to(tmp_path / "far")
    assert files_module.files_under(str(near)) == [near / "train" / "deep" / "one"]
    before = files_module.fingerprints_under([str(near)])
    (deep / "one").write_text("12")
    assert files_module.fingerprints_under([str(near)]) != before


CHANGES = {
    "processor": lambda patch, here: patch.setitem(here, "processor", lambda: ["another one"]),
    "version": lambda patch, here: patch.setitem(here, "version", lambda name: "9.9"),
    "library": lambda patch, here: patch.setattr(torch.backends.mkldnn, "enabled", False),
    "instructions": lambda patch, here: patch.setenv("ATEN_CPU_CAPABILITY", "default"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_results_hang_on_machine_program_and_the_instructions_that_are_allowed(monkeypatch, what):
    plain = LearningConfig(1, ("A",), (1,))
    before = environment(plain)
    CHANGES[what](monkeypatch, environment.__globals__)
    assert environment(plain) != before


def test_results_hang_on_the_source_and_not_on_how_many_threads_torch_was_given(monkeypatch):
    """A run that is resumed with another version computes anew what the old one has saved.

    Code of one's own may set threads at any time: what is computed next takes one.
    """
    made = []
    for threads in (1, 3):
        TASKS.clear()
        learner = Learner(LearningConfig(3, ("A", "B"), (2, 3)))
        learner.build()
        torch.set_num_threads(threads)
        start = learner.start()
        made.append((start.key, learner.force(start)))
    (key, first), (same_key, same) = made
    assert torch.get_num_threads() == 1 and key == same_key
    assert first.keys() == same.keys()
    assert all(torch.equal(same[name], tensor) for name, tensor in first.items())
    monkeypatch.setattr(learner_module, "source_digest", lambda: "another one")
    assert Learner(learner.config).start().key != key


def test_each_place_that_is_named_has_a_function():
    """Else one would learn of it in the middle of a run; timing-only commands import no torch."""
    root = Path(files_module.__file__).parent
    text = "".join(path.read_text() for path in root.rglob("*.py"))
    named = set(re.findall(r'"(learning\.(?:nmoe\.)?training\.[\w.]+:\w+)"', text))
    assert len(named) > 40 and named >= TRAINS
    assert all(callable(found_at(place)) for place in named)


def test_arguments_that_are_dataclasses_come_as_such_with_their_own_copies():
    """The key hangs on their fields."""
    values = Numbers()
    values.make = partial(Values.make, values)
    by = np.array([2])
    made = values.make(ONE, (), {"how": By(by)})
    assert made is values.make(ONE, (), {"how": By([2])}) is not values.make(ONE, (), {"how": [2]})
    by[0] = 3
    assert arguments_in(made.arguments) == {"how": By([2])}


def tensors_of():
    return {"a": torch.arange(6.0).reshape(2, 3), "b": torch.full((2,), torch.nan)}


@pytest.mark.parametrize("how", ["other", "in place", "gone"])
def test_an_operation_that_changes_what_it_must_not_is_refused(how):
    tensors = tensors_of()
    guard = Guard(tensors, [], lambda name: name == "b", "it")
    guard.check({"a": tensors["a"], "b": torch.zeros(2)})
    after = dict(tensors)
    if how == "other":
        after["a"] = tensors["a"] + 1.0
    elif how == "in place":
        tensors["a"][0, 0] += 1.0
    else:
        del after["a"]
    with pytest.raises(Violation, match="changed 'a'"):
        guard.check(after)


def test_what_is_frozen_is_looked_at_number_by_number():
    tensors = tensors_of()
    frozen = Frozen(tensors)
    frozen.check({name: tensor.clone() for name, tensor in tensors.items()}, "it", thoroughly=True)
    tensors["a"].data[1, 2] += 1e-3  # torch does not count this
    with pytest.raises(Violation, match="'a' of it is not what it was"):
        frozen.check(tensors, "it", thoroughly=True)
    with pytest.raises(Violation, match="'b' of it has come or gone"):
        frozen.check({"a": tensors["a"]}, "it")
