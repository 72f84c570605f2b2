"""The phases of a run. In each, contenders take turns, round by round, so that all meet the same weather.

In every turn a contender has a fresh process, alone on the machine as far as this program is concerned.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from sestina._bench.agreement import Vectors, compare, objection
from sestina._bench.contender import DEFAULT, Purpose, Setting
from sestina._bench.plan import Sizes
from sestina._bench.process import WorkerError, WorkerProcess
from sestina._bench.results import Result, running

Status = Callable[[str], None]


class WrongVectorsError(Exception):
    """A contender computes something else than the checkpoint; the message says how far off it is."""


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
        for number, result in self._turns(self._sizes.rounds):
            self._status(f"latency, round {number}: {result.entry.name}")
            with self._turn(result) as worker:
                self._open(result, worker, "latency")
                for length in self._lengths:
                    worker.ask("warm", key=str(length), single=True)
                    answer = worker.ask("time_each", key=str(length), calls=self._sizes.calls)
                    result.add(f"latency/{length}", answer["seconds"])

    def throughput(self, between: Callable[[], object]) -> None:
        """The length mix, of which peak memory is read, then corpora of one length.

        Args:
            between: Is called after each round, while no contender runs.
        """
        before = 1
        for number, result in self._turns(self._sizes.rounds):
            if number != before:
                between()
            before = number
            self._status(f"corpus, round {number}: {result.entry.name}")
            with self._turn(result) as worker:
                self._open(result, worker, "throughput")
                result.add("corpus", [worker.ask("time_all", key="mix")["seconds"]])
                peak = worker.ask("memory")["bytes"]
                if peak is not None:
                    result.add("memory", [peak])
                for length in self._lengths:
                    worker.ask("warm", key=str(length), single=False)
                    answer = worker.ask("time_all", key=str(length))
                    result.add(f"uniform/{length}", [answer["seconds"]])
        between()

    def grid(self, cells: Sequence[str]) -> None:
        """Batches of one length, each given in one call.

        Args:
            cells: Names of texts.
        """
        for number, result in self._turns(self._sizes.rounds):
            self._status(f"batches, round {number}: {result.entry.name}")
            with self._turn(result) as worker:
                self._open(result, worker, "throughput")
                for cell in cells:
                    for _ in range(2):  # the first may compile
                        worker.ask("warm", key=cell, single=False)
                    answer = worker.ask("time_calls", key=cell, calls=self._sizes.calls)
                    result.add(f"grid/{cell}", answer["seconds"])

    def cold_start(self) -> None:
        """From a fresh process to the first vector, every file in the page cache."""
        one = self._texts[str(self._lengths[0])][:1]
        for number, result in self._turns(self._sizes.starts):
            self._status(f"cold start {number}: {result.entry.name}")
            with self._turn(result) as worker:
                worker.ask("give", key="one", texts=one)
                opened = worker.open(self._for(result, "latency"))
                first = worker.ask("time_all", key="one")["seconds"]
                seconds = {"import": opened["import_s"], "load": opened["load_s"], "first": first}
                for part, value in {**seconds, "start": sum(seconds.values())}.items():
                    result.add(part, [value])

    def _turns(self, rounds: int) -> Iterator[tuple[int, Result]]:
        """Every contender in every round, beginning with another one each time: none is always the first."""
        for number in range(1, rounds + 1):
            order = list(running(self._results))
            shift = number % len(order) if order else 0
            for result in order[shift:] + order[:shift]:
                yield number, result

    @contextlib.contextmanager
    def _turn(self, result: Result) -> Iterator[WorkerProcess]:
        """A process for one turn. Where it fails the contender is taken out, and the turn ends there.

        A process serves one turn only. Were all kept, the machine would have to hold all contenders at
        once, and some keep gigabytes after a corpus.
        """
        try:
            with WorkerProcess(result.entry.threads or self._setting.threads) as worker:
                yield worker
        except WrongVectorsError as error:
            result.drop("wrong vectors", str(error))
        except WorkerError as error:
            result.drop("failed", str(error))

    def _open(self, result: Result, worker: WorkerProcess, purpose: Purpose) -> None:
        """Load the contender, hand it the texts, and compare its vectors."""
        result.description = worker.open(self._for(result, purpose))["description"]
        for key, texts in self._texts.items():
            worker.ask("give", key=key, texts=texts)
        self._check(result, worker)

    def _check(self, result: Result, worker: WorkerProcess) -> None:
        if result.entry.peer == DEFAULT:  # another encoder than the checkpoint's
            if not worker.ask("verify")["passed"]:
                raise WrongVectorsError("it does not reproduce its goldens")
            return
        if self._reference is None:
            worker.ask("warm", key="check", single=False)
            return
        answer = worker.ask("vectors", key="check", reference=False)
        vectors = np.frombuffer(bytes.fromhex(answer["float32"]), dtype="<f4").reshape(answer["shape"])
        agreement = compare(vectors, self._reference)
        # It is loaded once for each purpose; what is printed is the worse of the two.
        if result.agreement is None or (agreement and agreement.worst_cosine < result.agreement.worst_cosine):
            result.agreement = agreement
        wrong = objection(agreement, result.entry.precision)
        if wrong is not None:
            raise WrongVectorsError(wrong)

    def _for(self, result: Result, purpose: Purpose) -> Setting:
        threads = result.entry.threads or self._setting.threads
        return dataclasses.replace(self._setting, entry=result.entry, purpose=purpose, threads=threads)
