"""The phases of a run. In each, contenders take turns, round by round, so that all meet the same weather."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sestina._bench._agreement import Vectors, compare, objection
from sestina._bench._contender import Purpose, Setting
from sestina._bench._plan import Sizes
from sestina._bench._process import WorkerError, WorkerProcess
from sestina._bench._results import Result, running

Status = Callable[[str], None]


class Phases:
    """Measures results in place.

    Args:
        results: What takes part; those that fail are taken out.
        setting: What all contenders are given; the entry and the purpose are filled in.
        sizes: How much to measure.
        texts: By name: "check", "mix", and "16", "64", ... for texts of one length.
        reference: PyTorch's vectors of "check"; None where there is no source.
        status: Is told what is being done.
    """

    def __init__(
        self,
        results: list[Result],
        setting: Setting,
        sizes: Sizes,
        texts: dict[str, list[str]],
        reference: Vectors | None,
        status: Status,
    ) -> None:
        self._results = results
        self._setting = setting
        self._sizes = sizes
        self._texts = texts
        self._lengths = sorted(int(key) for key in texts if key.isdecimal())
        self._reference = reference
        self._status = status

    def latency(self) -> None:
        """One text at a time, of each length."""
        with self._opened("latency") as workers:
            for result in list(running(self._results)):
                for length in self._lengths:
                    self._ask(result, workers, "warm", key=str(length), single=True)
            for number, result in self._turns():
                self._status(f"latency, round {number}: {result.entry.name}")
                for length in self._lengths:
                    answer = self._ask(result, workers, "time_each", key=str(length), calls=self._sizes.calls)
                    if answer:
                        result.add(f"latency/{length}", answer["seconds"])

    def throughput(self, between: Callable[[], object]) -> None:
        """The length mix, then corpora of one length; peak memory is read after the first mix.

        Args:
            between: Is called once in each round, while all contenders are still.
        """
        with self._opened("throughput") as workers:
            for number, result in self._turns():
                self._status(f"corpus, round {number}: {result.entry.name}")
                answer = self._ask(result, workers, "time_all", key="mix")
                if answer:
                    result.add("corpus", [answer["seconds"]])
                if number == 1:
                    memory = self._ask(result, workers, "memory")
                    if memory and memory["bytes"]:
                        result.add("memory", [memory["bytes"]])
            for result in list(running(self._results)):
                for length in self._lengths:
                    self._ask(result, workers, "warm", key=str(length), single=False)
            for number in range(1, self._sizes.rounds + 1):
                for result in self._round(number):
                    self._status(f"uniform lengths, round {number}: {result.entry.name}")
                    for length in self._lengths:
                        answer = self._ask(result, workers, "time_all", key=str(length))
                        if answer:
                            result.add(f"uniform/{length}", [answer["seconds"]])
                between()

    def cold_start(self) -> None:
        """From a fresh process to the first vector, every file in the page cache."""
        one = self._texts[str(self._lengths[0])][:1]
        for number in range(self._sizes.starts):
            for result in self._round(number):
                self._status(f"cold start {number + 1}: {result.entry.name}")
                try:
                    with WorkerProcess(self._setting.threads) as worker:
                        worker.ask("give", key="one", texts=one)
                        opened = worker.open(self._for(result, "latency"))
                        first = worker.ask("time_all", key="one")["seconds"]
                except WorkerError as error:
                    result.drop("failed", str(error))
                    continue
                seconds = {"import": opened["import_s"], "load": opened["load_s"], "first": first}
                for part, value in {**seconds, "start": sum(seconds.values())}.items():
                    result.add(part, [value])

    @contextlib.contextmanager
    def _opened(self, purpose: Purpose) -> Iterator[dict[str, WorkerProcess]]:
        """A process for every contender, loaded for this purpose, its vectors compared."""
        with contextlib.ExitStack() as stack:
            workers = {}
            for result in list(running(self._results)):
                self._status(f"loading for {purpose}: {result.entry.name}")
                worker = workers[result.entry.name] = stack.enter_context(
                    WorkerProcess(self._setting.threads)
                )
                try:
                    result.description = worker.open(self._for(result, purpose))["description"]
                    for key, texts in self._texts.items():
                        worker.ask("give", key=key, texts=texts)
                    self._check(result, worker)
                except WorkerError as error:
                    result.drop("failed", str(error))
                if not result.runs:
                    worker.close()
            yield workers

    def _check(self, result: Result, worker: WorkerProcess) -> None:
        if self._reference is None:
            worker.ask("warm", key="check", single=False)
            return
        answer = worker.ask("vectors", key="check", reference=False)
        vectors = np.frombuffer(bytes.fromhex(answer["float32"]), dtype="<f4").reshape(answer["shape"])
        agreement = compare(vectors, self._reference)
        # Two configurations of one contender are held to the worse of the two.
        if result.agreement is None or (agreement and agreement.worst_cosine < result.agreement.worst_cosine):
            result.agreement = agreement
        wrong = objection(agreement, result.entry.precision)
        if wrong is not None:
            result.drop("wrong vectors", wrong)

    def _turns(self) -> Iterator[tuple[int, Result]]:
        for number in range(1, self._sizes.rounds + 1):
            for result in self._round(number):
                yield number, result

    def _round(self, number: int) -> list[Result]:
        """Those that run, beginning with another one each time: nobody is always the first."""
        order = list(running(self._results))
        shift = number % len(order) if order else 0
        return order[shift:] + order[:shift]

    def _ask(
        self, result: Result, workers: dict[str, WorkerProcess], op: str, **arguments: Any
    ) -> dict[str, Any] | None:
        if not result.runs:
            return None
        try:
            return workers[result.entry.name].ask(op, **arguments)
        except WorkerError as error:
            result.drop("failed", str(error))
            return None

    def _for(self, result: Result, purpose: Purpose) -> Setting:
        return dataclasses.replace(self._setting, entry=result.entry, purpose=purpose)
