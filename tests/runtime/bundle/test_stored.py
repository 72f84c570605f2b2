"""Weights in files of their own: the same vectors, the same promises, and one way to say where they are."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import sestina
from _stored import LEAST, WIDE, Say, listed, say, store, stored_bundle
from sestina._bundle import manifest_reader
from sestina._bundle.bundle import Bundle
from sestina._bundle.graph import Graph
from sestina._bundle.graph_rules import check_onnx
from sestina._bundle.protobuf import sized, whole
from sestina._selection.candidate_session import CandidateSession
from sestina._session.buckets import open_on_cpu

TEXTS = ["the transformer", "attention relates the tokens", "a sestina", "the model"]
MISPLACED = "keeps weights in another file in a way that a bundle may not"


@pytest.fixture(scope="module")
def inline(make_bundle: Callable[..., Path]) -> Path:
    """Of a model whose weights are worth mapping. Shared: do not write to it."""
    return make_bundle(targets=("cpu", "portable"), **WIDE)


@pytest.fixture(scope="module")
def stored(inline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with its weights in files of their own. Shared: do not write to it."""
    return stored_bundle(inline, tmp_path_factory.mktemp("stored") / "stored.sestina")


@pytest.fixture
def own(stored: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(stored, tmp_path / "own.sestina")


class TestVectors:
    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_are_bit_equal(self, precision: str, inline: Path, stored: Path) -> None:
        graph = Bundle(stored).graph(f"cpu-{precision}.onnx")
        assert graph.maps
        assert sum(view.file != "" for view in graph._outline.views) >= 4  # type: ignore[union-attr]
        with (
            sestina.load(inline, precision=precision, threads=2) as expected,
            sestina.load(stored, precision=precision, threads=2) as found,
        ):
            assert found.encode(TEXTS).tobytes() == expected.encode(TEXTS).tobytes()
            assert found.encode(TEXTS[0]).tobytes() == expected.encode(TEXTS[0]).tobytes()
            (here,), (there,) = found.hidden_states(TEXTS[0]), expected.hidden_states(TEXTS[0])
            assert here.tobytes() == there.tobytes()
            explained = found.explain(TEXTS[1])  # further outputs, of a session of their own
            assert explained.vector.tobytes() == expected.explain(TEXTS[1]).vector.tobytes()
            assert found.verify().passed

    def test_of_static_shapes_are_too(self, inline: Path, stored: Path) -> None:
        """There a session optimises the graph, and constants may be folded with the weights."""
        vectors = []
        for path in (inline, stored):
            bundle = Bundle(path)
            (variant,) = (each for each in bundle.manifest.variants if each.buckets)
            run = open_on_cpu(bundle.graph(variant.entry.file), variant, 1)
            vectors.append([run.run("sentence_embedding", np.arange(5, 5 + n)[None]) for n in (1, 16, 40)])
        for here, there in zip(*vectors, strict=True):
            assert here.tobytes() == there.tobytes()

    def test_come_from_the_file_of_weights(self, inline: Path, tmp_path: Path) -> None:
        """The negative control: other weights of the same sizes are other vectors."""
        changed = stored_bundle(inline, tmp_path / "changed.sestina")
        beside = changed / "cpu-fp32.onnx_data"
        values = np.frombuffer(beside.read_bytes(), "<f4").copy()
        values[: 128 * 128] *= 2
        beside.write_bytes(values.tobytes())
        relist(changed)
        with sestina.load(changed, precision="fp32") as encoder:
            assert not encoder.verify().passed

    def test_where_files_cannot_be_mapped(self, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from sestina._bundle import files as _files

        def refuse(*_: object, **__: object) -> None:
            raise OSError("no mappings here")

        monkeypatch.setattr(_files, "mmap", refuse)
        with sestina.load(stored, precision="fp32") as encoder:
            assert encoder.verify().passed

    def test_with_gaps_between_the_weights(self, inline: Path, tmp_path: Path) -> None:
        with sestina.load(stored_bundle(inline, tmp_path / "gaps.sestina", gap=128)) as encoder:
            assert encoder.verify().passed


@pytest.mark.skipif(os.name != "posix", reason="what is open cannot be renamed here")
class TestHeld:
    def test_a_bundle_that_goes_while_its_encoder_is_in_use(
        self, own: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(own.parent)
        with sestina.load(own.name, precision="fp32", threads=2) as encoder:
            single = encoder.encode(TEXTS[0])
            for path in own.glob("*.onnx_data"):  # others in their place, and then nothing at all
                path.rename(tmp_path / path.name)
                path.write_bytes(bytes((tmp_path / path.name).stat().st_size))
            monkeypatch.chdir("/")
            assert np.abs(encoder.encode(TEXTS)[0] - single).max() < 1e-6
            shutil.rmtree(own)
            assert np.abs(encoder.explain(TEXTS[0]).vector - single).max() < 1e-6
            assert encoder.verify().passed

    def test_links_lead_to_them(self, own: Path, tmp_path: Path) -> None:
        blobs = tmp_path / "blobs"
        blobs.mkdir()
        for path in list(own.iterdir()):
            path.rename(blobs / path.name)
            path.symlink_to(blobs / path.name)
        with sestina.load(own) as encoder:
            assert encoder.verify().passed


def relist(bundle: Path) -> None:
    """Have the manifest state the files as they are now."""
    document = json.loads((bundle / "manifest.json").read_text())
    for variant in document["variants"]:
        variant.update(listed(bundle / variant["file"]))
        variant["weights"] = [listed(bundle / each["file"]) for each in variant["weights"]]
    (bundle / "manifest.json").write_text(json.dumps(document))


def refusal(bundle: Path, kind: type[sestina.SestinaError] = sestina.BundleIntegrityError) -> str:
    with pytest.raises(kind) as caught:
        sestina.load(bundle, precision="fp32")
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{bundle}{os.sep}")


class TestFiles:
    def test_missing_truncated_or_altered(self, own: Path) -> None:
        path = own / "cpu-fp32.onnx_data"
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        assert refusal(own).startswith(f"{path.name} has {len(content) - 1} bytes where the manifest says")
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert refusal(own).startswith(f"{path.name} is not the file that was exported")
        path.unlink()
        assert refusal(own).startswith(f"{path.name} is missing")

    def test_swapped_with_those_of_another_variant(self, own: Path) -> None:
        (own / "portable-fp32.onnx_data").replace(own / "cpu-fp32.onnx_data")
        shutil.copy(own / "cpu-fp32.onnx_data", own / "portable-fp32.onnx_data")
        assert refusal(own).startswith("cpu-fp32.onnx_data is not the file that was exported")

    def test_of_other_variants_are_hashed_by_verify_alone(self, own: Path) -> None:
        """As graphs of other variants are: a cold start reads what it uses."""
        path = own / "portable-fp32.onnx_data"
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
        with sestina.load(own, precision="fp32") as encoder:
            assert encoder.encode(TEXTS).shape == (len(TEXTS), WIDE["d_model"])
            with pytest.raises(
                sestina.BundleIntegrityError, match=r"portable-fp32\.onnx_data is not the file"
            ):
                encoder.verify()

    def test_explain_hashes_those_of_the_variant_that_it_opens(self, own: Path) -> None:
        bundle = Bundle(own)
        (own / "cpu-int8.onnx_data").write_bytes(bytes((own / "cpu-int8.onnx_data").stat().st_size))
        variant = next(each for each in bundle.manifest.variants if each.precision == "int8")
        with pytest.raises(sestina.BundleIntegrityError, match=r"cpu-int8\.onnx_data is not the file"):
            bundle.check_variant(variant)

    def test_what_is_compiled_of_them_is_kept_for_them(self, stored: Path) -> None:
        """Two graphs that differ in their weights alone are of equal bytes."""
        (variant, *_) = Bundle(stored).manifest.variants
        candidate = object.__new__(CandidateSession)
        seen = set()
        for digest in ("1" * 64, "2" * 64):
            weights = (variant.weights[0]._replace(sha256=digest),)
            candidate._variant = variant._replace(weights=weights)
            candidate._attachment = _Attachment()  # type: ignore[assignment]
            candidate._terms = _Terms()  # type: ignore[assignment]
            seen.add(candidate._facts(16)["graph"])
        assert len(seen) == 2


class _Attachment:
    provider = type("P", (), {"ep": "ep"})
    version, options, device = "1", {}, "d"

    def hardware(self) -> str:
        return "h"


class _Terms:
    strict = False


class TestVersions:
    def test_a_reader_of_version_1_refuses_by_the_version(
        self, stored: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(manifest_reader, "FORMAT_VERSION", 1)
        assert "has format version 2; this version of sestina reads up to 1" in refusal(
            stored, sestina.BundleFormatError
        )

    def test_version_1_has_no_such_files(self, own: Path) -> None:
        document = json.loads((own / "manifest.json").read_text())
        document["format_version"] = 1
        (own / "manifest.json").write_text(json.dumps(document))
        assert refusal(own) == (
            "cpu-fp32.onnx keeps its weights in another file, which a bundle may not: export the bundle again"
        )


def entries(*pairs: tuple[str, object]) -> Say:
    """Say where values are in these words; "FILE", "AT" and "SIZE" stand for the right ones."""

    def said(tensor: TensorProto, file: str, offset: int, length: int) -> None:
        right = {"FILE": file, "AT": offset, "SIZE": length}
        tensor.ClearField("raw_data")
        for key, value in pairs:
            tensor.external_data.add(key=key, value=str(right.get(str(value), value)))
        tensor.data_location = TensorProto.EXTERNAL

    return said


def after(change: Callable[[TensorProto], object]) -> Say:
    def said(tensor: TensorProto, file: str, offset: int, length: int) -> None:
        say(tensor, file, offset, length)
        change(tensor)

    return said


def at(offset: object = "AT", length: object = "SIZE", location: object = "FILE") -> Any:
    return entries(("location", location), ("offset", offset), ("length", length))


FILE = "cpu-fp32.onnx_data"
LOCATION, OFFSET, LENGTH = ("location", "FILE"), ("offset", "AT"), ("length", "SIZE")
HOSTILE: dict[str, Say] = {
    "unlisted": at(location="other.onnx_data"),
    "another graph's": at(location="portable-fp32.onnx_data"),
    "the tokenizer": at(location="tokenizer.json"),
    "a path": at(location=f"./{FILE}"),
    "up": at(location=f"../own.sestina/{FILE}"),
    "absolute": at(location="/dev/zero"),
    "in another case": at(location=FILE.upper()),
    "with a null": at(location=f"{FILE}\0"),
    "in memory": at(location="*/_ORT_MEM_ADDR_/*"),
    "nowhere": at(location=""),
    "beyond the end": at(offset=1 << 40),
    "beyond 64 bits": at(offset=1 << 64),
    "of many digits": at(offset="0" * 4000),
    "negative": at(offset=-64),
    "with a sign": at(offset="+0"),
    "with a space": at(offset=" 0"),
    "with a nought before": at(offset="00"),
    "in other digits": at(offset="٠"),
    "in hexadecimal": at(offset="0x0"),
    "empty": at(offset=""),
    "not aligned": at(offset=1),
    "all in one place": at(offset=0),
    "too short": at(length=64),
    "no length": at(length=0),
    "too long": at(length=1 << 40),
    "two locations": entries(LOCATION, LOCATION, OFFSET, LENGTH),
    "two lengths": entries(LOCATION, OFFSET, LENGTH, LENGTH),
    "a checksum": entries(LOCATION, OFFSET, LENGTH, ("checksum", "0")),
    "in another order": entries(OFFSET, LOCATION, LENGTH),
    "no offset": entries(LOCATION, LENGTH),
    "no location": entries(OFFSET, LENGTH),
    "location alone": entries(LOCATION),
    "nothing": entries(),
    "a prefix": entries(("location", "FILE"), ("offset", "AT"), ("length", "SIZE"), ("", "")),
    "values of its own": after(lambda tensor: setattr(tensor, "raw_data", b"1234")),
    "floats of its own": after(lambda tensor: tensor.float_data.append(1)),
    "not said to be external": after(lambda tensor: tensor.ClearField("data_location")),
    "said to be its own": after(lambda tensor: setattr(tensor, "data_location", TensorProto.DEFAULT)),
    "another type": after(lambda tensor: setattr(tensor, "data_type", TensorProto.DOUBLE)),
    "bfloat16": after(lambda tensor: setattr(tensor, "data_type", TensorProto.BFLOAT16)),
    "a string": after(lambda tensor: setattr(tensor, "data_type", TensorProto.STRING)),
    "no type": after(lambda tensor: tensor.ClearField("data_type")),
    "no name": after(lambda tensor: tensor.ClearField("name")),
    "another shape": after(lambda tensor: tensor.dims.append(2)),
    "an endless shape": after(lambda tensor: tensor.dims.append(1 << 62)),
    "a negative shape": after(lambda tensor: tensor.dims.extend([-1, -1])),
    "a segment": after(lambda tensor: tensor.segment.CopyFrom(TensorProto.Segment(begin=0, end=1))),
    "a note": after(lambda tensor: tensor.metadata_props.add(key="location", value="x")),
}  # fmt: skip


def two_tables(said: Say) -> bytes:
    """A graph of no nodes whose two initializers have their values in `FILE`."""
    model = onnx.ModelProto()
    for at, name in enumerate("ab"):
        tensor = model.graph.initializer.add(name=name, dims=[4, LEAST // 16], data_type=TensorProto.FLOAT)
        said(tensor, FILE, at * LEAST, LEAST)
    content: bytes = model.SerializeToString()
    return content


class TestHostile:
    @pytest.mark.parametrize("how", HOSTILE)
    def test_places_that_are_none(self, how: str) -> None:
        with pytest.raises(sestina.BundleIntegrityError) as caught:
            check_onnx(two_tables(HOSTILE[how]), "x.onnx", {FILE: 2 * LEAST, "b.onnx_data": 1 << 30})
        message = str(caught.value)
        assert message.startswith(f"x.onnx {MISPLACED} (")
        assert "\n" not in message
        assert len(message) < 300

    def test_the_right_one_passes(self) -> None:
        """The control of the above."""
        content = two_tables(at())
        found = check_onnx(content, "x.onnx", {FILE: 2 * LEAST})
        assert [(each.name, each.dtype, each.shape, each.file, each.offset, each.size) for each in found] == [
            ("a", "<f4", (4, LEAST // 16), FILE, 0, LEAST),
            ("b", "<f4", (4, LEAST // 16), FILE, LEAST, LEAST),
        ]
        with pytest.raises(sestina.BundleIntegrityError, match="end beyond their file"):
            check_onnx(content, "x.onnx", {FILE: 2 * LEAST - 1})

    @pytest.mark.parametrize("how", ["unlisted", "another graph's", "beyond the end", "two locations"])
    def test_are_refused_at_load(self, how: str, own: Path, inline: Path) -> None:
        graph, _ = store((inline / "cpu-fp32.onnx").read_bytes(), "cpu-fp32.onnx_data", HOSTILE[how])
        (own / "cpu-fp32.onnx").write_bytes(graph)
        relist(own)
        assert MISPLACED in refusal(own)
        with pytest.raises(sestina.BundleIntegrityError):
            Bundle(own).check(None)

    def test_two_that_overlap(self) -> None:
        model = onnx.ModelProto()
        for name, offset in (("a", 0), ("b", 64)):
            tensor = model.graph.initializer.add(name=name, dims=[LEAST], data_type=TensorProto.UINT8)
            say(tensor, "w", offset, LEAST)
        with pytest.raises(sestina.BundleIntegrityError, match="the values of 'b' overlap others"):
            check_onnx(model.SerializeToString(), "x", {"w": 1 << 20})
        model.graph.initializer[1].external_data[1].value = str(LEAST)
        assert [each.offset for each in check_onnx(model.SerializeToString(), "x", {"w": 1 << 20})] == [
            0,
            LEAST,
        ]

    @pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.FLOAT16, TensorProto.INT64])
    def test_small_ones_stay_in_the_graph(self, kind: int) -> None:
        model = onnx.ModelProto()
        say(model.graph.initializer.add(name="a", dims=[8], data_type=kind), "w", 0, 8)
        with pytest.raises(sestina.BundleIntegrityError, match=f"fewer than {LEAST}"):
            check_onnx(model.SerializeToString(), "x", {"w": 1 << 20})

    @pytest.mark.parametrize("spelling", ["key twice", "value first", "more", "padded", "no message"])
    def test_entries_written_in_other_ways(self, spelling: str) -> None:
        """Readers of protobuf would find the same in them, or something else."""
        key, value = sized(1, b"location"), sized(2, b"w")
        entry = {
            "key twice": sized(13, sized(1, b"x") + key + value),
            "value first": sized(13, value + key),
            "more": sized(13, key + value + sized(3, b"")),
            "padded": sized(13, b"\x8a\x00\x08location" + value),
            "no message": whole(13, 5),
        }[spelling]
        rest = sized(13, sized(1, b"offset") + sized(2, b"0")) + sized(
            13, sized(1, b"length") + sized(2, str(LEAST).encode())
        )
        tensor = whole(1, LEAST) + whole(2, TensorProto.UINT8) + sized(8, b"a") + entry + rest + whole(14, 1)
        with pytest.raises(sestina.BundleError):
            check_onnx(sized(7, sized(5, tensor)), "x", {"w": 1 << 20})
        right = tensor.replace(entry, sized(13, key + value))
        assert len(check_onnx(sized(7, sized(5, right)), "x", {"w": 1 << 20})) == 1

    def test_every_byte_altered_or_lost(self) -> None:
        """A place is refused or still within the file: no view can lie beyond it."""
        content, weights = two_tables(at()), bytes(2 * LEAST)
        refused = 0
        for place in range(len(content)):
            for altered in (content[:place], content[:place] + b"\x31" + content[place + 1 :]):
                said = outcome(lambda altered=altered: Graph(altered, "x", weights={FILE: weights}))
                assert "\n" not in said
                refused += bool(said)
        assert refused > 1.2 * len(content)


def outcome(call: Callable[[], object]) -> str:
    """What it was refused with; nothing where it was not."""
    try:
        call()
    except sestina.BundleError as error:
        return str(error)
    return ""
