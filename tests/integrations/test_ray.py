"""Ray's own cluster of two nodes on loopback, with our embedder and our command on it; make test-ray kills more of it."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina

pytest.importorskip("ray", reason="ray is not installed: make test-cluster")

import pyarrow as pa
import pyarrow.parquet as pq

from _cluster import (
    Nodes,
    assert_whole,
    finish,
    in_one_process,
    killed_and_made_good,
    nodes,
    start,
    texts,
    vectors_of,
    write_input,
)
from sestina.integrations._ray import bundle as bundles
from sestina.integrations._ray import job as jobs
from sestina.integrations._ray.bundle import Shipment, arrived, shipment
from sestina.integrations._ray.cluster import Places, places
from sestina.integrations._ray.command import main
from sestina.integrations._ray.output import Output
from sestina.integrations._ray.pipeline import usual_block
from sestina.integrations._ray.runs import Run
from sestina.integrations._ray.source import Tables, pieces
from sestina.integrations._ray.table import Table, doubled
from sestina.integrations._ray.tally import Teller, told
from sestina.integrations.ray import SestinaEmbedder

COUNT = 3000
BLOCK = ("--block-rows", "100")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with nodes() as found:
        yield found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_input(tmp_path_factory.mktemp("ray") / "texts", COUNT)


@pytest.fixture(scope="module")
def wanted() -> Any:
    return in_one_process(COUNT)


def test_a_table_becomes_one_with_vectors(
    cluster: Nodes, source: Path, wanted: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    told = finish(start(source, out, cluster.address, *BLOCK))
    assert_whole(out, COUNT, wanted)
    assert len(list(out.glob("*.parquet"))) >= COUNT // 100  # it came along the way
    assert (told["rows"], told["encoded"], told["encoders"], told["nodes"]) == (COUNT, COUNT, 2, 2)
    assert told["retries"] == {"runs_before": 0, "encoders_restarted": 0, "rows_encoded_again": 0}
    with sestina.load() as encoder:
        tokens = sum(len(encoder.tokenize(text).ids) for text in texts(COUNT))
        assert told["space"] == encoder.space
    assert abs(told["tokens_per_second"] * told["seconds"] / tokens - 1) < 0.1  # every 32nd text is counted
    schema = pq.read_schema(next(out.glob("*.parquet")))
    assert schema.field("vector").type == pa.list_(pa.field("item", pa.float32(), nullable=False), 512)
    assert schema.metadata[b"sestina.space"].decode() == told["space"]
    # Run again it has nothing to do; what is there is not replaced by anything else.
    arguments = [str(source), str(out), "--column", "text", "--id", "id"]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["encoded"] == 0
    assert main([*arguments, "--dimensions", "8"]) == 2
    assert "is there already: name another, or pass --overwrite" in capsys.readouterr().err
    told = finish(
        start(source, out, cluster.address, "--dimensions", "8", "--no-text", "--overwrite", *BLOCK)
    )
    table = pq.read_table([str(file) for file in out.glob("*.parquet")])
    assert (table.column_names, vectors_of(table).shape) == (
        ["id", "stars", "sort", "when", "tags", "vector"],
        (COUNT, 8),
    )


def test_alone_on_this_machine(tmp_path: Path) -> None:
    """Without a cluster it begins one; with --quiet nothing is printed, and no process is left."""
    source, out = write_input(tmp_path / "in", 40), tmp_path / "out"
    process = start(source, out, "local", "--encoder-cpus", "1", "--quiet")
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    told = json.loads(output)
    assert (told["rows"], told["nodes"], told["encoders"], told["encoder_cpus"]) == (40, 1, 1, 1)
    assert_whole(out, 40)
    until = time.monotonic() + 20
    while left := in_session(process.pid):
        assert time.monotonic() < until, left
        time.sleep(0.1)
    refused = start(tmp_path / "nothing", out, "local", "--quiet")
    _, errors = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert errors.startswith("sestina: error: ")
    assert len(errors.splitlines()) == 1  # what is ours is printed all the same


def in_session(leader: int) -> list[str]:
    """Processes of a session that still run, as `start` begins one; Ray's daemons and workers are of it too."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, told = entry.read_text().rpartition(")")
        except OSError:
            continue
        state, session = told.split()[0], int(told.split()[3])
        if session == leader and state != "Z":
            found.append(name)
    return found


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    """The negative control: a vector that is off by one bit, an id that is there twice, a row that is missing."""
    given = write_input(tmp_path / "in", 4, files=1)
    table, right = pq.read_table(given / "part-0.parquet"), in_one_process(4)

    def output(rows: list[int], vectors: Any) -> Path:
        (tmp_path / "out").mkdir(exist_ok=True)
        kind = pa.list_(pa.float32(), 512)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors[rows].reshape(-1)), type=kind)
        pq.write_table(table.take(rows).append_column("vector", column), tmp_path / "out" / "a.parquet")
        return tmp_path / "out"

    assert_whole(output([2, 0, 1, 3], right), 4)
    off = right.copy()
    off[2, 7] = np.nextafter(off[2, 7], np.float32(9))
    for rows, vectors in (
        ([0, 1, 2, 3], off),
        ([0, 1, 2, 2], right),
        ([0, 1, 2], right),
        ([0, 1, 2, 3, 3], right),
    ):
        with pytest.raises(AssertionError):
            assert_whole(output(rows, vectors), 4)


@pytest.mark.parametrize("victim", ["encoder", "node", "driver"])
def test_what_is_killed_is_made_good(
    victim: str, cluster: Nodes, source: Path, wanted: Any, tmp_path: Path
) -> None:
    killed_and_made_good(cluster, source, tmp_path / "out", victim, COUNT // 4, wanted, *BLOCK)


def test_a_text_that_is_refused_is_named(cluster: Nodes, tmp_path: Path) -> None:
    given = tmp_path / "in.parquet"
    pq.write_table(pa.table({"id": [5, 7], "text": ["short", "long " * 2000]}), given)
    process = start(given, tmp_path / "out", cluster.address, "--on-truncate", "error")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "sestina: error: id 7, column 'text': has more than 256 tokens" in errors
    assert not (tmp_path / "out").exists()
    assert finish(start(given, tmp_path / "cut", cluster.address))["truncated"] == 1
    pq.write_table(pa.table({"id": pa.array([], pa.int64()), "text": pa.array([], pa.string())}), given)
    assert finish(start(given, tmp_path / "none", cluster.address))["rows"] == 0
    assert pq.read_table(tmp_path / "none").column_names == ["id", "text", "vector"]


def test_nulls_and_empty_texts(cluster: Nodes, encoder: sestina.Encoder, tmp_path: Path) -> None:
    given = table_of(tmp_path / "in.parquet", id=[1, 2, 3, 4], text=["a text", None, " ", None])
    process = start(given, tmp_path / "error", cluster.address, "--on-null", "zero", "--on-empty", "error")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "sestina: error: id 3, column 'text': is empty: " in errors
    assert "pass --on-empty zero for a zero vector" in errors
    out = tmp_path / "out"
    process = start(given, out, cluster.address, "--on-null", "zero", "--on-empty", "warn")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "sestina: warning: 1 text empty, of zeros" in errors
    told = json.loads(output)
    assert (told["rows"], told["empty"], told["null"]) == (4, 1, 2)
    table = pq.read_table([str(file) for file in out.glob("*.parquet")]).sort_by("id")
    assert table["text"].to_pylist() == ["a text", None, " ", None]
    assert np.array_equal(vectors_of(table)[0], encoder.encode_document("a text"))
    assert not vectors_of(table)[1:].any()


def test_map_batches_with_the_class_alone(
    cluster: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Path
) -> None:
    """In the box; and from the object store, where no node has the bundle at its path."""
    import ray

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with sestina.load() as encoder:
        expected, space = encoder.encode_document(texts(100)), encoder.space
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        data = ray.data.from_items([{"text": text} for text in texts(100)])
        assert np.array_equal(in_order(data.map_batches(SestinaEmbedder, num_cpus=1)), expected)
        shipped = shipment(bundle, ray.put)._replace(path=str(tmp_path / "nowhere"))
        options = {"space": space, "dimensions": 16}
        embedded = data.map_batches(
            SestinaEmbedder,
            batch_format="pyarrow",
            num_cpus=1,
            fn_constructor_args=(shipped,),
            fn_constructor_kwargs=options,
        )
        with sestina.load() as encoder:
            short = encoder.encode_document(texts(100), dimensions=16)
        assert np.array_equal(in_order(embedded), short)
    finally:
        ray.shutdown()


def in_order(dataset: Any) -> Any:
    """(100, d): vectors of `texts(100)`, which a cluster gives in whatever order."""
    found = {row["text"]: row["vector"] for row in dataset.take_all()}
    return np.stack([found[text] for text in texts(100)])


def test_batches_of_every_kind(encoder: sestina.Encoder) -> None:
    import pandas as pd

    embedder = pickle.loads(pickle.dumps(SestinaEmbedder(column="body")))
    expected = encoder.encode_document(["a text", "another"])
    of_arrow = embedder(pa.table({"body": ["a text", "another"], "n": [1, 2]}))
    assert np.array_equal(vectors_of(of_arrow), expected)
    assert of_arrow.column_names == ["body", "n", "vector"]
    of_dict = embedder({"body": np.array(["a text", "another"], object)})
    assert np.array_equal(of_dict["vector"], expected)
    of_pandas = embedder(pd.DataFrame({"body": ["a text", "another"]}, index=[9, 8]))
    assert np.array_equal(np.stack(of_pandas["vector"]), expected)
    assert not embedder({"body": np.array([""], object)})["vector"].any()
    zeros = SestinaEmbedder(on_null="zero")(pa.table({"text": ["a text", None]}))
    assert np.array_equal(vectors_of(zeros)[0], expected[0])
    assert not vectors_of(zeros)[1].any()
    with pytest.warns(sestina.EmptyTextWarning, match="^text 1 is empty"):
        warned = SestinaEmbedder(on_empty="warn")({"text": np.array(["a text", " "], object)})
    assert not warned["vector"][1].any()


def test_what_a_batch_may_not_be(encoder: sestina.Encoder, other: Path) -> None:
    with pytest.raises(sestina.InputError, match="there is no column 'text'; there are body"):
        SestinaEmbedder()({"body": ["a"]})
    with pytest.raises(sestina.InputError, match="there is a column 'text' already"):
        SestinaEmbedder(vector_column="text")({"text": ["a"]})
    with pytest.raises(
        sestina.TextTypeError, match=r"^id 8, column 'text': is NoneType|^id 8, column 'text': .*null"
    ):
        SestinaEmbedder(id_column="id")(pa.table({"id": [7, 8], "text": ["a", None]}))
    with pytest.raises(sestina.EmptyTextError, match=r"^id 8, column 'text': is empty: "):
        SestinaEmbedder(id_column="id", on_empty="error")(pa.table({"id": [7, 8], "text": ["a", " "]}))
    for output in ("int8", "binary", None, 3):
        with pytest.raises(
            sestina.OptionError, match=f"^output is {output!r}; a column of vectors is float32"
        ):
            SestinaEmbedder(output=output)
    SestinaEmbedder(output="float32")
    with pytest.raises(sestina.BundleIntegrityError, match=encoder.space):
        SestinaEmbedder(other, space=encoder.space)({"text": ["a"]})
    with pytest.raises(sestina.OptionError, match="encoder is int"):
        SestinaEmbedder(3)  # type: ignore[arg-type]


def table_of(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


@pytest.mark.parametrize(
    "columns, said",
    [
        (
            {"id": [1, 2, 1], "text": ["a", "b", "c"]},
            r"in.parquet row 3: id 1 is that of \S*in.parquet row 1 too",
        ),
        ({"id": ["x", "y", "y"], "text": ["a", "b", "c"]}, "row 3: id 'y' is that of"),
        ({"id": ["x", "y", None], "text": ["a", "b", "c"]}, "in.parquet row 3: column 'id' is null"),
        ({"id": [1, 2, 3], "text": ["a", "b", None]}, "row 3: column 'text' is null; .*pass --on-null zero"),
        ({"id": [1, 2], "body": ["a", "b"]}, "there is no column 'text'; there are id, body"),
        ({"id": [1.0, 2.0], "text": ["a", "b"]}, "column 'id' is double; it must be integers or text"),
        ({"id": [1, 2], "text": [1, 2]}, "column 'text' is int64; it must be text"),
        ({"id": [1], "text": ["a"], "vector": [0]}, "has a column 'vector' already: pass --vector-column"),
    ],
)
def test_a_table_that_cannot_be(
    columns: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = table_of(tmp_path / "in.parquet", **columns)
    assert main([str(given), str(tmp_path / "out"), "--column", "text", "--id", "id"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(said, error), error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet"]


def test_paths_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = table_of(tmp_path / "in.parquet", id=[1], text=["a"])
    (tmp_path / "damaged.parquet").write_bytes(given.read_bytes()[:-20])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", "utf-8")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    table_of(mixed / "a.parquet", id=[1], text=["a"])
    table_of(mixed / "b.parquet", id=["1"], text=["a"])
    for source, out, said in (
        ("nothing", "out", "is not there: give a Parquet file or a directory of them"),
        ("mine", "out", "has no .parquet file"),
        ("damaged.parquet", "out", "cannot be read as Parquet"),
        ("mixed", "out", "has other columns than"),
        ("s3://bucket/in", "out", "is no path"),
        ("in.parquet", "mine", "was not written by this: remove it, or name another"),
        ("in.parquet", "no/where", "there is no directory"),
        ("mixed", "mixed/out", "lie in one another"),
    ):
        source = source if "://" in source else str(tmp_path / source)
        for options in ([], ["--overwrite"]):
            assert main([source, str(tmp_path / out), "--column", "text", "--id", "id", *options]) == 2
            error = capsys.readouterr().err
            assert said in error
            assert len(error.splitlines()) == 1
    assert (tmp_path / "mine" / "letter.txt").read_text("utf-8") == "dear"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "somewhere", "127.0.0.1:port"])
def test_a_cluster_that_is_not_there(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = table_of(tmp_path / "in.parquet", id=[1], text=["a"])
    arguments = [str(given), str(tmp_path / "out"), "--column", "text", "--id", "id"]
    assert main([*arguments, "--address", address]) == 2
    error = capsys.readouterr().err
    assert f"there is no Ray cluster at {address}" in error
    assert len(error.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet"]


def test_columns_that_cannot_be_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, out = tmp_path / "in.parquet", str(tmp_path / "out")
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 3, names=["text", "x", "x"]), given)
    assert main([str(given), out, "--column", "text", "--id", "text"]) == 2
    assert "there are several columns 'x'" in capsys.readouterr().err
    assert main([str(given), out, "--column", "text", "--id", "text", "--no-text"]) == 2
    assert "column 'text' has the ids" in capsys.readouterr().err


def test_nodes_that_write_elsewhere_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Elsewhere:
        def __init__(self, *_: Any) -> None: ...

        def encode(self, _: Run) -> None: ...

    monkeypatch.setattr(jobs, "Pipeline", Elsewhere)
    given = table_of(tmp_path / "in.parquet", id=[1, 2], text=["a", "b"])
    assert main([str(given), str(tmp_path / "out"), "--column", "text", "--id", "id"]) == 2
    assert "has 0 of 2 rows, and encoding adds none: is it on a file system" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet"]


def piece(run: Run, base: str, ids: list[int], *, mark: bool = True, pending: bool = False) -> None:
    """As Ray writes one table, and what it says of it."""
    run.checkpoint.mkdir(exist_ok=True)
    pq.write_table(pa.table({"id": ids}), run.rows / f"{base}-0.parquet")
    if mark:
        pq.write_table(pa.table({"id": ids}), run.mark(base))
    if pending:
        pq.write_table(pa.table({"id": ids}), run.checkpoint / f"{base}.pending.parquet")


def test_a_run_goes_on_with_what_is_whole_alone(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out"), "id", overwrite=False)
    with output.locked():
        first = output.begin({"space": "a"})
        piece(first, "whole_0", [1, 2])
        piece(first, "whole_1", [3])
        piece(first, "open_2", [4], mark=False, pending=True)
        piece(first, "again_3", [5], pending=True)  # a task that was begun again after it had ended
        piece(first, "unsaid_4", [6], mark=False)
        piece(first, "cut_5", [7, 8])
        (first.rows / "cut_5-0.parquet").write_bytes(b"PAR1")
        piece(first, "lost_6", [9])
        (first.rows / "lost_6-0.parquet").unlink()
        with pytest.raises(sestina.OutputError, match="is being written by another run"), output.locked():
            pass
    with output.locked():
        second = output.begin({"space": "a"})
        assert sorted(second.whole()) == ["whole_0", "whole_1"]
        assert sorted(path.name for path in second.rows.iterdir()) == [
            "whole_0-0.parquet",
            "whole_1-0.parquet",
        ]
        piece(first := Run(output.unfinished, 1), "late_7", [1])  # by a worker whose driver is dead
        piece(second, "twice_8", [3, 4])
        assert not output.is_whole(second, np.uint64([1, 2, 3, 4]))
        third = output.begin({"space": "a"})
        whole = {
            at
            for tables in third.whole().values()
            for file in tables
            for at in pq.read_table(file)["id"].to_pylist()
        }
        assert len(whole) == sum(len(pq.read_table(file)) for file in third.rows.glob("*.parquet"))
        assert output.is_whole(third, np.uint64(sorted(whole)))
    with output.locked(), pytest.raises(sestina.OutputError, match="was begun with another space"):
        output.begin({"space": "b"})


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = table_of(tmp_path / "in.parquet", id=[1], text=["a"])
    letter = tmp_path / "out.unfinished" / "letter.txt"
    letter.parent.mkdir()
    letter.write_text("dear", "utf-8")
    for options in ([], ["--overwrite"]):
        assert main([str(given), str(tmp_path / "out"), "--column", "text", "--id", "id", *options]) == 2
        assert "out.unfinished is there and was not written by this" in capsys.readouterr().err
    assert letter.read_text("utf-8") == "dear"
    whole = tmp_path / "out"
    whole.mkdir()
    (whole / "_sestina.json").write_text(json.dumps({"plan": {"space": "a"}}), "utf-8")
    assert (
        Output(str(whole), "id", overwrite=False).complete({"space": "a"}) is not None
    )  # nothing is left to do
    assert letter.read_text("utf-8") == "dear"
    shutil.rmtree(whole)
    letter.unlink()
    for damaged in ("{", "[]"):
        letter.parent.mkdir(exist_ok=True)
        (letter.parent / "plan.json").write_text(damaged, "utf-8")
        output = Output(str(tmp_path / "out"), "id", overwrite=False)
        with output.locked(), pytest.raises(sestina.OutputError, match=r"plan.json .*: remove "):
            output.begin({"space": "a"})


def test_another_output_is_not_begun_over_one_that_has_rows(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "out"), "id", overwrite=False)
    with output.locked():
        output.begin({"space": "a"})
    with output.locked():  # nothing was done yet
        piece(output.begin({"space": "b"}), "whole_0", [1])
    with output.locked(), pytest.raises(sestina.OutputError, match="was begun with another space"):
        output.begin({"space": "c"})
    again = Output(str(tmp_path / "out"), "id", overwrite=True)
    with again.locked():
        assert again.begin({"space": "c"}).whole() == {}


def test_ids_that_are_there_twice() -> None:
    pieces = [np.uint64([1, 5]), np.uint64([2]), np.uint64([9, 5]), np.uint64([])]
    assert doubled(pieces) == {2}
    assert doubled([]) == set()


def test_row_groups_are_read_once_and_some_together(tmp_path: Path) -> None:
    for name, ids in (("a", list(range(10))), ("b", []), ("c", [20, 21, 22])):
        texts_ = pa.array([str(at) for at in ids], pa.string())
        pq.write_table(
            pa.table({"id": pa.array(ids, pa.int16()), "text": texts_}),
            tmp_path / f"{name}.parquet",
            row_group_size=2,
        )
    table = Table(str(tmp_path), "text", "id")
    found = pieces(table, 1)  # four blocks of one row, which three row groups of two reach
    assert [(Path(each.file).stem, each.begin, each.end, each.rows) for each in found] == [
        ("a", 0, 2, 4),
        ("a", 2, 4, 4),
        ("a", 4, 5, 2),
        ("c", 0, 2, 3),
    ]
    assert len(pieces(table, 100)) == 2
    tasks = Tables(found, table.schema, 3).get_read_tasks(1)
    read = [block for task in tasks for block in task()]
    assert max(len(block) for block in read) <= 3
    whole = pa.concat_tables(read)
    assert whole.schema == table.schema
    assert whole["id"].to_pylist() == [*range(10), 20, 21, 22]
    assert table.ids().tolist() == [*range(10), 20, 21, 22]
    (tmp_path / "c.parquet").unlink()  # on a node that has another file system
    with pytest.raises(sestina.InputError, match=r"c\.parquet cannot be read as Parquet"):
        list(tasks[-1]())


def test_what_encoders_tell_is_summed(tmp_path: Path) -> None:
    one, other = Teller(str(tmp_path)), Teller(str(tmp_path))
    one.tell(rows=3, tokens=1.5, truncated=1)
    other.tell(rows=4, tokens=2.0, restarted=1)
    one.tell(rows=1, tokens=0.5)
    (tmp_path / "killed.jsonl").write_text('{"rows": 9}\n{"rows": 1', "utf-8")
    found = told(tmp_path)
    assert (found["rows"], found["tokens"], found["truncated"], found["restarted"]) == (17, 4.0, 1, 1)
    assert found["empty"] == 0
    with pytest.raises(sestina.OutputError, match="cannot be written"):
        Teller(str(tmp_path / "gone")).tell(rows=1)


def test_hidden_files_are_no_input(tmp_path: Path) -> None:
    table_of(tmp_path / "a.parquet", id=[1], text=["a"])
    table_of(tmp_path / "_b.parquet", id=[1], text=["a"])
    (tmp_path / "deep").mkdir()
    table_of(tmp_path / "deep" / "c.PARQUET", id=[2], text=["a"])
    found = Table(str(tmp_path), "text", "id")
    assert [Path(file).name for file in found.files] == ["a.parquet", "c.PARQUET"]
    assert found.ids().tolist() == [1, 2]


def test_encoders_leave_room_for_readers() -> None:
    assert places([4, 4], None, None) == Places(2, 3)
    assert places([2, 2], None, None) == Places(2, 1)
    assert places([16] * 1000, None, None) == Places(1000, 15)
    assert places([4], 2, None) == Places(1, 2)
    assert places([3], None, None) == Places(1, 1)
    assert places([1, 1, 1], None, None) == Places(1, 1)
    for nodes_, cpus, encoders in (([2], None, None), ([1, 1], None, None), ([4], 4, None), ([4], 1, 3)):
        with pytest.raises(sestina.OptionError, match="which is no room for"):
            places(nodes_, cpus, encoders)


def test_blocks_are_for_each_encoder_and_not_too_many_for_the_driver() -> None:
    assert usual_block(100, 1) == 256
    assert usual_block(20_000, 2) == 2500
    assert usual_block(10_000_000, 10) == 8192
    assert usual_block(1_000_000_000, 1000) == 64_000


def test_a_bundle_that_is_sent_is_the_one_that_arrives(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles.tempfile, "tempdir", str(tmp_path))
    shipped = shipment(bundle, lambda array: array)
    asked: list[int] = []

    def get(array: Any) -> Any:
        asked.append(len(array))
        return array

    assert arrived(shipped, get) == str(bundle)
    assert arrived(shipment(None, lambda array: array), get) is None
    assert asked == []
    shutil.rmtree(bundle)
    place = arrived(shipped, get)
    assert place is not None
    assert len(asked) == len(shipped.files)
    with sestina.load(place) as there, sestina.load() as here:
        assert there.space == here.space
    assert arrived(shipped, get) == place
    assert len(asked) == len(shipped.files)  # once
    (Path(place) / "manifest.json").write_text("{}", "utf-8")  # what another process left half-written
    assert arrived(shipped, get) == place
    assert sestina.load(place).space
    other = Shipment(str(bundle), "0" * 64, shipped.files)
    assert arrived(other, get) != place
