"""Score a checkpoint or a bundle: `python -m sestina_model.evaluate SOURCE --data FOLDER`.

Pairs (STS-B, SemRel, SICK): Spearman's correlation of cosine similarity with people's judgement. Retrieval
(CISI, CACM, NPL): nDCG at 10 with linear gain, a document being its title, ". " and its text. Classification
(Banking77): accuracy of logistic regression, tested on every fifth text of each label, trained on the
others. All times 100.

With `--teacher` and `--texts`, retrieval fidelity: how far SOURCE ranks held-out passages of these texts as
the teacher does, for queries that are held out too. It needs no labels.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sestina_model._errors import ModelError
from sestina_model._lines import find_files
from sestina_model.evaluation import DEFAULT_TASKS, TextEncoder, open_source, score
from sestina_model.evaluation.fidelity import Fidelity, fidelity, teacher_vectors
from sestina_model.evaluation.progress import progress_bar
from sestina_model.evaluation.sample import read_sample
from sestina_model.evaluation.sources import open_exact

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 1 on an error, 130 on an interrupt; usage errors exit 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sestina_model.evaluate", description="Score the vectors of a checkpoint or a bundle."
    )
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="a checkpoint folder, ours or Hugging Face's, or a bundle"
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the folder that holds the tasks")
    parser.add_argument(
        "--tasks",
        metavar="NAME,NAME",
        help=f"NAME.tsv or NAME/ in the folder (default: those found of {','.join(DEFAULT_TASKS)})",
    )
    parser.add_argument(
        "--teacher", type=Path, metavar="FOLDER", help="measure fidelity to this checkpoint or bundle"
    )
    parser.add_argument(
        "--texts", nargs="+", metavar="FILE", help="what fidelity's queries and passages are of"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="where the teacher's vectors are kept for the next time"
    )
    parser.add_argument("--precision", default="auto", help="of a bundle (default: auto)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    if args.data is None and args.teacher is None:
        parser.error("nothing to measure: name --data, or --teacher, --texts and --cache")
    if len({value is None for value in (args.teacher, args.texts, args.cache)}) > 1:
        parser.error("--teacher, --texts and --cache go together: fidelity needs all three")
    if args.tasks is not None and args.data is None:
        parser.error("--tasks are found in the folder that --data names; add it")
    try:
        encoder = open_source(args.source, precision=args.precision, progress=sys.stderr.isatty())
        scores, faithful = [], None
        if args.data is not None:
            names = None if args.tasks is None else [name for name in args.tasks.split(",") if name]
            scores = score(encoder, args.data, names)
        if args.teacher is not None:
            faithful = _fidelity(encoder, args.teacher, args.texts, args.cache)
    except ModelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    if args.json:
        report: dict[str, Any] = {"source": str(args.source)}
        report["scores"] = [result.to_dict() for result in scores]
        if faithful is not None:
            report["fidelity"] = faithful.to_dict()
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.writelines(
            f"{result.task:20} {result.metric:10} {result.value:6.2f}  n = {result.n}\n" for result in scores
        )
        sys.stdout.writelines(_lines(faithful))
    return 0


def _fidelity(encoder: TextEncoder, teacher: Path, texts: Sequence[str], cache: Path) -> Fidelity:
    show = sys.stderr.isatty()
    with progress_bar(0, show, unit="line", title="sample") as advance:
        sample = read_sample(find_files(texts), cache, advance=advance)
    goal = teacher_vectors(teacher, sample, cache, lambda: open_exact(teacher, progress=show))
    return fidelity(encoder.encode(sample.texts), goal, sample)


def _lines(faithful: Fidelity | None) -> Iterator[str]:
    """The table of fidelity: overlap and nDCG, then overlap of each group."""
    if faithful is None:
        return
    n = f"n = {faithful.n_queries} queries in {faithful.n_passages} passages"
    yield f"{'fidelity':20} {'overlap@10':10} {faithful.overlap:6.2f}  {n}\n"
    yield f"{'fidelity':20} {'ndcg@10':10} {faithful.ndcg:6.2f}  {n}\n"
    for title, groups in (
        ("query", faithful.by_kind),
        ("rarest word", faithful.by_frequency),
        ("passage words", faithful.by_length),
        ("passage of", faithful.by_source),
    ):
        for group in groups:
            yield f"  {title + ' ' + group.name:40} {group.overlap:6.2f}  n = {group.n}\n"


if __name__ == "__main__":
    sys.exit(main())
