"""A page of HTML from a template: no script, no file beside it, and every text that a model or a user wrote is escaped."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rlx.reporting.figure.gallery import FigureFile


class Picture(NamedTuple):
    """A figure as a template shows it. `image`: the PNG in base64, or None where the figure was not drawn."""

    name: str
    title: str
    caption: str
    image: str | None


def page(template: str, **values: Any) -> str:
    """Return the HTML of rlx/reporting/`template` with `values`. A value that the template lacks is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return storable(environment.get_template(template).render(**values))


def storable(text: str) -> str:
    """Return `text` as UTF-8 can hold it: halves of characters, as a name on the command line that is no UTF-8 has, become
    \\udXXX."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def pictures(figures: Sequence[FigureFile]) -> list[Picture]:
    """Return the figures with their images inside."""
    return [
        Picture(
            figure.name,
            figure.title,
            figure.caption,
            base64.b64encode(figure.path.read_bytes()).decode() if figure.path else None,
        )
        for figure in figures
    ]


def drawn(figures: Sequence[FigureFile]) -> list[Picture]:
    """Return those of the figures that were drawn, with their images inside."""
    return [picture for picture in pictures(figures) if picture.image is not None]
