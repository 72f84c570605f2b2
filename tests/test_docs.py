"""Documentation shows nothing that is not there: commands parse, links resolve, what is rendered is up to date."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest

import sestina
import sestina_export
import sestina_model
from _snippets import RUN, blocks
from sestina._cli.parser import _COMMANDS, _parse

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")),
    ROOT / "checkpoints" / "sestina-base" / "README.md",
    *sorted(DOCS.rglob("*.md")),
]
GUIDES = sorted(page for page in (DOCS / "platforms").glob("*.md") if page.name != "index.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")
INLINE = re.compile(r"`sestina ([a-z]+)[ `]")
MAKE = re.compile(r"(?:`|\$ )make ([a-z][a-z-]*)")
# A name of Python in a package of ours, quoted alone: `sestina.json` is a file.
DOTTED = re.compile(r"`((?:sestina|sestina_model|sestina_export)(?:\.[A-Za-z_]\w*)+)[`(]")
FILES = {"sestina.json", "sestina.js"}
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
PROMPT = re.compile(r"^(?:\$|PS>) ")
NO_SHELL = {"python", "pycon", "kotlin", "swift", "js", "json"}
NAMES = {module.__name__.rpartition(".")[2] for module in _COMMANDS}
# Pages of the site that are files of the repository elsewhere; docs/hooks.py knows where.
ELSEWHERE = {"changelog.md", "contributing.md", "security.md"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every `sestina ...` in a block that is for a shell."""
    for block in blocks(text):
        if block.language in NO_SHELL:
            continue
        for line in block.content.replace("\\\n", " ").splitlines():
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


def is_there(dotted: str) -> bool:
    """Whether a module, or something in one, is called so."""
    if dotted in FILES:
        return True
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            if here(".".join(parts[:cut])):
                return cut >= len(parts) - 1  # an integration, or a name in one, whose host is not there
            continue
        for name in parts[cut:]:
            found = getattr(found, name, None)
        return found is not None
    return False


def here(module: str) -> bool:
    """Whether there is a file of this module."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


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
    found += [name for name in DOTTED.findall(text) if not is_there(name)]
    found += [f"make {target}" for target in MAKE.findall(text) if target not in TARGETS]
    found += [f"sestina {name}" for name in INLINE.findall(FENCE.sub("", text)) if name not in NAMES]
    found += [
        f"line {block.line}: neither run nor a reason why not"
        for block in blocks(text)
        if block.language not in RUN and block.is_a_snippet() and not block.skipped
    ]
    found += [
        f"line {block.line}: {reason.lines!r} is not in the block"
        for block in blocks(text)
        for reason in block.reasons
        if reason.lines and reason.lines not in block.content
    ]
    for target in LINK.findall(FENCE.sub("", text)):
        name, _, anchor = target.partition("#")
        if urlsplit(target).scheme:
            continue
        there = (page.parent / name).resolve() if name else page
        if not there.exists():
            found.append(f"no file {target}")
        elif anchor and anchor not in headings(there.read_text(encoding="utf-8")):
            found.append(f"no heading {target}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_shows_is_there(page: Path) -> None:
    assert faults(page) == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *GUIDES, DOCS / "cli.md"], ids=name_of)
def test_commands_are_found_at_all(page: Path) -> None:
    assert list(commands(page.read_text(encoding="utf-8")))


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
        "<!-- not run: shown -->\n```\nsestina no-such-command\n```\n",
        "Say `sestina frobnicate BUNDLE`.\n",
        "Then `make nothing`.\n",
        "See `sestina._no_such.module`.\n",
        "See [there](no-such-page.md).\n",
        "# One\n\nSee [there](#two).\n",
        "```kotlin\nval encoder = 1\n```\n",
        "```\nsestina verify\n```\n",
        "<!-- not run, let one: of a block that is not run at all -->\n```swift\nlet one = line\n```\n",
        "<!-- not run, what is not there: needs a GPU -->\n```console\n$ true\n```\n",
        "<!-- not run: too far above -->\n\n```swift\nlet one = line\n```\n",
    ],
)
def test_each_fault_is_found(text: str, tmp_path: Path) -> None:
    """Negative control."""
    page = tmp_path / "page.md"
    page.write_text(text)
    assert len(faults(page)) == 1


def test_the_readme_is_one_page() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 150
    promises = text.partition("## What it promises")[2].partition("\n## ")[0]
    assert len(re.findall(r"^- \*\*", promises, re.MULTILINE)) == 6
    speed = text.partition("<!-- speed")[2].partition("<!-- end")[0]
    assert len(re.findall(r"^\| ", speed, re.MULTILINE)) == 1 + 6
    first = text.partition("```python")[0]
    assert len(first.splitlines()) <= 30  # installed, and running


def test_every_guide_says_how_far_it_was_tried_and_is_in_the_index() -> None:
    index = (DOCS / "platforms" / "index.md").read_text(encoding="utf-8")
    for page in GUIDES:
        assert f"]({page.name})" in index
        last = " ".join(page.read_text(encoding="utf-8").strip().rpartition("\n\n")[2].split())
        assert last.startswith("**How far this was tried.**")
        assert re.findall(r"(Run here|Simulated|Checked statically|Not tried): ", last) == [
            "Run here", "Simulated", "Checked statically", "Not tried",
        ]  # fmt: skip


def test_every_page_is_in_the_navigation() -> None:
    shown = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE))
    assert shown == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} | ELSEWHERE


def test_pages_that_sources_name_are_there() -> None:
    named = {
        (path.relative_to(ROOT).as_posix(), name)
        for folder in ("runtime", "model", "export", "tests", "examples", "demo", ".github", "checkpoints")
        for suffix in ("py", "md", "js", "html", "sh", "yml")
        for path in (ROOT / folder).rglob(f"*.{suffix}")
        if "node_modules" not in path.parts
        for name in re.findall(r"(?<![\w./])docs/[\w/.-]+\.(?:md|py)\b", path.read_text("utf-8"))
    }
    assert len(named) > 5
    assert {(where, name) for where, name in named if not (ROOT / name).is_file()} == set()


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_rendered_is_up_to_date() -> None:
    """`make pages` renders it: the layout from the code, the benchmarks and the cluster from what was measured."""
    benchmarks = script(DOCS / "benchmarks" / "render.py")
    for page in ("layout", "cluster"):
        made = script(DOCS / f"{page}.py")
        assert made.PAGE.read_text("utf-8") == made.rendered()
    rendered = benchmarks.rendered()
    assert {page.stem for page in (DOCS / "benchmarks").glob("*.md")} == {path.stem for path in rendered} - {
        "README"
    }
    for path, text in rendered.items():
        assert path.read_text("utf-8") == text, path


def test_a_schedule_takes_what_is_slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Played through with round figures: the encoders, then the driver, then nodes that are lost."""
    cluster = script(DOCS / "cluster.py")
    for name, value in {
        "TEXTS": 100_000,
        "TOKENS": 150,
        "CORES": 16,
        "BUNDLE": 0.0,
        "LOST_AFTER": 1e12,
    }.items():
        monkeypatch.setattr(cluster, name, value)
    times = {"tokens_per_core_second": [1000.0], "driver_seconds_per_block": 0.0, "start_seconds": 5.0}
    assert cluster.play(10, 1000, times) == (
        105.0,
        pytest.approx(100 / 105),
        0,
    )  # 10 s a block, 10 blocks a node
    slow = {**times, "driver_seconds_per_block": 3.0}
    assert cluster.play(10, 1000, slow).seconds == pytest.approx(5 - 10 + 100 * 3 + 10, abs=10)
    monkeypatch.setattr(cluster, "LOST_AFTER", 0.05)
    lossy = cluster.play(10, 1000, times)
    assert lossy.again > 1
    assert lossy.seconds > 105


def test_the_documents_of_runs_state_what_they_are() -> None:
    benchmarks = script(DOCS / "benchmarks" / "render.py")
    documents = benchmarks.documents()
    assert set(benchmarks.PROCESSORS.values()) <= set(documents)
    for name, document in documents.items():
        assert document["format"] == "sestina-bench", name
        assert document["title"], name
        assert document["machine"]["processor"], name
        assert document["machine"]["instructions"], name
        assert document["ratios"], name
        assert document["slower"] == [row for row in document["ratios"] if row["value"] < 1], name


def test_a_place_for_what_is_rendered_must_be_there() -> None:
    """Negative control."""
    benchmarks = script(DOCS / "benchmarks" / "render.py")
    with pytest.raises(ValueError, match="there are 0 places for speed"):
        benchmarks.between_markers("no markers", "speed", "table")


def test_what_is_claimed_of_fastembed_is_in_the_documents() -> None:
    """The sentence below the README's table: with VNNI so much faster, and without it not."""
    benchmarks = script(DOCS / "benchmarks" / "render.py")
    *_, (_, ours, other, measure) = benchmarks.ROWS
    values = {
        name: row["value"]
        for name, document in benchmarks.documents().items()
        if name in benchmarks.PROCESSORS.values()
        for row in document["ratios"]
        if (row["ours"], row["other"], row["measure"]) == (ours, other, measure)
    }
    vnni = [values["zen5-avx512-vnni"], values["xeon-amx"]]
    claim = re.search(
        r"The (\d\.\d) to (\d\.\d) over fastembed in the last row", (ROOT / "README.md").read_text("utf-8")
    )
    assert claim is not None
    assert [float(claim[1]), float(claim[2])] == [int(10 * min(vnni)) / 10, int(10 * max(vnni)) / 10]
    assert values["zen3-avx2"] < 1


def errors() -> set[str]:
    """Every error and warning that Sestina raises on purpose, by name, private ones included."""
    for package in (sestina_export, sestina_model):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    roots: list[type] = [sestina.SestinaError, sys.modules["sestina_model._errors"].ModelError]
    for root in roots:
        roots += [leaf for leaf in root.__subclasses__() if leaf not in roots]
    public = (getattr(sestina, name) for name in sestina.__all__)
    warnings = {kind.__name__ for kind in public if inspect.isclass(kind) and issubclass(kind, Warning)}
    return {kind.__name__ for kind in roots if kind.__module__.startswith("sestina")} | warnings


def test_every_error_has_its_place_in_troubleshooting() -> None:
    text = (DOCS / "troubleshooting.md").read_text("utf-8")
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == errors()


def test_the_reference_shows_what_is_public() -> None:
    shown = re.findall(r"^::: (\S+)$", (DOCS / "reference.md").read_text("utf-8"), re.MULTILINE)
    for module in (sestina, sestina_export):
        public = {f"{module.__name__}.{name}" for name in module.__all__}
        assert {name for name in shown if name.rpartition(".")[0] == module.__name__} == public
