"""The tables of the page: work by kind and by module, memory by role and by module.

Every table's rows add up to its last one, which is a figure of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from botec.analyses.count import Total
from botec.analyses.figures import Answers
from botec.analyses.fit import on_its_device, where_seen
from botec.analyses.memory import owner_of
from botec.poly import at
from botec.report import Column, Figures, Section, Table, Text

PEAK = "Memory at the peak"
MOST_MODULES = 40
# Roles that stand in one column of the table by module.
SHELVES = {
    "parameter": "weights", "buffer": "weights", "input": "passing", "temporary": "passing",
}  # fmt: skip
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
        memory_section(answers),
        Section("Work by kind and by module", (kind_table(answers), module_table(answers))),
    ]
    missing = missing_table(answers)
    if missing:
        found.append(Section("Not counted", (missing,)))
    found.append(Section("Convention", (Text(CONVENTION), *causal_text(answers))))
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
    phases = answers.phases
    columns = [("multiplications", phase) for phase in phases if phase != "optimizer"]
    columns += [("flops", phase) for phase in phases] + [("bytes", p) for p in phases]
    parts = [answers.here.by_kind(measure, (phase,)) for measure, phase in columns]
    kinds = dict.fromkeys(kind for part in parts for kind in part)
    rows = [(kind, *(cell(answers, part.get(kind)) for part in parts)) for kind in kinds]
    rows.sort(key=lambda row: -sum(value or 0 for value in row[1:]))
    totals = [cell(answers, answers.here.total(measure, (phase,))) for measure, phase in columns]
    heads = tuple(Column(f"{measure} {phase}", unit_of(measure)) for measure, phase in columns)
    return Table("By kind of op", (Column("kind"), *heads), tuple(rows), ("all", *totals))


def module_table(answers: Answers) -> Table:
    """Parameters, work and saved bytes of the modules, at the depth that fills a screen."""
    program = answers.program
    group = grouping(program.scopes)
    phases = answers.phases
    columns: list[tuple[str, tuple[str, ...]]] = [
        ("multiplications", (phase,)) for phase in phases if phase != "optimizer"
    ]
    columns += [("flops", phases), ("bytes", phases)]
    sums = [grouped(answers, measure, spans, group) for measure, spans in columns]
    weights: dict[str, int] = {}
    for parameter in program.parameters:
        owner = group(parameter.names[0].rpartition(".")[0])
        weights[owner] = weights.get(owner, 0) + at(parameter.tensor.elements, {})
    names = ordered(program.scopes, group, [*sums, weights])
    types = dict(zip(program.scopes, program.scope_types, strict=True))
    rows = tuple(
        (name or "(the model itself)", types.get(name, ""), weights.get(name, 0),
         *(part.get(name, 0) for part in sums))
        for name in names
    )  # fmt: skip
    totals = [cell(answers, answers.here.total(measure, spans)) for measure, spans in columns]
    heads = [
        Column(f"{measure} {spans[0] if len(spans) == 1 else 'step'}", unit_of(measure))
        for measure, spans in columns
    ]
    return Table(
        "By module",
        (Column("module"), Column("type"), Column("parameters", "1"), *heads),
        rows,
        ("all", "", sum(weights.values()), *totals),
    )


def grouped(
    answers: Answers, measure: str, phases: tuple[str, ...], group: Callable[[str], str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for scope, total in answers.here.by_scope(measure, phases).items():
        name = group(answers.program.scopes[scope])
        found[name] = found.get(name, 0) + at(total.value, answers.program.asked)
    return found


def grouping(scopes: Iterable[str]) -> Callable[[str], str]:
    """Cut paths at the greatest depth that leaves at most :data:`MOST_MODULES` of them."""
    paths = list(scopes)
    depth = 1
    deepest = max((path.count(".") + 1 for path in paths), default=1)
    while depth < deepest and len({cut(path, depth + 1) for path in paths}) <= MOST_MODULES:
        depth += 1
    return lambda path: cut(path, depth)


def cut(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth])


def ordered(
    scopes: Iterable[str], group: Callable[[str], str], parts: list[dict[str, Any]]
) -> list[str]:
    """The groups that have anything, in the order of the author's modules."""
    present = {name for part in parts for name, value in part.items() if value}
    return [name for name in dict.fromkeys(map(group, scopes)) if name in present]


def memory_section(answers: Answers) -> Section:
    """The peak: when it is, and who stands on it."""
    peak = answers.memory.fullest
    where = answers.program.scopes[peak.scope] or "the model itself"
    moment = f"The peak is in the {peak.phase} phase, at {peak.op or 'the start'} of {where}."
    if peak.phase == "optimizer":
        moment = f"The peak is in the optimizer's step, at {peak.op}."
    return Section(PEAK, (Text(moment), role_table(answers), peak_table(answers)))


def role_table(answers: Answers) -> Table:
    roles = answers.memory.by_role()
    rows = tuple(sorted(roles.items(), key=lambda pair: -pair[1]))
    columns = (Column("role"), Column("bytes", "B"))
    return Table("By role", columns, rows, ("all", sum(roles.values())))


def peak_table(answers: Answers) -> Table:
    """The bytes at the peak by module, parted into what is kept and what passes."""
    program, memory = answers.program, answers.memory
    group = grouping(program.scopes)
    kinds = ("weights", "optimizer", "gradient", "activation", "passing")
    sums: dict[str, dict[str, int]] = {}
    for number in memory.fullest.alive:
        storage = memory.stream.storages[number]
        name = group(program.scopes[owner_of(program, storage)])
        role = SHELVES.get(storage.role, storage.role)
        row = sums.setdefault(name, dict.fromkeys(kinds, 0))
        row[role] += memory.sizes[number]
    order = sorted(sums, key=lambda name: -sum(sums[name].values()))
    rows = [
        (name or "(the model itself)", *sums[name].values(), sum(sums[name].values()))
        for name in order
    ]
    totals = [sum(sums[name][kind] for name in order) for kind in kinds]
    totals.append(sum(totals))
    heads = (*(Column(kind, "B") for kind in kinds), Column("all", "B"))
    return Table("By module", (Column("module"), *heads), tuple(rows), ("all", *totals))


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
    return (Text(f"With causal attention at the half it needs: {value:,} multiplications."),)


def cell(answers: Answers, total: Total | None) -> Any:
    if total is None:
        return 0
    value = at(total.value, answers.program.asked)
    return None if total.missing and not value else value


def unit_of(measure: str) -> str:
    return {"multiplications": "multiplication", "flops": "flop", "bytes": "B"}[measure]
