"""The paper that a choice comes from, as its class names it and a model card cites it."""

from typing import NamedTuple


class Paper(NamedTuple):
    """`authors` as BibTeX has them; `arxiv` is the number alone."""

    title: str
    authors: str
    year: int
    arxiv: str

    def bibtex(self) -> str:
        """Return the BibTeX entry."""
        return (
            f"@article{{arxiv{self.arxiv.replace('.', '')},\n  title = {{{self.title}}},\n  author = {{{self.authors}}},\n"
            f"  year = {{{self.year}}},\n  journal = {{arXiv preprint arXiv:{self.arxiv}}}\n}}"
        )
