"""Byte Pair Encoding: what it learns, that it loses no text, and what its command line refuses."""

from __future__ import annotations

import gzip
import itertools
import json
import lzma
import os
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from sestina_model import bpe
from sestina_model._errors import ConfigError, FileError, ModelError

ENGLISH = bpe.english()
REFERENCE = "the Transformer is an innovative NLP model !"
MARK = "Ġ"  # what the byte-level alphabet writes for a space: the boundary mark

# Derandomised and without a database: the same examples on every machine, nothing written.
fixed = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def random_lines(n_lines: int = 2000) -> list[str]:
    """Seeded text with many equally frequent pairs, where an unstable order would show."""
    rng = random.Random(7)
    words = ["".join(rng.choices("abcdefgé日👩", k=rng.randint(1, 7))) for _ in range(900)]
    return [" ".join(rng.choices(words, k=12)) + rng.choice([".", " !", "?"]) for _ in range(n_lines)]


def squeezed(text: str) -> str:
    return "".join(text.split())


def without_marks(tokens: list[str]) -> list[str]:
    return [token.removeprefix(MARK) for token in tokens]


# The committed English tokenizer


def test_english_reproduces_the_reference_example_exactly() -> None:
    encoding = ENGLISH.encode(REFERENCE)
    assert " | ".join(without_marks(encoding.tokens)) == (
        "the | transform | er | is | an | innovative | n | l | p | model | !"
    )
    assert len(encoding.ids) == 11
    assert " | ".join(REFERENCE[start:end] for start, end in encoding.offsets) == (
        "the | Transform | er | is | an | innovative | N | L | P | model | !"
    )


def test_english_marks_the_start_of_each_word() -> None:
    starts = [token.startswith(MARK) for token in ENGLISH.encode("the Transformer is!").tokens]
    assert starts == [True, True, False, True, True]  # the | transform er | is | !


def test_punctuation_is_the_same_token_with_and_without_a_space_before_it() -> None:
    assert ENGLISH.encode("a model!").ids == ENGLISH.encode("a model !").ids


def test_english_has_about_twelve_thousand_entries_and_every_byte() -> None:
    assert ENGLISH.get_vocab_size() == 12_000
    assert sorted(ENGLISH.get_vocab().values()) == list(range(12_000))
    assert set(bpe._ALPHABET) <= ENGLISH.get_vocab().keys()
    assert len(bpe._ALPHABET) == 256


def test_english_is_a_fresh_copy_at_each_call() -> None:
    changed = bpe.english()
    changed.enable_truncation(3)
    assert len(changed.encode(REFERENCE).ids) == 3
    assert len(bpe.english().encode(REFERENCE).ids) == 11


def test_english_file_carries_no_padding_truncation_or_added_token() -> None:
    state = json.loads(ENGLISH.to_str())
    assert (state["truncation"], state["padding"], state["added_tokens"]) == (None, None, [])
    assert state["post_processor"] is None
    assert state["model"]["unk_token"] is None


def test_pad_is_id_zero_and_cannot_be_typed() -> None:
    assert ENGLISH.token_to_id(bpe.PAD) == bpe.PAD_ID == 0
    for text in ("<pad>", "a <pad> b", "<pad><pad>", " <PAD> "):
        encoding = ENGLISH.encode(text)
        assert 0 not in encoding.ids
        assert "<pad>" in squeezed(ENGLISH.decode(encoding.ids))


@pytest.mark.parametrize("text", ["", " ", "\n\t \u3000"])
def test_text_without_words_has_no_tokens(text: str) -> None:
    assert ENGLISH.encode(text).ids == []


# No text is lost


@fixed
@given(st.text())
def test_any_text_is_known_and_comes_back(text: str) -> None:
    encoding = ENGLISH.encode(text)
    assert all(0 < i < 12_000 for i in encoding.ids)
    # The tokenizer's own normalizer is the measure: Python's unicode tables may be of another version.
    assert squeezed(ENGLISH.decode(encoding.ids)) == squeezed(ENGLISH.normalizer.normalize_str(text))


@fixed
@given(st.text(alphabet=st.characters(max_codepoint=0x2FF)))
def test_normalised_lower_case_text_comes_back_as_it_was(text: str) -> None:
    text = unicodedata.normalize("NFKC", "".join(c.lower() for c in unicodedata.normalize("NFKC", text)))
    assert squeezed(ENGLISH.decode(ENGLISH.encode(text).ids)) == squeezed(text)


@fixed
@given(st.text())
def test_offsets_lie_in_the_text_in_order(text: str) -> None:
    offsets = ENGLISH.encode(text).offsets
    assert all(0 <= start < end <= len(text) for start, end in offsets)
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(offsets))


@fixed
@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_offsets_cover_every_character_of_plain_text_once(text: str) -> None:
    encoding = ENGLISH.encode(text)
    # A mark that merged with nothing is a token of its own, and points at the first character of its word.
    spans = [span for token, span in zip(encoding.tokens, encoding.offsets, strict=True) if token != MARK]
    assert "".join(text[start:end] for start, end in spans) == squeezed(text)


def test_offsets_point_into_the_original_not_the_normalised_text() -> None:
    text = "Ｔｈｅ  ﬁne👩‍👩‍👧\u3000MODEL"
    encoding = ENGLISH.encode(text)
    spans = {token: text[slice(*span)] for token, span in zip(encoding.tokens, encoding.offsets, strict=True)}
    assert spans[MARK + "the"] == "Ｔｈｅ"
    assert spans[MARK + "model"] == "MODEL"
    assert spans[MARK + "fine"] == "ﬁne"
    assert {text[start:end] for start, end in encoding.offsets} >= {"👩", "👧", "\u200d"}


# Training


def test_training_learns_the_frequent_pairs_first() -> None:
    tokenizer = bpe.train(["low low low low lower"], vocab_size=259)
    assert [tokenizer.id_to_token(i) for i in (257, 258)] == ["lo", MARK + "lo"]


def test_training_is_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = random_lines()
    first = bpe.train(lines, vocab_size=900).to_str()
    assert bpe.train(iter(lines), vocab_size=900).to_str() == first
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    assert bpe.train(lines, vocab_size=900).to_str() == first
    assert bpe.train(lines[:-100], vocab_size=900).to_str() != first  # the comparison can tell


def test_training_keeps_pad_out_of_texts() -> None:
    tokenizer = bpe.train(["<pad> <pad> <pad>"] * 9, vocab_size=400)
    assert tokenizer.token_to_id("<pad>") == 0
    assert 0 not in tokenizer.encode("<pad>").ids


def test_training_on_little_text_gives_what_there_is() -> None:
    assert bpe.train([]).get_vocab_size() == 257
    assert bpe.train(["ab", "ab"]).encode("日本 ab").ids[-1] == bpe.train(["ab", "ab"]).get_vocab_size() - 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab_size": 256}, "vocab_size is 256; it must be a whole number of at least 257"),
        ({"vocab_size": True}, "vocab_size is True; it must be a whole number of at least 257"),
        ({"min_frequency": 0}, "min_frequency is 0; it must be a whole number of at least 1"),
    ],
)
def test_training_refuses_numbers_too_small(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bpe.train(["a"], **arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("one text", "lines is one str; pass an iterable of lines, as in [text]"),
        (["a", b"b"], "line 2 is bytes; it must be str: decode it first"),
        (
            ["a \ud800"],
            "line 1 holds the lone surrogate '\\ud800'; decode the text with errors='replace'",
        ),
    ],
)
def test_training_refuses_what_is_not_text(lines: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bpe.train(lines)
    assert str(caught.value) == message


# The command line


def run(*arguments: str | Path) -> int:
    return bpe.main([str(argument) for argument in arguments])


def test_command_reads_plain_xz_and_gz_and_writes_the_tokenizer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = random_lines(90)
    parts = ["\n".join(lines[i : i + 30]) + "\n" for i in (0, 30, 60)]
    (tmp_path / "a.txt").write_text("\ufeff" + parts[0], encoding="utf-8")  # as Windows editors write it
    (tmp_path / "b.xz").write_bytes(lzma.compress(parts[1].encode()))
    (tmp_path / "c.gz").write_bytes(gzip.compress(parts[2].encode()))
    output = tmp_path / "out.json"
    inputs = [tmp_path / name for name in ("a.txt", "b.xz", "c.gz")]
    assert run(*inputs, "--output", output, "--vocab-size", "300") == 0
    assert output.read_text(encoding="utf-8") == bpe.train(lines, vocab_size=300).to_str() + "\n"
    assert capsys.readouterr() == (f"{output}: 300 entries from 90 lines\n", "")  # no bar in a pipe
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.xz", "c.gz", "out.json"]


def test_command_as_a_module_on_standard_input_with_one_thread(tmp_path: Path) -> None:
    lines = random_lines(200)
    output = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, "-m", "sestina_model.bpe", "-", "--output", output, "--vocab-size", "400"],
        input="\n".join(lines).encode(),
        env={**os.environ, "RAYON_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert Tokenizer.from_file(str(output)).to_str() == bpe.train(lines, vocab_size=400).to_str()


def test_command_follows_a_link_to_the_file_it_replaces(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("ab ab", encoding="utf-8")
    (tmp_path / "real.json").write_text("old", encoding="utf-8")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    assert run(tmp_path / "in.txt", "--output", tmp_path / "link.json") == 0
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text(encoding="utf-8"))["model"]["type"] == "BPE"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.txt", b"fine\nbroken \xff\n", "line 2 has the byte 0xff, not UTF-8; convert the file to UTF-8"),
        ("bad.xz", b"plain text", "cannot be read (Input format not supported by decoder); INPUT must be"),
        ("cut.xz", lzma.compress(b"a\n" * 9999)[:-20], "cannot be read (Compressed file ended before"),
        ("bad.gz", b"plain text", "cannot be read (Not a gzipped file (b'pl')); INPUT must be"),
        (
            "cut.gz",
            gzip.compress(b"a\n" * 9999, mtime=0)[:-12],
            "cannot be read (Compressed file ended before",
        ),
        ("empty.txt", b"", "holds no line; there is nothing to learn from"),
    ],
)
def test_command_names_the_bad_input_and_keeps_the_old_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    output = tmp_path / "out.json"
    output.write_text("old", encoding="utf-8")
    assert run(tmp_path / name, "--output", output) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / name} {message}")
    assert error.count("\n") == 1
    assert output.read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "out.json"])


def test_command_refuses_missing_input_before_reading_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    for missing in (tmp_path / "absent.txt", tmp_path):
        assert run(tmp_path / "bad.txt", missing, "--output", tmp_path / "out.json") == 1
        assert capsys.readouterr().err == (
            f"error: {missing} is not a file that can be read; "
            "INPUT must be text files, or - for standard input\n"
        )


def test_command_refuses_an_output_that_cannot_be_written_before_reading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.txt").write_text("ab ab", encoding="utf-8")
    monkeypatch.setattr(bpe, "train", lambda *a, **k: pytest.fail("work began"))
    for output, message in (
        (tmp_path / "absent" / "out.json", "cannot be written (No such file or directory); choose another"),
        (tmp_path / "in.txt" / "out.json", "cannot be written (Not a directory); choose another --output"),
        (tmp_path, "is not a regular file; --output must name a file to write or replace"),
        (Path(os.devnull), "is not a regular file; --output must name a file to write or replace"),
    ):
        assert run(tmp_path / "in.txt", "--output", output) == 1
        assert capsys.readouterr().err.startswith(f"error: {output} {message}")
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_command_reports_a_full_disk_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("ab ab", encoding="utf-8")
    output = tmp_path / "out.json"
    # What the temporary file is opened as leads to the device that is always full.
    (tmp_path / f".out.json.{os.getpid()}.tmp").symlink_to("/dev/full")
    assert run(tmp_path / "in.txt", "--output", output) == 1
    assert capsys.readouterr().err == (
        f"error: {output} cannot be written (No space left on device); choose another --output\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


def test_command_interrupted_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "in.txt").write_text("ab ab", encoding="utf-8")
    monkeypatch.setattr(bpe, "train", interrupted)
    assert run(tmp_path / "in.txt", "--output", tmp_path / "out.json") == 130
    assert capsys.readouterr().err == "interrupted: nothing was written\n"
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


def test_command_with_a_vocabulary_too_small_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("ab", encoding="utf-8")
    assert run(tmp_path / "in.txt", "--output", tmp_path / "out.json", "--vocab-size", "9") == 1
    assert capsys.readouterr().err == "error: vocab_size is 9; it must be a whole number of at least 257\n"


def test_command_usage_errors_exit_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("in.txt")
    assert caught.value.code == 2
    assert "--output" in capsys.readouterr().err


def test_file_errors_are_os_errors_of_this_package() -> None:
    assert issubclass(FileError, OSError)
    assert issubclass(FileError, ModelError)
