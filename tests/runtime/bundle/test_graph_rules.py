"""What a graph may be: external data, control flow and foreign operators are refused wherever they stand."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

import sestina
from sestina._bundle.bundle import Bundle
from sestina._bundle.graph import Graph
from sestina._bundle.graph_rules import check_onnx
from sestina._bundle.ort_rules import check_ort
from sestina._bundle.protobuf import MOST_FIELDS, fields, sized, whole

FILE = "cpu-fp32.onnx"
ELSEWHERE = "keeps its weights in another file, which a bundle may not: export the bundle again"


def list_anew(bundle: Path, file: str, content: bytes) -> None:
    """Put a file into a bundle, with a manifest that states it as it is."""
    (bundle / file).write_bytes(content)
    document = json.loads((bundle / "manifest.json").read_text())
    for entry in document["files"] + document["variants"]:
        if entry["file"] == file:
            entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (bundle / "manifest.json").write_text(json.dumps(document))


def refusal(bundle: Path, kind: type[sestina.SestinaError] = sestina.BundleFormatError) -> str:
    with pytest.raises(kind) as caught:
        sestina.load(bundle, precision="fp32")
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400 + len(str(bundle))
    return message.removeprefix(f"{bundle / FILE} ")


def model_of(bundle: Path) -> onnx.ModelProto:
    return onnx.load(bundle / FILE)


def external(name: str = "w", location: str = "weights.bin") -> TensorProto:
    tensor = TensorProto(name=name, dims=[4], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def sparse(values: TensorProto, indices: TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[4])


def inside() -> TensorProto:
    return numpy_helper.from_array(np.arange(4), "i")


def in_attribute(**value: Any) -> Callable[[onnx.ModelProto], None]:
    def place(model: onnx.ModelProto) -> None:
        model.graph.node[0].attribute.append(AttributeProto(name="value", **value))

    return place


PLACES: dict[str, Callable[[onnx.ModelProto], None]] = {
    "initializer": lambda m: m.graph.initializer.append(external()),
    "first initializer": lambda m: m.graph.initializer.insert(0, external()),
    "values": lambda m: m.graph.sparse_initializer.append(sparse(external(), inside())),
    "indices": lambda m: m.graph.sparse_initializer.append(sparse(inside(), external())),
    "attribute": in_attribute(t=external(), type=AttributeProto.TENSOR),
    "attributes": in_attribute(tensors=[inside(), external()], type=AttributeProto.TENSORS),
    "sparse": in_attribute(sparse_tensor=sparse(external(), inside()), type=AttributeProto.SPARSE_TENSOR),
    "sparses": in_attribute(sparse_tensors=[sparse(inside(), external())], type=AttributeProto.SPARSE_TENSORS),
    "of no type": in_attribute(t=external()),
    "location alone": lambda m: m.graph.initializer.append(
        TensorProto(name="w", dims=[4], data_type=1, data_location=TensorProto.EXTERNAL)
    ),
    "entries alone": lambda m: m.graph.initializer.append(
        TensorProto(name="w", external_data=[onnx.StringStringEntryProto(key="location", value="/etc/passwd")])
    ),
    "in memory": lambda m: m.graph.initializer.append(external(location="*/_ORT_MEM_ADDR_/*")),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_external_data_wherever_a_tensor_may_stand(place: str, own_bundle: Path) -> None:
    model = model_of(own_bundle)
    PLACES[place](model)
    list_anew(own_bundle, FILE, model.SerializeToString())
    assert refusal(own_bundle, sestina.BundleIntegrityError) == ELSEWHERE


@pytest.mark.parametrize("place", PLACES)
def test_a_variant_that_lists_files_of_weights_changes_nothing_of_that(place: str, own_bundle: Path) -> None:
    """Only initializers may have their values there, and they have more to say than a location."""
    model = model_of(own_bundle)
    PLACES[place](model)
    with pytest.raises(sestina.BundleIntegrityError, match=r"^x\.onnx keeps (its )?weights in another file"):
        check_onnx(model.SerializeToString(), "x.onnx", {"weights.bin": 1 << 20})


def test_external_data_as_onnx_writes_it(own_bundle: Path) -> None:
    graph = own_bundle / FILE
    onnx.save_model(
        onnx.load(graph), graph, save_as_external_data=True, location="weights.bin", size_threshold=64
    )
    assert (own_bundle / "weights.bin").exists()
    list_anew(own_bundle, FILE, graph.read_bytes())
    assert refusal(own_bundle, sestina.BundleIntegrityError) == ELSEWHERE


def stretched(value: int, size: int) -> bytes:
    """A number in more bytes than it takes."""
    return bytes([value >> 7 * at & 0x7F | 0x80 for at in range(size - 1)] + [value >> 7 * (size - 1) & 0x7F])


def entry(tag: bytes, length: Callable[[int], bytes]) -> bytes:
    """An entry of external data whose own key, or its tag, is written in another way."""
    content = tag + length(8) + b"location" + sized(2, b"weights.bin")
    return sized(13, content)


PLAIN = sized(13, sized(1, b"location") + sized(2, b"weights.bin"))
LOCATED = whole(14, 1)


SPELLINGS = {
    "as it should be": PLAIN + LOCATED,
    "tag of the key in 5 bytes": entry(stretched(0x0A, 5), lambda size: bytes([size])) + LOCATED,
    "tag of the key beyond 32 bits": entry(b"\x8a\x80\x80\x80\x10", lambda size: bytes([size])) + LOCATED,
    "tag of the key in 10 bytes": entry(stretched(0x0A, 10), lambda size: bytes([size])) + LOCATED,
    "length of the key in 5 bytes": entry(b"\x0a", lambda size: stretched(size, 5)) + LOCATED,
    "tag of the entry in 2 bytes": stretched(0x6A, 2) + PLAIN[1:] + LOCATED,
    "tag of the entry beyond 32 bits": b"\xea\x80\x80\x80\x10" + PLAIN[1:] + LOCATED,
    "length of the entry in 3 bytes": b"\x6a" + stretched(PLAIN[1], 3) + PLAIN[2:] + LOCATED,
    "location in 10 bytes": PLAIN + b"\x70" + stretched(1, 10),
    "location beyond 64 bits": PLAIN + b"\x70" + b"\x81" + b"\x80" * 8 + b"\x02",
    "tag of the location beyond 32 bits": PLAIN + b"\xf0\x80\x80\x80\x10\x01",
    "location first": LOCATED + PLAIN,
    "location twice": LOCATED + whole(14, 0) + PLAIN,
    "in a group": b"\x6b" + sized(1, b"location") + sized(2, b"weights.bin") + b"\x6c" + LOCATED,
    "behind a group": b"\x1b\x1c" + PLAIN + LOCATED,
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("how", ["whole", "merged", "stretched"])
def test_external_data_however_it_is_spelled(
    spelling: str, how: str, own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What onnxruntime would find with the directory of its choice: here with the file in both."""
    tensor = sized(8, b"w") + whole(1, 4) + whole(2, 1) + SPELLINGS[spelling]
    content = (own_bundle / FILE).read_bytes()
    if how == "whole":
        (place,) = [f for f in fields(content, 0, len(content)) if f.number == 7]
        graph = content[place.value : place.end] + sized(5, tensor)
        content = content[: place.begin] + sized(7, graph) + content[place.end :]
    elif how == "merged":
        content += sized(7, sized(5, tensor))
    else:
        content += stretched(0x3A, 5) + stretched(len(sized(5, tensor)), 5) + sized(5, tensor)
    for folder in (own_bundle, own_bundle.parent):
        (folder / "weights.bin").write_bytes(bytes(16))
    monkeypatch.chdir(own_bundle.parent)
    list_anew(own_bundle, FILE, content)
    message = refusal(own_bundle, sestina.BundleError)
    assert message == ELSEWHERE or message.startswith("is not a graph that can be read (")
    with pytest.raises(sestina.BundleError):
        Bundle(own_bundle).check(None)
    with pytest.raises(sestina.BundleError):  # where the variant lists that file, too
        check_onnx(content, "x.onnx", {"weights.bin": 1 << 20})


def test_words_that_mean_nothing_there(own_bundle: Path, encoder: sestina.Encoder) -> None:
    """Names, doc strings and metadata may be anything."""
    model = model_of(own_bundle)
    model.metadata_props.add(key="location", value="weights.bin")
    model.doc_string = "\x0a\x08location Loop"
    model.graph.doc_string = "external_data If"
    model.graph.node[0].name = "Loop"
    model.graph.node[0].doc_string = "Scan"
    model.graph.node[1].metadata_props.add(key="location", value="EPContext")
    model.graph.initializer[0].doc_string = "location"
    list_anew(own_bundle, FILE, model.SerializeToString())
    with sestina.load(own_bundle, precision="fp32") as found:
        assert found.verify().passed


def body(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "body", [], [])


def endless() -> onnx.NodeProto:
    """Of 2^62 rounds, each of which does nothing."""
    inner = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, [])],
    )
    return helper.make_node("Loop", ["rounds", ""], [], body=inner)


def made(operator: str, domain: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, ["input_ids"], ["unused"], domain=domain, **attributes)


NODES: dict[str, tuple[onnx.NodeProto, str]] = {
    "loop": (endless(), "has a "),
    "scan": (made("Scan", body=body(), num_scan_inputs=1), "has a "),
    "if": (made("If", then_branch=body(), else_branch=body()), "has a "),
    "loop of no body": (made("Loop"), "has a node of type Loop, which a bundle may not: export the bundle again"),
    "loop by the domain's other name": (made("Loop", "ai.onnx"), "has a node of type Loop"),
    "sequence map": (made("SequenceMap"), "has a node of type SequenceMap"),
    "search": (made("BeamSearch", "com.microsoft"), "has a node of type BeamSearch"),
    "body in an unknown operator": (made("Whatever", "com.microsoft", b=body()), "has a graph inside a node"),
    "bodies": (made("Whatever", bodies=[body(), body()]), "has a graph inside a node"),
    "nested": (made("If", then_branch=body(made("If", then_branch=body(endless())))), "has a "),
    "compiled": (made("EPContext", "com.microsoft", embed_mode=0), "has a node of type EPContext"),
    "by chance": (made("RandomNormalLike"), "has a node of type RandomNormalLike"),
    "foreign": (made("Run", "com.example"), "has an operator of the domain 'com.example', which a bundle may"),
    "foreign and long": (made("Run", "x\n" * 5000), "has an operator of the domain 'x\\nx"),
    "training": (made("SGD", "ai.onnx.preview.training"), "has an operator of the domain 'ai.onnx.preview"),
}  # fmt: skip


@pytest.mark.parametrize("name", NODES)
def test_nodes_that_no_encoder_needs(name: str, own_bundle: Path) -> None:
    node, said = NODES[name]
    for at in (0, 3, None):
        model = model_of(own_bundle)
        model.graph.initializer.append(numpy_helper.from_array(np.array(1 << 62), "rounds"))
        model.graph.node.insert(len(model.graph.node) if at is None else at, node)
        model.opset_import.append(helper.make_opsetid(node.domain, 1))
        list_anew(own_bundle, FILE, model.SerializeToString())
        assert refusal(own_bundle).startswith(said)


def test_operator_given_twice(own_bundle: Path) -> None:
    """Protobuf takes the last; whichever it is, the node is refused."""
    content = (own_bundle / FILE).read_bytes()
    for names in ((b"Loop", b"Identity"), (b"Identity", b"Loop")):
        node = b"".join(sized(4, name) for name in names) + sized(1, b"input_ids") + sized(2, b"x")
        list_anew(own_bundle, FILE, content + sized(7, sized(1, node)))
        assert refusal(own_bundle).startswith("has a node of type Loop")
        list_anew(own_bundle, FILE, content)


def test_functions_and_training(own_bundle: Path) -> None:
    """A function that calls one twice which calls another twice is 2^n nodes."""
    model = model_of(own_bundle)
    function = helper.make_function(
        "own", "f", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], [helper.make_opsetid("", 20)]
    )
    model.functions.append(function)
    list_anew(own_bundle, FILE, model.SerializeToString())
    assert refusal(own_bundle).startswith("has functions of its own, which a bundle may not")
    model = model_of(own_bundle)
    model.training_info.add().initialization.name = "x"
    list_anew(own_bundle, FILE, model.SerializeToString())
    assert refusal(own_bundle).startswith("has training steps of its own, which a bundle may not")


def test_two_initializers_of_one_name(own_bundle: Path) -> None:
    model = model_of(own_bundle)
    model.graph.initializer.append(model.graph.initializer[0])
    list_anew(own_bundle, FILE, model.SerializeToString())
    assert refusal(own_bundle).startswith("is not a graph that can be read (two initializers are called ")


class TestOtherVariants:
    def test_are_looked_through_when_they_are_used(self, own_bundle: Path) -> None:
        model = onnx.load(own_bundle / "cpu-int8.onnx")
        model.graph.node.insert(0, made("Loop"))
        list_anew(own_bundle, "cpu-int8.onnx", model.SerializeToString())
        with (
            sestina.load(own_bundle, precision="fp32") as encoder,
            pytest.raises(sestina.BundleFormatError, match=r"cpu-int8\.onnx has a node of type Loop"),
        ):
            encoder.verify()
        with pytest.raises(sestina.BundleFormatError, match=r"cpu-int8\.onnx has a node of type Loop"):
            sestina.load(own_bundle, precision="int8")

    def test_a_graph_that_is_no_variant(self, own_bundle: Path) -> None:
        document = json.loads((own_bundle / "manifest.json").read_text())
        document["files"].append({"file": "more.onnx", "bytes": 0, "sha256": "0" * 64})
        (own_bundle / "manifest.json").write_text(json.dumps(document))
        model = model_of(own_bundle)
        model.graph.initializer.append(external())
        list_anew(own_bundle, "more.onnx", model.SerializeToString())
        with pytest.raises(sestina.BundleIntegrityError, match=r"more\.onnx keeps its weights in another"):
            sestina.load(own_bundle)

    def test_an_altered_file_is_what_is_named(self, own_bundle: Path) -> None:
        """Not what became of it, where it does not have its checksum."""
        content = (own_bundle / FILE).read_bytes()
        (own_bundle / FILE).write_bytes(b"\x0f" + content[1:])
        assert refusal(own_bundle, sestina.BundleIntegrityError).startswith(
            "is not the file that was exported"
        )


def outcome(call: Callable[[], object]) -> str:
    """What it was refused with; nothing where it was not."""
    try:
        call()
    except sestina.BundleError as error:
        return str(error)
    return ""


class TestHostileBytes:
    @pytest.mark.parametrize(
        "content, said",
        [
            (b"\x0f", "wire type 7 at byte 0"),
            (b"\x3a\x05abc", "ends beyond its message"),
            (b"\x3a\xff", "has no end"),
            (b"\x80" * 40, "has no end"),
            (b"\x00\x00", "a field without a number"),
            (b"\x3a\xff\xff\xff\xff\x0f", "too large or too long"),
            (b"\x38\x01", "no message at byte 0"),
            (b"\x3b\x3c", "wire type 3"),
            (sized(7, sized(1, whole(4, 1))), "no message at byte"),
            (sized(7, sized(5, sized(14, b""))), "no number at byte"),
            (b"no graph", "wire type 6 at byte 0"),
        ],
    )
    def test_are_no_graph(self, content: bytes, said: str) -> None:
        with pytest.raises(sestina.BundleFormatError) as caught:
            check_onnx(content, "x.onnx")
        assert str(caught.value).startswith("x.onnx is not a graph that can be read (")
        assert said in str(caught.value)

    @pytest.mark.parametrize(
        "content",
        [
            whole(99, 0) * (MOST_FIELDS + 1),
            sized(7, sized(1, b"") * (MOST_FIELDS + 1)),
            sized(7, sized(1, whole(3, 0) * 1000) * 1100),
            sized(7, b"".join(sized(5, sized(8, b"%d" % at) + whole(1, 0) * 1000) for at in range(1100))),
        ],
    )  # fmt: skip
    def test_of_too_many_pieces_take_no_time(self, content: bytes) -> None:
        begin = time.perf_counter()
        with pytest.raises(sestina.BundleFormatError, match=f"more than {MOST_FIELDS} fields"):
            check_onnx(content, "x.onnx")
        assert time.perf_counter() - begin < 30  # less than 1, where nothing else runs

    def test_nested_as_deep_as_they_like(self) -> None:
        graph = b""
        for _ in range(50_000):
            graph = sized(1, sized(5, sized(6, graph[:1000])))
        with pytest.raises(sestina.BundleFormatError, match="has a graph inside a node"):
            check_onnx(sized(7, graph), "x.onnx")

    def test_random_changes_are_ours(self, bundle: Path) -> None:
        """Whatever the bytes are, a graph is made or refused in one line."""
        content = (bundle / FILE).read_bytes()[:20_000]
        generator = np.random.default_rng(3)
        outcomes = set()
        for _ in range(300):
            altered = bytearray(content)
            for at in generator.integers(0, len(altered), generator.integers(1, 6)):
                altered[at] = generator.integers(0, 256)
            said = outcome(lambda altered=bytes(altered): Graph(altered, "x.onnx"))
            assert not said or said.startswith("x.onnx ")
            outcomes.add(bool(said))
        assert True in outcomes


def as_ort(content: bytes, folder: Path) -> bytes:
    """A graph in the .ort format, as onnxruntime saves it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(folder / "saved.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return (folder / "saved.ort").read_bytes()


class TestOrt:
    @pytest.mark.parametrize("file", [FILE, "cpu-fp32.ort"])
    def test_the_content_tells_the_format(
        self, file: str, own_bundle: Path, tmp_path: Path, encoder: sestina.Encoder
    ) -> None:
        """As onnxruntime tells it, whatever the file is called: right vectors, and the same rules."""
        content = as_ort((own_bundle / FILE).read_bytes(), tmp_path)
        (own_bundle / FILE).rename(own_bundle / file)
        text = (own_bundle / "manifest.json").read_text().replace(FILE, file)
        (own_bundle / "manifest.json").write_text(text)
        list_anew(own_bundle, file, content)
        with sestina.load(own_bundle, precision="fp32", threads=2) as found:
            assert found.verify().passed
            found.encode(["a", "b"])

    def test_control_flow(self, own_bundle: Path, tmp_path: Path) -> None:
        model = model_of(own_bundle)
        then = helper.make_graph(
            [helper.make_node("Identity", ["input_ids"], ["t"])],
            "then",
            [],
            [helper.make_tensor_value_info("t", TensorProto.INT64, None)],
        )
        model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
        model.graph.node.insert(0, helper.make_node("If", ["yes"], ["u"], then_branch=then, else_branch=then))
        content = as_ort(model.SerializeToString(), tmp_path)
        list_anew(own_bundle, FILE, content)
        assert refusal(own_bundle).startswith("has a node of type If, which a bundle may not")
        # The same graph under a name that is allowed still has graphs inside a node.
        renamed = content.replace(b"\x02\x00\x00\x00If\x00", b"\x02\x00\x00\x00Io\x00")
        assert renamed != content
        list_anew(own_bundle, FILE, renamed)
        assert refusal(own_bundle).startswith("has a graph inside a node, which a bundle may not")

    def test_chance(self, own_bundle: Path, tmp_path: Path) -> None:
        model = model_of(own_bundle)
        model.graph.node.insert(0, helper.make_node("RandomNormal", [], ["r"], shape=[1]))
        list_anew(own_bundle, FILE, as_ort(model.SerializeToString(), tmp_path))
        assert refusal(own_bundle).startswith("has a node of type RandomNormal, which a bundle may not")

    @pytest.mark.parametrize("offset", [-1, 0, 1 << 40])
    @pytest.mark.parametrize("where", ["initializer", "attribute", "tensors", "sparse"])
    def test_weights_in_another_file(self, where: str, offset: int) -> None:
        content = crafted(where, offset)
        if offset < 0:
            check_ort(content, "x.ort")
            return
        with pytest.raises(sestina.BundleIntegrityError, match=r"^x\.ort keeps its weights in another file"):
            check_ort(content, "x.ort")

    def test_every_byte_altered_or_lost(self, own_bundle: Path, tmp_path: Path) -> None:
        content = as_ort((own_bundle / FILE).read_bytes(), tmp_path)
        generator = np.random.default_rng(4)
        refused = 0
        for at in [*range(200), *generator.integers(0, len(content), 300)]:
            for altered in (content[:at], content[:at] + b"\xff" + content[at + 1 :]):
                said = outcome(lambda altered=altered: check_ort(altered, "x.ort"))
                assert not said or said.startswith("x.ort ")
                assert "\n" not in said
                refused += bool(said)
        assert refused > 100

    def test_lists_that_share_what_they_hold(self) -> None:
        """A million nodes, each with the same list of a million attributes."""
        content = crafted("initializer", -1, nodes=1100, attributes=1000)
        begin = time.perf_counter()
        with pytest.raises(sestina.BundleFormatError, match=f"more than {MOST_FIELDS} fields"):
            check_ort(content, "x.ort")
        assert time.perf_counter() - begin < 30


def crafted(where: str, offset: int, nodes: int = 1, attributes: int = 1) -> bytes:
    """A .ort file with one tensor that lies elsewhere where the offset is not negative."""
    flatbuffers = pytest.importorskip("flatbuffers")
    builder = flatbuffers.Builder(0)

    def table(slots: dict[int, int]) -> int:
        builder.StartObject(16)
        for slot, place in slots.items():
            builder.PrependUOffsetTRelativeSlot(slot, place, 0)
        return int(builder.EndObject())

    def several(*places: int) -> int:
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return int(builder.EndVector())

    name = builder.CreateString("Constant")
    builder.StartObject(16)
    builder.PrependInt64Slot(6, offset, -1)
    tensor = int(builder.EndObject())
    attribute = table({"attribute": {6: tensor}, "tensors": {11: several(tensor)}}.get(where, {}))
    node = table({5: name, 10: several(*[attribute] * attributes)})
    slots = {2: several(*[node] * nodes)}
    if where == "initializer":
        slots[0] = several(tensor)
    if where == "sparse":
        slots[7] = several(table({1: tensor}))
    model = table({7: table(slots)})
    builder.Finish(table({1: model}), file_identifier=b"ORTM")
    return bytes(builder.Output())
