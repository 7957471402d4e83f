"""The README.md of a trained policy: what it is, how it was measured, how to load it, whom to cite."""

import html
import re
from pathlib import Path

import yaml

from rlx.core.paper import Paper
from rlx.core.signature import constant
from rlx.reporting.description import describe, model_name
from rlx.reporting.evidence import gather
from rlx.reporting.judges import about_gold, about_proxy
from rlx.reporting.page import storable
from rlx.reporting.table import artefacts, measured
from rlx.reporting.verdict import bounds, number, verdict
from rlx.run.record import RunRecord

GROUPS = ("optimizer", "reward", "cleaner", "attribution", "reference", "regularizer", "world", "model")


def model_card(record: RunRecord) -> str:
    """Markdown with the front matter of the Hugging Face Hub. The licence is that of the base model, which we do not
    know: it says so. Of an unfinished run it says that too."""
    judged = verdict(gather(record))
    parts = [
        front_matter(record),
        f"# {html.escape(record.path.name)}",
        describe(record),
        " ".join(filter(None, (f"**{judged.headline}.**", *judged.sentences, about_proxy(record), about_gold(record)))),
        "Intervals are 95 %, over the held-out prompts of this one run. SD is the standard deviation over the "
        "completions of the policy that training started from. The whole story, with texts to read, is in the "
        "run's `report.html`.",
        unchanged(record),
        "## Use",
        use(record),
        "## Numbers",
        numbers(record),
        "## Data and origin",
        origin(record),
        "## Intended use and limits",
        "Made to study how far a policy can be optimised against a learnt reward before it gets worse. It has not been "
        "examined for safety, bias or truthfulness, and its scores say nothing about prompts of another kind than "
        "those it was measured on.",
        "## Citation",
        citations(record),
    ]
    return storable("\n\n".join(part for part in parts if part) + "\n")


def front_matter(record: RunRecord) -> str:
    """The YAML block that the Hub reads."""
    path = (record.config.get("model") or {}).get("path")
    content = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "license": "other",
        "license_name": "as-the-base-model",
        **({"base_model": path} if is_hub_id(path) else {}),  # the Hub refuses a card that names a folder
        "tags": ["rlx", "rlhf", *(f"{group}:{record.choice(group)}" for group in groups_of(record))],
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---"


def is_hub_id(path: str | None) -> bool:
    """Whether `path` reads as owner/name and no such folder is here."""
    return bool(path and re.fullmatch(r"[\w.-]+/[\w.-]+", path)) and not Path(str(path)).exists()


def unchanged(record: RunRecord) -> str:
    """What the weights of a best-of-n run are, which the numbers are not of."""
    if record.best_of is None or record.distilled:
        return ""
    return (
        f"**The weights here are those of the start policy, unchanged.** Best-of-n is a way to sample: the numbers are of "
        f"the best of {record.best_of} completions by the reward models, not of one completion of this model. "
        "`optimizer.distill=true` makes a model of them."
    )


def use(record: RunRecord) -> str:
    """Code that loads it."""
    prompt = record.samples[0]["prompt"] if record.samples else None
    if isinstance(prompt, list | tuple):
        ask = "messages = [{'role': 'user', 'content': '...'}]\n"
        ask += "form = {'add_generation_prompt': True, 'return_tensors': 'pt', 'return_dict': True}\n"
        ask += "ids = tokenizer.apply_chat_template(messages, **form)"
    else:
        ask = "ids = tokenizer('...', return_tensors='pt')  # a prompt as those of the world that it was trained in"
    return (
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        "path = '.'  # this directory\n"
        "tokenizer = AutoTokenizer.from_pretrained(path)\nmodel = AutoModelForCausalLM.from_pretrained(path)\n"
        f"{ask}\nout = model.generate(**ids, do_sample=True, max_new_tokens=64)\n"
        "print(tokenizer.decode(out[0, ids['input_ids'].shape[1]:], skip_special_tokens=True))\n```"
    )


def numbers(record: RunRecord) -> str:
    """The final measurement where there is one; else start and end along training."""
    final = {
        name: value
        for name, value in record.summary.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if final:
        rows = [
            f"| `{name}` | {number(value)}{bounds(final[f'{name}_low'], final[f'{name}_high'])} |"
            if f"{name}_low" in final and f"{name}_high" in final
            else f"| `{name}` | {number(value)} |"
            for name, value in final.items()
            if not name.endswith(("_low", "_high"))
        ]
        return "\n".join(["| held-out, final policy | |", "|---|---:|", *rows])
    rows = [f"| {label} | {first} | {last} |" for label, first, last in measured(record)]
    return "\n".join(["| held-out mean of | start | last |", "|---|---:|---:|", *rows]) if rows else "Not measured."


def origin(record: RunRecord) -> str:
    """Where it comes from, and the command that makes it again."""
    provenance = record.provenance
    git = provenance.get("git") or {}
    world = {key: value for key, value in (record.config.get("world") or {}).items() if key != "_target_"}
    packages = ", ".join(f"{name} {version}" for name, version in (provenance.get("packages") or {}).items())
    lines = [
        f"- base model: {model_name(record)}",
        f"- data: world {record.choice('world')}, data seed {record.config.get('data_seed')}, "
        + ", ".join(f"{key} {value}" for key, value in world.items() if value is not None),
        f"- seed: {record.config.get('seed')}",
    ]
    if isinstance(git, dict) and git.get("commit"):
        lines.append(f"- commit: `{git['commit']}`{' with uncommitted changes' if git.get('dirty') else ''}")
    lines += [f"- packages: {packages}"] if packages else []
    lines += [f"- {name}: `{address}`" for name, address in artefacts(record)]
    command = str(provenance.get("command") or "")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))  # which nothing in it closes
    text = html.escape("\n".join(lines), quote=False)
    return text + (f"\n\n{fence}\n{command}\n{fence}" if command else "")


def groups_of(record: RunRecord) -> list[str]:
    """The groups that a card names: those whose default is to do nothing only where they did something."""
    idle = {"cleaner": not record.cleaning, "attribution": not any(member.get("held_to") for member in record.members)}
    return [group for group in GROUPS if not idle.get(group)]


def papers_of(target: str) -> list[Paper]:
    """The papers that a choice's class names, e.g. `papers = (Paper(title, authors, year, arxiv),)`."""
    named = constant(target, "papers")
    return [paper for paper in named if isinstance(paper, Paper)] if isinstance(named, tuple) else []


def citations(record: RunRecord) -> str:
    """BibTeX of the methods that the run used, and a line for rlx itself."""
    targets = [str((record.config.get(group) or {}).get("_target_", "")) for group in groups_of(record)]
    papers = dict.fromkeys(paper for target in targets for paper in papers_of(target))
    entries = [paper.bibtex() for paper in papers]
    return (
        "Made with rlx. The methods:\n\n```bibtex\n" + "\n\n".join(entries) + "\n```" if entries else "Made with rlx."
    )
