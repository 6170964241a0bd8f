"""Which local files hold the data of a configuration."""

from __future__ import annotations

from pathlib import Path

from learning.config import DataConfig, LearningConfig
from learning.plain_files import check_regular
from learning.stamps import files_under

#: What a path to be downloaded begins with (kind hf).
HUB = "hub:"
#: Kinds whose paths are files, never folders.
FILES_ONLY = ("jsonl", "npz")


def cluster_files(config: LearningConfig) -> list[str]:
    """Return the one file of ``data.path``, or the file of each cluster in ``data.paths``.

    Raises :class:`ValueError` where there is neither or both, and for a cluster without a file.
    """
    data, paths = config.data, dict(config.data.paths)
    if (data.path is None) == (not paths):
        raise ValueError(
            f"learning.data: kind {data.kind!r} reads files; give either path (one file) or paths "
            "(a file for each cluster)"
        )
    if data.path is not None:
        return _checked([data.path], data.kind)
    strangers = sorted(set(paths) - set(config.clusters))
    missing = [cluster for cluster in config.clusters if cluster not in paths]
    if strangers or missing:
        what = f"no file for cluster {missing[0]!r}" if missing else f"no cluster {strangers[0]!r}"
        raise ValueError(f"learning.data.paths: {what}; clusters: {', '.join(config.clusters)}")
    return _checked([paths[cluster] for cluster in config.clusters], data.kind)


def _checked(paths: list[str], kind: str) -> list[str]:
    """Refuse what is no regular file, for kinds that read nothing else."""
    for path in paths if kind in FILES_ONLY else ():
        if Path(path).exists():  # what is not there is told of where it is opened
            check_regular(path)
    return paths


def data_files(data: DataConfig) -> list[str]:
    """Return the local files that decide the data, sorted: what a digest must cover.

    A folder stands for all files in it. What is downloaded or found by its name in a cache is not
    among them. Raises :class:`ValueError` for a file that does not exist.
    """
    given = [path for path in (data.path, *(path for _, path in data.paths)) if path is not None]
    return sorted({file for path in given for file in _files_at(path, data.kind)})


def _files_at(path: str, kind: str) -> list[str]:
    if Path(path).exists() or kind == "hf":
        return [str(file) for file in files_under(path)]
    raise ValueError(f"{path}: no such file; see learning.data.path and paths")


def column_names(data: DataConfig, roles: tuple[str, ...]) -> dict[str, str]:
    """Return ``data.columns`` by role. Raises :class:`ValueError` for a role not in ``roles``."""
    for role, _ in data.columns:
        if role not in roles:
            raise ValueError(
                f"learning.data.columns.{role}: is not used by kind {data.kind!r}; it knows "
                f"{', '.join(roles)}"
            )
        if role == "domain" and data.paths:
            raise ValueError(
                "learning.data.columns.domain: is not used with learning.data.paths, where a file "
                "is a domain; remove it"
            )
    return dict(data.columns)
