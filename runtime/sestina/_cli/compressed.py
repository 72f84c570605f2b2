"""Compressed inputs: told by their first bytes, read in bounded memory, refused where they are cut off."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from sestina._errors import InputError, MissingExtraError

SUFFIXES = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}

_PIECE = 1 << 16  # bytes that are read at once, and made at once where the library can be told so
# zstandard makes all that comes of a piece: up to 128 KiB of every three bytes, so 40 MiB of this.
_ZSTD_PIECE = 1 << 10
_MAGIC = {"gzip": b"\x1f\x8b", "xz": b"\xfd7zXZ\0", "zstd": b"\x28\xb5\x2f\xfd", "bzip2": b"BZh"}
_BLOCK = b"1AY&SY"  # of bzip2, after its first bytes and a digit, unless it holds nothing
_SKIPPABLE = b"*M\x18"  # of zstd, after a byte from P to _: what pzstd writes first


class _Step(NamedTuple):
    """What came of one piece: content, what of the piece is left, and whether the member has ended."""

    content: bytes
    left: bytes
    ended: bool


class _Kind(NamedTuple):
    """A compression: its members, one after the other, are the file.

    Attributes:
        piece: Bytes to read at once.
        begin: Makes what takes the pieces of one member.
        faults: What it raises where they are not as they should be.
        padded: Whether zero bytes may follow a member.
    """

    piece: int
    begin: Callable[[], Callable[[bytes], _Step]]
    faults: tuple[type[Exception], ...]
    padded: bool


def plain_name(path: str) -> str:
    """The path without the suffix of its compression, in lower case: its suffix says what is inside."""
    lower = path.lower()
    return lower.removesuffix(next((suffix for suffix in SUFFIXES if lower.endswith(suffix)), ""))


def opened(stream: BinaryIO, path: str, name: str) -> BinaryIO:
    """The stream itself, or what it holds in compressed form.

    Raises:
        InputError: Where the name says that it is compressed and its bytes say that it is not; and while it
            is read, where it is damaged or cut off.
        MissingExtraError: Where it needs a package that is not installed.
    """
    begin, stream = _first_bytes(stream)
    lower = path.lower()
    named = next((kind for suffix, kind in SUFFIXES.items() if lower.endswith(suffix)), None)
    found = _kind_of(begin, named)
    if found is None and named is None:
        return stream
    if found is None:
        state = "is empty" if not begin else "is not"
        raise InputError(f"{name} {state}, and is named as {named} is: rename it, or get it again")
    pieces = _Pieces(_content(stream, found, _kind(found, name), name))
    return io.BufferedReader(pieces, _PIECE)


def _first_bytes(stream: Any) -> tuple[bytes, BinaryIO]:
    """What tells a compression, and the stream with that still to come."""
    if not hasattr(stream, "peek"):
        if not stream.seekable():
            return b"", stream
        at = stream.tell()
        begin = stream.read(16)
        stream.seek(at)
        return begin, stream
    begin = bytes(stream.peek(16)[:16])
    if not _may_begin(begin):
        return begin, stream
    # The writer of a pipe hands over what it likes at a time, and peek does not wait for more.
    begin = b""
    while _may_begin(begin) and (piece := stream.read1(_PIECE)):
        begin += piece
    rest = iter(lambda: stream.read1(_PIECE), b"")
    return begin[:16], io.BufferedReader(_Pieces(chain([begin], rest)), _PIECE)


def _may_begin(begin: bytes) -> bool:
    """Whether more bytes may make a compression of these."""
    if begin.startswith(_MAGIC["bzip2"]):
        rest = begin[4:]
        return rest != _BLOCK and _BLOCK.startswith(rest)
    skippable = 0x50 <= (begin or b"P")[0] < 0x60 and len(begin) < 4 and _SKIPPABLE.startswith(begin[1:])
    return skippable or any(begin != magic and magic.startswith(begin) for magic in _MAGIC.values())


def _kind_of(begin: bytes, named: str | None) -> str | None:
    """None of these beginnings is UTF-8, but for bzip2's, and zstd's with a skippable frame."""
    if named == "zstd" and begin[1:4] == _SKIPPABLE and 0x50 <= begin[0] < 0x60:
        return "zstd"
    found = next((kind for kind, magic in _MAGIC.items() if begin.startswith(magic)), None)
    if found == "bzip2" and named != "bzip2" and begin[4:10] != _BLOCK:
        return None
    return found


def _kind(kind: str, name: str) -> _Kind:
    if kind == "gzip":
        import zlib

        return _Kind(_PIECE, lambda: _of_zlib(zlib.decompressobj(31)), (zlib.error,), padded=True)
    if kind == "bzip2":
        import bz2

        return _Kind(_PIECE, lambda: _of_bounded(bz2.BZ2Decompressor()), (OSError, ValueError), padded=False)
    if kind == "xz":
        import lzma

        return _Kind(_PIECE, lambda: _of_bounded(lzma.LZMADecompressor()), (lzma.LZMAError,), padded=True)
    try:  # of Python 3.14
        zstd: Any = importlib.import_module("compression.zstd")
    except ModuleNotFoundError:
        return _of_package(name)
    return _Kind(_PIECE, lambda: _of_bounded(zstd.ZstdDecompressor()), (zstd.ZstdError,), padded=False)


def _of_package(name: str) -> _Kind:
    try:
        import zstandard
    except ImportError:
        raise MissingExtraError(
            f'{name} is compressed by zstd: pip install zstandard, or "sestina[table]", to read it',
            name="zstandard",
        ) from None

    def begin() -> Callable[[bytes], _Step]:
        machine = zstandard.ZstdDecompressor().decompressobj()

        def step(piece: bytes) -> _Step:
            content = machine.decompress(piece)
            return _Step(content, machine.unused_data if machine.eof else b"", machine.eof)

        return step

    return _Kind(_ZSTD_PIECE, begin, (zstandard.ZstdError,), padded=False)


def _of_zlib(machine: Any) -> Callable[[bytes], _Step]:
    def step(piece: bytes) -> _Step:
        content = machine.decompress(piece, _PIECE)
        return _Step(content, machine.unused_data or machine.unconsumed_tail, machine.eof)

    return step


def _of_bounded(machine: Any) -> Callable[[bytes], _Step]:
    """Of a decompressor that keeps what it was given and has not used."""
    kept = False

    def step(piece: bytes) -> _Step:
        nonlocal kept
        content = machine.decompress(b"" if kept else piece, _PIECE)
        kept = not machine.eof and not machine.needs_input
        return _Step(content, machine.unused_data if machine.eof else piece if kept else b"", machine.eof)

    return step


def _content(stream: BinaryIO, called: str, kind: _Kind, name: str) -> Iterator[bytes]:
    """What the members hold, in pieces that are never empty."""
    left = b""
    first = True
    while True:
        while not left:
            left = stream.read(kind.piece)
            if not left:
                return
            if kind.padded and not first:
                left = left.lstrip(b"\0")
        if not first and not _begins(left, called):
            raise InputError(
                f"{name} has something after its end that is not {called}: get it again, or cut that off"
            )
        step, ended, first = kind.begin(), False, False
        while not ended:
            left = left or stream.read(kind.piece)
            if not left:
                raise InputError(f"{name} is cut off: its {called} data does not end; get the whole file")
            try:
                content, left, ended = step(left)
            except kind.faults as error:
                raise InputError(f"{name} is damaged: its {called} data cannot be read: {error}") from None
            if content:
                yield content
        left = left.lstrip(b"\0") if kind.padded else left


def _begins(left: bytes, called: str) -> bool:
    """Whether another member begins; of a few bytes at the end of a piece, whether it may."""
    if called == "zstd" and 0x50 <= left[0] < 0x60:
        return _SKIPPABLE.startswith(left[1:4])
    magic = _MAGIC[called]
    return left.startswith(magic) or magic.startswith(left)


class _Pieces(io.RawIOBase):
    """An iterator of bytes as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """As many bytes as there are at hand; 0 at the end."""
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
