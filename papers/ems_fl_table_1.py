"""Table I of EMS-FL: upload of one device in a contact, and peak memory, at full size.

    python papers/ems_fl_table_1.py

Memory is an estimate from the shapes of the model (three Llama-3-8B variants); nothing is trained.
"""

from typing import Any

from paper_runs import printed, runs, table

VARIANTS = {
    "EMS-FL": {"learning.method": "emsfl-enhanced"},
    "standard EMS-FL": {"learning.method": "emsfl"},
    "baseline": {"learning.method": "synchronous"},
}


def sizes(result: Any) -> tuple[float, float, float]:
    """Return the largest upload of experts (MB), the memory and that of experts (GB)."""
    summary = result.summary
    up = {
        payload["payload"].split(":")[0]: payload["bytes"] / 1e6
        for payload in summary["payloads"]
        if payload["direction"] == "uplink"
    }
    memory = summary["least_device_memory_bytes"], summary["least_expert_memory_bytes"]
    return up.get("experts", up.get("model", 0.0)), memory[0] / 1e9, memory[1] / 1e9


def main() -> None:
    """Run the timing of three forms, and print a row for each with what the paper prints."""
    keys = {"learning.train": False, "stop.cycles": 12}
    made = runs("ems_fl_full_size", "paper-exp1", keys, VARIANTS)
    found = {run.variant: sizes(run.result) for run in made}
    rows = [[name, *(f"{size:.2f}" for size in found[name])] for name in VARIANTS]
    less, more = found["EMS-FL"], found["baseline"]
    saved = [big - small for big, small in zip(more, less, strict=True)]
    rows.append(
        ["ratio / difference", f"{more[0] / less[0]:.2f}x", *(f"+{gb:.2f}" for gb in saved[1:])]
    )
    print(table(("method", "upload (MB)", "peak memory (GB)", "experts of it (GB)"), rows))
    upload, memory = "upload of EMS-FL (MB)", "peak memory, difference (GB)"
    paper = {
        upload: ("at least 10 and at most 20", 10 <= less[0] <= 20),
        memory: ("22.77", abs(saved[1] - 22.77) <= 0.02 * 22.77),
    }
    print("\n" + printed({upload: less[0], memory: saved[1]}, paper))


if __name__ == "__main__":
    main()
