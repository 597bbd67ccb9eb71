"""The page on reach: figures, the table of layers, and what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from botec.analyses.reach import Along, Reach
from botec.analyses.reach.fields import fields
from botec.analyses.reach.least import least_input
from botec.analyses.reach.seen import Seen, causal, channels, covered
from botec.analyses.reach.walk import Misaligned
from botec.graph import Graph
from botec.ops.facts import kind_of
from botec.report import Column, Counted, Figure, Figures, Section, Table, Text
from botec.units import Quantity

COLUMNS = (
    *(Column("layer"), Column("op"), Column("reach", "1"), Column("seen in it", "1")),
    *(Column("stride", "1"), Column("centre", "1"), Column("padding", "1"), Column("places", "1")),
    *(Column("least input", "1"), Column("at a border", "%"), Column("new")),
)
WIDER = (Column("module"), Column("op"), Column("places seen at most"))
GLOSSARY = (
    "reach: input places from the first to the last a value depends on, borders aside; stride: "
    "input places from one output place to the next; centre: the middle of what output 0 sees; "
    "padding: how far it reaches out before the picture; least input: the smallest that gives one "
    "place; at a border: output places that see padding."
)


def figures(found: Reach) -> dict[str, Figure]:
    """``learn.receptive_field.<axis>``, ``learn.stride.<axis>`` and their kin."""
    made = [figure for along in found.axes for figure in of_axis(along)]
    spent, whole = found.multiplications
    if found.saturated:
        share = Counted(100 * spent / whole if whole else None, None, "exact")
        title = "multiplications of layers that see nothing new"
        made.append(Figure("learn.saturated.multiplications", title, "%", share))
    return {figure.key: figure for figure in made}


def of_axis(along: Along) -> Iterator[Figure]:
    """The figures of one axis, of the value that stands for the network."""
    name, number = along.name, along.features
    one, apart = along.of(number), along.apart(number)
    if not along.windows or one is None or apart is None:
        yield Figure(
            f"learn.receptive_field.{name}", f"receptive field in {name}", "1", output_reach(along)
        )
        return
    where = f" of {scope_of(one)}" if one.scope else ""
    yield Figure(f"learn.receptive_field.{name}", f"receptive field in {name}{where}", "1",
                 Counted(one.size, None, status(one)))  # fmt: skip
    if along.gated:
        title = f"the same without {gates_of(along)}"
        yield Figure(f"learn.receptive_field.{name}.without_gates", title, "1",
                     Counted(apart.size, None, status(apart)))  # fmt: skip
    rest = (
        ("stride", "stride", plain(apart.stride), "1"),
        ("centre", "centre of the first output", plain(apart.centre), "1"),
        ("padding", "effective padding", apart.padding, "1"),
        ("least_input", "smallest input its windows take", along.least, "1"),
    )
    for key, title, value, unit in rest:
        counted = Counted(value, None, status(apart))
        yield Figure(f"learn.{key}.{name}", f"{title} in {name}", unit, counted)
    if apart.border is not None:
        share = Counted(100 * apart.border, None, status(apart))
        yield Figure(f"learn.border.{name}", f"output places at a border of {name}", "%", share)


def output_reach(along: Along) -> Counted:
    """What the first output sees, where no window slides."""
    for number in along.walk.graph.outputs:
        one = along.of(number)
        if one is not None:
            return Counted(one.covered, None, status(one))
    return Counted(0, None, "exact")


def status(one: Seen) -> str:
    """``exact``, or ``partial`` where an op nobody has told about was taken for everything."""
    return "exact" if one.exact else "partial"


def plain(number: Fraction | None) -> float | int | None:
    """A whole number where it is one."""
    if number is None:
        return None
    return int(number) if number.denominator == 1 else float(number)


def section(found: Reach) -> Section:
    """The page."""
    parts: list[Any] = [Text(sentence) for sentence in sentences(found)]
    parts += [Figures(tuple(figures(found))), *fields(found)]
    for names, along, rows in distinct(found):
        if rows:
            parts.append(Table(f"Layers, along {names}", COLUMNS, rows))
        if otherwise := tuple(wider(along)):
            parts.append(Table(f"What sees more without a window, along {names}", WIDER,
                               otherwise))  # fmt: skip
        if along.without.misaligned:
            parts.append(misaligned(names, along.without.misaligned))
    if any(along.windows for along in found.axes):
        parts.append(Text(GLOSSARY))
    return Section("Reach", tuple(parts))


def distinct(found: Reach) -> list[tuple[str, Along, tuple[Any, ...]]]:
    """The axes whose rows differ, those that agree named together, with their rows."""
    kept: list[tuple[str, Along, tuple[Any, ...]]] = []
    for along in found.axes:
        rows = tuple(rows_of(found, along))
        for place, (names, other, known) in enumerate(kept):
            if known == rows:
                kept[place] = (f"{names} and {along.name}", other, known)
                break
        else:
            kept.append((along.name, along, rows))
    return kept


def rows_of(found: Reach, along: Along) -> Iterator[tuple[Any, ...]]:
    """One row for every node that slides a window."""
    for place in along.windows:
        node = found.graph.nodes[place]
        number = node.results[0]
        one = along.apart(number)
        if one is None:
            continue
        old = place in found.saturated
        yield (
            scope_of(one), short(node.call.op), one.size, one.dense, plain(one.stride),
            plain(one.centre), one.padding, one.made, least_input(along.without, number),
            None if one.border is None else 100 * one.border, "no" if old else "",
        )  # fmt: skip


def wider(along: Along) -> Iterator[tuple[Any, ...]]:
    """One row for every module that slides no window and whose values see more places than what it
    is given: attention, statistics, pooling over everything; with the op that sees the most."""
    most: dict[str, tuple[int, str]] = {}
    for place, node in enumerate(along.walk.graph.nodes):
        given = [covered(along.walk, n) for n in node.inputs if n in along.walk.fields]
        made = [covered(along.walk, n) for n in node.results if n in along.walk.fields]
        if place not in along.steps and max(made, default=0) > max(given, default=0):
            scope = node.scope or "the model"
            most[scope] = max(most.get(scope, (0, "")), (max(made), short(node.call.op)))
    for scope, (places, op) in most.items():
        yield scope, op, "everything" if places == along.size else f"{places} of {along.size}"


def scope_of(one: Seen) -> str:
    """A module's path, or the model itself."""
    return one.scope or "the model"


def short(op: str) -> str:
    """``max_pool2d`` of ``aten.max_pool2d_with_indices``, ``attention`` of all its kernels."""
    name = op.partition(".")[2].removesuffix("_with_indices").lstrip("_")
    return "attention" if name.startswith("scaled_dot_product_") else name


def misaligned(names: str, met: list[Misaligned]) -> Table:
    """Branches whose middles differ where they meet."""
    rows = tuple(
        (one.scope or "the model", short(one.op), " and ".join(one.branches), one.apart)
        for one in met
    )
    columns = (Column("where"), Column("op"), Column("branches"), Column("places apart", "1"))
    return Table(f"Branches that do not line up, along {names}", columns, rows)


# -- what it means --------------------------------------------------------------------------


def sentences(found: Reach) -> Iterator[str]:
    """The answer in words, what follows from it, and what it does not cover."""
    if not found.axes:
        yield "No input has an axis of places: there is nothing a value could see a part of."
        return
    yield from together([(along.name, features(along)) for along in found.axes])
    yield from together([(along.name, output(found, along)) for along in found.axes])
    yield from nothing_new(found)
    if found.unknown:
        names = ", ".join(f"{name} ({times})" for name, times in found.unknown.items())
        yield f"Taken for reading everything, since nobody has told: {names}."


def together(said: list[tuple[str, str]]) -> Iterator[str]:
    """Sentences with the axes they hold for, those that are the same said once."""
    for sentence in dict.fromkeys(text for _, text in said if text):
        names = " and ".join(name for name, text in said if text == sentence)
        yield f"Along {names}, {sentence}."


def features(along: Along) -> str:
    """What the network's own features see on one axis."""
    if not along.windows:
        return "no op slides a window: nothing is seen step by step"
    number = along.features
    one, apart = along.of(number), along.apart(number)
    assert one is not None
    assert apart is not None
    text = f"a place of {scope_of(one)} sees {counted(apart)}"
    if apart.stride is not None and apart.stride != 1:
        text += f", one every {plain(apart.stride)} places"
    least, most = channels(along.without, number)
    if least < most:
        text += f", its channels {least} to {most} of the picture's {one.given}"
    if along.gated:
        covered = "all" if one.whole else str(one.covered)
        text += f"; with {gates_of(along)}, {covered} of {one.given}"
    return text


def counted(one: Seen) -> str:
    """``"427 places (more than the picture's 224)"``."""
    if len(one.sizes) > 1:
        return f"{' or '.join(map(str, one.sizes))} places, by its position"
    if one.dense is not None and one.dense < one.size:
        return f"{one.dense} of {one.size} places"
    more = f" (the picture has {one.given})" if one.size > one.given else ""
    return f"{one.size} place{'s' if one.size > 1 else ''}{more}"


def gates_of(along: Along) -> str:
    """What connects everything with everything beside the windows."""
    kinds = []
    if along.walk.gates:
        kinds.append(f"gates such as {along.walk.gates[0]}")
    if along.walk.statistics:
        kinds.append(f"statistics over all places ({along.walk.statistics[0]})")
    return " and ".join(kinds)


def output(found: Reach, along: Along) -> str:
    """What the model's output sees, and which op made it so; nothing where it has places itself."""
    number = found.graph.outputs[0] if found.graph.outputs else -1
    one = along.of(number)
    if one is None:
        return "the output depends on nothing"
    return f"the output sees {span(along, one)}{through(along)}" if one.stride is None else ""


def span(along: Along, one: Seen) -> str:
    """``"all 224 places"``, ``"up to 7 of 224 places"``, or that it is causal."""
    if causal(along.walk, one.number):
        return "every place up to its own, and none after it"
    if one.whole:
        return f"all {one.given} places"
    return f"up to {one.covered} of {one.given} places"


def through(along: Along) -> str:
    """Where an axis is read from end to end for the first time."""
    nodes = along.walk.graph.nodes
    first = next(iter(along.walk.globally), None)
    if first is None:
        return ""
    node = nodes[first]
    return f", since {node.scope or 'the model'} ({short(node.call.op)}) reads it from end to end"


def nothing_new(found: Reach) -> Iterator[str]:
    """Layers whose input sees everything already, and their share of the work."""
    count = len(found.saturated)
    if not count:
        return
    spent, whole = found.multiplications
    sizes = " × ".join(str(along.size) for along in found.axes)
    layers = "1 layer" if count == 1 else f"{count} layers"
    text = f"{layers} cannot see anything new at {sizes} places"
    if whole:
        text += f" and cost {Quantity(100 * spent / whole, '%')} of the multiplications"
    yield f"{text}."


def slides_anywhere(graph: Graph) -> bool:
    """Whether the graph has an op that is known by its windows."""
    return any(kind_of(node.call) in ("convolution", "pool") for node in graph.nodes)
