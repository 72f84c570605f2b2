"""The command: rounds of cases until the time is over, and for whatever fails the command that shows it again."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fuzz.core import TARGETS, Recipe, drawn, target
from fuzz.corpus import Entry, entries
from fuzz.sandbox import Sandbox, Verdict
from fuzz.shrink import shrunk
from fuzz.world import ROOT, World, prepare

_FAULTS = ROOT / "build" / "fuzz" / "faults"


class Found(NamedTuple):
    """A sort of fault of a target: the first case that had it, as small as it could be made."""

    target: str
    seed: int
    number: int
    verdict: Verdict
    recipe: Recipe


def recipe_of(name: str, seed: int, number: int, world: World) -> Recipe:
    """What a case is."""
    recipe: Recipe = target(name).generate(drawn(name, seed, number), world)
    return recipe


class Hunt:
    """Cases run and what came of them."""

    def __init__(self, sandbox: Sandbox, world: World, *, keep: int = 1) -> None:
        self.sandbox, self.world = sandbox, world
        self.ended: Counter[tuple[str, str]] = Counter()
        self.found: dict[tuple[str, str], Found] = {}
        self.seconds: Counter[str] = Counter()

    def case(self, name: str, seed: int, number: int, *, shrink: bool = True) -> Verdict:
        """Run one; a fault of a sort that is new is shrunk and kept."""
        recipe, begin = recipe_of(name, seed, number, self.world), time.monotonic()
        verdict = self.sandbox.run(name, recipe)
        self.seconds[name] += time.monotonic() - begin
        self.ended[name, verdict.kind] += 1
        key = (name, verdict.sort)
        if verdict.kind == "fault" and key not in self.found:
            small = shrunk(recipe, lambda other: self._same(name, other, verdict)) if shrink else recipe
            self.found[key] = Found(name, seed, number, verdict, small)
            _tell(self.found[key])
        return verdict

    def _same(self, name: str, recipe: Recipe, verdict: Verdict) -> bool:
        again = self.sandbox.run(name, recipe)
        return (again.kind, again.sort) == (verdict.kind, verdict.sort)

    def rounds(self, targets: Sequence[str], seed: int, seconds: float) -> None:
        """Round after round until the time is over: the order is fixed, only where it ends is not."""
        end, begun = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            for name in targets:
                for number in range(begun * TARGETS[name], (begun + 1) * TARGETS[name]):
                    if time.monotonic() >= end:
                        return
                    self.case(name, seed, number)
            begun += 1

    def summary(self) -> str:
        """A line for each target."""
        lines = []
        for name in TARGETS:
            counts = {kind: count for (one, kind), count in sorted(self.ended.items()) if one == name}
            if counts:
                told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
                lines.append(
                    f"{name:>14}: {sum(counts.values()):6} cases in {self.seconds[name]:6.1f} s: {told}"
                )
        return "\n".join(lines)


def command(name: str, seed: int, number: int) -> str:
    """What shows a case again."""
    return f"python tests/fuzz --target {name} --seed {seed} --case {number}"


def _tell(found: Found) -> None:
    _FAULTS.mkdir(parents=True, exist_ok=True)
    file = _FAULTS / f"{found.target}-{found.seed}-{found.number}.json"
    document = {
        "target": found.target,
        "seen": f"{found.verdict.sort}: {found.verdict.what}",
        "recipe": found.recipe,
    }
    file.write_text(json.dumps(document, indent=1) + "\n")
    print(
        f"FAULT in {found.target}: {found.verdict.sort}: {found.verdict.what}\n"
        f"  again:  {command(found.target, found.seed, found.number)}\n"
        f"  shrunk: python tests/fuzz --recipe {file.relative_to(ROOT)}",
        flush=True,
    )


def _replay(sandbox: Sandbox, entry: Entry) -> bool:
    begin = time.monotonic()
    verdict = sandbox.run(entry.target, entry.recipe)
    good = verdict.kind in entry.right
    said = (
        ""
        if good
        else f": {verdict.sort}: {verdict.what}\n  right is: {' or '.join(entry.right)}; {entry.why}"
    )
    print(
        f"{'ok   ' if good else 'FAULT'} {entry.name}: {verdict.kind} in {time.monotonic() - begin:.2f} s{said}",
        flush=True,
    )
    return good


def possible(name: str, world: World) -> bool:
    """Whether a target has here what it is held to: checkpoints need transformers."""
    return name != "checkpoints" or bool(world.families)


def _known(world: World) -> list[Entry]:
    return [entry for entry in entries() if possible(entry.target, world)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns: 0 where nothing was found, 1 where something was."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180, help="how long (default 180)")
    parser.add_argument("--seed", type=int, help="default: a new one, which is printed")
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all; may be repeated")
    parser.add_argument("--case", type=int, help="run one case of one target")
    parser.add_argument("--recipe", type=Path, help="run a recipe that was kept in a file")
    parser.add_argument(
        "--corpus", nargs="?", const="", metavar="NAME", help="run what was found before, alone"
    )
    args = parser.parse_args(argv)
    world = prepare()
    with Sandbox(world) as sandbox:
        if args.recipe is not None:
            document = json.loads(args.recipe.read_text())
            entry = Entry(args.recipe.stem, document["target"], document["recipe"], ("right", "refused"), "")
            return 0 if _replay(sandbox, entry) else 1
        if args.corpus is not None:
            ended = [_replay(sandbox, entry) for entry in _known(world) if args.corpus in entry.name]
            print(f"{ended.count(True)} of {len(ended)} as they should be")
            return 0 if all(ended) else 1
        seed = random.SystemRandom().randrange(1 << 32) if args.seed is None else args.seed
        hunt = Hunt(sandbox, world)
        if args.case is not None:
            (name,) = args.target
            print(json.dumps(recipe_of(name, seed, args.case, world), indent=1))
            verdict = hunt.case(name, seed, args.case, shrink=False)
            print(f"{verdict.kind} {verdict.sort} {verdict.what}".strip())
            return 1 if verdict.kind == "fault" else 0
        print(f"seed {seed}, {args.seconds:g} seconds", flush=True)
        known = [_replay(sandbox, entry) for entry in _known(world)] if not args.target else []
        hunt.rounds(args.target or [name for name in TARGETS if possible(name, world)], seed, args.seconds)
    print(hunt.summary())
    return 1 if hunt.found or not all(known) else 0


if __name__ == "__main__":
    sys.exit(main())
