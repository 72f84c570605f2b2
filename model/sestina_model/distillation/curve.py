"""The learning curve: JSON lines while it grows, and a drawing of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sestina_model._errors import FileError

__all__ = ["Curve", "draw"]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _GAP = 760, 230, 56, 150, 34, 54  # pixels, of each of two panels
_COLOURS = ("#1b6ca8", "#c4521a", "#3b8132", "#7a4fa3", "#8a6d1f")  # told apart in print and by most eyes
_TICKS = 5


class Curve:
    """curve.jsonl and curve.svg in a run's folder.

    Lines of steps that a kill undid are dropped when the run is resumed, so each step stands once.
    """

    def __init__(self, folder: Path, *, step: int) -> None:
        self._lines, self._drawing = folder / "curve.jsonl", folder / "curve.svg"
        self.points: list[dict[str, Any]] = [point for point in self._read() if point["step"] <= step]
        self._replace(self._lines, "".join(json.dumps(point) + "\n" for point in self.points))

    def add(self, point: Mapping[str, Any]) -> None:
        """Append a line.

        Raises:
            FileError: Where it cannot be written.
        """
        self.points.append(dict(point))
        try:
            with self._lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(point) + "\n")
        except OSError as error:
            raise FileError(f"{self._lines} cannot be written: {error.strerror or error}") from error

    def draw(self) -> None:
        """Draw what there is."""
        self._replace(self._drawing, draw(self.points))

    def _read(self) -> list[dict[str, Any]]:
        try:
            lines = self._lines.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise FileError(f"{self._lines} cannot be read: {error.strerror or error}") from error
        # A kill may cut the last line short: its step is done again.
        return [json.loads(line) for line in lines if line.endswith("}")]

    def _replace(self, path: Path, text: str) -> None:
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            temporary.write_text(text, encoding="utf-8", newline="\n")
            temporary.replace(path)
        except OSError as error:
            raise FileError(f"{path} cannot be written: {error.strerror or error}") from error


def draw(points: Sequence[Mapping[str, Any]]) -> str:
    """Two panels over tokens read: dev scores above, losses below. Returns: an SVG document."""
    scores: dict[str, list[tuple[float, float]]] = {}
    losses: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        for name, value in (point.get("dev") or {}).items():
            scores.setdefault(name, []).append((point["tokens"], value))
        if "loss" in point:
            for name in ("loss", "cosine", "similarity"):
                losses.setdefault(name, []).append((point["tokens"], point[name]))
    furthest = max((point["tokens"] for point in points), default=0) or 1
    height = 2 * (_TOP + _HEIGHT) + 2 * _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'font-family="sans-serif" font-size="12">'
    )
    return "\n".join(
        [
            head,
            "<title>Learning curve: dev scores and losses over tokens read</title>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
            *_panel("Dev scores (times 100)", scores, furthest, 0),
            *_panel("Losses", losses, furthest, _TOP + _HEIGHT + _GAP),
            "</svg>\n",
        ]
    )


def _panel(
    title: str, lines: Mapping[str, Sequence[tuple[float, float]]], furthest: float, y: int
) -> list[str]:
    values = [value for line in lines.values() for _, value in line]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.5
    low, high = low - room, high + room
    right, bottom = _WIDTH - _RIGHT, y + _TOP + _HEIGHT

    def place(tokens: float, value: float) -> tuple[float, float]:
        across = _LEFT + (right - _LEFT) * tokens / furthest
        return across, bottom - _HEIGHT * (value - low) / (high - low)

    out = [f'<text x="{_LEFT}" y="{y + _TOP - 12}" font-weight="bold">{escape(title)}</text>']
    for tick in range(_TICKS):
        share = tick / (_TICKS - 1)
        value, tokens = low + share * (high - low), share * furthest
        _, level = place(0, value)
        across, _ = place(tokens, low)
        out += [
            f'<line x1="{_LEFT}" x2="{right}" y1="{level:.1f}" y2="{level:.1f}" stroke="#ddd"/>',
            f'<text x="{_LEFT - 6}" y="{level + 4:.1f}" text-anchor="end">{value:.3g}</text>',
            f'<text x="{across:.1f}" y="{bottom + 18}" text-anchor="middle">{_short(tokens)}</text>',
        ]
    out.append(f'<text x="{right + 12}" y="{bottom + 18}" fill="#555">tokens</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{across:.1f},{level:.1f}" for across, level in (place(*point) for point in line))
        level = y + _TOP + 12 + 18 * number
        label = f"{name} {line[-1][1]:.4g}"
        out += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>',
            f'<text x="{right + 12}" y="{level}" fill="{colour}">{escape(label)}</text>',
        ]
    return out


def _short(tokens: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.0f}"
