"""Log runs to MLflow: the scenario, the method, and the metrics of the server's model by cycle.

    pip install mlflow
    python examples/mlflow_log.py runs/mine

MLflow logs to MLFLOW_TRACKING_URI, else into the current folder.
"""

import sys

import mlflow

import leomix


def log(folder: str) -> None:
    """Log the run in a folder as a run of the experiment `leomix`."""
    result = leomix.load(folder)
    manifest = result.manifest
    with mlflow.start_run(run_name=folder):
        mlflow.set_tag("trace_sha256", manifest["trace_sha256"])
        mlflow.log_params({"method": manifest["method"], "seed": manifest["scenario"]["seed"]})
        mlflow.log_dict(manifest["scenario"], "scenario.json")
        rows = result.metrics.query("scope == 'global'")
        for cycle, figures in rows.set_index("cycle")[["accuracy", "loss"]].iterrows():
            mlflow.log_metrics(figures.dropna().to_dict(), step=cycle)


if __name__ == "__main__":
    mlflow.set_experiment("leomix")
    for folder in sys.argv[1:]:
        log(folder)
