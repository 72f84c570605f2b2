"""Whatever is wrong with a bundle has its own error, in one line that says what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sestina


def edit_manifest(bundle: Path, change: Any) -> None:
    document = json.loads((bundle / "manifest.json").read_text())
    change(document)
    (bundle / "manifest.json").write_text(json.dumps(document))


def refusal(path: Path, kind: type[sestina.SestinaError], builtin: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        sestina.load(path, precision="fp32")
    assert isinstance(caught.value, builtin)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_such_bundle(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere", sestina.BundleNotFoundError, FileNotFoundError)
    assert message == f"there is no bundle at {tmp_path / 'nowhere'}: check the path, or export one"


def test_path_with_null_byte() -> None:
    assert "it has a null character" in refusal(Path("a\0b"), sestina.BundleNotFoundError, FileNotFoundError)


def test_not_a_bundle(tmp_path: Path) -> None:
    message = refusal(tmp_path, sestina.BundleFormatError, ValueError)
    assert message == f"{tmp_path} is not a bundle: it has no manifest.json"
    (tmp_path / "file").write_text("")
    message = refusal(tmp_path / "file", sestina.BundleFormatError, ValueError)
    assert message == f"{tmp_path / 'file'} is a file; a bundle is a directory with a manifest.json"


@pytest.mark.parametrize(
    "content, said",
    [
        (b"{", "is not valid JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[]", "is not the manifest of a Sestina bundle"),
        (b'{"format": "other"}', "is not the manifest of a Sestina bundle"),
        (
            b'{"format": "sestina", "format_version": "1"}',
            "has format version '1'; it must be a whole number",
        ),
        (b'{"format": "sestina", "format_version": 1}', "member 'contract' is missing or of the wrong type"),
        (b"[" * 100_000, "is not valid JSON"),
    ],
)
def test_broken_manifest(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    assert said in refusal(tmp_path, sestina.BundleFormatError, ValueError)


def test_newer_format_version(own_bundle: Path) -> None:
    edit_manifest(own_bundle, lambda document: document.update(format_version=2))
    message = refusal(own_bundle, sestina.BundleFormatError, ValueError)
    assert message.endswith(
        "has format version 2; this version of sestina reads up to 1: "
        "upgrade with pip install --upgrade sestina"
    )


@pytest.mark.parametrize(
    "file", ["cpu-fp32.onnx", "tokenizer.json", "golden.json", "golden.npy", "LICENSE", "README.md"]
)
def test_missing_truncated_or_altered_file(file: str, own_bundle: Path) -> None:
    path = own_bundle / file
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message == (
        f"{path} has {len(content) - 1} bytes where the manifest says {len(content)}: copy the bundle again"
    )
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message == (
        f"{path} is not the file that was exported (its SHA-256 differs): copy the bundle again"
    )
    path.unlink()
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message == f"{path} is missing: copy the bundle again"
    path.mkdir()
    refusal(own_bundle, sestina.BundleIntegrityError, ValueError)


@pytest.mark.parametrize(
    "name", ["../outside.onnx", "/etc/passwd", "a/b.onnx", "..", ".hidden", "C:\\x", "a\0b", "", "nul\n"]
)
def test_path_escape(name: str, own_bundle: Path) -> None:
    (own_bundle.parent / "outside.onnx").write_bytes((own_bundle / "cpu-fp32.onnx").read_bytes())
    edit_manifest(own_bundle, lambda document: document["variants"][0].update(file=name))
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message.endswith(f"names the file {name!r}; a bundle holds only files directly inside it")


def test_a_link_that_leaves_the_bundle(own_bundle: Path) -> None:
    graph = own_bundle / "cpu-fp32.onnx"
    graph.rename(own_bundle.parent / "outside.onnx")
    graph.symlink_to(own_bundle.parent / "outside.onnx")
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message == f"{graph} is a link that leaves the bundle: copy the file itself"


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda m: m["variants"].clear(), "the bundle has no variants"),
        (lambda m: m["variants"][0].update(precision="fp8"), "precision is 'fp8'; this version knows fp32"),
        (lambda m: m["variants"][0].update(sha256="0"), "is not 64 lower-case hex digits"),
        (lambda m: m["variants"][0]["parity"].clear(), "member 'tolerance' is missing"),
        (lambda m: m["contract"].update(max_tokens=0), "max_tokens is 0; it must be at least 1"),
        (lambda m: m["contract"].update(max_tokens=True), "member 'max_tokens' is missing or of the wrong"),
        (lambda m: m["contract"].update(pooling="median"), "pooling is 'median'; this version knows mean"),
        (lambda m: m["files"].pop(0), "tokenizer.json is not listed"),
        (lambda m: m["files"].append(m["files"][0]), "a file is listed twice"),
        (lambda m: m["variants"][1]["inputs"][0].update(name="ids"), "has the inputs ['input_ids'], unlike"),
    ],
)
def test_manifest_that_contradicts_itself(change: Any, said: str, own_bundle: Path) -> None:
    edit_manifest(own_bundle, change)
    assert said in refusal(own_bundle, sestina.BundleFormatError, ValueError)


def test_directory_without_read_permission(own_bundle: Path) -> None:
    """As an ordinary user: root may read everything."""
    code = (
        "import os, sys\n"
        "import sestina\n"
        "sestina.load  # imported while its files may be read\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: sestina.load(sys.argv[1], precision='fp32')\n"
        "except sestina.BundlePermissionError as error: print(isinstance(error, PermissionError), error)\n"
    )
    for closed in (own_bundle, own_bundle / "cpu-fp32.onnx"):
        for parent in own_bundle.parents:
            if parent.stat().st_uid == os.getuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o755)
        closed.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", code, str(own_bundle)], check=True, capture_output=True, text=True
        )
        closed.chmod(0o755)
        assert done.stdout == f"True {closed} may not be read by this user: check its permissions\n"


def test_the_graph_of_another_variant_is_checked_when_it_is_used(own_bundle: Path) -> None:
    """Its size at load, its digest by `verify` or when it is chosen: nobody pays for what they do not run."""
    other = own_bundle / "cpu-int8.onnx"
    content = other.read_bytes()
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with sestina.load(own_bundle, precision="fp32") as encoder:
        encoder.encode("a")
        with pytest.raises(sestina.BundleIntegrityError, match=r"cpu-int8\.onnx is not the file that was"):
            encoder.verify()
    with pytest.raises(sestina.BundleIntegrityError, match=r"cpu-int8\.onnx is not the file that was"):
        sestina.load(own_bundle, precision="int8")
    other.write_bytes(content[:-1])
    with pytest.raises(sestina.BundleIntegrityError, match="bytes where the manifest says"):
        sestina.load(own_bundle, precision="fp32")


def test_unknown_members_are_ignored(own_bundle: Path) -> None:
    """A later minor addition to the format does not lock older readers out."""
    edit_manifest(own_bundle, lambda document: document.update(added_later={"x": 1}))
    with sestina.load(own_bundle) as encoder:
        assert encoder.verify().passed


def test_foreign_files_are_never_opened(own_bundle: Path) -> None:
    (own_bundle / "evil.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with sestina.load(own_bundle) as encoder:
        assert encoder.verify().passed


@pytest.mark.parametrize("options, said", [
    ({"provider": "tpu"}, "provider is 'tpu'; it must be one of auto, cpu"),
    ({"precision": "fp8"}, "precision is 'fp8'; it must be one of auto, fp32, fp16, int8, a16w8, int4"),
    ({"precision": "fp16"}, "no variant for cpu/fp16; it has cpu/int8, cpu/fp32: export one, or ask for auto"),
    ({"threads": 0}, "threads is 0; it must be a whole number of at least 1, or None"),
    ({"threads": "2"}, "threads is '2'; it must be a whole number of at least 1, or None"),
    ({"max_memory_mb": 0}, "max_memory_mb is 0; it must be a whole number of at least 1, or None"),
])  # fmt: skip
def test_options_that_are_not_allowed(options: dict[str, Any], said: str, bundle: Path) -> None:
    with pytest.raises(sestina.OptionError) as caught:
        sestina.load(bundle, **options)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).endswith(said)
