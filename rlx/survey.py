"""`rlx survey`: which factors matter in a table, what three models say of it, and what holding one to a reference does."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rlx.artefact.store import Store
from rlx.core.error import UserError, nearest
from rlx.process import atomic
from rlx.process.logs import speak
from rlx.reporting.survey import draw_survey, render_survey, shown, summary, table
from rlx.tabular.settings import SurveySettings
from rlx.tabular.study import Study, source_of

log = logging.getLogger(__name__)


def run(settings: SurveySettings, directory: Path) -> int:
    """Fit what is not in the store, then write survey.json, report.html and figures/ into `directory`; return 0.

    Raises UserError, with nothing written, for a file, a column or a factor that cannot be used.
    """
    speak()
    source = source_of(settings)
    for group in settings.prior:
        if group not in source.groups:
            raise UserError(f"prior: no factor or group called {group!r}{nearest(group, source.groups)}")
    source.parts(settings.seeds[0])  # reads a file whole, so that what is wrong with it is said now
    study = Study(settings, source, Store(Path(settings.cache_dir).expanduser()))
    recipes, seeds = study.recipes(), [*settings.choosing_seeds, *settings.seeds]
    there = sum(study.store.has(recipe, seed) for recipe in recipes for seed in seeds)
    log.info("%d fits, %d of them are there", len(recipes) * len(seeds), there)
    rows = study.run()
    found = study.findings(rows) | {"settings": asdict(settings), "fits": rows}
    figures = list(draw_survey(found, directory / "figures"))
    atomic.write(directory / "survey.json", json.dumps(found, indent=1) + "\n")
    atomic.write(directory / "report.html", render_survey(found, figures))
    headings, cells = table(shown(found))
    lines = Table(*headings, box=SIMPLE_HEAD)
    for row in cells:
        lines.add_row(*row)
    console = Console(highlight=False)
    console.width = max(console.width, 120)
    console.print(lines)
    print("\n".join(summary(found)))
    print(f"Report: {directory / 'report.html'}")
    return 0
