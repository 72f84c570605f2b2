"""What a command leaves where it is stopped at any moment: nothing, or what the next one clears away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sestina import _leftovers
from sestina.__main__ import main
from sestina._leftovers import Temporary, sweep

Cli = Callable[..., Any]  # the fixture of conftest.py

ROOT = Path(__file__).parents[2]
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere nothing proves that a process is dead"
)
on_posix = pytest.mark.skipif(os.name == "nt", reason="signals and permissions of POSIX")


def stopped(folder: Path, bundle: Path, *signals: int, prefix: str = "") -> int:
    """Start an encode into `folder`, send it signals once it has written much, and give its exit status."""
    process = subprocess.Popen(
        ["sh", "-c", f'{prefix} exec "$@"', "sh", sys.executable, "-m", "sestina", "encode", str(bundle), "--output",
         str(folder / "out.npy")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"a\n" * 6000)
    process.stdin.flush()
    until = time.monotonic() + 60
    while not any(path.stat().st_size > 100_000 for path in folder.glob(".sestina-*.tmp")):
        assert time.monotonic() < until
        time.sleep(0.01)
    for number in signals:
        process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (out, err) == (b"" if process.returncode else out, b"")
    return process.returncode


@on_posix
@pytest.mark.parametrize("signals", [("SIGTERM",), ("SIGHUP",), ("SIGHUP", "SIGHUP"), ("SIGTERM", "SIGHUP")])
def test_signals_leave_nothing_and_are_what_ended_it(
    bundle: Path, tmp_path: Path, signals: tuple[str, ...]
) -> None:
    (tmp_path / "out.npy").write_bytes(b"old")
    numbers = [getattr(signal, name) for name in signals]
    assert -stopped(tmp_path, bundle, *numbers) in numbers
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out.npy": b"old"}


@on_posix
def test_a_signal_that_is_ignored_stays_so(bundle: Path, tmp_path: Path) -> None:
    assert stopped(tmp_path, bundle, signal.SIGHUP, prefix='trap "" HUP;') == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.npy"]


def test_the_host_keeps_its_signals(cli: Cli, bundle: Path) -> None:
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)]
    before = [signal.getsignal(number) for number in numbers]
    seen: list[Any] = []
    own = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        handler = signal.getsignal(signal.SIGTERM)
        assert cli("inspect", bundle).code == 0
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, own)
    assert cli("inspect", bundle).code == 0
    assert [signal.getsignal(number) for number in numbers] == before


def test_in_a_thread_there_are_no_signals(bundle: Path, tmp_path: Path) -> None:
    codes: list[int] = []
    argv = ["encode", str(bundle), "a", "--output", str(tmp_path / "out.npy")]
    thread = threading.Thread(target=lambda: codes.append(main(argv)))
    thread.start()
    thread.join()
    assert codes == [0]


@on_linux
def test_the_next_write_clears_away_what_a_killed_one_left(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    theirs = tmp_path / ".sestina-notes.tmp"
    theirs.write_text("mine")
    assert stopped(tmp_path, bundle, signal.SIGKILL) == -signal.SIGKILL
    (left,) = (path for path in tmp_path.glob(".sestina-*.tmp") if path != theirs)
    assert cli("encode", bundle, "a", "--output", tmp_path / "other.jsonl").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [theirs.name, "other.jsonl"]
    assert left.name.startswith(".sestina-")


@on_linux
def temporary(folder: Path, directory: bool, owner: ExitStack | None = None) -> Temporary:
    """One that is its owner's, or nobody's."""

    def remove(path: str) -> None:
        shutil.rmtree(path) if directory else Path(path).unlink()

    stack = owner or ExitStack()
    return Temporary.new(str(folder), ".x.", ".new", directory=directory, owner=stack, remove=remove)


@pytest.mark.parametrize("directory", [True, False])
class TestSweep:
    def swept(self, folder: Path) -> list[str]:
        sweep(
            str(folder),
            ".x.",
            ".new",
            lambda path: shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink(),
        )
        return sorted(path.name for path in folder.iterdir())

    def test_what_is_alive_stays(self, tmp_path: Path, directory: bool) -> None:
        mine = temporary(tmp_path, directory)
        assert self.swept(tmp_path) == [Path(mine.path).name]
        code = (
            "import sys; from sestina._leftovers import sweep; import shutil, os\n"
            "sweep(sys.argv[1], '.x.', '.new', lambda path: os.rename(path, path + '.gone'))\n"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        assert self.swept(tmp_path) == [Path(mine.path).name]
        mine.release()
        assert self.swept(tmp_path) == []

    def test_of_another_boot_or_machine(
        self, tmp_path: Path, directory: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        temporary(tmp_path, directory).release()
        monkeypatch.setattr(_leftovers, "_BOOT_ID", str(tmp_path.parent / "boot"))
        (tmp_path.parent / "boot").write_text("another")
        assert len(self.swept(tmp_path)) == 1
        (tmp_path.parent / "boot").unlink()  # a system that does not say
        assert len(self.swept(tmp_path)) == 1

    def test_where_there_are_no_locks(
        self, tmp_path: Path, directory: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import fcntl

        def unsupported(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", unsupported)
            mine = temporary(tmp_path, directory)
            mine.release()
            assert [path.name for path in tmp_path.iterdir()] == [Path(mine.path).name]
        assert len(self.swept(tmp_path)) == 1  # by its name it was never sure

    def test_an_interrupt_while_it_is_made(
        self, tmp_path: Path, directory: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(_: str) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(_leftovers, "_locked", interrupted)
        with pytest.raises(KeyboardInterrupt), ExitStack() as stack:
            temporary(tmp_path, directory, stack)
        assert list(tmp_path.iterdir()) == []

    def test_whoever_asked_need_not_have_heard_of_it(self, tmp_path: Path, directory: bool) -> None:
        """As where an interrupt comes before what was made has a name there."""
        with ExitStack() as stack:
            temporary(tmp_path, directory, stack)
            assert len(list(tmp_path.iterdir())) == 1
        assert list(tmp_path.iterdir()) == []

    def test_without_fcntl(self, tmp_path: Path, directory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """As on Windows."""
        temporary(tmp_path, directory).release()
        monkeypatch.setattr(_leftovers, "fcntl", None)
        mine = temporary(tmp_path, directory)
        mine.release()
        assert len(self.swept(tmp_path)) == 2

    def test_links_and_pipes_of_its_name(self, tmp_path: Path, directory: bool) -> None:
        model = temporary(tmp_path, directory)
        stamp = Path(model.path).name
        shutil.rmtree(model.path) if directory else Path(model.path).unlink()
        model.release()
        kept = tmp_path / "kept"
        kept.mkdir() if directory else kept.write_text("mine")
        (tmp_path / stamp).symlink_to(kept)
        os.mkfifo(tmp_path / f"{stamp[:-16]}{'0' * 12}.new")
        assert len(self.swept(tmp_path)) == 3


def test_both_packages_have_the_same_rule() -> None:
    """Neither may import the other."""
    runtime, model = (ROOT / each / "_leftovers.py" for each in ("runtime/sestina", "model/sestina_model"))
    assert runtime.read_bytes() == model.read_bytes()


@on_posix
class TestMode:
    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o444])
    def test_a_file_that_is_replaced_keeps_it(
        self, cli: Cli, bundle: Path, tmp_path: Path, mode: int
    ) -> None:
        real, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
        real.write_bytes(b"old")
        real.chmod(mode)
        link.symlink_to(real)
        assert cli("encode", bundle, "a", "--output", link).code == 0
        assert link.is_symlink()
        assert real.read_bytes() != b"old"
        assert real.stat().st_mode & 0o7777 == mode

    def test_no_content_is_ever_more_open_than_that(
        self, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from sestina._cli.destination import destination

        target = tmp_path / "secret.jsonl"
        target.touch(0o600)
        with destination(str(target)) as out:
            (temporary,) = tmp_path.glob(".sestina-*.tmp")
            assert temporary.stat().st_mode & 0o777 == 0o600
            out.write(b"x")

    def test_set_user_id_is_not_for_new_content(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        target = tmp_path / "out.jsonl"
        target.touch()
        target.chmod(0o4755)
        assert cli("encode", bundle, "a", "--output", target).code == 0
        assert target.stat().st_mode & 0o7777 == 0o755

    @pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
    def test_a_new_file_has_that_of_the_umask(
        self, cli: Cli, bundle: Path, tmp_path: Path, umask: int, mode: int
    ) -> None:
        before = os.umask(umask)
        try:
            assert cli("encode", bundle, "a", "--output", tmp_path / "out.jsonl").code == 0
        finally:
            os.umask(before)
        assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == mode
