"""Let Optuna choose step size and local rounds, by validation samples.

    pip install optuna
    python examples/optuna_study.py quickstart 20 runs/study

Each trial is a run of its own; what was trained before is taken from the cache.
"""

import sys

import optuna

import leomix


def main(name: str = "quickstart", trials: str = "20", folder: str = "runs/study") -> None:
    """Run the trials, and print the best one's keys."""

    def objective(trial: optuna.Trial) -> float:
        rounds = trial.suggest_int("rounds", 1, 8)
        scenario = leomix.load(
            name,
            {
                "learning.data.validation": 0.2,
                "learning.step_size": trial.suggest_float("step_size", 0.01, 1.0, log=True),
                "learning.rounds": {"per_contact": rounds, "per_gap_max": rounds},
            },
        )
        run = leomix.run(scenario, out=f"{folder}/{trial.number}")
        return run.validation_at()

    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=int(trials))
    print(study.best_params, study.best_value)


if __name__ == "__main__":
    main(*sys.argv[1:])
