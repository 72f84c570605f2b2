"""Tokenizers that a bundle may hold and must not trust: chance, limits, growth, and failures of the library."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers, processors

import sestina
from _tiny import tiny_bpe, tiny_unigram, tiny_wordpiece
from sestina._text.tokenizer import Tokenizer

Document = dict[str, Any]
WORDS = {"[UNK]": 0, "a": 1, "b": 2, "[CLS]": 3, "[SEP]": 4}


def words(unknown: str = "[UNK]", **parts: Any) -> Document:
    """A tokenizer of a few whole words, and members of its tokenizer.json."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel(WORDS, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    document: Document = json.loads(tokenizer.to_str())
    return {**document, **parts}


def with_model(model: Any, **changed: Any) -> Document:
    document: Document = json.loads(tokenizers.Tokenizer(model).to_str())
    document["model"].update(changed)
    return document


def template(single: str, defined: tuple[str, ...] = ("[CLS]", "[SEP]"), **token: Any) -> Document:
    pieces = [
        {"Sequence": {"id": name[1:], "type_id": 0}}
        if name.startswith("$")
        else {"SpecialToken": {"id": name, "type_id": 0}}
        for name in single.split()
    ]
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}]
    special = {name: {"id": name, "ids": [WORDS[name]], "tokens": [name], **token} for name in defined}
    return {"type": "TemplateProcessing", "single": pieces, "pair": pair, "special_tokens": special}


def opened(document: Document, max_tokens: int = 8) -> Tokenizer:
    return Tokenizer(json.dumps(document).encode(), max_tokens)


def replace(wanted: Document | str, content: str) -> Document:
    pattern = {"String": wanted} if isinstance(wanted, str) else wanted
    return {"type": "Replace", "pattern": pattern, "content": content}


def one_after_another(*steps: Document) -> Document:
    return {"type": "Sequence", "normalizers": list(steps)}


def charsmap(content: str) -> str:
    """SentencePiece's table with an empty trie and one replacement."""
    return base64.b64encode((0).to_bytes(4, "little") + content.encode() + b"\0").decode()


def put(bundle: Path, document: Document) -> Path:
    """Give a bundle another tokenizer.json."""
    content = json.dumps(document).encode()
    (bundle / "tokenizer.json").write_bytes(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    (entry,) = (each for each in manifest["files"] if each["file"] == "tokenizer.json")
    entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


# Chance.


def test_dropout_is_refused() -> None:
    def bpe(dropout: float | None) -> Document:
        return with_model(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=dropout))

    for dropout in (1e-3, 0.5, 1.0):
        with pytest.raises(
            sestina.BundleFormatError, match="tokenizer.json sets dropout to .*matter of chance"
        ):
            opened(bpe(dropout))
    for none in (None, 0.0):
        assert opened(bpe(none)).ids(["abab"] * 20) == ([[2, 2]] * 20, [])


@pytest.mark.parametrize(
    ("one", "other", "normalizer"),
    [
        ("CAFE", "cafe", normalizers.BertNormalizer(lowercase=True)),
        ("\u00e9", "e\u0301", normalizers.NFC()),
        ("tok", "\uff54ok", normalizers.Sequence([normalizers.NFKC()])),
        ("a", " a", normalizers.Strip()),
    ],
)
def test_added_tokens_that_are_one_when_normalized_are_refused(one: str, other: str, normalizer: Any) -> None:
    """Which of them a text has is otherwise another one every time that the file is read."""
    tokenizer = tiny_wordpiece()
    tokenizer.normalizer = normalizer

    def added(*contents: str, normalized: bool = True) -> Document:
        tokens = [tokenizers.AddedToken(content, normalized=normalized) for content in contents]
        changed = tokenizers.Tokenizer.from_str(tokenizer.to_str())
        changed.add_tokens(tokens)
        document: Document = json.loads(changed.to_str())
        return document

    with pytest.raises(sestina.BundleFormatError, match="which normalized text cannot tell apart"):
        opened(added(one, other))
    for alone in (added(one), added(other), added(one, other, normalized=False)):
        rows = [opened(alone).ids([f"{one} {other}"]) for _ in range(20)]
        assert rows == rows[:1] * 20


# The limit.


@pytest.mark.parametrize(
    "post", [None, template("[CLS] $A"), template("$A [SEP]"), template("[CLS] [CLS] $A [SEP]")]
)
@pytest.mark.parametrize("limit", [4, 5, 9])
def test_no_text_has_more_ids_than_the_limit(post: Document | None, limit: int) -> None:
    tokenizer = opened(words(post_processor=post), limit)
    special = 0 if post is None else len(post["single"]) - 1
    for count in range(40):
        (ids,), truncated = tokenizer.ids(["a b " * (count // 2) + "a" * (count % 2)])
        text = ([1, 2] * count)[: min(count, limit - special)]
        before = (
            []
            if post is None
            else [3] * [each.get("SpecialToken", {}).get("id") for each in post["single"]].count("[CLS]")
        )
        assert ids == [*before, *text, *[4] * (special - len(before))]
        assert truncated == ([0] if count > limit - special else [])
        tokens = tokenizer.tokens("a b " * (count // 2) + "a" * (count % 2))
        assert (list(tokens.ids), tokens.truncated) == (ids, bool(truncated))
        assert len(tokens.tokens) == len(tokens.offsets) == len(ids)


@pytest.mark.parametrize("make", [tiny_wordpiece, tiny_bpe, tiny_unigram])
def test_the_library_cuts_the_same(make: Callable[[], tokenizers.Tokenizer]) -> None:
    """Against its own truncation, whose result ours must be, with every kind of post-processor."""
    reference = make()
    reference.enable_truncation(7)
    tokenizer = Tokenizer(make().to_str().encode(), 7)
    texts = ["", "the", "the model " * 2, "the model embeds the text of a sequence", "x" * 40, "model " * 500]
    expected = [reference.encode(text) for text in texts]
    assert tokenizer.ids(texts)[0] == [each.ids for each in expected]
    # What is cut off, versions 0.23.0 and 0.23.1 do not tell where no special tokens are added.
    assert tokenizer.ids(texts)[1] == [
        at for at, text in enumerate(texts) if len(make().encode(text).ids) > 7
    ]
    for text, each in zip(texts, expected, strict=True):
        tokens = tokenizer.tokens(text)
        assert (list(tokens.ids), list(tokens.tokens), list(tokens.offsets)) == (
            each.ids,
            each.tokens,
            each.offsets,
        )


def test_truncation_that_is_baked_in_is_ignored() -> None:
    baked = {"direction": "Left", "max_length": 2, "strategy": "OnlySecond", "stride": 1}
    padding = {"strategy": {"Fixed": 20}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
               "pad_type_id": 0, "pad_token": "[UNK]"}  # fmt: skip
    assert opened(words(truncation=baked, padding=padding), 3).ids(["a b a b", "b"]) == (
        [[1, 2, 1], [2]],
        [0],
    )


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_no_room_for_a_text(limit: int) -> None:
    said = f"has a max_tokens of {limit}, and the tokenizer adds 3 special tokens to a text: there is no room"
    with pytest.raises(sestina.BundleFormatError, match=said):
        opened(words(post_processor=template("[CLS] $A [SEP] [SEP]")), limit)
    both = {"type": "Sequence", "processors": [template("[CLS] $A"), template("$A [SEP] [SEP]")]}
    with pytest.raises(sestina.BundleFormatError, match=said):
        opened(words(post_processor=both), limit)


@pytest.mark.parametrize("single, taken", [
    ("[CLS] $A $A [SEP]", "['A', 'A']"),
    ("[CLS] [SEP]", "[]"),
    ("$B", "['B']"),
    ("$A $B", "['A', 'B']"),
])  # fmt: skip
def test_a_template_takes_the_text_once(single: str, taken: str) -> None:
    for post in (template(single), {"type": "Sequence", "processors": [template(single)]}):
        with pytest.raises(sestina.BundleFormatError) as caught:
            opened(words(post_processor=post))
        assert f"has a template with the texts {taken}; it must take the one text once" in str(caught.value)


def test_a_template_defines_its_special_tokens() -> None:
    with pytest.raises(sestina.BundleFormatError, match=r"does not define the special token '\[CLS\]'"):
        opened(words(post_processor=template("[CLS] $A", ())))
    with pytest.raises(
        sestina.BundleFormatError, match=r"more ids than tokens, or fewer, for the special token"
    ):
        opened(words(post_processor=template("[CLS] $A", ids=[3, 3])))


# Growth.

DOUBLING = replace("a", "aa")
GROWING: dict[str, Document] = {
    "doubling": words(normalizer=one_after_another(*[DOUBLING] * 60)),
    "doubling, added tokens": words(
        normalizer=one_after_another(*[DOUBLING] * 60),
        added_tokens=[{"id": 1, "content": "a", "single_word": False, "lstrip": False, "rstrip": False,
                       "normalized": True, "special": False}],
    ),
    "sequences in sequences": words(
        normalizer=one_after_another(*[one_after_another(*[one_after_another(*[DOUBLING] * 4)] * 4)] * 4)
    ),
    "one long replacement": words(normalizer=replace("a", "a" * 1_000)),
    "an expression": words(normalizer=replace({"Regex": ""}, "a" * 100)),
    "prepended": words(normalizer={"type": "Prepend", "prepend": "a" * 100_000}),
    "by Unicode": words(normalizer=one_after_another(*[replace("a", "ﷺ"), {"type": "NFKD"}] * 30)),
    "by Unicode alone": words(normalizer=one_after_another(*[{"type": "NFKD"}] * 30)),
    "by a table": words(normalizer={"type": "Precompiled", "precompiled_charsmap": charsmap("a" * 5_000)}),
    "without types": words(normalizer={"normalizers": [
        {"pattern": {"String": "a"}, "content": "aa"} for _ in range(30)
    ]}),
    "by bytes": words(pre_tokenizer={"type": "Sequence", "pretokenizers": [
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    ] * 30}),
    "by marks": words(pre_tokenizer={"type": "Sequence", "pretokenizers": [
        step
        for mark in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        for step in (
            {"type": "Metaspace", "replacement": mark, "prepend_scheme": "always", "split": False},
            {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
        )
    ]}),
}  # fmt: skip


@pytest.mark.parametrize("kind", GROWING)
def test_a_text_does_not_grow_without_bound(kind: str) -> None:
    begun = time.monotonic()
    with pytest.raises(sestina.BundleFormatError, match="makes more than (64|16384) characters of one"):
        opened(GROWING[kind])
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("table", [b"\xff" * 64, b"\x40\0\0\0" + b"\0" * 60, b"\x06\0\0\0" + b"\0" * 60])
def test_a_table_that_says_to_be_larger_than_it_is(table: bytes) -> None:
    """The library would take memory for all of it, and end the process where there is none."""
    step = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}
    for normalizer in (step, one_after_another(step), one_after_another(one_after_another(step))):
        with pytest.raises(
            sestina.BundleFormatError, match="has a precompiled_charsmap of 64 bytes, whose trie"
        ):
            opened(words(normalizer=normalizer))


def test_steps_without_end() -> None:
    with pytest.raises(sestina.BundleFormatError, match="has 9999 steps before its model; it may have 256"):
        opened(words(normalizer=one_after_another(*[{"type": "StripAccents"}] * 9999)))


def test_the_name_of_a_member_cannot_hide() -> None:
    content = json.dumps(GROWING["doubling, added tokens"]).encode()
    hidden = content.replace(b'"normalizer"', b'"normal\\u0069zer"')
    assert json.loads(hidden) == json.loads(content)
    with pytest.raises(sestina.BundleFormatError, match="makes more than 64 characters of one"):
        Tokenizer(hidden, 8)
    twice = content.replace(b'"normalizer"', b'"normalizer":{"type":"NFC"},"normalizer"')
    with pytest.raises(sestina.BundleFormatError, match="tokenizer.json has several normalizers"):
        Tokenizer(twice, 8)
    deep = content.replace(
        b'"normalizer": {', b'"normalizer": {"x":' + b"[" * 200_000 + b"]" * 200_000 + b","
    )
    with pytest.raises(sestina.BundleFormatError, match="nests too deep"):
        Tokenizer(deep, 8)


@pytest.mark.parametrize("normalizer", [
    normalizers.BertNormalizer(),
    normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
    normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
    normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.NFKD(), normalizers.StripAccents(),
                          normalizers.Lowercase(), normalizers.Replace(Regex(" {2,}"), " ")]),
], ids=itertools.count())  # fmt: skip
def test_what_real_tokenizers_do_is_allowed(normalizer: Any) -> None:
    assert opened(words(normalizer=json.loads(normalizer.__getstate__()))).ids(["a"]) == ([[1]], [])


# Failures of the library, at load and at every call.

AT_LOAD: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\xff\xfe{",
    "another document": b"[1, 2]",
    "no model": b'{"model": null}',
    "a model of no kind": json.dumps(words(model={"type": "Cat"})).encode(),
    "an unknown id outside": json.dumps(with_model(models.Unigram([("a", -1.0)], 0), unk_id=9)).encode(),
    "a prefix longer than a token": json.dumps(
        with_model(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]), continuing_subword_prefix="####")
    ).encode(),
    "a broken expression": json.dumps(
        words(normalizer={"type": "Replace", "pattern": {"Regex": "("}, "content": ""})
    ).encode(),
    "a broken table": json.dumps(
        words(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"})
    ).encode(),
}
UNKNOWN: dict[str, Document] = {
    "words": words("[NONE]"),
    "word pieces": with_model(models.WordPiece({"a": 0}, unk_token="[UNK]")),
    "pairs": with_model(models.BPE({"a": 0}, [], unk_token="<unk>")),
    "unigrams": with_model(models.Unigram([("a", -1.0)], None)),
}
GIVES_UP = words(pre_tokenizer={
    "type": "Split", "pattern": {"Regex": r"(a*)*(?=\W)"}, "behavior": "Isolated", "invert": False,
})  # fmt: skip


@pytest.mark.parametrize("kind", AT_LOAD)
def test_what_cannot_be_read(kind: str) -> None:
    with pytest.raises(sestina.BundleFormatError, match="^tokenizer.json cannot be read: ."):
        Tokenizer(AT_LOAD[kind], 8)


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_text_that_has_no_token(kind: str) -> None:
    tokenizer = opened(UNKNOWN[kind])
    assert tokenizer.ids(["a"])[0] == [[tokenizer.tokens("a").ids[0]]]
    for use in (lambda: tokenizer.ids(["a", "zzz", "a"]), lambda: tokenizer.tokens("zzz")):
        with pytest.raises(
            sestina.TextValueError, match="^the bundle's tokenizer has no tokens for the text 'zzz' "
        ):
            use()


def test_an_expression_that_gives_up() -> None:
    tokenizer = opened(GIVES_UP)
    for use in (lambda: tokenizer.ids(["b", "a" * 99]), lambda: tokenizer.tokens("a" * 99)):
        with pytest.raises(
            sestina.BundleFormatError, match="^the bundle's tokenizer fails on the text 'aaa"
        ) as caught:
            use()
        assert "retry-limit-in-match over" in str(caught.value)
        assert len(str(caught.value)) < 500
    assert tokenizer.ids(["b"]) == ([[2]], [])  # and works on


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_is_not_the_librarys_passes(kind: type[BaseException]) -> None:
    class Interrupted:
        def encode_batch_fast(self, texts: Any, **_: Any) -> Any:
            raise kind

        encode = encode_batch_fast

    tokenizer = opened(words())
    tokenizer._tokenizer = Interrupted()
    for use in (lambda: tokenizer.ids(["a"]), lambda: tokenizer.tokens("a")):
        with pytest.raises(kind):
            use()


def test_where_the_library_can_start_no_threads_texts_are_read_one_by_one() -> None:
    """It was told as a fault of the tokenizer and of a text."""

    class PanicException(BaseException):
        """As the library's, which nothing exports."""

    class Alone:
        def __init__(self, inner: Any) -> None:
            self.encode = inner.encode

        def encode_batch_fast(self, texts: Any, **_: Any) -> Any:
            raise PanicException(
                "The global thread pool has not been initialized.: ThreadPoolBuildError { .. }"
            )

    tokenizer = opened(words())
    texts = ["a b", "b", "", "a a a"]
    wanted = tokenizer.ids(texts)
    tokenizer._tokenizer = Alone(tokenizer._tokenizer)
    assert tokenizer.ids(texts) == wanted
    assert list(tokenizer.tokens("a b").ids) == wanted[0][0]


CALLS: dict[str, Callable[[sestina.Encoder, str], object]] = {
    "encode one": lambda encoder, text: encoder.encode(text),
    "encode": lambda encoder, text: encoder.encode(["a", text]),
    "stream": lambda encoder, text: list(encoder.stream(["a", text])),
    "hidden_states": lambda encoder, text: encoder.hidden_states(["a", text]),
    "tokenize": lambda encoder, text: encoder.tokenize(text),
    "explain": lambda encoder, text: encoder.explain(text),
    "similarity": lambda encoder, text: encoder.similarity("a", text),
    "verify": lambda encoder, text: encoder.verify(),
}


@pytest.mark.parametrize("document, error", [
    (words("[NONE]"), sestina.TextValueError), (GIVES_UP, sestina.BundleFormatError),
], ids=["unknown", "panic"])  # fmt: skip
def test_every_call_behind_the_wall(
    document: Document, error: type[Exception], own_bundle: Path, cli: Callable[..., Any]
) -> None:
    bad = "z " + "a" * 99
    with sestina.load(put(own_bundle, document), precision="fp32") as encoder:
        for name, call in CALLS.items():
            if name != "verify" or error is sestina.TextValueError:
                with pytest.raises(error):
                    call(encoder, bad)
        assert encoder.encode(["b", "b"]).shape == (2, 32)
    for arguments in (
        ("encode", own_bundle, bad),
        ("tokenize", own_bundle, bad),
        ("similar", own_bundle, "b", bad),
    ):
        outcome = cli(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.count("sestina: error: the bundle's tokenizer ") == 1
        assert "Traceback" not in outcome.err


@pytest.mark.parametrize("kind", ["a template", "a panic", "growth", "chance"])
def test_every_refusal_is_one_line(kind: str, own_bundle: Path, cli: Callable[..., Any]) -> None:
    document = {
        "a template": words(post_processor=template("[CLS] $A", ())),
        "a panic": json.loads(AT_LOAD["a prefix longer than a token"]),
        "growth": GROWING["doubling"],
        "chance": with_model(models.BPE({"a": 0}, [], dropout=0.1)),
    }[kind]
    put(own_bundle, document)
    with pytest.raises(sestina.BundleFormatError, match="^tokenizer.json "):
        sestina.load(own_bundle)
    for arguments in (("encode", own_bundle, "a"), ("tokenize", own_bundle, "a"), ("verify", own_bundle),
                      ("tokenize", own_bundle / "tokenizer.json", "a")):  # fmt: skip
        outcome = cli(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.splitlines()[-1].startswith("sestina: error: ")


# What Rust itself prints where it panics.

PANICS = json.loads(AT_LOAD["a prefix longer than a token"])


def process(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **variables}, timeout=60)


@pytest.mark.parametrize("arguments", [
    ("encode", "a"), ("encode", "b", "a" * 99), ("tokenize", "a" * 99), ("verify",), ("tokenizer.json", "a"),
], ids=itertools.count())  # fmt: skip
def test_the_command_line_says_one_line_alone(arguments: tuple[str, ...], own_bundle: Path) -> None:
    at_call = any(len(each) > 9 and " " not in each for each in arguments[1:])
    put(own_bundle, GIVES_UP if at_call else PANICS)
    if arguments[0] == "tokenizer.json":
        ended = process("-m", "sestina", "tokenize", own_bundle / arguments[0], *arguments[1:])
    else:
        ended = process("-m", "sestina", arguments[0], own_bundle, *arguments[1:])
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("sestina: error: ")
    assert ended.stderr.count("\n") == 1


def test_where_nobody_promised_one_line_nothing_is_hidden(own_bundle: Path) -> None:
    put(own_bundle, GIVES_UP)
    code = """
import os, sys, sestina
with sestina.load(sys.argv[1]) as encoder:
    before = os.fstat(2)
    try: encoder.encode(["b", "a" * 99])
    except sestina.BundleFormatError: sys.exit(5)
"""
    host = process("-c", code, own_bundle)
    assert host.returncode == 5
    assert "panicked at" in host.stderr
    debugged = process("-m", "sestina", "encode", own_bundle, "a" * 99, SESTINA_DEBUG="1")
    assert debugged.returncode == 2
    assert "panicked at" in debugged.stderr


def test_an_export_says_one_line_alone(tmp_path: Path, source: Path) -> None:
    own = shutil.copytree(source, tmp_path / "source")
    (own / "tokenizer.json").write_text(json.dumps(PANICS))
    ended = process("-m", "sestina", "export", own, tmp_path / "out.sestina")
    assert ended.returncode == 2
    assert ended.stderr.startswith("sestina: error: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="open descriptors are listed there")
def test_what_is_hidden_and_what_is_not() -> None:
    """Nested, from several threads, interrupted, and with standard error closed."""
    code = """
import os, sys, threading
from sestina._text.panics import panics
def say(text): os.write(2, text)
def told(text):
    with panics: say(text)
told(b"1")
with panics.hidden():
    say(b"2")
    told(b"-")
    with panics:
        told(b"-")
        thread = threading.Thread(target=told, args=(b"-",))
        thread.start(); thread.join()
        say(b"-")
    say(b"3")
    try:
        with panics: raise KeyboardInterrupt
    except KeyboardInterrupt: say(b"4")
    panics.__enter__()  # and an interrupt before the block
told(b"5")
with panics.hidden(): told(b"-")
before = sorted(os.listdir("/dev/fd"))
with panics.hidden(): told(b"-")
assert before == sorted(os.listdir("/dev/fd"))
os.close(2)
with panics.hidden():
    try: told(b"-")
    except OSError: sys.exit(6)
"""
    ended = process("-c", code)
    assert (ended.returncode, ended.stderr) == (6, "12345")


# The shortcut over a long text.


@pytest.mark.parametrize("normalizer, pre_tokenizer, kept", [
    (None, {"type": "WhitespaceSplit"}, " \n\t"),
    (replace("é", "e"), {"type": "WhitespaceSplit"}, " \n\t"),
    (replace({"Regex": " {2,}"}, " "), {"type": "WhitespaceSplit"}, " \n\t"),
    (replace(" ", ""), {"type": "WhitespaceSplit"}, ""),
    (replace({"Regex": r"\s"}, "x"), {"type": "WhitespaceSplit"}, ""),
    (one_after_another({"type": "NFC"}, replace(" ", "▁")), {"type": "WhitespaceSplit"}, ""),
    ({"type": "ByteLevel"}, {"type": "WhitespaceSplit"}, ""),
    (None, {"type": "Sequence", "pretokenizers": [
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": False},
        {"type": "WhitespaceSplit"},
    ]}, ""),
    (None, {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, {"type": "WhitespaceSplit"},
    ]}, " \n\t"),
])  # fmt: skip
def test_a_space_that_does_not_stay_ends_no_word(normalizer: Any, pre_tokenizer: Any, kept: str) -> None:
    document = words(normalizer=normalizer, pre_tokenizer=pre_tokenizer)
    quick, whole = opened(document, 4), opened(document, 4)
    assert quick._spaces == kept
    whole._spaces = ""
    texts = ["a " * 500, "b" * 300 + " a" * 300, "a b" * 400]
    assert quick.ids(texts) == whole.ids(texts)


def test_post_processors_of_every_kind() -> None:
    for post in (
        processors.BertProcessing(("[SEP]", 4), ("[CLS]", 3)),
        processors.RobertaProcessing(("[SEP]", 4), ("[CLS]", 3)),
        processors.Sequence([processors.ByteLevel(), processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="$A $B", special_tokens=[("[CLS]", 3), ("[SEP]", 4)]
        )]),
    ):  # fmt: skip
        tokenizer = opened(words(post_processor=json.loads(post.__getstate__())), 4)
        assert tokenizer.ids(["a b", "a b a", ""]) == ([[3, 1, 2, 4], [3, 1, 2, 4], [3, 4]], [1])
