"""A quantity that can be given as one figure or in parts."""

from collections.abc import Callable, Mapping

from channel.arrays import Floats


def one_form(
    name: str,
    figure: float | None,
    parts: Mapping[str, float | None],
    combined: Callable[..., Floats],
) -> float:
    """Return the figure, or what its parts come to; exactly one form must be given, and whole.

    `combined` takes the parts by their names. Raises ValueError that says what to leave out or add.
    """
    given = [part for part, value in parts.items() if value is not None]
    missing = [part for part in parts if part not in given]
    if figure is not None and given:
        raise ValueError(
            f"{name} is {figure} beside {_listed(given)}; allowed is one form: "
            f"leave out {name} or {_listed(given)}"
        )
    if figure is not None:
        return figure
    if not given:
        raise ValueError(f"{name} is None; allowed is a number: add {name}, or {_listed(missing)}")
    if missing:
        raise ValueError(
            f"{missing[0]} is None beside {_listed(given)}; allowed is the whole form: "
            f"add {_listed(missing)}, or give {name} alone"
        )
    return float(combined(**parts))


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
