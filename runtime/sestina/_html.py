"""What pages have in common: one file that needs nothing else, in light and dark, on any width."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --text: #1d2129; --back: #ffffff; --faint: #68707d; --rule: #d9dde3;
  --ours: #0b7a75; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7ec; --back: #14171c; --faint: #9aa3b0;
  --rule: #333a44; --ours: #3fc1b5; } }
body { margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--back); }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem; }
p, figcaption, li { color: var(--faint); } code { font-size: .9em; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
"""


def page(title: str, style: str, body: str, head: str = "") -> str:
    """The whole page.

    Args:
        title: Its name, as text.
        style: CSS, after what all pages share.
        body: HTML.
        head: HTML for the head, before anything that it may forbid.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        f'{head}<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def row(cell: str, values: Sequence[str]) -> str:
    """A row of a table, of texts; `cell` is "th" or "td"."""
    return f"<tr>{''.join(f'<{cell}>{escape(value)}</{cell}>' for value in values)}</tr>"
