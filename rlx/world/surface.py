"""The parts of a real text that can be measured and taken out: repeated sentences, lists, questions, and its tail.

Length cannot be deleted by itself. What stands in for it is the text beyond the first words: a score that grows with what
is said there, whatever it says, is a score of length. The groups do not overlap: a sentence belongs to the first that fits.
"""

import re

FIRST_WORDS = 50  # of a text; a sentence that begins after them is of its tail
REPEATED, LISTS, QUESTIONS, TAIL, HEAD = GROUPS = (
    "repeated sentences",
    "list items",
    "questions",
    "beyond 50 words",
    "first 50 words",
)
# A sentence with the blanks after it: up to . ! ? (with closing quotes or brackets) before a blank, or up to the end of a line.
_SENTENCE = re.compile(r"[^\n]*?(?:[.!?]+[\"'”’)\]]*(?=\s|\Z)\s*|\n\s*|\Z)")
_ITEM = re.compile(r"\s*(?:[-*•–]|\(?\d{1,3}[.)]|\(?[a-zA-Z]\))\s+\S")


def pieces(text: str) -> list[tuple[str, str]]:
    """(group, sentence with the blanks after it). A list item is its whole line."""
    found: list[tuple[str, str]] = []
    said: set[str] = set()
    words = 0
    for line in text.splitlines(keepends=True):
        item = _ITEM.match(line) is not None
        for sentence in [line] if item else _sentences(line):
            plain = " ".join(sentence.lower().split())
            if not plain:
                group = found[-1][0] if found else HEAD
            elif plain in said:
                group = REPEATED
            elif item:
                group = LISTS
            elif plain.rstrip("\"'”’)]").endswith("?"):
                group = QUESTIONS
            else:
                group = HEAD if words < FIRST_WORDS else TAIL
            said.add(plain)
            words += len(plain.split())
            found.append((group, sentence))
    return found


def _sentences(line: str) -> list[str]:
    return [match.group() for match in _SENTENCE.finditer(line) if match.group()]
