"""Commands and options that there are no more, and what to do now."""

from __future__ import annotations

from collections.abc import Sequence

from sim.errors import InputError
from statements import Code, Other

REMOVED = {
    "answer": "run leomix export RUN --to dense, then examples/real_models/answer.py of the "
    "repository",
    "cache": "leomix doctor says where the cache is; to empty it, delete that folder",
    "capacity --report": "run NETWORK --set learning=null -o DIR, then report DIR",
    "check-method": "call leomix.testing.check_method in Python",
    "cite": "leomix show says how to cite leomix",
    "compare --deadline": "give all one stop.days; show RUN --all has the time-averaged accuracy",
    "contacts --graph": "leomix export SCENARIO --to ion, or hdtn, -o FILE",
    "contacts --pieces": "leomix export SCENARIO --to ion, or hdtn, --pieces SECONDS",
    "contacts --sets": "leave it out: of a satellite's sets the latest before --start counts",
    "export --checkpoints": "put a link where the run has found the folder",
    "fetch-model": "examples/real_models/fetch.py of the repository fetches SmolLM2 and MiniLM; hf "
    "download OWNER/NAME --local-dir FOLDER takes a model of the Hugging Face hub",
    "fly --tensorboard": "leomix export RUN --to tensorboard writes the curves of a run",
    "fork": "to extend a run, raise its stop and --resume it; a change at a date is an outage of "
    "that date (faults.planned)",
    "report --format": "report --figures DIR writes each figure as PDF and as SVG",
    "report --map-minute": "in Python, leomix.load(RUN).plot.map(minute=M) draws that minute",
    "report --paper": "report --figures DIR writes figures as PDF and SVG, and tables as CSV, of "
    "which pandas.DataFrame.style.to_latex makes LaTeX",
    "report --still": "in Python, leomix.load(RUN).plot.map(minute=M) draws that minute",
    "reproduce": "in the repository, the folder papers has a script for each figure of a paper and "
    "a page of results: python papers/ems_fl_fig_4.py",
    "schema": "run leomix list --schema",
    "specialise": "examples/real_models/specialise.py of the repository tunes a dense Llama on "
    "texts",
    "sweep --devices": "for each GPU start the same line with --join -o DIR, and "
    "CUDA_VISIBLE_DEVICES=N before it",
    "sweep --engine": "write --dask ADDRESS for Dask; processes of this machine are what -j starts",
    "sweep --scheduler": "write --dask ADDRESS",
    "sweep --samples": "give the values; examples/optuna_study.py of the repository draws them",
    "sweep --sampling": "all values are combined; values that go together are those of a variant, "
    "in a file for --variants",
    "sweep --shard": "start the same line with --join -o DIR as often as there are machines: each "
    "process takes the next point",
    "sweep --yes": "leave it out: up to 100,000 points are taken",
    "tune": "run sweep with --set learning.data.validation=0.2, then compare SWEEP "
    "--best-by validation -o chosen.yaml",
    "validate --estimate": "leomix validate tells the memory by itself; "
    "leomix run tells how long the rest takes, and --resume continues what Ctrl-C stops",
    "watch": "report shows a sweep that is under way, and run --tensorboard DIR follows a run",
    "why": "show RUN says what held the run back, and a key that was tried",
}


def check_removed(arguments: Sequence[str]) -> None:
    """Raise InputError for a command, or an option of one, that there is no more."""
    command = next(iter(arguments), "")
    options = (f"{command} {word.partition('=')[0]}" for word in arguments[1:])
    for name in (command, *options):
        if name in REMOVED:
            raise InputError.of_option(name, Code.UNSUPPORTED, "is gone", Other(said=REMOVED[name]))
