"""Score a checkpoint or a bundle: `python -m sestina_model.evaluate SOURCE --data FOLDER`.

Pairs (STS-B, SemRel, SICK): Spearman's correlation of cosine similarity with people's judgement. Retrieval
(CISI): nDCG at 10 with linear gain, a document being its title, ". " and its text. Classification
(Banking77): accuracy of logistic regression, tested on every fifth text of each label, trained on the
others. All times 100.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from sestina_model._errors import ModelError
from sestina_model.evaluation import DEFAULT_TASKS, open_source, score

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 1 on an error, 130 on an interrupt; usage errors exit 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sestina_model.evaluate", description="Score the vectors of a checkpoint or a bundle."
    )
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="a checkpoint folder, ours or Hugging Face's, or a bundle"
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="the folder that holds the tasks"
    )
    parser.add_argument(
        "--tasks",
        metavar="NAME,NAME",
        help=f"NAME.tsv or NAME/ in the folder (default: those found of {','.join(DEFAULT_TASKS)})",
    )
    parser.add_argument("--precision", default="auto", help="of a bundle (default: auto)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    tasks = None if args.tasks is None else [name for name in args.tasks.split(",") if name]
    try:
        encoder = open_source(args.source, precision=args.precision, progress=sys.stderr.isatty())
        scores = score(encoder, args.data, tasks)
    except ModelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    if args.json:
        report = {"source": str(args.source), "scores": [result.to_dict() for result in scores]}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        for result in scores:
            sys.stdout.write(f"{result.task:20} {result.metric:10} {result.value:6.2f}  n = {result.n}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
