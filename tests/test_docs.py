"""Guides and README show nothing that is not there: commands parse, links resolve, Python compiles."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from sestina._cli.parser import _COMMANDS, _parse

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")
INLINE = re.compile(r"`sestina ([a-z]+)[ `]")
PROMPT = re.compile(r"^(?:\$|PS>) ")
NO_SHELL = {"python", "kotlin", "swift", "js", "json"}
NAMES = {module.__name__.rpartition(".")[2] for module in _COMMANDS}


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, content) of every fenced block."""
    yield from FENCE.findall(text)


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every `sestina ...` in a block that is for a shell."""
    for language, content in blocks(text):
        if language in NO_SHELL:
            continue
        for line in content.replace("\\\n", " ").splitlines():
            own: list[str] | None = None
            begins, redirected = True, False
            for word in [*split(PROMPT.sub("", line), escapes=not line.startswith("PS>")), ";"]:
                if set(word) <= set(";|&"):
                    if own is not None:
                        yield own
                    own, begins = None, True
                    continue
                if set(word) <= set("<>"):
                    redirected = True
                elif redirected:
                    redirected = False
                elif own is not None:
                    own.append(word)
                elif begins and word == "sestina":
                    own = []
                begins = False


def split(line: str, *, escapes: bool) -> list[str]:
    """The words of a line as a shell has them, without comments. PowerShell's backslash escapes nothing."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    words.escape = "\\" if escapes else ""
    try:
        return list(words)
    except ValueError:  # an open quote: what a command printed
        return line.split()


def headings(text: str) -> set[str]:
    """The anchors of a page, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def faults(page: Path) -> list[str]:
    """What is wrong with a page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for arguments in commands(text):
        try:
            _parse(arguments)
        except SystemExit as stop:
            if stop.code:
                found.append(f"sestina {shlex.join(arguments)}")
    found += [f"sestina {name}" for name in INLINE.findall(FENCE.sub("", text)) if name not in NAMES]
    for language, content in blocks(text):
        if language == "python":
            try:
                ast.parse(content)
            except SyntaxError as error:
                found.append(f"python: {error}")
    for target in LINK.findall(FENCE.sub("", text)):
        name, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (page.parent / name).resolve() if name else page
        if not there.exists():
            found.append(f"no file {target}")
        elif anchor and anchor not in headings(there.read_text(encoding="utf-8")):
            found.append(f"no heading {target}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_is_there(page: Path) -> None:
    assert faults(page) == []


def test_commands_are_found_at_all() -> None:
    for page in PAGES:
        if page != ROOT / "docs" / "README.md":
            assert list(commands(page.read_text(encoding="utf-8"))), page.name


def test_a_command_is_read_out_of_its_line() -> None:
    text = (
        "```console\n"
        "$ zcat a.gz | sestina encode b.sestina --field body > out.jsonl && sestina verify   # and so on\n"
        'PS> sestina encode --input "C:\\My Documents\\a.txt"\n'
        "$ pip install --no-deps sestina numpy\n"
        "it's what it printed\n"
        "$ sestina search \\\n    'two words' --in a.txt\n"
        "```\n"
    )
    assert list(commands(text)) == [
        ["encode", "b.sestina", "--field", "body"],
        ["verify"],
        ["encode", "--input", "C:\\My Documents\\a.txt"],
        ["search", "two words", "--in", "a.txt"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ sestina verify --no-such-option\n```\n",
        "```\nsestina no-such-command\n```\n",
        "Say `sestina frobnicate BUNDLE`.\n",
        "See [there](no-such-page.md).\n",
        "# One\n\nSee [there](#two).\n",
        "```python\nencoder = = 1\n```\n",
    ],
)
def test_each_fault_is_found(text: str, tmp_path: Path) -> None:
    """Negative control."""
    page = tmp_path / "page.md"
    page.write_text(text)
    assert len(faults(page)) == 1


def test_every_guide_says_how_far_it_was_tried_and_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        if page.name == "README.md":
            continue
        assert f"]({page.name})" in index
        last = " ".join(page.read_text(encoding="utf-8").strip().rpartition("\n\n")[2].split())
        assert last.startswith("**How far this was tried.**")
        assert re.findall(r"(Run here|Simulated|Checked statically|Not tried): ", last) == [
            "Run here", "Simulated", "Checked statically", "Not tried",
        ]  # fmt: skip
