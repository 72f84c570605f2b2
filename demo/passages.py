"""A real text collection that every Python carries: the paragraphs of its language reference.

python demo/passages.py > passages.txt
"""

import sys
from pydoc_data.topics import topics

SHORTEST = 12  # words; shorter paragraphs are headings and grammar rules


def main() -> None:
    """Print one paragraph a line, each once, in the order of the reference."""
    seen = set()
    for _, text in sorted(topics.items()):
        for paragraph in text.split("\n\n"):
            line = " ".join(paragraph.split())
            if len(line.split()) >= SHORTEST and line not in seen:
                seen.add(line)
                sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
