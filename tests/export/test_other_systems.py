"""What Windows does otherwise of an export and of a training run, played here by fakes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from _tiny import tiny_checkpoint, tiny_wordpiece
from sestina_export import ExportError, export
from sestina_export._target import usable_target
from sestina_model.distillation.state import Position, read_state, write_state

MAPS = Path("/proc/self/maps")
on_linux = pytest.mark.skipif(not MAPS.exists(), reason="nobody tells here what is open")


def held(folder: Path) -> list[str]:
    """What this process has open or mapped in a folder (itself it is locked, where there are locks)."""
    inside = f"{folder}{os.sep}"
    found = [line for line in MAPS.read_text().splitlines() if inside in line]
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += [target for target in [str(link.readlink())] if inside in target]
        except FileNotFoundError:  # the one that lists them
            continue
    return found


def test_a_drive_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is its own parent: to look for one that exists never ended."""
    monkeypatch.setattr(Path, "exists", lambda *_, **__: False)
    monkeypatch.setattr(Path, "is_dir", lambda *_, **__: False)
    with pytest.raises(ExportError, match="is not a directory that this user may write to"):
        usable_target("/z/out.sestina", overwrite=False)


@on_linux
def test_nothing_of_a_bundle_is_open_when_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where something is, Windows refuses to rename the folder."""
    rename, seen = Path.rename, []

    def watched(path: Path, target: Path) -> Path:
        seen.append((path.suffix, held(path)))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watched)
    for _ in range(2):
        export(
            tiny_checkpoint(tiny_wordpiece(), n_layers=1), tmp_path / "a.sestina", targets=["cpu", "portable"],
            precisions=["fp32"], overwrite=True,
        )  # fmt: skip
    assert seen == [(".new", []), (".new", [])]


class TestState:
    @pytest.fixture(autouse=True)
    def encoder(self) -> None:
        self.weights = {"w": torch.nn.Parameter(torch.arange(4096, dtype=torch.float32))}

    def optimiser(self) -> torch.optim.Optimizer:
        optimiser = torch.optim.AdamW(self.weights.values())
        self.weights["w"].grad = torch.ones(4096)
        optimiser.step()
        return optimiser

    def test_is_synced_by_who_may_write(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fcntl = pytest.importorskip("fcntl", reason="Windows itself refuses")
        access, sync = [], os.fsync

        def watched(descriptor: int) -> None:
            access.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE)
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", watched)
        write_state(tmp_path / "state", Position(), {}, self.weights, self.optimiser())
        assert access == [os.O_RDWR]

    @on_linux
    def test_is_not_mapped_once_it_was_read(self, tmp_path: Path) -> None:
        """It is to be replaced at the next save."""
        path, optimiser = tmp_path / "state", self.optimiser()
        write_state(path, Position(step=3), {}, self.weights, optimiser)
        moment = optimiser.state[self.weights["w"]]["exp_avg"].clone()
        assert read_state(path, {}, self.weights, optimiser).step == 3
        assert torch.equal(optimiser.state[self.weights["w"]]["exp_avg"], moment)
        assert held(tmp_path) == []
