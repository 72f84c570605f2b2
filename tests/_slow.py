"""Which tests are slow: those that took more than `LIMIT` seconds when they were last measured.

`make measure-tests` writes their names to tests/slow.txt, a line a test function, and they get the marker `slow`, which
`make check` leaves out. A test's cost is its own time and that of the fixtures that it needs, but for those of the
whole session, which somebody pays in any case. What counts is the processor's time, of this process and of those that
it waited for: a busy machine changes it little.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import _made

LIMIT = 0.3
LIST = Path(__file__).with_name("slow.txt")
ROOT = LIST.parents[1]
_SETUP = pytest.StashKey[dict[tuple[str, str], float]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--measure", action="store_true", help="write tests/slow.txt from what this run measures"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"slow: took more than {LIMIT} s when measured; tests/_slow.py adds it, never a test"
    )
    config.stash[_SETUP] = {}
    if config.getoption("--measure") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Measurement(), "measurement")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    listed = set(slow())
    for item in items:
        if function_of(item.nodeid) in listed:
            item.add_marker(pytest.mark.slow)


def slow() -> list[str]:
    """The names in tests/slow.txt, without their seconds."""
    return [line.rpartition(" ")[0] for line in LIST.read_text("utf-8").splitlines()]


def function_of(nodeid: str) -> str:
    """The test function: an id without the values of its parameters."""
    path, _, rest = nodeid.partition("::")
    return f"{path}::{rest.partition('[')[0]}"


class Cost:
    """What something costs, from here on: as much whether or not what it asks of `_made` was there already."""

    def __init__(self) -> None:
        self.begun, self.asked = _made.spent() - _made.making, len(_made.asked)

    def seconds(self) -> float:
        return _made.spent() - _made.making - self.begun + sum(_made.asked[self.asked :])


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Iterator[None]:
    cost = Cost()
    try:
        return (yield)
    finally:
        if fixturedef.scope != "session":
            key = (str(request.node.nodeid), fixturedef.argname)
            request.config.stash[_SETUP][key] = cost.seconds()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    cost = Cost()
    try:
        return (yield)
    finally:
        needed = set(getattr(item, "fixturenames", ()))
        setup = sum(
            seconds
            for (node, name), seconds in item.config.stash[_SETUP].items()
            if name in needed and item.nodeid.startswith(node)
        )
        item.user_properties.append(("cost", cost.seconds() + setup))


class Measurement:
    """Collects what the workers measured and writes the list."""

    def __init__(self) -> None:
        self.cost: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            return
        name = function_of(report.nodeid)
        costs = [float(str(value)) for key, value in report.user_properties if key == "cost"]
        # A function's instances are chosen or left out together.
        self.cost[name] = max([self.cost[name], *costs])

    def pytest_sessionfinish(self) -> None:
        lines = [f"{name} {seconds:.1f}\n" for name, seconds in sorted(self.cost.items()) if seconds > LIMIT]
        LIST.write_text("".join(lines), "utf-8")
