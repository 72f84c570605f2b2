"""That threads can be started is tried before onnxruntime starts its own, which may wait for ever for one that never was."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sestina
from sestina._process import startable
from sestina._process.startable import check_startable


def limited(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a thread be started only so many times, as a limit of processes does."""
    start, left = startable.start_new_thread, iter(range(most))

    def started(function: Callable[..., object], arguments: tuple[Any, ...]) -> int:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        return start(function, arguments)

    monkeypatch.setattr(startable, "start_new_thread", started)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_they_are_gone_afterwards(count: int) -> None:
    before = _thread._count()
    check_startable(count)
    assert _thread._count() <= before


@pytest.mark.parametrize("most", [0, 1, 2])
def test_a_session_that_would_wait_is_refused(
    most: int, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(most, monkeypatch)
    with (
        pytest.raises(
            sestina.ProviderError,
            match=rf"^this process can start {most} of the 3 threads that .*: give fewer",
        ),
        sestina.load(bundle, threads=4) as encoder,
    ):
        encoder.encode("a text")


def test_as_many_as_are_needed(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sestina.load(bundle, threads=1) as encoder:
        wanted = encoder.encode("a text")
    limited(3, monkeypatch)
    with sestina.load(bundle, threads=4) as encoder:
        assert encoder.encode("a text") == pytest.approx(wanted, abs=1e-6)
