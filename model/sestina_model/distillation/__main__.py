"""`python -m sestina_model.distillation CONFIG.json --out RUN_DIR`: train, or resume where it stopped."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from sestina_model._errors import ModelError
from sestina_model.distillation.recipe import Recipe, follow

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 1 on an error, 130 where stopped; usage errors exit 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sestina_model.distillation",
        description="Distil a teacher into an encoder. Run the same command again to resume.",
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="the stages as JSON, or one run alone")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the recipe's folder")
    parser.add_argument("--stage", metavar="NAME", help="begin with this stage")
    parser.add_argument(
        "--start", metavar="CHECKPOINT", help="what the first stage starts from, instead of what it says"
    )
    parser.add_argument("--texts", nargs="+", metavar="FILE", help="instead of the configuration's texts")
    parser.add_argument("--data", metavar="FOLDER", help="instead of the configuration's dev tasks")
    parser.add_argument("--teacher", metavar="FOLDER", help="instead of the configuration's teacher")
    parser.add_argument("--second-teacher", metavar="FOLDER", help="instead of the configuration's second")
    parser.add_argument("--bundle", metavar="FOLDER", help="the teacher's, to compute kept vectors faster")
    parser.add_argument("--threads", type=int, metavar="N", help="torch's (default: as it chooses)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    args = parser.parse_args(argv)
    stopped = False

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        signal.signal(number, signal.default_int_handler)  # a second one does not wait

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
    try:
        position = follow(
            _asked(args),
            args.out,
            stop=lambda: stopped,
            progress=sys.stderr.isatty(),
            device=args.device,
            begun=lambda name: sys.stderr.write(f"stage {name}\n"),
        )
    except ModelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: run the same command to resume from the last save\n")
        return 130
    if position is None:
        sys.stdout.write(f"{args.out}: every stage is done\n")
        return 0
    best = "not evaluated" if position.best is None else f"{position.best:.2f} at step {position.best_step}"
    state = "stopped, and saved" if stopped else "done"
    sys.stdout.write(f"{args.out}: {state}; {position.tokens} tokens in {position.step} steps; best {best}\n")
    return 130 if stopped else 0


def _asked(args: argparse.Namespace) -> Recipe:
    """The recipe as the command line has it."""
    recipe = Recipe.from_file(args.recipe)
    if args.stage is not None or args.start is not None:
        recipe = recipe.beginning_with(args.stage or recipe.stages[0].name, args.start)
    given = {
        "texts": args.texts and tuple(args.texts),
        "data": args.data,
        "teacher": args.teacher,
        "threads": args.threads,
    }
    recipe = recipe.changed(**{name: value for name, value in given.items() if value is not None})
    if args.second_teacher is not None:
        recipe = recipe.with_second_teacher(args.second_teacher)
    return recipe if args.bundle is None else recipe.with_bundle(args.bundle)


if __name__ == "__main__":
    sys.exit(main())
