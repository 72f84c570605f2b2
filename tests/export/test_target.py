"""What an export may replace, what it removes, and what a killed one leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import sestina
from _tiny import tiny_checkpoint, tiny_wordpiece
from sestina_export import ExportError, export
from sestina_export._target import replaceable, usable_target
from sestina_model._folders import folder_in_place

ROOT = Path(__file__).parents[2]


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def refused(out: Path) -> str:
    """Why a bundle may not be put there, before any work and again just before the swap."""
    before = content_of(out)
    with pytest.raises(ExportError) as early:
        usable_target(out, overwrite=True)
    with pytest.raises(ExportError) as late, folder_in_place(out, replaceable(out, True)) as fresh:
        (fresh / "new").write_text("new")
    assert str(early.value) == str(late.value)
    assert "\n" not in str(early.value)
    assert content_of(out) == before
    assert not list(out.parent.glob(".*"))
    return str(early.value)


@pytest.mark.parametrize(
    "manifest",
    ['{"manifest_version": 3, "name": "an extension"}', "{}", "[]", "3", "not JSON", "", '{"format": "other"}',
     '{"format": "sestina"}', '{"format": "sestina", "files": 3, "variants": []}', "\ud83d", "[" * 100_000,
     '{"format": "sestina", "files": [{"file": 3}], "variants": [{}]}', '{"format": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_a_folder_of_another_program(tmp_path: Path, manifest: str) -> None:
    folder = tmp_path / "extension"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(manifest.encode(errors="surrogatepass"))
    (folder / "content.js").write_text("mine")
    assert refused(folder).endswith(
        "extension exists and is not a bundle: name a directory that does not exist yet"
    )


@pytest.mark.parametrize("foreign", ["notes.txt", ".hidden", "more/notes.txt", "cpu-int8.onnx.bak"])
def test_what_the_manifest_does_not_list(own_bundle: Path, foreign: str) -> None:
    (own_bundle / foreign).parent.mkdir(exist_ok=True)
    (own_bundle / foreign).write_text("mine")
    name = foreign.partition("/")[0]
    assert refused(own_bundle).endswith(
        f"own.sestina holds {name!r}, which its manifest does not list: move that away, or name another directory"
    )


def test_an_empty_folder_in_a_bundle(own_bundle: Path) -> None:
    (own_bundle / "mine").mkdir()
    assert "holds 'mine'" in refused(own_bundle)
    (own_bundle / "mine").rmdir()
    (own_bundle / "golden.npy").unlink()
    (own_bundle / "golden.npy").mkdir()  # by the name of what is listed
    assert "holds 'golden.npy'" in refused(own_bundle)


def test_links_to_what_is_listed_go_and_what_they_lead_to_stays(own_bundle: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.onnx"
    (own_bundle / "cpu-int8.onnx").rename(kept)
    (own_bundle / "cpu-int8.onnx").symlink_to(kept)
    with folder_in_place(own_bundle, replaceable(own_bundle, True)) as fresh:
        (fresh / "new").write_text("new")
    assert content_of(own_bundle) == {"new": b"new"}
    assert kept.stat().st_size > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.onnx", "own.sestina"]


@pytest.mark.parametrize("absolute", [False, True])
def test_what_is_listed_outside_the_bundle_stays(own_bundle: Path, absolute: bool) -> None:
    mine = own_bundle.parent / "mine.txt"
    mine.write_text("mine")
    path = own_bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"].append(
        {"file": str(mine) if absolute else "../mine.txt", "bytes": 4, "sha256": "0" * 64}
    )
    path.write_text(json.dumps(manifest))
    with folder_in_place(own_bundle, replaceable(own_bundle, True)) as fresh:
        (fresh / "new").write_text("new")
    assert content_of(own_bundle) == {"new": b"new"}
    assert sorted(path.name for path in own_bundle.parent.iterdir()) == ["mine.txt", "own.sestina"]
    assert mine.read_text() == "mine"


def test_an_incomplete_bundle_may_be_replaced(own_bundle: Path) -> None:
    (own_bundle / "tokenizer.json").unlink()
    assert usable_target(own_bundle, overwrite=True) == own_bundle


class TestDuringAnExport:
    """What changes at `out` in the minutes between the first look and the swap."""

    def during(self, out: Path, happens: str, *, overwrite: bool) -> str:
        def say(step: str) -> None:
            if step.startswith("making goldens"):
                happening[happens](out)

        happening = {
            "a file is added": lambda out: (out / "notes.txt").write_text("mine"),
            "another program": lambda out: (out / "manifest.json").write_text("{}"),
            "a bundle appears": lambda out: shutil.copytree(bundle_of(out), out),
            "a folder appears": lambda out: (out.mkdir(), (out / "notes.txt").write_text("mine")),
            "a file appears": lambda out: out.write_text("mine"),
        }
        with pytest.raises(ExportError) as caught:
            export(
                tiny_checkpoint(tiny_wordpiece(), seed=5), out,
                precisions=["fp32"], overwrite=overwrite, progress=say,
            )  # fmt: skip
        assert not [path for path in out.parent.glob(".*") if path.name != ".bundle"]
        return str(caught.value)

    @pytest.mark.parametrize(
        "happens, said", [("a file is added", "holds 'notes.txt'"), ("another program", "is not a bundle")]
    )
    def test_to_the_old_bundle(self, own_bundle: Path, happens: str, said: str) -> None:
        before = content_of(own_bundle)
        assert said in self.during(own_bundle, happens, overwrite=True)
        after = content_of(own_bundle)
        assert {name for name in after if after[name] != before.get(name)} == (
            {"notes.txt"} if happens == "a file is added" else {"manifest.json"}
        )

    @pytest.mark.parametrize(
        "happens, said",
        [
            ("a bundle appears", "exists: name another directory, or pass overwrite=True"),
            ("a folder appears", "exists and is not a bundle"),
            ("a file appears", "exists and is not a bundle"),
        ],
    )
    def test_to_nothing(self, own_bundle: Path, tmp_path: Path, happens: str, said: str) -> None:
        own_bundle.rename(tmp_path / ".bundle")
        out = tmp_path / "new.sestina"
        assert said in self.during(out, happens, overwrite=False)
        if happens == "a bundle appears":
            assert content_of(out) == content_of(tmp_path / ".bundle")
        else:
            assert (out / "notes.txt" if out.is_dir() else out).read_text() == "mine"


def bundle_of(out: Path) -> Path:
    return out.with_name(".bundle")


class TestSwap:
    def test_what_is_added_at_the_last_moment_is_kept(self, own_bundle: Path) -> None:
        """After the first look, by somebody who holds the folder open."""
        seen: list[Path] = []
        asked = replaceable(own_bundle, True)

        def contents(folder: Path) -> Sequence[str]:
            seen.append(folder)
            if len(seen) == 2:
                (folder / "late.txt").write_text("mine")
            return asked(folder)

        late = pytest.raises(ExportError, match=r"own\.sestina holds 'late\.txt'")
        with late, folder_in_place(own_bundle, contents) as fresh:
            (fresh / "new").write_text("new")
        assert (own_bundle / "late.txt").read_text() == "mine"
        assert (own_bundle / "manifest.json").exists()
        assert [path.name for path in own_bundle.parent.iterdir()] == ["own.sestina"]
        assert seen[1].name.endswith(".old")

    def test_what_is_added_even_later_is_never_removed(self, own_bundle: Path) -> None:
        seen: list[Path] = []
        asked = replaceable(own_bundle, True)

        def contents(folder: Path) -> Sequence[str]:
            seen.append(folder)
            if len(seen) == 3:  # the new one is in place
                (folder / "late.txt").write_text("mine")
            return asked(folder)

        empty = '{"format": "sestina", "files": [], "variants": []}'
        with folder_in_place(own_bundle, contents) as fresh:
            (fresh / "manifest.json").write_text(empty)
        assert content_of(own_bundle) == {"manifest.json": empty.encode()}
        assert (seen[2] / "late.txt").read_text() == "mine"
        with folder_in_place(own_bundle, asked) as fresh:  # which looks for what killed ones left
            (fresh / "newer").write_text("newer")
        assert content_of(own_bundle) == {"newer": b"newer"}
        assert (seen[2] / "late.txt").read_text() == "mine"

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
    def test_a_failure_between_the_renames(
        self, own_bundle: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        before = content_of(own_bundle)
        rename = Path.rename

        def failing(self: Path, target: Path) -> Path:
            if self.name.endswith(".new"):
                raise error
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", failing)
        with pytest.raises(type(error)), folder_in_place(own_bundle, replaceable(own_bundle, True)) as fresh:
            (fresh / "new").write_text("new")
        assert content_of(own_bundle) == before
        assert [path.name for path in own_bundle.parent.iterdir()] == ["own.sestina"]

    @pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
    def test_the_mode_of_the_folder_stays(self, own_bundle: Path) -> None:
        own_bundle.chmod(0o700)
        with folder_in_place(own_bundle, replaceable(own_bundle, True)) as fresh:
            assert fresh.stat().st_mode & 0o777 == 0o700
        assert own_bundle.stat().st_mode & 0o777 == 0o700


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from sestina_export._target import replaceable
from sestina_model import _folders
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
target = Path(sys.argv[2])
if sys.argv[3] == "after": _folders._remove = die
elif sys.argv[3] == "between":
    rename = Path.rename
    Path.rename = lambda self, to: die() if self.name.endswith(".new") else rename(self, to)
with _folders.folder_in_place(target, replaceable(target, True)) as fresh:
    (fresh / "new").write_text("new")
    if sys.argv[3] == "before": die()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing proves that a process is dead")
@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_what_a_killed_export_leaves_is_removed_by_the_next(own_bundle: Path, when: str) -> None:
    old = content_of(own_bundle)
    script = [sys.executable, "-c", KILLED, str(ROOT / "tests"), str(own_bundle), when]
    assert subprocess.run(script, check=False).returncode == -signal.SIGKILL
    assert (
        len(list(own_bundle.parent.glob(".own.sestina.*"))) == {"before": 1, "between": 2, "after": 1}[when]
    )
    if when == "between":  # nothing is lost: the old one waits under its other name
        (left,) = own_bundle.parent.glob(".own.sestina.*.old")
        assert content_of(left) == old
    theirs = own_bundle.parent / ".own.sestina.mine.new"
    theirs.mkdir()
    if when == "after":
        shutil.rmtree(own_bundle)
        shutil.copytree(next(iter(own_bundle.parent.glob("*.old"))), own_bundle)
    with folder_in_place(own_bundle, replaceable(own_bundle, True)) as fresh:
        (fresh / "newer").write_text("newer")
    assert content_of(own_bundle) == {"newer": b"newer"}
    assert sorted(path.name for path in own_bundle.parent.iterdir()) == [theirs.name, "own.sestina"]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_leaves_the_old_bundle_and_nothing_beside(
    own_bundle: Path, name: str, tmp_path: Path
) -> None:
    old = content_of(own_bundle)
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "import _tiny, sestina_export; from sestina_model import checkpoint\n"
        "from sestina._cli import printing; from sestina.__main__ import main\n"
        "checkpoint.save(_tiny.tiny_checkpoint(_tiny.tiny_wordpiece(), seed=9), sys.argv[2] + '/source')\n"
        f"printing.step = lambda step: step.startswith('making goldens') and os.kill(os.getpid(), signal.{name})\n"
        "sys.exit(main(['export', sys.argv[2] + '/source', sys.argv[3], '--overwrite', '--precision', 'fp32']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "tests"), str(tmp_path), str(own_bundle)],
        check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == -getattr(signal, name), done.stderr
    assert content_of(own_bundle) == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.sestina", "source"]
    with sestina.load(own_bundle) as encoder:
        assert encoder.verify().passed
    assert json.loads((own_bundle / "manifest.json").read_text())["format"] == "sestina"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_in_place_of_a_manifest_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(ExportError, match="exists and is not a bundle"):
        usable_target(tmp_path, overwrite=True)
