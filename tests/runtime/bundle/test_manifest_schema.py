"""One format, stated three times: the reader, the writer and the JSON Schema agree on the same manifests.

What a schema cannot say (`READER`) is listed by itself, so that nothing else hides there.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import jsonschema
import pytest

import sestina
from sestina._bundle import manifest_reader
from sestina._bundle.manifest import (
    FIRST_POOLINGS,
    POOLINGS,
    Activation,
    Manifest,
    Precision,
    Similarity,
    Target,
)
from sestina._errors import BundleFormatError, BundleIntegrityError

SCHEMA = json.loads((Path(sestina.__file__).parent / "manifest.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

Verdict = Literal["good", "both", "reader"]
GOOD, BOTH, READER = get_args(Verdict)  # accepted; refused by both; refused by the reader alone
Change = Callable[[dict[str, Any]], object]


def entry(file: str) -> dict[str, Any]:
    return {"file": file, "sha256": 32 * "a5", "bytes": 7}


def tensor(name: str, dtype: str, *shape: int | str) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}


def base() -> dict[str, Any]:
    """A manifest with a variant of each kind of shapes, all members present."""
    outputs = [
        tensor("sentence_embedding", "float32", "batch", 32),
        tensor("last_hidden_state", "float32", "batch", "length", 32),
    ]
    ids = tensor("input_ids", "int64", "batch", "length")
    static = [
        tensor("input_ids", "int32", "batch", "length"),
        tensor("attention_mask", "int32", "batch", "length"),
    ]
    kinds: list[dict[str, Any]] = [
        {"target": "cpu", "precision": "fp32", "shapes": "dynamic", "inputs": [ids]},
        {
            "target": "portable",
            "precision": "fp32",
            "shapes": "static",
            "inputs": static,
            "buckets": [16, 64],
        },
    ]
    return {
        "format": "sestina",
        "format_version": 1,
        "name": "tiny",
        "space": "0f",
        "licence": "apache-2.0",
        "contract": {"max_tokens": 64, "pooling": "mean", "normalize": True, "dimensions": 32},
        "encoder": {"d_model": 32, "d_ff": 64, "max_positions": 64, "n_layers": 2, "n_heads": 4},
        "variants": [
            {
                **entry(f"{kind['target']}-fp32.onnx"),
                **kind,
                "outputs": copy.deepcopy(outputs),
                "parity": {"tolerance": 1e-5, "float16_tolerance": 0.005},
            }
            for kind in kinds
        ],
        "files": [entry(name) for name in ("tokenizer.json", "golden.json", "golden.npy", "LICENSE")],
        "provenance": {"source_sha256": None},
    }


# Where a member is: the path to its object, its name, and values that are right and wrong.
# A whole number with a fraction of zero, such as 64.0, is a number like any to JSON Schema.
COUNTS = ([1, 2147483647], [0, -1, 2147483648, 1.5, True, "64", None, []])
STRINGS = (["", "x", "\u0000é"], [5, None, True, [], {}])
OBJECTS = ([], [None, 5, "x", [], True])
TOLERANCES = ([1, 0.5, 5e-324, 1e308], [0, -1, True, "1", None, 10**400])
MEMBERS: list[tuple[tuple[str | int, ...], tuple[list[Any], list[Any]]]] = [
    (("format",), ([], ["Sestina", "", None, 1])),
    (("format_version",), ([2], [0, 3, -1, "1", True, None, 1.5])),
    (("name",), STRINGS),
    (("space",), STRINGS),
    (("contract",), OBJECTS),
    (("contract", "pooling"), (list(FIRST_POOLINGS), ["Mean", "median", None, 1, "lasttoken", "mean+cls"])),
    (("contract", "normalize"), ([True, False], [0, 1, "true", None])),
    (("encoder",), OBJECTS),
    (("encoder", "d_model"), ([], COUNTS[1])),
    (("encoder", "d_ff"), COUNTS),
    (("variants",), ([], [None, {}, [], "x", [5]])),
    (("variants", 0, "file"), (["a", "A-b_c.onnx", "_", 200 * "a", "console", "com", "nul_.onnx", "com10", "a.nul"], ["con", "NUL.onnx", "Com1.a.b", "lpt9", "a.", "a..", 201 * "a", "../x", "a/b", "", ".a", "-a", "a\n", "C:\\x", 5, None])),
    (("variants", 0, "sha256"), ([64 * "0"], ["", 63 * "0", 64 * "G", 64 * "A", 64 * "0" + "\n", 5, None])),
    (("variants", 0, "bytes"), ([0, 9223372036854775807], [-1, 9223372036854775808, 1.5, True, "7", None])),
    (("variants", 0, "target"), (list(get_args(Target)), ["tpu", "CPU", None])),
    (("variants", 0, "precision"), (list(get_args(Precision)), ["fp8", "", None])),
    (("variants", 0, "shapes"), ([], ["any", None, "static"])),
    (("variants", 0, "inputs"), ([[]], [None, {}, [5]])),
    (("variants", 0, "inputs", 0, "name"), STRINGS),
    (("variants", 0, "inputs", 0, "dtype"), STRINGS),
    (("variants", 0, "inputs", 0, "shape"), ([[], ["a", 3]], [None, [0], [-1], [1.5], [True], [None], "x"])),
    (("variants", 0, "outputs"), ([], [None, [], {}])),
    (("variants", 0, "parity"), OBJECTS),
    (("variants", 0, "parity", "tolerance"), TOLERANCES),
    (("variants", 1, "buckets"), ([[64], [1, 2, 64]], [None, [], [16, 16, 64], [0, 64], ["64"], [True, 64], 64])),
    (("files",), ([], [None, {}, []])),
    (("files", 3, "file"), (["NOTICE"], ["a b", "..", None])),
    (("files", 3, "bytes"), ([0], [-1, None])),
    (("provenance",), ([{}], [None, [], "x"])),
]  # fmt: skip


# What version 2 has besides, and the members that version 1 ignores.
SECOND: dict[str, tuple[list[Any], list[Any]]] = {
    "pooling": (
        [*POOLINGS, "mean+cls", "max+max", "+".join(["lasttoken"] * 16)],
        [
            "Mean",
            "",
            "mean+",
            "+mean",
            "mean,cls",
            "mean + cls",
            "mean\n",
            "+".join(["mean"] * 17),
            None,
            ["mean"],
        ],
    ),
    "prompts": (
        [{}, {"query": "query: ", "": ""}, {"a": "\u0000é"}],
        [None, [], "query: ", {"a": None}, {"a": 5}],
    ),
    "default_prompt": ([None], [5, True, ["query"], {}]),
    "similarity": (list(get_args(Similarity)), ["Cosine", "cos", None, 1, []]),
    "include_prompt": ([True], [0, "false", None]),
}


def second(**members: Any) -> Change:
    """A manifest of version 2 with these members in its contract."""

    def change(document: dict[str, Any]) -> None:
        document["format_version"] = 2
        document["contract"].update(members)

    return change


def started(document: dict[str, Any]) -> None:
    """One whose graphs leave prompts out of the pooling."""
    second(include_prompt=False)(document)
    for variant, dtype in zip(document["variants"], ("int64", "int32"), strict=True):
        variant["inputs"].append(tensor("pooled_from", dtype, 1))


def labelled(task: str = "classify", **members: Any) -> Change:
    """A manifest of such a task, whose 32 numbers have labels."""

    def change(document: dict[str, Any]) -> None:
        second(labels=[f"l{at}" for at in range(32)], activation="softmax")(document)
        document["task"] = task
        for variant in document["variants"]:
            variant["outputs"][0]["name"] = "token_logits" if task == "tag" else "logits"
        document["contract"].update(members)

    return change


def sparse(**members: Any) -> Change:
    """A manifest of a sparse encoder, of a vocabulary of 32 tokens."""

    def change(document: dict[str, Any]) -> None:
        second(similarity="dot", **members)(document)
        document["task"] = "sparse"
        for variant in document["variants"]:
            variant["outputs"][0]["name"] = "sparse_embedding"

    return change


def told(document: dict[str, Any]) -> None:
    """One whose graphs are told which text of a pair each token is of."""
    labelled("rerank")(document)
    document["encoder"]["n_token_types"] = 2
    for variant, dtype in zip(document["variants"], ("int64", "int32"), strict=True):
        variant["inputs"].append(tensor("token_type_ids", dtype, "batch", "length"))


def late(**members: Any) -> Change:
    """A manifest of late interaction, whose dynamic graphs are told what is attended to."""

    def change(document: dict[str, Any]) -> None:
        expansion = {"length": 8, "token": 4, "attended": False}
        roles = {
            "similarity": "maxsim",
            "query": {"max_tokens": 12, "skip": [], "expansion": expansion},
            "document": {"max_tokens": 64, "skip": [5, 0]},
        }
        second(late_interaction={**roles, **members}, prompts={"query": "q: "})(document)
        document["task"] = "multi-vector"
        for variant in document["variants"]:
            variant["outputs"][0] = tensor("token_embeddings", "float32", "batch", "length", 32)
        document["variants"][0]["inputs"].append(tensor("attended", "int64", 1))

    return change


def cases_of_late_interaction(also: Callable[..., Change]) -> Iterator[tuple[str, Change, Verdict]]:
    """How queries and documents are read."""
    at, query = ("contract", "late_interaction"), {"max_tokens": 12, "skip": [], "expansion": None}
    attended = {"length": 12, "token": 0, "attended": True}
    yield "late interaction", late(), GOOD
    yield "the mean", late(similarity="meanmaxsim"), GOOD
    inputs = ("variants", 0, "inputs", 1)
    for expansion in (None, attended):
        yield f"expansion = {expansion}", also(late(query={**query, "expansion": expansion}), inputs), GOOD
    yield "no late_interaction", also(late(), at), BOTH
    yield "late_interaction of an embedding", second(late_interaction=5), GOOD
    for name, values in (
        ("similarity", ["cosine", None, 5]),
        ("query", [None, [], {}, {"max_tokens": 12}, {"max_tokens": 0, "skip": []}]),
        ("document", [None, {"skip": []}, {"max_tokens": 5, "skip": None}]),
    ):
        for value in values:
            yield f"late {name} = {shown(value)}", late(**{name: value}), BOTH
        yield f"no {name}", also(late(), (*at, name)), BOTH
    for skip in ([-1], ["a"], [True], [1, 1], {}, [2147483648], [1.5]):
        yield f"skip = {skip}", late(document={"max_tokens": 12, "skip": skip}), BOTH
    for name, values in (("length", [0, None, "8"]), ("token", [-1, None, True]), ("attended", [None, 0])):
        for value in values:
            yield f"{name} = {value!r}", also(late(), (*at, "query", "expansion", name), value), BOTH
    yield "another prompt", also(late(), ("contract", "prompts"), {"other": "x "}), BOTH
    yield "an expansion of documents", also(late(), (*at, "document", "expansion"), attended), BOTH
    yield "a default prompt of late interaction", also(late(), ("contract", "default_prompt"), "query"), BOTH
    # What no schema can say.
    yield "more tokens of a query", late(query={**query, "max_tokens": 65}), READER
    yield "a longer expansion", also(late(), (*at, "query", "expansion", "length"), 13), READER
    yield "graphs that are not told what is attended to", also(late(), inputs), READER
    yield "a graph that is told so for nothing", late(query={**query, "expansion": attended}), READER
    yield (
        "vectors of texts in place of tokens'",
        also(late(), ("variants", 0, "outputs", 0, "name"), "x"),
        BOTH,
    )


def several(**members: Any) -> Change:
    """A manifest of embeddings that gives weights and vectors of tokens too."""

    def change(document: dict[str, Any]) -> None:
        results = {
            "sparse": {"dimensions": 99, "skip": [0, 2]},
            "multi-vector": {"dimensions": 16, "first": 1, "similarity": "meanmaxsim"},
        }
        second(results={**results, **members})(document)
        document["files"] += [entry("golden.sparse.npy"), entry("golden.multi-vector.npy")]
        for variant in document["variants"]:
            variant["outputs"].append(tensor("token_weights", "float32", "batch", "length", 1))
            variant["outputs"].append(tensor("token_embeddings", "float32", "batch", "length", 16))

    return change


def cases_of_results(also: Callable[..., Change]) -> Iterator[tuple[str, Change, Verdict]]:
    """What a bundle of embeddings gives besides."""
    at = ("contract", "results")
    yield "results", several(), GOOD
    yield "results, of which one is not said", also(several(), (*at, "sparse")), GOOD
    yield "results in version 1", put(at, 5), GOOD  # a member that it does not know
    yield "results of another task", labelled(results=5), GOOD  # the same
    yield "no results", second(results=None), GOOD
    for value in ([], {}, 5, {"colbert": {}}):
        yield f"results = {value!r}", second(results=value), BOTH
    yield "results, and another", several(colbert={}), BOTH
    for name, members in (
        ("sparse", {"dimensions": [0, "9"], "skip": [5, [-1], [1, 1], ["a"]]}),
        ("multi-vector", {"dimensions": [0, True], "first": [-1, 1.5], "similarity": [5, "cosine"]}),
    ):
        yield f"results, {name} = 5", several(**{name: 5}), BOTH
        for member, values in members.items():
            yield f"results, no {member} of {name}", also(several(), (*at, name, member)), BOTH
            for value in values:
                yield (
                    f"results, {member} of {name} = {value!r}",
                    also(several(), (*at, name, member), value),
                    BOTH,
                )
    for number, file in ((4, "golden.sparse.npy"), (5, "golden.multi-vector.npy")):
        yield f"results without {file}", also(several(), ("files", number)), BOTH
    for output in (2, 3):
        place = ("variants", 1, "outputs", output)
        yield f"results without output {output}", also(several(), place), BOTH
        for member, value in (
            ("name", "x"),
            ("dtype", "float16"),
            ("shape", ["batch", 1]),
            ("shape", ["b", 3, 1]),
        ):
            yield (
                f"results, {member} of output {output} = {value}",
                also(several(), (*place, member), value),
                BOTH,
            )
    yield "weights of several dimensions", also(several(), ("variants", 0, "outputs", 2, "shape", 2), 2), BOTH
    # What no schema can say.
    yield "vectors of another width", also(several(), ("variants", 0, "outputs", 3, "shape", 2), 17), READER


def cases_of_tasks() -> Iterator[tuple[str, Change, Verdict]]:
    """Tasks, which version 2 has."""

    def also(change: Change, path: tuple[str | int, ...], value: object = None) -> Change:
        def both(document: dict[str, Any]) -> None:
            change(document)
            drop(path)(document) if value is None else put(path, value)(document)

        return both

    for task in ("rerank", "classify", "tag"):
        yield f"task {task}", labelled(task), GOOD
    yield "task embedding", lambda m: m.update(format_version=2, task="embedding"), GOOD
    yield "pairs with types", told, GOOD
    yield "any task in version 1", put(("task",), "poetry"), GOOD  # a member that it does not know
    yield from cases_of_late_interaction(also)
    yield from cases_of_results(also)
    for value in ("multi_vector", "Rerank", "", 5, [], True):
        yield f"task = {value!r}", lambda m, value=value: m.update(format_version=2, task=value), BOTH  # type: ignore[misc]
    yield "task sparse", sparse(), GOOD
    for value in (1, 200, 2**31 - 1, None):
        yield f"max_active = {value}", sparse(max_active=value), GOOD
    for value in (0, -1, 1.5, "5", True, [], 2**31):
        yield f"max_active = {value!r}", sparse(max_active=value), BOTH
    yield "max_active of another task", labelled(max_active="x"), GOOD  # a member that means nothing there
    yield "sparse under another name", also(sparse(), ("variants", 0, "outputs", 0, "name"), "logits"), BOTH
    yield "sparse of an embedding", put(("variants", 0, "outputs", 0, "name"), "sparse_embedding"), BOTH
    for activation in get_args(Activation):
        yield f"activation {activation}", labelled(activation=activation), GOOD
    for value in ("Sigmoid", "relu", None, 5):
        yield f"activation = {value!r}", labelled(activation=value), BOTH
    yield "no activation", also(labelled(), ("contract", "activation")), BOTH
    yield "no labels", also(labelled(), ("contract", "labels")), BOTH
    for labels in ([], None, "ab", {}, [*range(32)], ["a"] * 32):
        yield f"labels = {shown(labels)}", labelled(labels=labels), BOTH
    yield "labels of an embedding", second(labels=["a"], activation=5), GOOD
    yield "fewer labels than numbers", labelled(labels=["a", "b"]), READER
    surrogate = ["\ud800", *(f"l{at}" for at in range(31))]
    yield "a label with a lone surrogate", labelled(labels=surrogate), READER
    yield "logits under another name", also(labelled(), ("variants", 0, "outputs", 0, "name"), "x"), BOTH
    yield (
        "vectors instead of logits",
        also(labelled(), ("variants", 1, "outputs", 0, "name"), "sentence_embedding"),
        BOTH,
    )
    yield "logits instead of vectors", put(("variants", 0, "outputs", 0, "name"), "logits"), BOTH
    yield (
        "logits instead of token_logits",
        also(labelled("tag"), ("variants", 0, "outputs", 0, "name"), "logits"),
        BOTH,
    )
    yield "types that no encoder has", also(told, ("encoder", "n_token_types")), READER
    yield "types that a graph does not take", also(told, ("variants", 1, "inputs", 2, "name"), "x"), READER
    yield "types of a classifier", also(told, ("task",), "classify"), READER


def put(path: tuple[str | int, ...], value: object) -> Change:
    def change(document: dict[str, Any]) -> None:
        where: Any = document
        for step in path[:-1]:
            where = where[step]
        where[path[-1]] = value

    return change


def drop(path: tuple[str | int, ...]) -> Change:
    def change(document: dict[str, Any]) -> None:
        where: Any = document
        for step in path[:-1]:
            where = where[step]
        del where[path[-1]]

    return change


def shown(value: object) -> str:
    """A value in the name of a case."""
    text = repr(value)
    return text if len(text) < 60 else f"{text[:40]}... of {len(text)} characters"


def cases() -> Iterator[tuple[str, Change, Verdict]]:
    """Every manifest: what to call it, what is changed of the base, and who refuses it."""
    yield "as it is", lambda m: None, GOOD
    for path, (right, wrong) in MEMBERS:
        name = ".".join(map(str, path))
        yield f"{name} missing", drop(path), BOTH
        for value in right:
            yield f"{name} = {shown(value)}", put(path, value), GOOD
        for value in wrong:
            yield f"{name} = {shown(value)}", put(path, value), BOTH
    for licence in ("apache-2.0", None):
        yield f"licence = {licence}", put(("licence",), licence), GOOD
    yield "licence missing", drop(("licence",)), GOOD
    for licence in (5, [], True):
        yield f"licence = {licence}", put(("licence",), licence), BOTH
    for place in ((), ("contract",), ("encoder",), ("variants", 0), ("variants", 0, "parity"), ("files", 0)):
        yield f"an unknown member in {place}", put((*place, "later"), {"x": [None]}), GOOD
    yield "no float16_tolerance", drop(("variants", 0, "parity", "float16_tolerance")), GOOD
    for value in TOLERANCES[1]:
        path = ("variants", 0, "parity", "float16_tolerance")
        yield f"float16_tolerance = {shown(value)}", put(path, value), BOTH
    yield "buckets of a dynamic variant", put(("variants", 0, "buckets"), "ignored"), GOOD
    yield "65 buckets", put(("variants", 1, "buckets"), list(range(1, 66))), BOTH
    for at, file in enumerate(("tokenizer.json", "golden.json", "golden.npy")):
        yield f"{file} not listed", lambda m, at=at: m["files"].pop(at), BOTH  # type: ignore[misc]
    vectors = tensor("sentence_embedding", "float32", "batch", 32)
    yield "vectors twice", lambda m: m["variants"][0]["outputs"].append(vectors), BOTH
    yield "vectors under another name", put(("variants", 0, "outputs", 0, "name"), "embedding"), BOTH
    states = tensor("last_hidden_state", "float32", "batch", "length", 32)
    yield "hidden states twice", lambda m: m["variants"][0]["outputs"].append(states), BOTH
    yield "no hidden states", lambda m: m["variants"][0]["outputs"].pop(), GOOD
    for name, (right, wrong) in SECOND.items():
        for value in right:
            yield f"version 2, {name} = {shown(value)}", second(**{name: value}), GOOD
        for value in wrong:
            yield f"version 2, {name} = {shown(value)}", second(**{name: value}), BOTH
            if name != "pooling":
                yield f"version 1, {name} = {shown(value)}", put(("contract", name), value), GOOD
    prompts = {"query": "query: ", "document": ""}
    yield "version 2, all of it", second(prompts=prompts, default_prompt="query", similarity="dot"), GOOD
    yield "version 2, prompts left out of the pooling", started, GOOD
    # What no schema can say.
    yield "a default prompt that is none", second(prompts=prompts, default_prompt="passage"), READER
    yield "a default prompt of no prompts", second(default_prompt="query"), READER
    yield "a prompt with a lone surrogate", second(prompts={"a": "\ud800"}), READER
    yield "a name with a lone surrogate", second(prompts={"\ud800": "a"}), READER
    yield "graphs that do not take pooled_from", second(include_prompt=False), READER
    start = tensor("pooled_from", "int64", 1)
    yield "a graph that takes pooled_from", lambda m: m["variants"][0]["inputs"].append(start), READER
    for path in (("contract", "max_tokens"), ("contract", "dimensions"), ("encoder", "max_positions")):
        for value in COUNTS[1]:
            yield f"{path} = {value!r}", put(path, value), BOTH
    yield "max_tokens above max_positions", put(("encoder", "max_positions"), 63), READER
    yield "a whole number with a fraction", put(("contract", "max_tokens"), 64.0), READER
    yield "a version with a fraction", put(("format_version",), 1.0), READER
    yield "a size with a fraction", put(("files", 0, "bytes"), 7.0), READER
    yield "other dimensions than the graph's", put(("contract", "dimensions"), 31), READER
    yield "another width than the graph's hidden states", put(("encoder", "d_model"), 31), READER
    yield "vectors without an axis", put(("variants", 0, "outputs", 0, "shape"), []), READER
    yield "vectors of a named width", put(("variants", 0, "outputs", 0, "shape"), ["batch", "d"]), READER
    yield "buckets that descend", put(("variants", 1, "buckets"), [64, 16]), READER
    yield "buckets below max_tokens", put(("variants", 1, "buckets"), [16, 63]), READER
    yield "buckets above max_positions", put(("variants", 1, "buckets"), [16, 65]), READER
    yield "a file twice", lambda m: m["files"].append(entry("LICENSE")), READER
    yield "a file twice, in another case", lambda m: m["files"].append(entry("License")), READER
    yield "a graph that is also a file", lambda m: m["files"].append(entry("cpu-fp32.onnx")), READER

    yield from cases_of_weights()
    yield from cases_of_tasks()


def stored(*files: str, variant: int = 0) -> Change:
    """Of version 2, and with these files of weights."""

    def change(document: dict[str, Any]) -> None:
        document["format_version"] = 2
        document["variants"][variant]["weights"] = [entry(file) for file in files]

    return change


def cases_of_weights() -> Iterator[tuple[str, Change, Verdict]]:
    """Weights in files of their own, which version 2 has."""

    def also(path: tuple[str | int, ...], value: object) -> Change:
        def change(document: dict[str, Any]) -> None:
            stored("a.onnx_data", "b.onnx_data")(document)
            put(path, value)(document)

        return change

    yield "weights", stored("a.onnx_data"), GOOD
    yield "weights of a static variant", stored("a.onnx_data", "b", variant=1), GOOD
    weights = ("variants", 0, "weights")
    for value in ([], None, {}, "a", [5], [None], [[]]):
        yield f"weights = {value!r}", also(weights, value), BOTH
        yield f"weights = {value!r} in version 1", put(weights, value), GOOD  # a member that it does not know
    yield "weights in version 1", put(weights, [entry("a.onnx_data")]), GOOD
    for name, values in (
        ("file", ["a/b", "../x", "nul", "a.", "", None]),
        ("sha256", ["", 5]),
        ("bytes", [-1]),
    ):
        for value in values:
            yield f"weights.{name} = {value!r}", also((*weights, 1, name), value), BOTH
    yield "an unknown member in weights", also((*weights, 1, "later"), 5), GOOD
    yield "weights that are also a file", stored("LICENSE"), READER
    yield "weights that are also a graph", stored("CPU-fp32.onnx"), READER
    yield "weights of two variants", also(("variants", 1, "weights"), [entry("a.onnx_data")]), READER
    yield "the same weights twice", stored("a.onnx_data", "a.onnx_data"), READER


CASES = list(cases())


def read(document: dict[str, Any]) -> Manifest | str:
    """What the reader makes of it, or how it refuses."""
    try:
        return manifest_reader.read(json.dumps(document), "manifest.json")
    except (BundleFormatError, BundleIntegrityError) as error:
        return str(error)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_there_are_a_hundred_of_each() -> None:
    verdicts = [verdict for _, _, verdict in CASES]
    assert verdicts.count(BOTH) >= 100
    assert verdicts.count(GOOD) >= 40
    assert len(CASES) == len({name for name, _, _ in CASES})


@pytest.mark.parametrize("change, verdict", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_reader_and_schema_agree(change: Change, verdict: Verdict) -> None:
    document = base()
    change(document)
    found = read(document)
    assert isinstance(found, Manifest) == (verdict == GOOD), found
    assert VALIDATOR.is_valid(document) == (verdict != BOTH)
    if isinstance(found, Manifest):  # and what the writer makes of it is the same manifest, and valid
        text = found.to_json()
        assert manifest_reader.read(text, "again") == found
        VALIDATOR.validate(json.loads(text))
        # The lowest version that has what is in it: a reader that knows no other goes on reading it.
        written = json.loads(text)
        newer = written["contract"].keys() > base()["contract"].keys()
        newer |= any("weights" in variant for variant in written["variants"])
        assert written["format_version"] == 1 + newer
    else:
        assert found.startswith("manifest.json")
        assert "\n" not in found


def test_the_writer_states_the_oldest_version_that_has_all_of_it() -> None:
    document = base()
    assert json.loads(manifest_reader.read(json.dumps(document), "here").to_json()) == document
    for members in (
        {"prompts": {"query": ""}},
        {"pooling": "lasttoken"},
        {"pooling": "mean+cls"},
        {"similarity": "dot"},
    ):
        newer = base()
        second(**members)(newer)
        written = json.loads(manifest_reader.read(json.dumps(newer), "here").to_json())
        assert written["format_version"] == 2
        assert members.items() <= written["contract"].items()
        # A reader of version 1 refuses it before it looks at anything else.
    newer = base()
    stored("a.onnx_data")(newer)  # the contract stays as it was
    assert json.loads(manifest_reader.read(json.dumps(newer), "here").to_json()) == newer
    unneeded = base()
    second(prompts={}, default_prompt=None, similarity="cosine", include_prompt=True)(unneeded)
    assert json.loads(manifest_reader.read(json.dumps(unneeded), "here").to_json()) == document


def test_what_the_exporter_writes_is_valid(bundle: Path) -> None:
    for folder in (bundle, Path(sestina.__file__).parent / "default.sestina"):
        VALIDATOR.validate(json.loads((folder / "manifest.json").read_text("utf-8")))


def test_the_schema_states_every_member_that_the_writer_writes() -> None:
    """A member that is added to the writer alone is found here."""

    def members(schema: dict[str, Any]) -> set[str]:
        found = set(schema.get("properties", {})) | set(schema.get("then", {}).get("properties", {}))
        if reference := schema.get("$ref"):
            found |= members(SCHEMA["$defs"][reference.rpartition("/")[2]])
        return found

    document = base()
    second(prompts={"query": "query: "})(document)
    stored("a.onnx_data", variant=1)(document)
    written = json.loads(manifest_reader.read(json.dumps(document), "here").to_json())
    defs = SCHEMA["$defs"]
    assert members(SCHEMA) == set(written)
    assert members(SCHEMA["properties"]["contract"]) | members(defs["contract"]) == set(written["contract"])
    assert members(defs["variant"]) | members(defs["variant2"]) == set(written["variants"][1])
    assert members(defs["file"]) == set(written["variants"][1]["weights"][0])
    assert members(defs["file"]) == set(written["files"][0])
    assert members(defs["tensor"]) == set(written["variants"][0]["inputs"][0])
