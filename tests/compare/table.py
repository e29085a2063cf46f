"""Figures of `run.sh`: reads a run's speed from metrics.jsonl and prints the table.

    python table.py read PRESET metrics.jsonl            one line of JSON: the median over the later half of the steps
    python table.py print pytorch.jsonl gradus.jsonl     the table
"""

import json
import statistics
import sys

MODELS = [("transformer", "llama-tiny"), ("xlstm", "xlstm-tiny")]


def rows(path):
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError) as error:
        sys.exit(f"table.py: {path}: {error}")


def read(preset, path):
    # Evaluation rows have no speed; a speed that is not finite is null.
    steps = [row for row in rows(path) if row.get("tokens_per_second") is not None]
    if len(steps) < 4:
        sys.exit(f"table.py: {path}: {len(steps)} steps with `tokens_per_second`; at least 4 are needed")
    later = steps[len(steps) // 2 :]
    # Independent of the program's own figure: tokens by seconds over the same steps.
    tokens = later[-1]["tokens"] - later[0]["tokens"]
    seconds = later[-1]["seconds"] - later[0]["seconds"]
    result = {
        "model": preset,
        "tokens_per_second": statistics.median(row["tokens_per_second"] for row in later),
        "tokens_by_seconds": tokens / seconds if seconds > 0 else None,
        "steps": len(steps),
        "skipped": sum(bool(row.get("skipped")) for row in steps),
        "first_loss": steps[0]["loss"],
        "last_loss": steps[-1]["loss"],
    }
    print(json.dumps(result))


def table(pytorch_path, gradus_path):
    pytorch, gradus = rows(pytorch_path), rows(gradus_path)
    first = pytorch[0]
    print(f"PyTorch {first['torch']}, {first['threads']} threads; tokens/s, f32, median (lowest to highest) of rounds\n")
    print("| model | PyTorch | gradus | gradus / PyTorch | gradus, tokens by seconds | gradus, loss |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, preset in MODELS:
        theirs = [row["tokens_per_second"] for row in pytorch if row["model"] == name]
        runs = [row for row in gradus if row["model"] == preset]
        ours = [row["tokens_per_second"] for row in runs]
        by_seconds = [row["tokens_by_seconds"] for row in runs if row["tokens_by_seconds"] is not None]

        def spread(values):
            if not values:
                return "–"
            return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"

        ratio = statistics.median(ours) / statistics.median(theirs)
        losses = [runs[-1][key] for key in ("first_loss", "last_loss")]
        loss = " to ".join("not finite" if value is None else f"{value:.3f}" for value in losses)
        skipped = sum(row["skipped"] for row in runs)
        loss += f", {skipped} skipped" if skipped else ""
        print(f"| {preset} | {spread(theirs)} | {spread(ours)} | {ratio:.2f} | {spread(by_seconds)} | {loss} |")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "read":
        read(sys.argv[2], sys.argv[3])
    elif len(sys.argv) == 4 and sys.argv[1] == "print":
        table(sys.argv[2], sys.argv[3])
    else:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
