"""`sestina bench` as it is run, on the tiny bundle: what it measures, whom it refuses, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sestina
from _tiny import tiny_checkpoint, tiny_wordpiece
from sestina.__main__ import main
from sestina._bench import run as _run
from sestina._bench.contender import PEERS
from sestina._bench.run import Options
from sestina_model import checkpoint

# Peers that workers find by way of sitecustomize, as they would find installed ones. Each turn of each is a process:
# they compute with the bundle, which starts in a tenth of the time that PyTorch takes.
FAKES = '''
import os

from sestina._bench.sestina import Sestina


class Honest(Sestina):
    """Right, and therefore timed."""

    entries = (("fp32", "best"),)
    description = "honest"


class Wrong(Honest):
    """Gives every text the vector of another."""

    def encode(self, texts):
        vectors = super().encode(texts)
        return vectors if len(vectors) == 1 else vectors[::-1]


class Crash(Honest):
    """Ends its process."""

    def encode(self, texts):
        os._exit(3)


class Chatty(Honest):
    """Prints, and fails."""

    def load(self):
        print('{"seconds": 0}', flush=True)
        raise RuntimeError("no such\\nthing")


class Online(Honest):
    """Asks the network."""

    def load(self):
        import socket

        socket.create_connection(("example.com", 80), timeout=1)


class Missing(Honest):
    """Is not installed."""

    modules = ("sestina_no_such_module",)
'''
NAMES = ("Honest", "Wrong", "Crash", "Chatty", "Online", "Missing")


@pytest.fixture(scope="module")
def measured(
    bundle: Path, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """One run against PyTorch and peers of all characters; its temporary directory is looked at, too."""
    folder = tmp_path_factory.mktemp("peers")
    (folder / "fakes.py").write_text(FAKES)
    entries = {name.lower(): ("fakes", name) for name in NAMES}
    (folder / "sitecustomize.py").write_text(
        f"from sestina._bench.contender import PEERS\nPEERS.update({entries!r})\n"
    )
    temporary = folder / "tmp"
    temporary.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, place in entries.items():
            patch.setitem(PEERS, name, place)
        patch.syspath_prepend(folder)
        paths = [str(folder), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.setattr("tempfile.tempdir", str(temporary))
        said: list[str] = []
        against = ",".join(["torch", *entries])
        options = Options(str(bundle), str(source), against, quick=True, profile=True)
        document = _run.run(options, said.append)
        assert not list(temporary.iterdir())
        yield {"document": document, "said": said}


def by_name(measured: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in measured["document"]["contenders"] if row["name"] == name)
    return found


def ours(measured: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in measured["document"]["contenders"] if row["peer"] == "sestina"]


class TestRun:
    def test_the_document_has_all_its_members(self, measured: dict[str, Any]) -> None:
        document = measured["document"]
        assert list(document) == [
            "format", "format_version", "sestina", "command", "machine", "bundle", "source", "settings",
            "corpus", "contenders", "ratios", "slower", "roofline", "profile",
        ]  # fmt: skip
        assert document["corpus"]["uniform"] == {"16": 128, "64": 32}
        assert document["corpus"]["passages"] == 160
        assert json.loads(json.dumps(document)) == document

    @pytest.mark.parametrize("name", ["sestina fp32", "torch fp32", "honest fp32"])
    def test_whoever_is_right_is_measured_whole(self, measured: dict[str, Any], name: str) -> None:
        row = by_name(measured, name)
        assert row["state"] == "measured"
        assert row["agreement"]["worst_cosine"] > 0.99999
        assert list(row["latency_ms"]) == list(row["uniform"]) == ["16", "64"]
        for cell in row["latency_ms"].values():
            assert 0 < cell["p50"] <= cell["p95"] <= cell["p99"]
        start = row["cold_start_ms"]
        assert 0 < start["import"] + start["load"] + start["first"] < 1.5 * start["start"]
        assert row["corpus"]["docs_per_s"] == pytest.approx(160 / row["corpus"]["seconds"])
        assert row["peak_memory_bytes"] > 20 << 20
        assert [len(values) for values in row["samples"]["latency/16"]] == [8, 8]
        assert row["description"]

    def test_a_peer_with_wrong_vectors_is_refused_and_not_timed(self, measured: dict[str, Any]) -> None:
        row = by_name(measured, "wrong fp32")
        assert row["state"] == "wrong vectors"
        assert "its vectors differ from PyTorch's: worst cosine" in row["note"]
        assert not row["samples"]
        assert row["corpus"] is None

    def test_a_missing_peer_is_named_with_the_command_to_run(self, measured: dict[str, Any]) -> None:
        row = by_name(measured, "missing fp32")
        assert row["state"] == "not installed"
        assert row["note"] == 'sestina_no_such_module is not installed: pip install "sestina[bench]"'

    def test_peers_that_fail_do_not_end_the_run(self, measured: dict[str, Any]) -> None:
        assert by_name(measured, "crash fp32")["note"] == "its process ended with code 3 during vectors"
        assert by_name(measured, "chatty fp32")["note"] == "RuntimeError: no such thing"
        assert "offline" in by_name(measured, "online fp32")["note"]

    def test_ratios_are_of_those_measured(self, measured: dict[str, Any]) -> None:
        ratios = [row for row in measured["document"]["ratios"] if row["ours"] == "sestina fp32"]
        assert {row["other"] for row in ratios} == {"torch fp32", "honest fp32"}
        measures = {"latency/16", "latency/64", "corpus", "uniform/16", "uniform/64", "memory", "start"}
        assert {row["measure"] for row in ratios} == measures
        memory = next(row for row in ratios if (row["other"], row["measure"]) == ("torch fp32", "memory"))
        ours, theirs = by_name(measured, "sestina fp32"), by_name(measured, "torch fp32")
        assert memory["value"] == pytest.approx(theirs["peak_memory_bytes"] / ours["peak_memory_bytes"])
        assert memory["value"] > 1
        losses = [row for row in measured["document"]["ratios"] if row["value"] < 1]
        assert measured["document"]["slower"] == losses

    def test_our_precisions_are_compared_with_our_fp32(self, measured: dict[str, Any]) -> None:
        pairs = {(row["ours"], row["other"]) for row in measured["document"]["ratios"]}
        others = [row["name"] for row in ours(measured) if row["name"] != "sestina fp32"]
        assert pairs >= {(name, "sestina fp32") for name in others}

    def test_roofline_from_64_tokens_up(self, measured: dict[str, Any]) -> None:
        rows = measured["document"]["roofline"]
        assert [row["contender"] for row in rows] == [row["name"] for row in ours(measured)]
        assert all(row["tokens"] == 64 and 0 < row["share"] < 1.5 for row in rows)

    def test_profile_names_operators(self, measured: dict[str, Any]) -> None:
        parts = measured["document"]["profile"]
        assert [part["contender"] for part in parts] == [row["name"] for row in ours(measured)]
        assert "MultiHeadAttention" in {row["operator"] for row in parts[0]["operators"]}
        assert sum(row["share"] for row in parts[0]["operators"]) == pytest.approx(1)

    def test_contenders_take_turns(self, measured: dict[str, Any]) -> None:
        first, second = (
            [
                said.partition(": ")[2]
                for said in measured["said"]
                if said.startswith(f"latency, round {turn}")
            ]
            for turn in (1, 2)
        )
        assert set(first) == {row["name"] for row in measured["document"]["contenders"]} - {"missing fp32"}
        assert set(second) == {row["name"] for row in ours(measured)} | {"torch fp32", "honest fp32"}
        assert first[0] != second[0]


def test_ours_with_several_numbers_of_threads(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--quick", "--rounds", "1", "--precision", "int8", "--threads", "2,1", "--json"]
    assert main(["bench", str(bundle), *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["settings"]["threads"] == 2
    assert [row["name"] for row in document["contenders"]] == ["sestina int8", "sestina int8 (threads: 1)"]
    assert ["2 threads" in row["description"] for row in document["contenders"]] == [True, False]
    assert {(row["ours"], row["other"]) for row in document["ratios"]} == {
        ("sestina int8 (threads: 1)", "sestina int8")
    }
    assert {row["contender"] for row in document["roofline"]} == {"sestina int8"}


class TestRefusals:
    def test_the_wrong_checkpoint(self, bundle: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        checkpoint.save(tiny_checkpoint(tiny_wordpiece(), seed=7), other)
        options = Options(str(bundle), str(other), "none", precision="fp32", rounds=1, quick=True)
        with pytest.raises(sestina.InputError, match="name the checkpoint that the bundle was exported from"):
            _run.run(options, lambda _: None)

    def test_a_source_that_is_no_checkpoint(self, bundle: Path, tmp_path: Path) -> None:
        with pytest.raises(sestina.InputError, match="--source .* cannot be used: CheckpointError"):
            _run.run(Options(str(bundle), str(tmp_path), quick=True), lambda _: None)

    @pytest.mark.parametrize("name", ["threads", "rounds"])
    def test_counts(self, bundle: Path, name: str) -> None:
        with pytest.raises(sestina.OptionError, match=f"--{name} is 0; it must be at least 1"):
            _run.run(Options(str(bundle), **{name: 0}), lambda _: None)

    @pytest.mark.parametrize("given", ["two", "", "2,", "2;1"])
    def test_threads_that_are_no_numbers(
        self, given: str, bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["bench", str(bundle), "--threads", given]) == 2
        error = capsys.readouterr().err
        assert f"--threads is {given!r}; it must be a whole number, or some separated by commas" in error
        assert error.count("\n") == 1

    def test_further_threads_are_counts_too(self, bundle: Path) -> None:
        with pytest.raises(sestina.OptionError, match="--threads is 0; it must be at least 1"):
            _run.run(Options(str(bundle), threads=2, more_threads=(0,)), lambda _: None)

    def test_no_bundle(self, tmp_path: Path) -> None:
        with pytest.raises(sestina.BundleNotFoundError):
            _run.run(Options(str(tmp_path / "none")), lambda _: None)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is there, whether or not the parser lists it yet."""
    from sestina._cli import bench, parser

    if bench not in parser._COMMANDS:
        monkeypatch.setattr(parser, "_COMMANDS", (*parser._COMMANDS, bench))


class TestCommand:
    def test_json_and_page(self, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        page = tmp_path / "bench.html"
        texts = tmp_path / "texts.txt"
        texts.write_text("the model\na sequence of tokens\n" + "words " * 100 + "\n")
        command = ["bench", str(bundle), "--quick", "--texts", str(texts), "--rounds", "1"]
        assert main([*command, "--json", "--html", str(page)]) == 0
        out, err = capsys.readouterr()
        document = json.loads(out)
        assert document["command"] == f"sestina bench {bundle} --texts {texts} --rounds 1 --quick"
        assert document["corpus"]["origin"] == str(texts)
        assert document["corpus"]["passages"] == 3
        assert document["settings"]["rounds"] == 1
        assert document["contenders"][0]["name"] == "sestina fp32"
        assert page.read_text().startswith("<!DOCTYPE html>")
        assert err == ""

    def test_markdown(self, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert (
            main(["bench", str(bundle), "--quick", "--rounds", "1", "--markdown", "--precision", "fp32"]) == 0
        )
        assert "| sestina fp32 |" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "arguments, message",
        [
            (["--against", "torch"], "error: --against torch needs --source"),
            (["--html", "/nowhere/at/all.html"], "cannot be written: there is no directory /nowhere/at"),
            (["--source", "/nowhere/at/all"], "there is no checkpoint folder at /nowhere/at/all"),
            (["--texts", "/nowhere/at/all"], "/nowhere/at/all cannot be read"),
            (["--json", "--markdown"], "not allowed with argument"),
        ],
    )
    def test_bad_usage_is_one_line_before_any_work(
        self, bundle: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
    ) -> None:
        assert main(["bench", str(bundle), *arguments]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert message in err

    def test_no_texts(self, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "empty.txt").write_text("")
        assert main(["bench", str(bundle), "--texts", str(tmp_path / "empty.txt")]) == 2
        assert "empty.txt has no texts to measure with" in capsys.readouterr().err

    @pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
    def test_an_interrupt_leaves_nothing_behind(self, bundle: Path, tmp_path: Path) -> None:
        code = textwrap.dedent(
            f"""
            import sys
            from sestina._cli import bench, parser
            from sestina.__main__ import main
            if bench not in parser._COMMANDS:
                parser._COMMANDS = (*parser._COMMANDS, bench)
            sys.exit(main(["bench", {str(bundle)!r}, "--rounds", "1000"]))
            """
        )
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 60
        while len(of_environment(str(tmp_path))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (130, b"", b"")
        assert not of_environment(str(tmp_path))
        assert not list(tmp_path.glob("sestina-*"))


def of_environment(text: str) -> list[int]:
    """Processes whose environment has this text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={text}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
