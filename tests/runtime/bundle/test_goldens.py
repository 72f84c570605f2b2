"""Goldens that cannot be read are one error, whatever numpy or json make of them."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

import sestina
from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import Golden, distance, read_goldens


def replace(bundle: Path, file: str, content: bytes) -> None:
    """Another content, with a manifest that states it."""
    (bundle / file).write_bytes(content)
    document = json.loads((bundle / "manifest.json").read_text())
    (entry,) = (entry for entry in document["files"] if entry["file"] == file)
    entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (bundle / "manifest.json").write_text(json.dumps(document))


def npy(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def saved(array: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array))
    return buffer.getvalue()


def shaped(shape: str) -> bytes:
    return npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n".encode())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "content",
    [
        b"", b"junk", b"PK\x03\x04junk", npy(b"{{{{\n"), npy(b"(((\n"), npy(b"\0\n"), npy(b"[" * 9000),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 32L), }\n"),
        shaped(f"{1 << 50}, 32"), shaped(f"{1 << 62}, 32"), shaped(f"{10**30}, 32"), shaped("-1, 32"),
        shaped(""), saved(np.float32(1)), saved(np.zeros(3, np.float32)), saved(np.zeros((2, 32), np.float32)),
        saved([]),
    ],
)  # fmt: skip
def test_vectors_that_are_none(content: bytes, own_bundle: Path) -> None:
    replace(own_bundle, "golden.npy", content)
    with pytest.raises(sestina.BundleFormatError, match=r"golden\.json cannot be read: ") as caught:
        read_goldens(Bundle(own_bundle))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b'{"goldens": 1}', b'{"goldens": [1]}', b'{"goldens": [{}]}', b"[" * 100_000],
)
def test_texts_that_are_none(content: bytes, own_bundle: Path) -> None:
    replace(own_bundle, "golden.json", content)
    with pytest.raises(sestina.BundleFormatError, match=r"golden\.json cannot be read: "):
        read_goldens(Bundle(own_bundle))


@pytest.mark.parametrize(
    "member, value",
    [
        ("text", None), ("text", 73), ("text", ["a"]), ("text", "\ud800"), ("name", None), ("name", True), ("name", "\udfff"),
        ("ids", None), ("ids", "12"), ("ids", {"2": 3}), ("ids", ["2"]), ("ids", [2.0]), ("ids", [True]), ("ids", [-1]),
        ("ids", [1 << 31]), ("ids", [[2]]),
    ],
)  # fmt: skip
def test_a_golden_that_is_none(member: str, value: object, own_bundle: Path) -> None:
    document = json.loads((own_bundle / "golden.json").read_text())
    document["goldens"][1][member] = value
    replace(own_bundle, "golden.json", json.dumps(document).encode())
    with pytest.raises(sestina.BundleFormatError, match=r"golden\.json cannot be read: ") as caught:
        read_goldens(Bundle(own_bundle))
    assert str(caught.value).isprintable()


def test_no_goldens_at_all(own_bundle: Path) -> None:
    replace(own_bundle, "golden.json", b'{"goldens": []}')
    replace(own_bundle, "golden.npy", saved(np.zeros((0, 32), np.float32)))
    with (
        sestina.load(own_bundle) as encoder,
        pytest.raises(sestina.BundleFormatError, match="cannot be read: it has no goldens"),
    ):
        encoder.verify()


@pytest.mark.parametrize("array", [np.zeros((39, 31), np.float32), np.zeros((39, 32))])
def test_vectors_of_another_kind(array: object, own_bundle: Path) -> None:
    count = len(json.loads((own_bundle / "golden.json").read_text())["goldens"])
    replace(own_bundle, "golden.npy", saved(np.asarray(array)[:1].repeat(count, axis=0)))
    with pytest.raises(sestina.BundleFormatError, match="it must hold float32 of width 32"):
        read_goldens(Bundle(own_bundle))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite(value: float, own_bundle: Path) -> None:
    vectors = np.load(own_bundle / "golden.npy")
    vectors[1, 2] = value
    replace(own_bundle, "golden.npy", saved(vectors))
    with pytest.raises(sestina.BundleFormatError, match=r"golden\.npy holds numbers that are not finite"):
        read_goldens(Bundle(own_bundle))


@pytest.mark.filterwarnings("error")
def test_how_far_a_vector_is_from_its_golden() -> None:
    largest = np.finfo(np.float32).max
    golden = Golden("a", "a", (1,), np.array([-largest, 0, 1], np.float32))
    assert distance(golden.vector, golden) == 0
    assert distance(np.array([largest, 0, 1], np.float32), golden) == 2 * float(largest)
    assert distance(np.stack([golden.vector, golden.vector + np.float32(0.5)]), golden) == 0.5
    signalling = np.array([0x7F800001], np.uint32).view(np.float32)[0]
    for value in (np.nan, np.inf, -np.inf, signalling):
        assert np.isnan(distance(np.array([-largest, value, 1], np.float32), golden))


def test_altered_goldens(own_bundle: Path) -> None:
    bundle = Bundle(own_bundle)
    content = (own_bundle / "golden.npy").read_bytes()
    (own_bundle / "golden.npy").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(sestina.BundleIntegrityError, match=r"golden\.npy is not the file that was exported"):
        read_goldens(bundle)
