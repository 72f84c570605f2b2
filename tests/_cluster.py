"""A Ray cluster of two nodes on loopback, the command on it, and kill -9 of whatever part of it.

Everything is told by process ids of this cluster's own; nothing is killed by its name alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import sestina

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
HAS_JAVA = shutil.which("java") is not None or bool(os.environ.get("JAVA_HOME"))
NEEDS_JAVA = "Spark needs Java: apt install default-jre-headless"
WORDS = ["the", "central", "bank", "plants", "turned", "light", "sugar", "while", "cat", "slept", "rates"]
ROOTS = os.pathsep.join(dict.fromkeys(path for path in sys.path if path))
NODE = {"num_cpus": 2, "object_store_memory": 100 << 20, "memory": 1 << 30, "include_dashboard": False}


def texts(count: int) -> list[str]:
    """All different, of 2 to 16 words; drawn anew they are the same."""
    draw = np.random.default_rng(7)
    return [" ".join([*draw.choice(WORDS, 1 + at % 15), str(at)]) for at in range(count)]


def write_input(folder: Path, count: int, files: int = 3) -> Path:
    """A directory of tables with ids, texts and columns of other types, one of them deep and one hidden."""
    (folder / "deep").mkdir(parents=True)
    table = pa.table({"id": [f"doc-{at}" for at in range(count)], "text": texts(count), **others(count)})
    step = -(-count // files)
    for at in range(files):
        name = "deep/part.PARQUET" if at == 1 else f"part-{at}.parquet"
        pq.write_table(table.slice(at * step, step), folder / name, row_group_size=1024)
    pq.write_table(table.slice(0, 5), folder / "deep" / "_part.parquet")
    return folder


def others(count: int) -> dict[str, Any]:
    """Columns that go with the texts."""
    return {
        "stars": pa.array(np.arange(count) % 5),
        "sort": pa.array([("new", "used", None)[at % 3] for at in range(count)]).dictionary_encode(),
        "when": pa.array(np.arange(count), pa.timestamp("us", "UTC")),
        "tags": pa.array([["a", None][: at % 3] for at in range(count)]),
    }


class Nodes:
    """A head, where the driver is, and one more node."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args=dict(NODE))
        self._other = self._cluster.add_node(**NODE)

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def kill_node(self) -> None:
        """kill -9 of all that belongs to the node where no driver is."""
        raylets = _pids(self._other, "raylet")
        pids = [pid for raylet in raylets for pid in [raylet, *_descendants(raylet)]]
        assert pids
        for pid in pids:
            _kill(pid)
        self._cluster.remove_node(self._other, allow_graceful=False)
        self._other = None

    def mend(self) -> None:
        """Put a node in the place of one that was killed."""
        if self._other is None:
            self._other = self._cluster.add_node(**NODE)

    def kill_encoder(self) -> None:
        """kill -9 of one actor that encodes."""
        for node in (self._other, self._cluster.head_node):
            for raylet in _pids(node, "raylet"):
                for pid in _descendants(raylet):
                    if "MapBatches(SestinaEmbedder)" in _command(pid):
                        _kill(pid)
                        return
        raise AssertionError("no actor encodes")

    def close(self) -> None:
        self._cluster.shutdown()


@contextmanager
def nodes() -> Iterator[Nodes]:
    cluster = Nodes()
    try:
        yield cluster
    finally:
        cluster.close()


def killed_and_made_good(
    cluster: Nodes, source: Path, out: Path, victim: str, rows: int, wanted: Any, *options: str
) -> dict[str, Any]:
    """The command with one `kill -9`, run again where that leaves it unfinished; what it said at its end.

    Whatever was killed, every id is there once, and every vector is bit for bit that of a single process.

    Args:
        cluster: Where it runs; it is whole again at the end.
        source: What `write_input` made.
        out: Of the command.
        victim: "encoder", "node" or "driver".
        rows: How many are in tables that are whole when it is killed; "there" of what is given says how many were.
        wanted: Of the texts, (n, d) float32.
        options: Of the command.
    """
    process = start(source, out, cluster.address, *options)
    kill = {
        "encoder": cluster.kill_encoder,
        "node": cluster.kill_node,
        "driver": lambda: process.send_signal(signal.SIGKILL),
    }[victim]
    there = when_done(process, out, rows, kill)
    if victim == "driver":
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not out.exists()
        process = start(source, out, cluster.address, *options)
    told = finish(process)
    assert_whole(out, len(wanted), wanted)
    if victim == "driver":
        assert told["encoded"] <= len(wanted) - there, told
        assert told["retries"]["runs_before"] == 1, told
    cluster.mend()
    return {**told, "there": there}


def start(source: Path, out: Path, address: str | None, *options: str) -> subprocess.Popen[str]:
    """The command, under way."""
    where = [] if address is None else ["--address", address]
    command = [sys.executable, "-W", "ignore", "-m", "sestina.integrations.ray", str(source), str(out)]
    command += ["--column", "text", "--id", "id", "--json", *where, *options]
    environment = {**os.environ, "PYTHONPATH": ROOTS}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = 300) -> dict[str, Any]:
    """What it said of a run that ended well."""
    output, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def when_done(process: subprocess.Popen[str], out: Path, rows: int, act: Callable[[], object]) -> int:
    """Act as soon as so many rows are in tables that are whole; gives how many were."""
    checkpoints = out.with_name(f"{out.name}.unfinished")
    until = time.monotonic() + 300
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        marks = [
            each for each in checkpoints.glob("run-*/checkpoint/*.parquet") if ".pending." not in each.name
        ]
        try:
            there = sum(pq.read_metadata(mark).num_rows for mark in marks)
        except (OSError, pa.ArrowException):  # moved meanwhile
            continue
        if there >= rows:
            act()
            return there
        time.sleep(0.02)
    raise AssertionError("no progress")


def assert_whole(out: Path, count: int, wanted: Any | None = None) -> None:
    """Every id once, its own text and stars beside it, and its vector bit for bit that of one process."""
    table = pq.read_table([str(file) for file in sorted(out.glob("*.parquet"))])
    assert table.num_rows == count
    order = np.argsort([int(name.removeprefix("doc-")) for name in table["id"].to_pylist()])
    table = table.take(order)
    assert table["id"].to_pylist() == [f"doc-{at}" for at in range(count)]
    assert table["text"].to_pylist() == texts(count)
    for name, column in others(count).items():
        assert table[name].to_pylist() == column.to_pylist()
        assert table[name].type == column.type
    vectors = vectors_of(table)
    if wanted is None:
        wanted = in_one_process(count)
    assert np.array_equal(vectors, wanted)
    assert not out.with_name(f"{out.name}.unfinished").exists()


def vectors_of(table: pa.Table) -> Any:
    """(n, d) float32 of a table's column of vectors."""
    column = table["vector"].combine_chunks()
    assert pa.types.is_fixed_size_list(column.type)
    return column.flatten().to_numpy().reshape(len(column), -1)


def in_one_process(count: int) -> Any:
    """What a single process makes of the same texts, (n, d) float32."""
    with sestina.load() as encoder:
        return encoder.encode_document(texts(count))


def _pids(node: Any, kind: str) -> list[int]:
    return [each.process.pid for each in node.all_processes.get(kind, [])]


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.parent.name))
    found, left = [], [pid]
    while left:
        for child in children.get(left.pop(), []):
            found.append(child)
            left.append(child)
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
