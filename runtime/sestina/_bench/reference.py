"""PyTorch's own vectors, which every contender is held to before it is timed."""

from __future__ import annotations

import dataclasses

import numpy as np

from sestina._bench.agreement import Vectors
from sestina._bench.contender import OURS, REFERENCE, Entry, Setting, missing
from sestina._bench.measure import Status
from sestina._bench.process import WorkerError, WorkerProcess
from sestina._bench.results import Result
from sestina._errors import InputError

PIP = 'pip install "sestina[bench]"'


def reference_vectors(
    setting: Setting, texts: list[str], results: list[Result], status: Status
) -> Vectors | None:
    """PyTorch's vectors. Without PyTorch no peer can be checked, so none is timed."""
    if setting.source is None:
        return None
    lacking = missing(REFERENCE)
    if lacking is not None:
        for result in results:
            if result.entry.peer != OURS:
                reason = f"{lacking}, which would compute the reference vectors, is not installed: {PIP}"
                result.drop("not installed", reason)
        return None
    status("reference vectors by PyTorch")
    own = dataclasses.replace(setting, entry=Entry(REFERENCE, "fp32"))
    try:
        with WorkerProcess(setting.threads) as worker:
            worker.open(own)
            worker.ask("give", key="check", texts=texts)
            answer = worker.ask("vectors", key="check", reference=True)
    except WorkerError as error:
        raise InputError(f"--source {setting.source} cannot be used: {error}") from None
    return np.frombuffer(bytes.fromhex(answer["float32"]), dtype="<f4").reshape(answer["shape"])
