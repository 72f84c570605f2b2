"""`sestina encode --output DIR/`: shards, a manifest, and a run that goes on where it was killed, to the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _unmeasured import unmeasured
from sestina._cli import options

Cli = Callable[..., Any]  # the fixture of conftest.py

TEXTS = [
    "the model",
    "",
    "naïve café",
    "a sequence of tokens",
    "the text",
    "words anew",
    "注意力",
    "one more",
]
ROWS = ("--shard-rows", "3")

# Forks a child for each moment, before anything is loaded: the child kills itself before its n-th step, a step being
# whatever changes what others see of the folder, and another finishes what it left. Prints how many moments there were.
KILLER = """
import os, signal, sys
from pathlib import Path
import sestina._cli.parser, sestina._cli.shards.folder, sestina._cli.shards.run, sestina._opening
import sestina._cli.vector_files, sestina._onnxruntime, tokenizers
from sestina.__main__ import main

folder, argv = Path(sys.argv[1]), sys.argv[2:]

def run(into, at):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    left = at
    def counted(function):
        def call(*arguments, **options):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call
    for name in ("replace", "write", "unlink", "ftruncate", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))
    os._exit(main([*argv, "--output", f"{into}/"]))

at = 0
while True:
    at += 1
    into = folder / str(at)
    status = run(into, at)
    if status == 0:
        break
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    (folder / f"{at}.left").write_text(" ".join(sorted(path.name for path in into.glob("*"))))
    assert run(into, -1) == 0, at
print(at - 1)
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    return path


@pytest.fixture
def whole(cli: Cli, bundle: Path, lines: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "whole"
    outcome = cli("encode", bundle, "--input", lines, "--output", f"{folder}/", *ROWS)
    assert (outcome.code, outcome.err) == (0, "")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return found


def again(cli: Cli, bundle: Path, folder: Path, lines: Path, *argv: object) -> Any:
    return cli("encode", bundle, "--input", lines, "--output", f"{folder}/", *(argv or ROWS))


class TestShards:
    def test_a_bundle_replaced_once_it_was_loaded_is_named_as_it_was(
        self, cli: Cli, bundle: Path, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = shutil.copytree(bundle, tmp_path / "mine.sestina")
        loaded = (path / "manifest.json").read_bytes()
        load = options.open_encoder

        def replaced(args: Any) -> sestina.Encoder:
            encoder = load(args)
            shutil.rmtree(path)
            path.mkdir()
            (path / "manifest.json").write_bytes(b"{}")
            return encoder

        monkeypatch.setattr(options, "open_encoder", replaced)
        outcome = cli("encode", path, "--input", lines, "--output", f"{tmp_path / 'out'}/", *ROWS)
        assert (outcome.code, outcome.err) == (0, "")
        assert manifest(tmp_path / "out")["bundle"]["manifest_sha256"] == hashlib.sha256(loaded).hexdigest()

    def test_what_is_in_it(self, whole: Path, bundle: Path, lines: Path, encoder: sestina.Encoder) -> None:
        names = [f"shard-0000{at}.npy" for at in range(3)]
        assert sorted(content(whole)) == ["manifest.json", *names]
        told = manifest(whole)
        assert (told["format"], told["version"], told["complete"], told["rows"]) == (
            "sestina-shards",
            1,
            True,
            8,
        )
        assert (told["space"], told["precision"]) == (encoder.space, encoder.report().precision)
        assert (told["dimensions"], told["dtype"]) == (32, "float32")
        assert (
            told["bundle"]["manifest_sha256"]
            == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
        )
        size, digest = lines.stat().st_size, hashlib.sha256(lines.read_bytes()).hexdigest()
        assert told["inputs"] == [{"path": str(lines), "bytes": size, "sha256": digest}]
        assert [shard["rows"] for shard in told["shards"]] == [[0, 3], [3, 6], [6, 8]]
        assert [shard["file"] for shard in told["shards"]] == names
        for shard in told["shards"]:
            kept = (whole / shard["file"]).read_bytes()
            assert (shard["bytes"], shard["sha256"]) == (len(kept), hashlib.sha256(kept).hexdigest())
        vectors = np.concatenate([np.load(whole / shard["file"], mmap_mode="r") for shard in told["shards"]])
        np.testing.assert_allclose(vectors, encoder.encode(TEXTS), atol=1e-6)

    def test_facts(
        self, cli: Cli, bundle: Path, lines: Path, tmp_path: Path, encoder: sestina.Encoder
    ) -> None:
        output = f"{tmp_path}/new/"
        facts = cli("encode", bundle, "--input", lines, "--output", output, *ROWS, "--json").json
        assert facts == {
            "output": output, "format": "npy", "count": 8, "dimensions": 32, "space": encoder.space, "shards": 3,
            "encoded": 8,
        }  # fmt: skip

    def test_complete_once_more_is_as_it_was(self, cli: Cli, bundle: Path, lines: Path, whole: Path) -> None:
        before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole.iterdir()}
        outcome = again(cli, bundle, whole, lines)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == f"{whole}/: 8 vectors of 32 dimensions (8 were there)\n"
        assert before == {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole.iterdir()}

    @pytest.mark.parametrize("count", [0, 1, 3, 6])
    def test_any_number_of_texts(self, cli: Cli, bundle: Path, tmp_path: Path, count: int) -> None:
        texts = tmp_path / "texts.txt"
        texts.write_text("a\n" * count)
        folder = tmp_path / "out"
        assert again(cli, bundle, folder, texts).code == 0
        told = manifest(folder)
        assert (told["complete"], told["rows"]) == (True, count)
        shards = [np.load(folder / shard["file"]) for shard in told["shards"]]
        assert [len(shard) for shard in shards] == {0: [0], 1: [1], 3: [3], 6: [3, 3]}[count]
        assert again(cli, bundle, folder, texts).out.endswith(f"({count} were there)\n") or count == 0

    def test_a_pipe(self, cli: Cli, bundle: Path, tmp_path: Path, whole: Path) -> None:
        folder = tmp_path / "piped"
        given = "".join(f"{text}\n" for text in TEXTS).encode()
        argv = ("encode", bundle, "--output", f"{folder}/", *ROWS)
        assert cli(*argv, stdin=given).code == 0
        for at in range(3):
            name = f"shard-0000{at}.npy"
            assert (folder / name).read_bytes() == (whole / name).read_bytes()
        assert cli(*argv, stdin=given).out.endswith("(8 were there)\n")
        before = content(folder)
        for other in (given + b"more\n", given.replace(b"words", b"verbs"), b"the model\n\n", b""):
            outcome = cli(*argv, stdin=other)
            assert (outcome.code, outcome.out) == (2, "")
            assert "begun with another input" in outcome.err or "and has" in outcome.err
            assert content(folder) == before

    def test_a_pipe_that_goes_on_where_a_complete_folder_ends(
        self, cli: Cli, bundle: Path, tmp_path: Path
    ) -> None:
        """There each shard is full, and none of them is of other texts."""
        folder = tmp_path / "piped"
        argv = ("encode", bundle, "--output", f"{folder}/", *ROWS)
        assert cli(*argv, stdin=b"a\nb\nc\n").code == 0
        before = content(folder)
        (folder / "shard-00000.npy").unlink()  # which is made again all the same
        outcome = cli(*argv, stdin=b"a\nb\nc\nd\n")
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err == (
            f"sestina: error: {folder}/ was made with another input: it has 3 texts, and there are more now; "
            "name another directory, or pass --overwrite\n"
        )
        assert {name: kept for name, kept in content(folder).items() if name != "unfinished.jsonl"} == before
        assert cli(*argv, stdin=b"a\nb\nc\n").code == 0
        assert content(folder) == before
        assert cli(*argv, "--overwrite", stdin=b"a\nb\nc\nd\n").code == 0
        assert manifest(folder)["rows"] == 4


class TestKilled:
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_at_every_step(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        lines, whole = tmp_path / "texts.txt", tmp_path / "whole"
        lines.write_text("".join(f"{text}\n" for text in TEXTS[:5]), encoding="utf-8")
        # In fp32, where a vector may depend on its batch in the last digit, and so on where a run began.
        assert again(cli, bundle, whole, lines, *ROWS, "--precision", "fp32").code == 0
        (tmp_path / "killed").mkdir()
        command = [sys.executable, "-c", KILLER, str(tmp_path / "killed"), "encode", str(bundle)]
        command += ["--input", str(lines), *ROWS, "--precision", "fp32"]
        done = subprocess.run(command, capture_output=True, text=True, env=unmeasured(), check=False)
        assert done.returncode == 0, done.stderr
        moments = int(done.stdout.split()[-1])
        assert moments >= 10
        expected = content(whole)
        for at in range(1, moments + 1):
            assert content(tmp_path / "killed" / str(at)) == expected, at
        left = {(tmp_path / "killed" / f"{at}.left").read_text() for at in range(1, moments + 1)}
        assert any("shard-00000.npy" in each and "shard-00001.npy" not in each for each in left)

    def test_what_is_there_is_not_encoded_again(
        self, cli: Cli, bundle: Path, lines: Path, whole: Path
    ) -> None:
        expected = content(whole)
        unfinish(whole, 2)
        kept = (whole / "shard-00000.npy").stat().st_mtime_ns
        outcome = again(cli, bundle, whole, lines, *ROWS, "--json")
        assert (outcome.json["count"], outcome.json["encoded"]) == (8, 2)
        assert (whole / "shard-00000.npy").stat().st_mtime_ns == kept
        assert content(whole) == expected

    @pytest.mark.parametrize(
        "torn", [b"", b"{", b'{"file": "shard-00002.npy"}\n', b"[]\n", b"\xff\n", b'{"file": 1}']
    )
    def test_a_torn_journal(self, cli: Cli, bundle: Path, lines: Path, whole: Path, torn: bytes) -> None:
        expected = content(whole)
        unfinish(whole, 1)
        with (whole / "unfinished.jsonl").open("ab") as stream:
            stream.write(torn)
        assert again(cli, bundle, whole, lines, *ROWS, "--json").json["encoded"] == 5
        assert content(whole) == expected

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing proves that it is dead")
    def test_a_temporary_of_a_dead_run_is_taken_away(
        self, cli: Cli, bundle: Path, lines: Path, whole: Path
    ) -> None:
        expected = content(whole)
        unfinish(whole, 1)
        (whole / ".sestina-abcdefabcdef-0123456789ab.tmp").write_bytes(b"half")
        assert again(cli, bundle, whole, lines).code == 0
        assert content(whole) == expected

    @pytest.mark.parametrize("complete", [True, False])
    @pytest.mark.parametrize("damage", [None, b"", "flip", "longer"])
    def test_a_damaged_shard_is_made_again(
        self, cli: Cli, bundle: Path, lines: Path, whole: Path, complete: bool, damage: Any
    ) -> None:
        expected = content(whole)
        if not complete:
            unfinish(whole, 2)
        shard = whole / "shard-00001.npy"
        kept = bytearray(shard.read_bytes())
        if damage is None:
            shard.unlink()
        elif damage == "flip":
            kept[-1] ^= 1
            shard.write_bytes(kept)
        else:
            shard.write_bytes(damage if damage == b"" else kept + b"\0")
        outcome = cli("search", bundle, "a", "--in", whole)
        assert outcome.code == 2
        assert ("shard-00001.npy" in outcome.err) == complete
        assert again(cli, bundle, whole, lines, *ROWS, "--json").json["encoded"] == (3 if complete else 5)
        assert content(whole) == expected


def unfinish(folder: Path, shards: int) -> None:
    """What a run leaves that is killed after so many shards."""
    told = manifest(folder)
    kept = told["shards"]
    (folder / "unfinished.jsonl").write_text("".join(json.dumps(each) + "\n" for each in kept[:shards]))
    for each in kept[shards:]:
        (folder / each["file"]).unlink()
    (folder / "manifest.json").write_text(json.dumps({**told, "complete": False, "rows": 8, "shards": []}))


class TestRefused:
    @pytest.mark.parametrize("complete", [True, False])
    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (("--shard-rows", "4"), "the --shard-rows 3, and this run has 4"),
            ((*ROWS, "--dimensions", "8"), "the number of dimensions 32, and this run has 8"),
            ((*ROWS, "--precision", "fp32"), "the precision 'int8', and this run has 'fp32'"),
            ((*ROWS, "--prompt-text", "query: "), "the prompt '', and this run has 'query: '"),
            ((*ROWS, "--column", "1"), "the --column none, and this run has '1'"),
            ((*ROWS, "--max-memory-mb", "64"), "the --max-memory-mb none, and this run has 64"),
            ((*ROWS, "--output-dtype", "int8"), "the --output-dtype 'float32', and this run has 'int8'"),
            ((*ROWS, "--on-null", "zero"), "the --on-null 'error', and this run has 'zero'"),
            ((*ROWS, "--on-empty", "zero"), "the --on-empty none, and this run has 'zero'"),
        ],
    )
    def test_another_option(
        self, cli: Cli, make_bundle: Callable[..., Path], lines: Path, tmp_path: Path, complete: bool,
        argv: tuple[str, ...], message: str,
    ) -> None:  # fmt: skip
        bundle, folder = make_bundle(), tmp_path / "out"
        assert again(cli, bundle, folder, lines, *ROWS, "--precision", "int8").code == 0
        if not complete:
            unfinish(folder, 1)
        before = content(folder)
        if "--precision" not in argv:
            argv = (*argv, "--precision", "int8")
        outcome = again(cli, bundle, folder, lines, *argv)
        made = "made" if complete else "begun"
        assert outcome.err == (
            f"sestina: error: {folder}/ was {made} with {message}: name another directory, or pass --overwrite\n"
        )
        assert (outcome.code, content(folder)) == (2, before)

    @pytest.mark.parametrize("change", [b"more\n", None])
    def test_another_input(
        self, cli: Cli, bundle: Path, whole: Path, lines: Path, tmp_path: Path, change: bytes | None
    ) -> None:
        before = content(whole)
        other = tmp_path / "other.txt"
        other.write_bytes(lines.read_bytes() + change if change else lines.read_bytes()[::-1])
        if change is None:
            other.write_bytes(lines.read_bytes().replace(b"words", b"verbs"))
        outcome = again(cli, bundle, whole, other)
        assert (outcome.code, content(whole)) == (2, before)
        assert f"{whole}/ was made with another input in place of {other}" in outcome.err
        outcome = cli("encode", bundle, "--input", lines, "--input", lines, "--output", f"{whole}/", *ROWS)
        assert "an input of 1 files, and this run has 2" in outcome.err

    def test_the_same_input_elsewhere_is_the_same(
        self, cli: Cli, bundle: Path, whole: Path, lines: Path, tmp_path: Path
    ) -> None:
        expected = content(whole)
        moved = shutil.copy(lines, tmp_path / "moved.txt")
        unfinish(whole, 1)
        assert again(cli, bundle, whole, moved).code == 0
        assert content(whole) == expected

    def test_another_bundle(
        self, cli: Cli, make_bundle: Callable[..., Path], lines: Path, whole: Path
    ) -> None:
        before = content(whole)
        outcome = again(cli, make_bundle(), whole, lines, *ROWS)
        assert outcome.code == 0
        other = lines.parent / "other.sestina"
        shutil.copytree(make_bundle(), other, dirs_exist_ok=True)
        path = other / "manifest.json"
        told = json.loads(path.read_text())
        path.write_text(json.dumps({**told, "space": told["space"][::-1]}))
        outcome = again(cli, other, whole, lines)
        assert (outcome.code, content(whole)) == (2, before)
        assert f"was made with the space {told['space']!r}" in outcome.err
        path.write_text(json.dumps({**told, "name": "renamed"}))
        assert "and this run has 'renamed' (" in again(cli, other, whole, lines).err
        outcome = cli("search", other, "a", "--in", whole)
        assert outcome.code == 0

    def test_overwrite(self, cli: Cli, bundle: Path, whole: Path, lines: Path, tmp_path: Path) -> None:
        few = tmp_path / "few.txt"
        few.write_text("one\n")
        assert again(cli, bundle, whole, few, *ROWS, "--overwrite").code == 0
        assert sorted(content(whole)) == ["manifest.json", "shard-00000.npy"]
        assert manifest(whole)["rows"] == 1
        facts = again(cli, bundle, whole, few, *ROWS, "--overwrite", "--json").json
        assert facts["encoded"] == 1  # it was complete: made anew

    def test_overwrite_goes_on_with_its_own(self, cli: Cli, bundle: Path, whole: Path, lines: Path) -> None:
        expected = content(whole)
        unfinish(whole, 2)
        assert again(cli, bundle, whole, lines, *ROWS, "--overwrite", "--json").json["encoded"] == 2
        assert content(whole) == expected

    @pytest.mark.parametrize("name", ["notes.txt", "manifest.json", "shard-00000.npy"])
    def test_a_folder_of_something_else(
        self, cli: Cli, bundle: Path, lines: Path, tmp_path: Path, name: str
    ) -> None:
        folder = tmp_path / "theirs"
        folder.mkdir()
        (folder / name).write_text("theirs")
        for argv in (ROWS, (*ROWS, "--overwrite")):
            outcome = again(cli, bundle, folder, lines, *argv)
            assert (outcome.code, outcome.err.count("\n")) == (2, 1)
            assert name in outcome.err
            assert f"{folder}/" in outcome.err
            assert content(folder) == {name: b"theirs"}

    def test_where_it_cannot_be(self, cli: Cli, bundle: Path, lines: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"kept")
        for output, message in (
            (tmp_path / "file", "is a file, not a directory"),
            (tmp_path / "none" / "deep", f"there is no directory {tmp_path / 'none'}; create it first"),
            (tmp_path / ("n" * 300), "File name too long"),
            (tmp_path / "file" / "under", "directory"),
            ("/proc/here", ""),
        ):
            outcome = again(cli, bundle, Path(output), lines)
            assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
            assert outcome.err.startswith(f"sestina: error: {output}/ cannot be written: "), outcome.err
            assert message in outcome.err
        assert (tmp_path / "file").read_bytes() == b"kept"

    def test_a_failed_start_leaves_no_folder(
        self, cli: Cli, lines: Path, bundle: Path, tmp_path: Path
    ) -> None:
        for argv in (
            ("no-such-bundle.sestina",),
            (bundle, "--dimensions", "99"),
            (bundle, "--prompt", "none"),
        ):
            outcome = cli("encode", *argv, "--input", lines, "--output", f"{tmp_path}/out/")
            assert (outcome.code, outcome.out) == (2, "")
            assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        "argv",
        [("--format", "jsonl"), ("--format", "arrow"), ("--shard-rows", "0"), ("--shard-rows", "1" * 30)],
    )
    def test_options(
        self, cli: Cli, bundle: Path, lines: Path, tmp_path: Path, argv: tuple[str, ...]
    ) -> None:
        outcome = cli("encode", bundle, "--input", lines, "--output", f"{tmp_path}/out/", *argv)
        assert (outcome.code, outcome.err.count("\n"), list(tmp_path.iterdir())) == (2, 1, [])
        assert argv[1] in outcome.err

    def test_two_runs_at_once(self, cli: Cli, bundle: Path, whole: Path, lines: Path) -> None:
        fcntl = pytest.importorskip("fcntl")
        expected = content(whole)
        unfinish(whole, 1)
        with (whole / "unfinished.jsonl").open("r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            before = content(whole)
            outcome = again(cli, bundle, whole, lines)
            assert outcome.err == (
                f"sestina: error: {whole}/ is being written by another run: wait until it has ended, or name "
                "another\n"
            )
            assert content(whole) == before
        assert again(cli, bundle, whole, lines).code == 0
        assert content(whole) == expected

    def test_where_nothing_can_be_locked(
        self, cli: Cli, bundle: Path, whole: Path, lines: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = content(whole)
        unfinish(whole, 1)
        monkeypatch.setitem(sys.modules, "fcntl", None)
        assert again(cli, bundle, whole, lines).code == 0
        assert content(whole) == expected

    def test_full_disk_keeps_what_is_whole(self, bundle: Path, lines: Path, tmp_path: Path, cli: Cli) -> None:
        folder, texts = tmp_path / "out", tmp_path / "texts.txt"
        texts.write_text("a text\n" * 40)
        command = [sys.executable, "-m", "sestina", "encode", str(bundle), "--input", str(texts)]
        command += ["--output", f"{folder}/", "--shard-rows", "20"]
        result = subprocess.run(
            command,
            capture_output=True,
            check=False,
            env=unmeasured(),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)),
        )
        assert result.returncode == 2
        assert (
            result.stderr.decode()
            == f"sestina: error: {folder}/shard-00000.npy cannot be written: File too large\n"
        )
        assert sorted(content(folder)) == ["manifest.json", "unfinished.jsonl"]
        assert again(cli, bundle, folder, texts, "--shard-rows", "20").code == 0
        assert manifest(folder)["complete"]

    def test_a_disk_that_takes_nothing_is_left_as_it_was(self, bundle: Path, tmp_path: Path) -> None:
        result = subprocess.run(
            [sys.executable, "-m", "sestina", "encode", str(bundle), "a", "--output", f"{tmp_path}/out/"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
            env=unmeasured(),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        )
        assert result.returncode == 2
        assert result.stderr.decode() == (
            f"sestina: error: {tmp_path}/out/manifest.json cannot be written: File too large\n"
        )
        assert list(tmp_path.iterdir()) == []

    def test_an_interrupt_leaves_what_is_whole(self, bundle: Path, tmp_path: Path, cli: Cli) -> None:
        folder = tmp_path / "out"
        command = [sys.executable, "-m", "sestina", "encode", str(bundle), "--output", f"{folder}/", *ROWS]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=unmeasured()) as process:
            assert process.stdin is not None
            process.stdin.write(
                b"a\nb\nc\nd\n" + b"e\n" * 8000
            )  # the first shard, and more than a pipe holds
            process.stdin.flush()
            while not (folder / "shard-00000.npy").exists():
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            process.stdin.close()
            assert process.wait() == -signal.SIGTERM
        names = set(content(folder))
        assert {"manifest.json", "unfinished.jsonl", "shard-00000.npy"} <= names
        assert not [name for name in names if name.endswith(".tmp")]


class TestSearched:
    def test_with_texts(self, cli: Cli, bundle: Path, whole: Path, lines: Path) -> None:
        direct = cli("search", bundle, "words", "--in", lines, "--json").json["results"]
        results = cli("search", bundle, "words", "--in", whole, "--texts", lines, "--json").json["results"]
        assert [(each["line"], each["text"]) for each in results] == [
            (each["line"], each["text"]) for each in direct
        ]
        np.testing.assert_allclose([e["score"] for e in results], [e["score"] for e in direct], atol=1e-6)

    def test_without(self, cli: Cli, bundle: Path, whole: Path) -> None:
        (best,) = cli("search", bundle, "the text", "--in", f"{whole}/", "--top", "1", "--json").json[
            "results"
        ]
        assert (best["line"], best["text"]) == (5, None)

    def test_options(self, cli: Cli, bundle: Path, whole: Path, lines: Path) -> None:
        for argv, said in (
            (
                ("--column", "t"),
                "holds vectors alone: name the file of their texts with --texts, and its --column",
            ),
            (("--field", "t"), "--field is about texts in JSON, and"),
            (("--document-prompt", "x"), "--document-prompt is about texts to encode, and"),
        ):
            outcome = cli("search", bundle, "a", "--in", whole, *argv)
            assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
            assert said in outcome.err
        argv = ("--texts", lines, "--column", "1")
        said = f"{lines} has 7 texts for the 8 vectors of {whole}"  # as CSV, where a blank line is none
        assert said in cli("search", bundle, "a", "--in", whole, *argv).err

    def test_a_folder_of_something_else(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        assert cli("search", bundle, "a", "--in", tmp_path).err == (
            f"sestina: error: {tmp_path} is a directory; name a file\n"
        )

    def test_not_complete(self, cli: Cli, bundle: Path, whole: Path) -> None:
        unfinish(whole, 2)
        assert cli("search", bundle, "a", "--in", whole).err == (
            f"sestina: error: {whole} is not complete: run the sestina encode that began it again\n"
        )

    @pytest.mark.parametrize(
        "change",
        [
            {"version": 2}, {"format": "other"}, {"shards": [{}]}, {"shards": 1}, {"rows": 9}, {"rows": "8"},
            {"dimensions": None}, {"space": 1}, {"shards": []}, {"complete": "yes", "rows": None},
        ],
    )  # fmt: skip
    def test_a_manifest_that_is_none(
        self, cli: Cli, bundle: Path, whole: Path, lines: Path, change: dict[str, Any]
    ) -> None:
        (whole / "manifest.json").write_text(json.dumps({**manifest(whole), **change}))
        for outcome in (cli("search", bundle, "a", "--in", whole), again(cli, bundle, whole, lines)):
            assert (outcome.code, outcome.err.count("\n")) == (2, 1)
            assert "manifest.json that is not one of shards" in outcome.err

    @pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b"null"])
    def test_junk(self, cli: Cli, bundle: Path, tmp_path: Path, lines: Path, content: bytes) -> None:
        (tmp_path / "manifest.json").write_bytes(content)
        for outcome in (cli("search", bundle, "a", "--in", tmp_path), again(cli, bundle, tmp_path, lines)):
            assert (outcome.code, outcome.err.count("\n")) == (2, 1)
            assert "manifest.json that is not one of shards" in outcome.err

    def test_a_name_that_leaves_the_folder(self, cli: Cli, bundle: Path, whole: Path) -> None:
        told = manifest(whole)
        told["shards"][0]["file"] = "../shard-00000.npy"
        (whole / "manifest.json").write_text(json.dumps(told))
        assert "not one of shards" in cli("search", bundle, "a", "--in", whole).err

    def test_of_another_space(self, cli: Cli, bundle: Path, whole: Path) -> None:
        (whole / "manifest.json").write_text(json.dumps({**manifest(whole), "space": "f" * 64}))
        assert f"{whole} has vectors of the space {'f' * 64}" in cli("search", bundle, "a", "--in", whole).err
