"""Plots as SVG elements for a page that brings its own colours as CSS classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _NAMES, _VALUES = 800, 250, 125  # pixels: the plot, names on its left, numbers on its right
_ROW, _BAR = 24, 14
_SPAN = _WIDTH - _NAMES - _VALUES
_WHISKERS = 1.4  # times the longest bar that whiskers may reach


class Bar(NamedTuple):
    """One row: what it is called, its CSS class, lengths laid end to end, and the number shown."""

    name: str
    kind: str
    parts: list[float]
    label: str
    whisker: float | None = None  # a second value, beyond the bar


class Dot(NamedTuple):
    """One row: a ratio and the interval around it."""

    name: str
    kind: str
    value: float
    low: float
    high: float
    label: str


def bars(rows: Sequence[Bar], title: str) -> str:
    """Horizontal bars from 0. A whisker that leaves the plot has no end, so that it cannot crush the bars."""
    longest = max([sum(row.parts) for row in rows], default=0.0) or 1.0
    room = _WHISKERS if any(row.whisker is not None for row in rows) else 1.0
    return _figure(title, len(rows), _bars(rows, _SPAN / (room * longest)))


def _bars(rows: Sequence[Bar], scale: float) -> Iterator[str]:
    for at, row in enumerate(rows):
        y = at * _ROW + (_ROW - _BAR) / 2
        yield from _texts(at, row.name, row.label)
        x = float(_NAMES)
        for number, part in enumerate(row.parts):
            kind = f"{row.kind} part{number}" if len(row.parts) > 1 else row.kind
            yield f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{part * scale:.1f}" height="{_BAR}"/>'
            x += part * scale
        if row.whisker is not None:
            end, middle = _NAMES + row.whisker * scale, y + _BAR / 2
            yield _line("whisker", x, middle, min(end, _NAMES + _SPAN), middle)
            if end <= _NAMES + _SPAN:
                yield _line("whisker", end, y + 3, end, y + _BAR - 3)


def dots(rows: Sequence[Dot], title: str) -> str:
    """Ratios on a logarithmic axis with a line at 1."""
    values = [1.0, *(value for row in rows for value in (row.value, row.low, row.high) if value > 0)]
    low, high = math.log(min(values)), math.log(max(values))
    room = 0.04 * (high - low) or 0.1
    low, high = low - room, high + room

    def x(value: float) -> float:
        return _NAMES + _SPAN * (math.log(value) - low) / (high - low)

    return _figure(
        title, len(rows), _dots(rows, x(1.0), [(x(row.low), x(row.value), x(row.high)) for row in rows])
    )


def _dots(rows: Sequence[Dot], one: float, places: Sequence[tuple[float, float, float]]) -> Iterator[str]:
    yield _line("axis", one, 0, one, len(rows) * _ROW)
    for at, (row, (low, value, high)) in enumerate(zip(rows, places, strict=True)):
        y = at * _ROW + _ROW / 2
        yield from _texts(at, row.name, row.label)
        yield _line("whisker", low, y, high, y)
        yield f'<circle class="{row.kind}" cx="{value:.1f}" cy="{y:.1f}" r="5"/>'


def _texts(at: int, name: str, label: str) -> Iterator[str]:
    y = at * _ROW + _ROW / 2 + 4
    yield f'<text x="{_NAMES - 8}" y="{y:.1f}" text-anchor="end">{escape(name)}</text>'
    yield f'<text x="{_WIDTH}" y="{y:.1f}" text-anchor="end">{escape(label)}</text>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _figure(title: str, rows: int, elements: Iterator[str]) -> str:
    height = max(1, rows) * _ROW
    content = "\n".join(elements)
    label = escape(title, quote=True)
    return (
        f'<figure><figcaption>{escape(title)}</figcaption>\n<svg role="img" aria-label="{label}" '
        f'viewBox="0 0 {_WIDTH} {height}">\n{content}\n</svg></figure>'
    )
