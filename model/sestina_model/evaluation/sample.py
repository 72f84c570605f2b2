"""What retrieval fidelity is measured on: held-out passages and queries of a corpus, always the same ones.

A held-out line begins a passage: alone, or with the three or seven lines that follow it, so that passages
are as long as what people search in. Other held-out lines are asked. Two texts, two hashes: no query is
part of a passage by design, and none of it is read by a training run that leaves out what is held out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from sestina_model._errors import FileError
from sestina_model._files import file_sha256, read_json_object
from sestina_model._folders import folder_in_place
from sestina_model._lines import read_lines
from sestina_model.evaluation.held_out import as_number, is_passage, is_query

__all__ = ["Passage", "Query", "Sample", "read_sample", "words"]

_FOLLOWING = (0, 0, 0, 0, 0, 3, 3, 7)  # lines that follow the first, by the hash of that
_MOST_WORDS = 180  # of a passage: about what 256 tokens hold
_QUERY_WORDS = range(3, 25)
_LEAST = 10  # passages: fewer have no ten best
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


class Passage(NamedTuple):
    """A text to search in, and the name of the file that it is from."""

    text: str
    source: str


class Query(NamedTuple):
    """A text to ask.

    Attributes:
        text: It.
        kind: "question", "headline" or "sentence".
        rarest: How often the rarest of its words stands in the corpus.
    """

    text: str
    kind: str
    rarest: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Queries, passages, and the fingerprint of what they were drawn from."""

    queries: list[Query]
    passages: list[Passage]
    fingerprint: str

    @property
    def texts(self) -> list[str]:
        """All of them, the queries first."""
        return [query.text for query in self.queries] + [passage.text for passage in self.passages]


def words(text: str) -> list[str]:
    """The words of a text in lower case, without numbers."""
    return _WORD.findall(text.lower())


def read_sample(
    files: Sequence[Path],
    cache: Path,
    *,
    n_passages: int = 20_000,
    n_queries: int = 1000,
    advance: Callable[[int], object] = lambda _: None,
) -> Sample:
    """The sample of these files, from the cache where it is there, else drawn into it.

    Args:
        files: Text, one passage a line, in the order in which neighbours belong together.
        cache: The folder in which it is kept.
        n_passages: At most so many.
        n_queries: At most so many of each kind.
        advance: Called with numbers of lines read.

    Raises:
        FileError: Where a file cannot be read, the cache cannot be written, or too little is held out.
    """
    recipe = [[[path.name, file_sha256(path)] for path in files], n_passages, n_queries, _FOLLOWING]
    fingerprint = sha256(json.dumps(recipe).encode()).hexdigest()[:16]
    kept = cache / f"sample-{fingerprint}" / "sample.json"
    if kept.is_file():
        values: dict[str, Any] = read_json_object(kept)
        queries, passages = values["queries"], values["passages"]
        return Sample([Query(*row) for row in queries], [Passage(*row) for row in passages], fingerprint)
    sample = _draw(files, n_passages, n_queries, fingerprint, advance)
    if not sample.queries or len(sample.passages) < _LEAST:
        raise FileError(
            f"{len(sample.queries)} queries and {len(sample.passages)} passages are held out of these "
            f"{len(files)} files; name files with more lines: one in 64 is a query, one begins a passage"
        )
    try:
        with folder_in_place(kept.parent) as fresh:
            (fresh / kept.name).write_text(json.dumps(asdict(sample)), encoding="utf-8")
    except OSError as error:
        raise FileError(f"{kept.parent} cannot be written: {error.strerror or error}") from error
    return sample


def _draw(
    files: Sequence[Path], n_passages: int, n_queries: int, fingerprint: str, advance: Callable[[int], object]
) -> Sample:
    counts: Counter[str] = Counter()
    passages: list[Passage] = []
    asked: dict[str, list[str]] = {}
    for path in files:
        source = path.name.partition(".")[0]
        lines = [line for line in read_lines(path) if line.strip()]
        for line in lines:
            counts.update(words(line))
            if is_query(line) and len(line.split()) in _QUERY_WORDS:
                asked.setdefault(_kind(line, source), []).append(line)
        passages += (Passage(text, source) for text in _passages(lines))
        advance(len(lines))
    queries = [
        Query(text, kind, min((counts[word] for word in words(text)), default=0))
        for kind, texts in sorted(asked.items())
        for text in _some(texts, n_queries)
    ]
    chosen = set(_some([passage.text for passage in passages], n_passages))
    return Sample(queries, [passage for passage in passages if passage.text in chosen], fingerprint)


def _passages(lines: Iterable[str]) -> Iterator[str]:
    """Of one file: each passage that begins with a held-out line, cut before it is too long."""
    open_ones: list[tuple[int, list[str]]] = []
    for line in lines:
        for _, parts in open_ones:
            parts.append(line)
        if is_passage(line):
            open_ones.append((_FOLLOWING[as_number(line) // 64 % len(_FOLLOWING)], [line]))
        still = [(following, parts) for following, parts in open_ones if len(parts) <= following]
        yield from (_cut(parts) for following, parts in open_ones if len(parts) > following)
        open_ones = still
    yield from (_cut(parts) for _, parts in open_ones)


def _cut(parts: list[str]) -> str:
    """The lines together, without the last ones where they are too many words."""
    while len(parts) > 1 and sum(part.count(" ") + 1 for part in parts) > _MOST_WORDS:
        parts = parts[:-1]
    return " ".join(parts)


def _kind(line: str, source: str) -> str:
    if line.endswith("?"):
        return "question"
    return "headline" if "headline" in source else "sentence"


def _some(texts: Iterable[str], n: int) -> list[str]:
    """Up to `n` different texts, chosen by their hash: more text elsewhere never changes a choice's order."""
    return sorted(set(texts), key=as_number)[:n]
