"""The book of rules over a zoo: how far is each rule of thumb from the count?

    python benchmarks/rules.py [-o docs/rules.md] [--limit N]

Every network of the coverage zoo is counted at one batch, once for a training step with AdamW and
once for inference, and every rule that applies to it is divided by the count beside it. The page
gives median and 5-95 % by what the networks are made of; ``botec/rules/measured.toml`` keeps the
figures that ``botec rules`` prints.

One process for each network; what is done is kept in ``build/rules.jsonl``, and a later run goes on
from there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from coverage import Case, cases, fresh, one_line

from botec.analyses.figures import Answers, figures
from botec.analyses.rulings import rulings
from botec.errors import BotecError
from botec.program import Setting
from botec.rules.book import Rule, book

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "rules.jsonl"
SHIPPED = ROOT / "botec" / "rules" / "measured.toml"
PATIENCE = 240
SIZES = {"B": 8, "S": 512}
MODES = {"train": Setting(train=True, optimizer="adamw"), "infer": Setting(train=False)}
FEWEST = 5  # networks a group has before it gets a line


# -- one network ----------------------------------------------------------------------------------


def held(case: Case) -> dict[str, Any]:
    """Rule ÷ count of one network, by mode and rule, with what it is made of."""
    row: dict[str, Any] = {"model": case.model, "library": case.library, "family": case.family}
    for mode, setting in MODES.items():
        try:
            row[mode], row["made of"] = ratios(case, setting)
        except BotecError as error:
            row["reason"] = one_line(error.seen)
        except Exception as error:
            row["reason"] = one_line(f"{type(error).__name__}: {error}")
    return row


def ratios(case: Case, setting: Setting) -> tuple[dict[str, float], str]:
    """Every rule that applies, divided by the count; and the kind of the network."""
    from botec.read.doors import open_source

    source = open_source(case.model, setting.train)
    most = {**dict.fromkeys(source.defaults, 2**40), **source.most}
    point = {name: min(SIZES.get(name, size), most[name]) for name, size in source.defaults.items()}
    program = fresh(source, point, setting)
    answers = Answers(program)
    found = rulings(answers, figures(answers), book())
    given = {one.rule.name: one.ratio for one in found if one.ratio is not None}
    return given, made_of(answers)


def made_of(answers: Answers) -> str:
    """What does most of its multiplications, and whether it reads tokens."""
    from botec.analyses.vocabulary import Vocabulary

    words = Vocabulary(answers)
    kinds = answers.here.by_kind("multiplications", ("forward",))
    work = {kind: total.at() for kind, total in kinds.items()}
    if words.tokens:
        return "language"
    convolution = sum(value for kind, value in work.items() if "conv" in kind)
    if convolution > sum(work.values()) / 2:
        return "convolutional"
    return "attention on images" if work.get("attention") else "other"


# -- many networks --------------------------------------------------------------------------------


def hold_all(wanted: Sequence[Case]) -> list[dict[str, Any]]:
    """Every network not yet kept, one process after the other."""
    KEPT.parent.mkdir(exist_ok=True)
    known = {row["model"] for row in rows()}
    processes = multiprocessing.get_context("fork")
    left = [case for case in wanted if case.model not in known]
    for done, case in enumerate(left):
        progress(f"{done} of {len(left)}: {case.model}")
        child = processes.Process(target=keep, args=(case,))
        child.start()
        child.join(PATIENCE)
        if child.exitcode != 0:
            child.kill()
            write({"model": case.model, "library": case.library, "family": case.family,
                   "reason": f"no answer within {PATIENCE} s"})  # fmt: skip
    progress("")
    return rows()


def keep(case: Case) -> None:
    write(held(case))


def write(row: Mapping[str, Any]) -> None:
    with KEPT.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def rows() -> list[dict[str, Any]]:
    if not KEPT.exists():
        return []
    return [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


# -- the page -------------------------------------------------------------------------------------


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 5 % and 95 %."""
    median, low, high = np.percentile(values, [50, 5, 95])
    return float(median), float(low), float(high)


def by_rule(found: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[str, str, float]]]:
    """``{rule: [(made of, family, rule ÷ count)]}``, training and inference together."""
    gathered: dict[str, list[tuple[str, str, float]]] = {}
    for row in found:
        for mode in MODES:
            for name, ratio in row.get(mode, {}).items():
                if mode == "infer" and name in row.get("train", {}):
                    continue
                place = (row["made of"], f"{row['library']} {row['family']}", ratio)
                gathered.setdefault(name, []).append(place)
    return gathered


def page(found: Sequence[Mapping[str, Any]]) -> str:
    gathered, rules = by_rule(found), book()
    counted = [row for row in found if any(mode in row for mode in MODES)]
    lines = [
        "# Rules of thumb against counts", "",
        f"Every rule of the book over {len(counted)} networks of torchvision, timm and "
        "transformers, each at one batch "
        f"({', '.join(f'{name} = {size}' for name, size in SIZES.items())}, pictures at their own "
        "size): rule ÷ count. 1 is exact, 0.5 is half of what really happens. Made by `make rules` "
        f"on {datetime.now(UTC).date().isoformat()} with {versions()}.", "",
        "| rule | formula | beside | networks | median | 5 % | 95 % |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, rule in rules.items():
        if name in gathered:
            lines.append(line_of(rule, [ratio for *_, ratio in gathered[name]]))
    lines += ["", *sections(gathered, rules), *without(rules, gathered), *refused(found)]
    return "\n".join(lines) + "\n"


def line_of(rule: Rule, values: Sequence[float]) -> str:
    numbers = " | ".join(f"{value:.3g}" for value in spread(values))
    return f"| {rule.name} | `{rule.text}` | {rule.beside} | {len(values)} | {numbers} |"


def sections(gathered: Mapping[str, Any], rules: Mapping[str, Rule]) -> Iterator[str]:
    """A rule's own table: by what networks are made of, then by family."""
    for name, rule in rules.items():
        if name not in gathered:
            continue
        yield from (f"## {name}", "", rule.sentence, "", f"Holds for {rule.holds}. {rule.source}.")
        yield from ("", "| networks | how many | median | 5 % | 95 % |", "|---|---|---|---|---|")
        for place in range(2):
            groups: dict[str, list[float]] = {}
            for one in gathered[name]:
                groups.setdefault(one[place], []).append(one[2])
            for group, values in sorted(groups.items()):
                if place == 0 or len(values) >= FEWEST:
                    numbers = " | ".join(f"{value:.3g}" for value in spread(values))
                    yield f"| {group} | {len(values)} | {numbers} |"
        yield ""


def without(rules: Mapping[str, Rule], gathered: Mapping[str, Any]) -> Iterator[str]:
    """The rules nothing is counted beside."""
    left = [rule for name, rule in rules.items() if name not in gathered]
    yield from ("## Rules without a count beside them", "")
    for rule in left:
        yield f"* **{rule.name}**: {rule.sentence} `{rule.text}`. Holds for {rule.holds}."
    yield ""


def refused(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The networks that were not counted, and why."""
    left = [row for row in found if "reason" in row]
    if left:
        yield from ("## Networks left out, wholly or in part", "")
        yield from (f"* {row['model']}: {row['reason']}" for row in left)


def versions() -> str:
    names = ("torch", "torchvision", "timm", "transformers")
    return f"Python {platform.python_version()}, " + ", ".join(f"{n} {version(n)}" for n in names)


def shipped(gathered: Mapping[str, Any]) -> str:
    """The figures that go with the package."""
    lines = [
        "# Rule ÷ count over a zoo of networks: made by benchmarks/rules.py, read by botec rules.",
        f'date = "{datetime.now(UTC).date().isoformat()}"',
        f'with = "{versions()}"',
    ]
    for name, places in sorted(gathered.items()):
        median, low, high = (float(f"{value:.4g}") for value in spread([p[2] for p in places]))
        lines += ["", f'[rules."{name}"]', f"networks = {len(places)}"]
        lines += [f"median = {median}", f"low = {low}", f"high = {high}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("-o", "--output", default="")
    parser.add_argument("--limit", type=int, default=None)
    given = parser.parse_args()
    wanted = [case for case in cases() if not case.sizes][: given.limit]
    found = hold_all(wanted)
    text = page(found)
    if given.output:
        Path(given.output).write_text(text, encoding="utf-8")
        SHIPPED.write_text(shipped(by_rule(found)), encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
