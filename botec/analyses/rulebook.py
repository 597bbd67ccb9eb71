"""The book of rules as pages: all of it, one rule with its derivation, or those of one network."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from botec.analyses.count import Counts
from botec.analyses.figures import Answers, figures
from botec.analyses.formulas import formulas_of
from botec.analyses.rulings import Ruling, rulings, spelled
from botec.analyses.spelled import part
from botec.report import (
    Column,
    Counted,
    Curve,
    Figure,
    Figures,
    Formulas,
    Part,
    Picture,
    Report,
    Ruled,
    Section,
    Table,
    Text,
)
from botec.rules.book import Rule
from botec.units import Quantity

CHECKED = (
    "Its check stands in tests/rules/test_checks.py: the rule against something that shares no "
    "code with it, inside the range it names; made half as large again it fails there."
)
MEASURED = Path(__file__).parent.parent / "rules" / "measured.toml"


@cache
def measured() -> Mapping[str, Any]:
    """Rule ÷ count over a zoo, by rule: networks, median, low (5 %), high (95 %)."""
    if not MEASURED.exists():
        return {}
    return tomllib.loads(MEASURED.read_text(encoding="utf-8"))


def error_text(rule: Rule) -> str:
    """``"1.02 (0.84 to 1.37) over 312 networks"``; ``"?"`` for a rule nobody measured."""
    found = measured().get("rules", {}).get(rule.name)
    if not found:
        return "?"
    low, high = Quantity(found["low"]), Quantity(found["high"])
    return f"{Quantity(found['median'])} ({low} to {high}) over {found['networks']} networks"


def whole_book(rules: Mapping[str, Rule]) -> Report:
    """Every rule: all in one table, then each with its sentence, letters, source and range."""
    sections = [Section("All rules", (overview(rules.values()),))]
    sections += [Section(rule.name, tuple(entry(rule))) for rule in rules.values()]
    notes = (
        "Rule ÷ count over a zoo of networks: the median, and where the middle 90 % of them lie; "
        "? where nothing is counted beside a rule.",
        "botec rules NAME derives a rule; botec rules --on MODEL holds them against a network.",
    )
    return plain_report(f"{len(rules)} rules of thumb", sections, notes)


def overview(rules: Iterable[Rule]) -> Table:
    """One line for each rule."""
    known = measured().get("rules", {})
    rows = []
    for rule in rules:
        error = known.get(rule.name, {})
        spread = [error.get(key) for key in ("median", "low", "high")]
        rows.append((rule.subject, rule.name, rule.text, rule.unit, *spread))
    words = ("subject", "rule", "formula", "unit")
    ratios = ("rule ÷ count", "5 %", "95 %")
    return Table("", (*map(Column, words), *(Column(one, "1") for one in ratios)), tuple(rows))


def entry(rule: Rule) -> Iterator[Part]:
    """One rule without its derivation."""
    yield Text(rule.sentence)
    yield Text(rule.text, "formula")
    yield Text("; ".join(f"{letter}: {meaning}" for letter, meaning in rule.where.items()))
    unit = "" if rule.unit == "1" else f" In {rule.unit}."
    yield Text(f"Holds for {rule.holds}.{unit}")
    yield Text(f"Source: {rule.source}.")
    yield Text(f"Rule ÷ count: {error_text(rule)}.")


def one_rule(rule: Rule) -> Report:
    """A rule with its derivation, a worked number and its error."""
    said = Section("The rule", (Text(rule.sentence), Text(rule.text, "formula"), letters_of(rule)))
    sections = [said, Section("Why", tuple(derivation(rule)))]
    if rule.example:
        sections.append(Section("A worked number", tuple(example(rule))))
    if rule.along:
        sections.append(Section("A picture", (picture(rule),)))
    about = (
        Text(f"Holds for {rule.holds}."), Text(f"Source: {rule.source}."),
        Text(f"Rule ÷ count: {error_text(rule)}."), Text(CHECKED),
    )  # fmt: skip
    sections.append(Section("How far it holds", about))
    return plain_report(rule.name, sections)


def picture(rule: Rule) -> Picture:
    """The rule along one of its letters, a hundredfold either way, the others as in its example."""
    sizes = dict.fromkeys(
        max(1, round(rule.example[rule.along] * 10 ** (k / 8))) for k in range(-16, 17)
    )
    points = [(size, rule(*{**rule.example, rule.along: size}.values())) for size in sizes]
    title = f"{rule.text}, along {rule.along}"
    curve = Curve(rule.name, tuple((size, value) for size, value in points if value > 0))
    across = Column(f"{rule.along}: {rule.where[rule.along]}", "1")
    return Picture(title, across, Column(rule.name, rule.unit), (curve,))


def letters_of(rule: Rule) -> Table:
    rows = tuple(rule.where.items())
    return Table("", (Column("letter"), Column("is")), rows)


def derivation(rule: Rule) -> Iterator[Part]:
    """Sentence, equation, sentence, equation."""
    for step in rule.steps:
        yield Text(step.words)
        if step.equation:
            yield Text(step.equation, "formula")
    if rule.underived:
        yield Text(f"Nothing derives it: {rule.underived}.")


def example(rule: Rule) -> Iterator[Part]:
    given = ", ".join(f"{letter} = {value:,}" for letter, value in rule.example.items())
    yield Text(f"With {given}:")
    yield Text(f"{rule.text} = {Quantity(rule.worked, rule.unit).exact}", "formula")


def on_network(answers: Answers, rules: Mapping[str, Rule], setting: Mapping[str, Any]) -> Report:
    """Every rule that applies to a program at its asked point, as a teacher would explain it."""
    from botec import __version__

    found = figures(answers)
    held = list(rulings(answers, found, rules))
    program = answers.program
    return Report(
        {"name": program.name, "inputs": list(program.setting.inputs)},
        setting,
        {key_of(one): figure(one) for one in held},
        tuple(map(explained, held)) or NOTHING,
        (f"{len(rules) - len(held)} other rules speak of something else.",),
        __version__,
        more=lambda page: replace(page, formulas=tuple(live(answers, found, rules)), more=None),
    )


def live(
    answers: Answers, found: Mapping[str, Figure], rules: Mapping[str, Rule]
) -> Iterator[Formulas]:
    """What the rules and the counts give as formulas, with the sentences about them, stream by
    stream."""
    for stream in answers.program.streams:
        held = list(spelled(answers, Counts(answers.program, stream), found, rules))
        values = {key_of(one): str(one.counted) for one in held}
        texts = {}
        for one in held:
            inside = {letter: f"{{{value}|,0}}" for letter, value in one.values.items()}
            texts[f"{key_of(one)}.letters"] = letters_text(one.rule, inside)
            ratio = f"{part(one.given)} / {part(one.counted)}"
            texts[f"{key_of(one)}.ratio"] = RATIO.format(f"{{{ratio}|1}}")
        given = {key_of(one): str(one.given) for one in held}
        for own in formulas_of(answers.program, stream):
            cases = tuple(replace(case, tables={}, texts={}) for case in own.cases)
            yield replace(
                own, values={**own.values, **values}, rules=given, texts=texts, tables={},
                cases=cases,
            )  # fmt: skip


NOTHING = (Section("Rules", (Text("No rule of the book speaks of this network."),)),)


def key_of(one: Ruling) -> str:
    return f"rule.{one.rule.name.replace(' ', '_')}"


def figure(one: Ruling) -> Figure:
    """A ruling in the three columns."""
    ruled = Ruled(one.given, one.rule.name, one.why)
    return Figure(key_of(one), one.title, one.rule.unit, Counted(one.counted), ruled)


RATIO = "Rule ÷ count: {}."


def explained(one: Ruling) -> Section:
    """A rule on a network: its sentence, its numbers, the count beside it and why they differ."""
    key, inside = key_of(one), {letter: f"{value:,}" for letter, value in one.values.items()}
    parts = (
        Text(one.rule.sentence, always=True),
        Text(one.rule.text, "formula", always=True),
        Text(letters_text(one.rule, inside), key=f"{key}.letters"),
        Figures((key,)),
        Text(RATIO.format(Quantity(one.ratio)), key=f"{key}.ratio"),
    )
    return Section(one.rule.name, parts)


def letters_text(rule: Rule, values: Mapping[str, str]) -> str:
    """``"Here B = 4 (examples)."``"""
    known = (f"{name} = {text} ({rule.where.get(name, name)})" for name, text in values.items())
    return f"Here {', '.join(known)}."


def plain_report(name: str, sections: Iterable[Section], notes: tuple[str, ...] = ()) -> Report:
    from botec import __version__

    return Report({"name": name}, {}, {}, tuple(sections), notes, __version__)
