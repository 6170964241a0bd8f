"""An export: the accuracy after each cycle, a line per evaluation."""


def write_lines(run, place):
    """Write ``accuracy.txt`` into the folder ``place``; return what the user should read."""
    rows = run.tables["metrics"].to_pylist()
    lines = [
        f"{row['time_s']:.0f} {row['accuracy']:.3f}" for row in rows if row["scope"] == "global"
    ]
    (place / "accuracy.txt").write_text("\n".join(lines) + "\n")
    return [f"{len(lines)} evaluations"]
