"""What Windows and macOS do otherwise, played here by fakes: each holds what would go wrong only there."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import sestina
from sestina._bundle import files
from sestina._cli import printing
from sestina._errors import OutputError
from sestina._process import threads
from sestina._providers import choice
from sestina._selection.contexts import Contexts
from sestina._session.placement import Placement

PLACED = Placement("X", {"X": {"Add": 2}}, 1)
FACTS = {"graph": "a"}


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Take away what `os` has on POSIX alone."""
    for name in names:
        monkeypatch.delattr(os, name)


class TestFiles:
    @pytest.mark.parametrize("missing", [("preadv",), ("preadv", "pread")], ids=["macos-10", "windows"])
    def test_are_read_alike(
        self, missing: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = b"line\r\nend\x1a" + os.urandom(9 << 20)
        (tmp_path / "a").write_bytes(content)
        without(monkeypatch, *missing)
        held = files.open_plain(str(tmp_path / "a"))
        assert held is not None
        assert b"".join(bytes(piece) for piece in held.pieces()) == content
        assert held.read() == content

    def test_a_bundle_loads_and_encodes(self, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with sestina.load(bundle, precision="fp32") as encoder:
            expected = encoder.encode("a text")
        without(monkeypatch, "preadv", "pread", "sched_getaffinity")
        with sestina.load(bundle, precision="fp32") as encoder:
            assert abs(encoder.encode("a text") - expected).max() <= 1e-6


class TestProcessor:
    def test_without_affinity_and_topology_every_processor_counts(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nothing(*parts: str) -> str:
            raise FileNotFoundError(*parts)

        without(monkeypatch, "sched_getaffinity")
        monkeypatch.setattr(os, "cpu_count", lambda: 6)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(threads, "_read", nothing)
        assert threads.usable_cores() == 6

    @pytest.mark.parametrize(
        "machine, fast", [("AMD64", True), ("ARM64", True), ("arm64", True), ("x86", False)]
    )
    def test_what_is_unknown_of_it(self, machine: str, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        def nothing(*_: Any, **__: Any) -> None:
            raise FileNotFoundError

        monkeypatch.setattr(choice.platform, "machine", lambda: machine)
        monkeypatch.setattr(choice, "open", nothing, raising=False)
        assert choice.has_fast_int8() is fast


def test_a_console_of_windows_gets_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no bytes of UTF-8. Which stream a descriptor needs there `open` finds out."""
    asked = []

    def fdopen(*arguments: Any, **options: Any) -> io.StringIO:
        asked.append((arguments, options))
        return io.StringIO()

    class Console:
        encoding, errors, line_buffering = "utf-8", "backslashreplace", True

        def fileno(self) -> int:
            return 1

    monkeypatch.setattr(sys, "stdout", Console())
    monkeypatch.setattr(os, "dup", lambda _: 77)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(os, "fdopen", fdopen)
    printing._keep_from_libraries()
    assert asked == [((77, "w", 1), {"encoding": "utf-8", "errors": "backslashreplace", "closefd": False})]


class TestCompiled:
    """On Windows no directory is renamed that holds a file which somebody has open."""

    def compile(self, contexts: Contexts) -> None:
        with contexts.build() as folder:
            (folder / "blob").write_bytes(b"compiled")
            contexts.keep(folder, FACTS, PLACED)

    def test_is_copied_where_a_session_has_it_open(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contexts = Contexts(tmp_path)
        rename, opened = Path.rename, []

        def held(path: Path, target: Path) -> Path:
            opened.append(path)
            if path == opened[0]:
                raise PermissionError(13, "Access is denied")
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", held)
        self.compile(contexts)
        found = contexts.find(FACTS)
        assert found is not None
        assert (found[0] / "blob").read_bytes() == b"compiled"
        assert [path.name for path in tmp_path.iterdir()] == [found[0].name]

    def test_is_an_error_of_one_line_where_nothing_can_be_renamed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def held(path: Path, target: Path) -> Path:
            raise PermissionError(13, "Access is denied")

        monkeypatch.setattr(Path, "rename", held)
        with pytest.raises(OutputError) as error:
            self.compile(Contexts(tmp_path))
        assert str(error.value) == f"cache_dir {tmp_path} cannot be written: Access is denied"
        assert not list(tmp_path.iterdir())

    def test_stays_another_process_s_that_was_quicker_just_now(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contexts = Contexts(tmp_path)

        def late(path: Path, target: Path) -> Path:
            target.mkdir()
            raise FileExistsError(17, "File exists")

        monkeypatch.setattr(Path, "rename", late)
        self.compile(contexts)
        assert [list(path.iterdir()) for path in tmp_path.iterdir()] == [[]]
