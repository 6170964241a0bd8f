"""A run in MLflow: on a tracking server, or in a database in the folder."""

import os
from datetime import datetime
from pathlib import Path

from sim.analysis.comparison import flat
from sim.execution.result import Result
from sim.execution.status import COMPLETE
from sim.export.curves import points_of

EXPERIMENT = "leomix"
IDENTITY = "leomix.identity"
DATABASE = "mlflow.db"
LONGEST_PARAM = 500
"""Characters that MLflow takes of a parameter."""
MOST_AT_ONCE = 100
"""Parameters that MLflow takes in one request."""


def write_mlflow(run: Result, place: Path) -> list[str]:
    """Write the run to ``MLFLOW_TRACKING_URI``, or to a database ``mlflow.db``; say where it is.

    Curves are those of TensorBoard, with the cycle as their step; parameters are the keys of the
    scenario. A run that is written again replaces the one that was there.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    server = os.environ.get("MLFLOW_TRACKING_URI")
    there = place.parent.resolve()
    client = MlflowClient(tracking_uri=server or f"sqlite:///{place / DATABASE}")
    manifest = run.manifest
    known = client.get_experiment_by_name(EXPERIMENT)
    # Else a database would look for artifacts in the folder where the command was given.
    artifacts = None if server else (there / "artifacts").as_uri()
    number = known.experiment_id if known else client.create_experiment(EXPERIMENT, artifacts)
    tag = f"tags.`{IDENTITY}` = '{manifest['identity']}'"
    for old in client.search_runs([number], tag):
        client.delete_run(old.info.run_id)
    start_ms = int(datetime.fromisoformat(manifest["start_utc"]).timestamp() * 1000)
    tags = {IDENTITY: manifest["identity"], "trace_sha256": str(manifest["trace_sha256"])}
    new = client.create_run(number, start_time=start_ms, tags=tags, run_name=run.title).info.run_id
    params = [Param(k, str(v)[:LONGEST_PARAM]) for k, v in flat(manifest["scenario"]).items()]
    for at in range(0, len(params), MOST_AT_ONCE):
        client.log_batch(new, params=params[at : at + MOST_AT_ONCE])
    points = list(points_of(run.tables["metrics"].to_pylist(), by_second=False))
    metrics = [Metric(p.curve, p.value, start_ms + int(1000 * p.time_s), p.step) for p in points]
    for at in range(0, len(metrics), MOST_AT_ONCE):
        client.log_batch(new, metrics=metrics[at : at + MOST_AT_ONCE])
    ended = "FINISHED" if manifest["status"] == COMPLETE else "FAILED"
    client.set_terminated(new, ended, start_ms + int(1000 * manifest["simulated_s"]))
    shown = server or f"mlflow ui --backend-store-uri sqlite:///{there / DATABASE}"
    return [f"{run.folder}: run {new} of experiment {EXPERIMENT}: {shown}"]
