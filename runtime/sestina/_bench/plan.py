"""What a run measures, decided before anything runs: options checked, entries listed, sizes fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sestina._bench.contender import DEFAULT, OURS, PEERS, REFERENCE, Entry, contender_class
from sestina._bundle.manifest import Manifest
from sestina._errors import OptionError


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: Every contender runs once in each.
        calls: Single texts of one length in a round.
        starts: Cold starts.
        passages: Of the generated length mix.
        uniform_tokens: Of a corpus of one length.
        checked: Passages whose vectors are compared with PyTorch's, besides those of fixed lengths.
    """

    rounds: int
    calls: int
    starts: int
    passages: int
    uniform_tokens: int
    checked: int


FULL = Sizes(rounds=5, calls=25, starts=5, passages=2000, uniform_tokens=8192, checked=96)
QUICK = Sizes(rounds=2, calls=8, starts=2, passages=160, uniform_tokens=2048, checked=16)
LENGTHS = (16, 64, 256)


def chosen_peers(against: str | None, source: str | None) -> list[str]:
    """The peers that `--against` names, in the order of tables. None: PyTorch, where there is a source.

    Raises:
        OptionError: On an unknown name, or peers without the checkpoint that they read.
    """
    if against is None:
        return [REFERENCE] if source is not None else []
    known = [peer for peer in PEERS if peer != OURS]
    names = {"all": known, "none": []}.get(against) if against in ("all", "none") else against.split(",")
    unknown = [name for name in names or [] if name not in known]
    if unknown:
        raise OptionError(f"--against is {unknown[0]!r}; it must be all, none or some of {','.join(known)}")
    if set(names or []) - {DEFAULT} and source is None:
        raise OptionError(
            f"--against {against} needs --source: peers read the checkpoint that the bundle was made from"
        )
    return [peer for peer in known if peer in (names or [])]


def chosen_precisions(precision: str, manifest: Manifest) -> list[str]:
    """The precisions of the bundle that `--precision` names, separated by commas; fp32, if any, first.

    Raises:
        OptionError: Where the bundle does not have one.
    """
    have = list(dict.fromkeys(v.precision for v in manifest.variants if v.target == "cpu"))
    have.sort(key=lambda name: name != "fp32")  # what the others are compared with
    if precision in ("all", "auto"):
        if not have:
            raise OptionError(f"{manifest.name} has no variant for cpu: export one")
        return list(have)
    wanted = precision.split(",")
    for name in wanted:
        if name not in have:
            raise OptionError(f"--precision is {name!r}; this bundle has {', '.join(have)} for cpu")
    return [name for name in have if name in wanted]


def entries(precisions: Sequence[str], peers: Sequence[str], more_threads: Sequence[int] = ()) -> list[Entry]:
    """Every row of the results, ours first: as everyone, then with other numbers of threads."""
    ours = [
        Entry(OURS, precision, threads=threads)
        for threads in (None, *more_threads)
        for precision in precisions
    ]
    theirs = [
        Entry(peer, precision, configuration)
        for peer in peers
        for precision, configuration in contender_class(peer).entries
    ]
    return ours + theirs


def opposite(entry: Entry, ours: Sequence[Entry]) -> Entry:
    """Our entry that a peer's is compared with: of the same precision, or else the first of the bundle."""
    return next((own for own in ours if own.precision == entry.precision), ours[0])
