"""The tables of the page: work by kind and by module, memory by role and by module.

Every table's rows add up to its last one, which is a figure of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from botec.analyses.count import Counts, Total
from botec.analyses.figures import Answers
from botec.analyses.fit import on_its_device, where_seen
from botec.analyses.memory import owner_of, written
from botec.analyses.paths import grouping
from botec.analyses.standing import memory_section
from botec.analyses.storages import ITSELF
from botec.poly import at, summed
from botec.program import Program, Stream
from botec.report import Column, Figures, Section, Table, Text

Columns: TypeAlias = list[tuple[str, tuple[str, ...]]]  # measures and the phases they are of
Rows: TypeAlias = tuple[tuple[str, ...], ...]

KINDS, MODULES = "work.kind", "work.module"  # tables that a page works out anew
CAUSAL = "work.causal"  # a text that a page tells anew
HALVED = "With causal attention at the half it needs: {} multiplications."
CONVENTION = (
    "Multiplications are scalar multiply-adds of matrix products, convolutions and what reduces "
    "to them (attention, recurrent cells, einsum). Operations (flops) count 2 for each "
    "multiply-add and 1 for each elementwise arithmetic result; comparisons, copies, casts, "
    "look-ups and random draws are none. Attention is counted as its kernel computes it, masked "
    "half included. Bytes moved are every op's inputs read and outputs written; views move "
    "nothing. A peak is the largest sum of the tensors alive, without what a kernel takes and "
    "returns inside one op."
)


def sections(answers: Answers, keys: Iterable[str]) -> tuple[Section, ...]:
    """The page in reading order; ``keys`` are those of its figures."""
    keys = tuple(keys)
    found = [
        figure_section("Weights", keys, "parameters", "buffers"),
        figure_section("Work", keys, "multiplications", "flops", "bytes"),
        memory_figures_section(answers, keys),
        memory_section(answers.memory),
        Section("Work by kind and by module", (kind_table(answers), module_table(answers))),
    ]
    missing = missing_table(answers)
    if missing:
        found.append(Section("Not counted", (missing,)))
    about = Text(CONVENTION, always=True)
    found.append(Section("Convention", (about, *causal_text(answers))))
    return tuple(found)


def figure_section(title: str, keys: Iterable[str], *starts: str) -> Section:
    """All figures whose keys start so, in their own order."""
    return Section(title, (Figures(tuple(key for key in keys if key.startswith(starts))),))


def memory_figures_section(answers: Answers, keys: Iterable[str]) -> Section:
    """The sums of memory, and on a CUDA device which of them a user sees where."""
    found = figure_section("Memory", keys, "memory")
    there = on_its_device(answers.program)
    return Section(found.title, (*found.parts, Text(where_seen(there)))) if there else found


def kind_table(answers: Answers) -> Table:
    """What the families of ops do in each phase."""
    columns = kind_columns(answers.phases)
    parts = kind_sums(answers.here, columns)
    rows = [(kind, *(cell(answers, part) for part in row)) for kind, row in parts.items()]
    rows.sort(key=lambda row: -sum(value or 0 for value in row[1:]))
    totals = [cell(answers, answers.here.total(measure, span)) for measure, span in columns]
    heads = tuple(Column(f"{measure} {span[0]}", unit_of(measure)) for measure, span in columns)
    return Table("By kind of op", (Column("kind"), *heads), tuple(rows), ("all", *totals), KINDS)


def kind_columns(phases: tuple[str, ...]) -> Columns:
    """What is told of a family's work: every measure of every phase."""
    return [
        (measure, (phase,))
        for measure in ("multiplications", "flops", "bytes")
        for phase in phases
        if (measure, phase) != ("multiplications", "optimizer")
    ]


def kind_sums(counts: Counts, columns: Columns) -> dict[str, list[Total | None]]:
    """Measures of spans of phases by the families of ops."""
    parts = [counts.by_kind(measure, phases) for measure, phases in columns]
    kinds = dict.fromkeys(kind for part in parts for kind in part)
    return {kind: [part.get(kind) for part in parts] for kind in kinds}


def module_table(answers: Answers) -> Table:
    """Parameters, work and saved bytes of the modules, at the depth that fills a screen."""
    program, phases = answers.program, answers.phases
    rows = [
        (name or ITSELF, kind, *(at(value, program.asked) for value in values))
        for name, kind, values in module_sums(program, answers.here, phases)
    ]
    columns = work_columns(phases)
    heads = [
        Column(f"{measure} {spans[0] if len(spans) == 1 else 'step'}", unit_of(measure))
        for measure, spans in columns
    ]
    totals = [cell(answers, answers.here.total(measure, spans)) for measure, spans in columns]
    if program.setting.train:
        heads.append(Column("saved", "B", spare=True))
        totals.append(at(answers.memory.saved(), program.asked))
    return Table(
        "By module",
        (Column("module"), Column("type"), Column("parameters", "1"), *heads),
        tuple(rows),
        ("all", "", sum(row[2] for row in rows), *totals),
        MODULES,
    )


def work_columns(phases: tuple[str, ...]) -> Columns:
    """What is told of a module's work: multiplications by phase, the rest of the whole step."""
    found = [("multiplications", (phase,)) for phase in phases if phase != "optimizer"]
    return [*found, ("flops", phases), ("bytes", phases)]


def module_sums(
    program: Program, counts: Counts, phases: tuple[str, ...]
) -> list[tuple[str, str, list[Any]]]:
    """Modules that have anything, with their type, parameters, work and saved bytes."""
    group = grouping(program.scopes)
    sums: list[dict[str, Any]] = [weights_by(program, group)]
    own = [group(path) for path in program.scopes]
    sums += [grouped(counts, measure, spans, own) for measure, spans in work_columns(phases)]
    if program.setting.train:
        sums.append(saved_by(program, written(program, counts.stream), group))
    types = dict(zip(program.scopes, program.scope_types, strict=True))
    names = ordered(program.scopes, group, sums)
    return [(name, types.get(name, ""), [part.get(name, 0) for part in sums]) for name in names]


def weights_by(program: Program, group: Callable[[str], str]) -> dict[str, Any]:
    """Parameters of every group of modules."""
    held = ((one.names[0].rpartition(".")[0], one.tensor.elements) for one in program.parameters)
    return gathered(((path, at(elements, {})) for path, elements in held), group)


def grouped(
    counts: Counts, measure: str, phases: tuple[str, ...], group: Sequence[str]
) -> dict[str, Any]:
    """A measure by groups of modules, in formulas."""
    parts = counts.by_group(measure, phases, group)
    return {name: total.value for name, total in parts.items()}


def gathered(parts: Iterable[tuple[str, Any]], group: Callable[[str], str]) -> dict[str, Any]:
    """The sums of what belongs to paths, by their group; equal formulas are added once."""
    weights: dict[str, dict[Any, int]] = {}
    for path, value in parts:
        own = weights.setdefault(group(path), {})
        own[value] = own.get(value, 0) + 1
    return {name: summed(own) for name, own in weights.items()}


def saved_by(program: Program, stream: Stream, group: Callable[[str], str]) -> dict[str, Any]:
    """Bytes kept from the forward pass for the backward pass, by groups of what made them."""
    kept = (one for one in stream.storages if one.role == "activation")
    return gathered(((program.scopes[owner_of(program, one)], one.bytes) for one in kept), group)


def table_formulas(program: Program, counts: Counts, phases: tuple[str, ...]) -> Mapping[str, Rows]:
    """The rows of the tables of work as formulas, by the table's key; unknown cells are empty."""
    sums = kind_sums(counts, kind_columns(phases))
    kinds = tuple(
        (kind, *("0" if part is None else formula_of(part) for part in row))
        for kind, row in sums.items()
    )
    modules = tuple(
        (name or ITSELF, kind, *map(str, values))
        for name, kind, values in module_sums(program, counts, phases)
    )
    return {KINDS: kinds, MODULES: modules}


def formula_of(total: Total) -> str:
    """A sum as text, empty where nothing of it is known."""
    return "" if total.missing and not total.value else str(total.value)


def ordered(
    scopes: Iterable[str], group: Callable[[str], str], parts: list[dict[str, Any]]
) -> list[str]:
    """The groups that have anything, in the order of the author's modules."""
    present = {name for part in parts for name, value in part.items() if value}
    return [name for name in dict.fromkeys(map(group, scopes)) if name in present]


def missing_table(answers: Answers) -> Table | None:
    """Ops nobody has told the cost of, by name, with how often they occur."""
    found: dict[str, int] = {}
    for measure in ("multiplications", "flops"):
        for name, times in answers.here.total(measure, answers.phases).missing.items():
            found[name] = max(times, found.get(name, 0))
    if not found:
        return None
    rows = tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))
    return Table("Ops not counted", (Column("op"), Column("times", "1")), rows)


def causal_text(answers: Answers) -> tuple[Text, ...]:
    """The multiplications with causal attention at the triangle it needs, beside the count."""
    discounted = answers.here.without_causal_half(answers.phases)
    if discounted is None:
        return ()
    value = at(discounted, answers.program.asked)
    return (Text(HALVED.format(f"{value:,}"), key=CAUSAL),)


def causal_saying(counts: Counts, phases: tuple[str, ...]) -> dict[str, str]:
    """The same as a page tells it, by its key; nothing where nothing attends causally."""
    formula = counts.without_causal_half(phases)
    return {} if formula is None else {CAUSAL: HALVED.format(f"{{{formula}|,0}}")}


def cell(answers: Answers, total: Total | None) -> Any:
    if total is None:
        return 0
    value = at(total.value, answers.program.asked)
    return None if total.missing and not value else value


def unit_of(measure: str) -> str:
    return {"multiplications": "multiplication", "flops": "flop", "bytes": "B"}[measure]
