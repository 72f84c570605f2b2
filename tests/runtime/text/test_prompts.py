"""Prompts: what stands before a text, by name, as it is, by default, for queries and documents; and comparison."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from sestina._similarity import similarity

PROMPTS = {"query": "the query: ", "passage": "tokens of ", "blank": ""}
TEXTS = ["a model", "", "attention", "a model", "the tokens " * 40]
QUIET: dict[str, Any] = {"on_truncate": "ignore"}


def restate(bundle: Path, **members: Any) -> Path:
    """The same bundle with these members in the contract of a manifest of version 2."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    document["format_version"] = 2
    document["contract"].update(members)
    path.write_text(json.dumps(document))
    return bundle


@pytest.fixture
def prompted(own_bundle: Path) -> Path:
    return restate(own_bundle, prompts=PROMPTS, default_prompt="passage", similarity="dot")


@pytest.fixture
def encoder(prompted: Path) -> Iterator[sestina.Encoder]:
    with sestina.load(prompted, precision="int8", threads=2) as encoder:  # bit-equal in any company
        yield encoder


def expected(encoder: sestina.Encoder, prompt: str) -> np.ndarray[Any, Any]:
    return np.stack([encoder.encode(prompt + text, prompt_text="", **QUIET) for text in TEXTS])


class TestEncoder:
    def test_what_there_are(self, encoder: sestina.Encoder) -> None:
        assert isinstance(encoder.prompts, Mapping)
        assert dict(encoder.prompts) == PROMPTS
        assert encoder.default_prompt == "passage"
        with pytest.raises(TypeError):
            encoder.prompts["query"] = ""  # type: ignore[index]

    @pytest.mark.parametrize(
        ("method", "options", "prompt"),
        [
            ("encode", {"prompt": "query"}, "the query: "),
            ("encode", {"prompt": "blank"}, ""),
            ("encode", {"prompt_text": "the query: "}, "the query: "),
            ("encode", {"prompt_text": ""}, ""),
            ("encode", {}, "tokens of "),
            ("encode_query", {}, "the query: "),
            ("encode_query", {"prompt": "passage"}, "tokens of "),
            ("encode_document", {}, "tokens of "),
            ("encode_document", {"prompt_text": "a "}, "a "),
        ],
    )
    def test_which_stands_before_a_text(
        self, encoder: sestina.Encoder, method: str, options: dict[str, Any], prompt: str
    ) -> None:
        encode, want = getattr(encoder, method), expected(encoder, prompt)
        assert np.array_equal(encode(TEXTS, **options, **QUIET), want)
        assert np.array_equal(np.stack([encode(text, **options, **QUIET) for text in TEXTS]), want)
        if prompt:
            assert not np.array_equal(want[:4], expected(encoder, "")[:4])

    def test_a_stream_and_the_states(self, encoder: sestina.Encoder) -> None:
        want = expected(encoder, "the query: ")
        streamed = list(encoder.stream(iter(TEXTS * 50), prompt="query", **QUIET))
        assert np.array_equal(np.stack(streamed), np.concatenate([want] * 50))
        states = encoder.hidden_states(TEXTS, prompt="query", **QUIET)
        tokens = [encoder.tokenize(text, prompt="query") for text in TEXTS]
        assert [len(rows) for rows in states] == [len(each.ids) for each in tokens]

    def test_tokens_and_their_offsets(self, encoder: sestina.Encoder) -> None:
        tokens = encoder.tokenize("a model", prompt="query")
        assert tokens.prompt == "the query: "
        whole = tokens.prompt + "a model"
        assert [whole[begin:end] for begin, end in tokens.offsets][-3:-1] == ["a", "model"]
        assert encoder.tokenize("a model").prompt == "tokens of "
        assert encoder.tokenize("a model", prompt_text="").prompt == ""

    def test_an_explanation(self, encoder: sestina.Encoder) -> None:
        found = encoder.explain("a model", prompt="query")
        assert found.tokens.prompt == "the query: "
        np.testing.assert_allclose(found.vector, encoder.encode_query("a model"), atol=1e-6)
        assert float(found.contributions.sum()) == pytest.approx(1.0, abs=1e-5)

    @pytest.mark.parametrize("method", ["encode", "encode_query", "encode_document", "stream", "similarity"])
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"prompt": "document"},
                "prompt is 'document'; it must be one of 'query', 'passage', 'blank' (prompt_text, --prompt-text, takes any text)",
            ),
            ({"prompt": 5}, "prompt is 5; it must be one of 'query', 'passage', 'blank'"),
            ({"prompt_text": 5}, "prompt_text is 5; it must be a str, or None"),
            ({"prompt_text": "\ud800"}, "prompt_text has a lone surrogate U+D800 at character 0"),
            (
                {"prompt": "query", "prompt_text": ""},
                "prompt and prompt_text exclude each other: pass one of them",
            ),
        ],
    )
    def test_what_is_none(
        self, encoder: sestina.Encoder, method: str, options: dict[str, Any], message: str
    ) -> None:
        arguments = (["a"], ["a"]) if method == "similarity" else (["a"],)
        with pytest.raises(sestina.OptionError) as caught:
            getattr(encoder, method)(*arguments, **options)
        assert str(caught.value).startswith(message)

    def test_a_bundle_without_any(self, bundle: Path) -> None:
        with sestina.load(bundle, precision="int8") as encoder:
            assert dict(encoder.prompts) == {}
            assert encoder.default_prompt is None
            with pytest.raises(sestina.OptionError) as caught:
                encoder.encode("a", prompt="query")
            assert str(caught.value).startswith("prompt is 'query'; this bundle has no prompts")
            plain = encoder.encode("a model")
            for found in (encoder.encode_query("a model"), encoder.encode_document("a model")):
                assert np.array_equal(found, plain)

    def test_a_default_is_for_neither_queries_nor_documents(self, own_bundle: Path) -> None:
        """As in sentence-transformers, which has empty prompts for both."""
        restate(own_bundle, prompts={"other": "tokens "}, default_prompt="other")
        with sestina.load(own_bundle, precision="int8") as encoder:
            plain = encoder.encode("a model", prompt_text="")
            assert np.array_equal(encoder.encode_query("a model"), plain)
            assert np.array_equal(encoder.encode_document("a model"), plain)
            assert not np.array_equal(encoder.encode("a model"), plain)

    def test_a_text_that_is_too_long_with_its_prompt(self, encoder: sestina.Encoder) -> None:
        text = "model " * (encoder.max_tokens - 3)
        assert not encoder.tokenize(text, prompt_text="").truncated
        message = f"has more than {encoder.max_tokens} tokens, its prompt included"
        with pytest.raises(sestina.TruncationError, match=f"the text {message}: shorten it"):
            encoder.encode(text, prompt="query", on_truncate="error")
        with pytest.warns(sestina.TruncationWarning, match=f"text 1 {message}; only the beginning"):
            encoder.encode(["a", text], prompt="query")

    def test_goldens_are_as_they_were_whatever_the_default_is(self, encoder: sestina.Encoder) -> None:
        assert encoder.verify().passed

    def test_a_place_in_a_text_is_told_without_its_prompt(self, encoder: sestina.Encoder) -> None:
        for call in (encoder.encode_query, lambda text: list(encoder.stream([text], prompt="query"))):
            with pytest.raises(sestina.TextValueError, match=r"U\+D800 at character 2"):
                call("ab\ud800")


class TestSimilarity:
    def test_what_a_bundle_says(self, encoder: sestina.Encoder) -> None:
        assert encoder.similarity_function == "dot"
        queries, documents = encoder.encode_query(TEXTS, **QUIET), encoder.encode_document(TEXTS, **QUIET)
        np.testing.assert_allclose(
            encoder.similarity(queries, documents), queries @ documents.T, rtol=1e-5, atol=1e-6
        )
        found = encoder.similarity("a model", ["attention"], prompt="query")
        a, b = encoder.encode(["a model", "attention"], prompt="query")
        assert found[0, 0] == pytest.approx(float(a @ b), abs=1e-6)

    @pytest.mark.parametrize("width", [1, 7, 300_000])
    def test_distances_have_their_sign_turned(self, width: int) -> None:
        generator = np.random.default_rng(0)
        a = generator.standard_normal((3, width), dtype=np.float32)
        b = generator.standard_normal((5, width), dtype=np.float32)
        differences = a[:, None].astype(np.float64) - b[None]
        euclidean = -np.sqrt((differences**2).sum(-1))
        np.testing.assert_allclose(similarity("euclidean", a, b), euclidean, rtol=1e-6)
        np.testing.assert_allclose(similarity("manhattan", a, b), -np.abs(differences).sum(-1), rtol=1e-6)
        np.testing.assert_allclose(
            similarity("dot", a, b), a.astype(np.float64) @ b.T.astype(np.float64), atol=1e-3 * width**0.5
        )
        assert not similarity("euclidean", a, a).diagonal().any()

    @pytest.mark.parametrize("name", ["dot", "euclidean", "manhattan"])
    def test_what_cannot_be_compared(self, name: str) -> None:
        ones = np.ones((2, 3), dtype=np.float32)
        with pytest.raises(sestina.OptionError, match=f"of 3 and 2 dimensions cannot be compared .{name}"):
            similarity(name, ones, ones[:, :2])
        with pytest.raises(sestina.OptionError, match="vector 1 is not finite"):
            similarity(name, ones, np.array([[0, 0, 0], [0, np.nan, 0]], dtype=np.float32))
        with pytest.raises(sestina.OptionError, match="too large to be compared in float32"):
            similarity(name, ones * np.float32(3e38), ones * np.float32(-3e38))
        assert similarity(name, ones[:0], ones).shape == (0, 2)


class TestCommands:
    def test_search_has_a_query_and_documents(self, cli: Any, prompted: Path, tmp_path: Path) -> None:
        file = tmp_path / "texts.txt"
        file.write_text("a model\nattention\nthe tokens\n")
        with sestina.load(prompted) as encoder:
            query = encoder.encode_query("a model")
            scores = (encoder.encode_document(file.read_text().splitlines()) @ query).tolist()
            bare = (encoder.encode(["a model"], prompt_text="") @ encoder.encode("a", prompt_text="")).item()
        found = cli("search", prompted, "a model", "--in", file, "--json")
        assert {hit["line"]: hit["score"] for hit in found.json["results"]} == pytest.approx(
            dict(enumerate(scores, start=1)), abs=1e-5
        )
        plain = ("--prompt-text", "", "--document-prompt", "blank")
        found = cli("search", prompted, "a", "--in", file, *plain, "--json")
        assert {hit["line"]: hit["score"] for hit in found.json["results"]}[1] == pytest.approx(
            bare, abs=1e-5
        )
        cli("encode", prompted, "--prompt", "passage", "--input", file, "--output", tmp_path / "v.npy")
        found = cli("search", prompted, "a model", "--in", tmp_path / "v.npy", "--json")
        assert [hit["score"] for hit in found.json["results"]] == pytest.approx(
            sorted(scores)[::-1], abs=1e-5
        )
        found = cli("search", prompted, "a", "--in", tmp_path / "v.npy", "--document-prompt", "query")
        assert (found.code, "--document-prompt is about texts to encode" in found.err) == (2, True)

    def test_each_command_takes_a_prompt(self, cli: Any, prompted: Path, tmp_path: Path) -> None:
        with sestina.load(prompted) as encoder:
            want = encoder.encode_query("a model")
        for options in (("--prompt", "query"), ("--prompt-text", "the query: ")):
            (line,) = cli("encode", prompted, "a model", *options).lines
            assert line["vector"] == pytest.approx(want.tolist(), abs=1e-6)
        (document,) = cli("tokenize", prompted, "a model", "--prompt", "query", "--json").json["texts"]
        assert document["prompt"] == "the query: "
        assert "with the prompt 'tokens of '" in cli("tokenize", prompted, "a model").out
        found = cli("explain", prompted, "a model", "--prompt", "query", "--json").json
        assert (found["prompt"], found["text"]) == ("the query: ", "a model")
        assert found["vector"] == pytest.approx(want.tolist(), abs=1e-6)
        page = tmp_path / "page.html"
        cli("explain", prompted, "a model", "--prompt", "query", "--output", page)
        assert '<span class="prompt" title="the prompt">the query: </span>a model' in page.read_text()
        (result,) = cli("similar", prompted, "a", "a model", "--prompt", "query", "--json").json["results"]
        assert set(result) == {"text", "dot"}

    @pytest.mark.parametrize("command", ["encode", "similar", "tokenize", "explain", "search"])
    def test_an_unknown_name(self, cli: Any, prompted: Path, tmp_path: Path, command: str) -> None:
        (tmp_path / "texts.txt").write_text("a\n")
        more = {"similar": ("b",), "search": ("--in", tmp_path / "texts.txt"), "explain": ("--json",)}
        found = cli(command, prompted, "a", *more.get(command, ()), "--prompt", "document")
        assert found.code == 2
        assert found.err.startswith(
            "sestina: error: prompt is 'document'; it must be one of 'query', 'passage', 'blank'"
        )

    def test_what_inspect_shows(self, cli: Any, prompted: Path) -> None:
        out = cli("inspect", prompted).out
        assert "query: 'the query: ', passage: 'tokens of ' (default), blank: ''" in out
        assert "similarity  dot" in out
        document = cli("inspect", prompted, "--json").json
        assert (document["prompts"], document["default_prompt"]) == (PROMPTS, "passage")
        assert (document["similarity"], document["include_prompt"]) == ("dot", True)

    def test_a_tokenizer_by_itself_has_no_prompts(self, cli: Any, bundle: Path) -> None:
        found = cli("tokenize", bundle / "tokenizer.json", "a", "--prompt", "query")
        assert (found.code, "this bundle has no prompts" in found.err) == (2, True)
        found = cli("tokenize", bundle / "tokenizer.json", "a", "--prompt-text", "the ", "--json")
        assert found.json["texts"][0]["prompt"] == "the "


class TestAwaited:
    """`AsyncEncoder` has the ways of the encoder, with their prompts, bit for bit."""

    WAYS = ("encode", "encode_query", "encode_document")
    ASKED: tuple[dict[str, Any], ...] = (
        {},
        {"prompt": "query"},
        {"prompt_text": ""},
        {"prompt_text": "model "},
    )

    def test_each_gets_the_prompt_of_its_own_way(self, encoder: sestina.Encoder) -> None:
        texts = [f"the model {at}" for at in range(12)]

        async def run() -> list[Any]:
            async with sestina.AsyncEncoder(encoder) as many:
                asked = [
                    getattr(many, way)(text, **options)
                    for text in texts for way in self.WAYS for options in self.ASKED
                ]  # fmt: skip
                return await asyncio.gather(*asked)

        found = iter(asyncio.run(run()))
        seen = set()
        for text in texts:
            for way in self.WAYS:
                for options in self.ASKED:
                    wanted = getattr(encoder, way)(text, **options)
                    assert np.array_equal(next(found), wanted)
                    seen.add(wanted.tobytes())
        assert len(seen) == 12 * 4  # passage, query, none, "model "

    def test_ways_do_not_share_a_batch_and_requests_of_one_do(self, encoder: sestina.Encoder) -> None:
        calls: list[tuple[str, int]] = []

        class Watched:
            def __getattr__(self, way: str) -> Any:
                def call(texts: Any, **options: Any) -> Any:
                    calls.append((way, len(texts)))
                    return getattr(encoder, way)(texts, **options)

                return call

        async def run() -> None:
            async with sestina.AsyncEncoder(Watched()) as many:  # type: ignore[arg-type]
                await asyncio.gather(
                    *(many.encode_query(f"a {at}") for at in range(5)),
                    *(many.encode_document([f"a {at}", "b"]) for at in range(3)),
                )

        asyncio.run(run())
        assert calls == [("encode_query", 5), ("encode_document", 6)]

    def test_what_is_said_of_a_text_is_said_to_its_caller(self, encoder: sestina.Encoder) -> None:
        async def run() -> list[Any]:
            async with sestina.AsyncEncoder(encoder) as many:
                asked = [
                    many.encode_query(["a", None], on_null="zero"),
                    many.encode_query(["a", None, "b"]),
                    many.encode_document(["a", " "], on_empty="zero"),
                    many.encode_document(["a", " "], on_empty="error"),
                    many.encode_document("b", on_empty="error"),
                    many.encode_query("a", prompt="nowhere"),
                ]
                return await asyncio.gather(*asked, return_exceptions=True)

        null, no_null, zero, empty, fine, nowhere = asyncio.run(run())
        assert np.array_equal(null, encoder.encode_query(["a", None], on_null="zero"))
        assert isinstance(no_null, sestina.TextTypeError)
        assert str(no_null).startswith("row 1 is null")
        assert np.array_equal(zero, encoder.encode_document(["a", " "], on_empty="zero"))
        assert isinstance(empty, sestina.EmptyTextError)
        assert empty.position == 1
        assert np.array_equal(fine, encoder.encode_document("b"))
        assert isinstance(nowhere, sestina.OptionError)

    def test_a_warning_counts_among_the_callers_own(self, encoder: sestina.Encoder) -> None:
        async def run() -> None:
            async with sestina.AsyncEncoder(encoder) as many:
                await asyncio.gather(
                    many.encode("a", on_empty="warn"), many.encode(["b", ""], on_empty="warn")
                )

        with pytest.warns(sestina.EmptyTextWarning) as told:
            asyncio.run(run())
        assert [(each.message.count, each.message.first) for each in told] == [(1, 1)]  # type: ignore[union-attr]
