"""A network's growth: its formulas against fresh reads, its crossovers against a walk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from botec.analyses.count import count
from botec.analyses.growth import DECADES, growth_table, put, sections, sizes_of
from botec.analyses.memory import memory
from botec.analyses.passings import along, passing, passings, sentences, since
from botec.analyses.quantities import Known, quantities
from botec.estimate import report
from botec.inputs import Input
from botec.poly import Floor, as_poly, log2, symbol
from botec.program import Program
from botec.report import Picture, Table, Text
from botec.units import Quantity

torch = pytest.importorskip("torch")
from botec.read import read  # noqa: E402

POINTS = ({"B": 2, "S": 9}, {"B": 5, "S": 64}, {"B": 11, "S": 33})


class Encoder(torch.nn.Module):
    """One layer of attention and two of width: B·S² and B·S together."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = torch.nn.Linear(16, 48)
        self.outside = torch.nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.inside(x).chunk(3, -1)
        scores = (query @ key.transpose(1, 2)).softmax(-1)
        return self.outside(torch.relu(scores @ value))


def encoder(**point: int) -> Program:
    return read(Encoder(), Input("B", "S", 16), **point)


@pytest.fixture(scope="module")
def program() -> Program:
    return encoder(B=3, S=24)


@pytest.mark.parametrize("point", POINTS)
def test_formulas_are_what_a_fresh_read_gives(program: Program, point: dict[str, int]) -> None:
    """Two readings share no formula: the second one is asked at its own traced point alone."""
    known, fresh = quantities(program), encoder(**point)
    counts, timeline = count(fresh), memory(fresh)
    for measure in ("multiplications", "flops", "bytes"):
        for phases, span in ((("forward",), "forward"), (("backward",), "backward")):
            value = counts.total(measure, phases).at(**point)
            assert known[f"{measure}.{span}"].at(**point) == value
        assert known[f"{measure}.step"].at(**point) == counts.total(measure).at(**point)
    assert known["memory.peak"].at(**point) == timeline.fullest.bytes
    kept = [s for s, size in enumerate(timeline.sizes) if is_kept(fresh, s)]
    assert known["memory.saved"].at(**point) == sum(timeline.sizes[s] for s in kept)


def is_kept(program: Program, number: int) -> bool:
    return program.stream().storages[number].role == "activation"


def test_parts_add_up_to_the_whole(program: Program) -> None:
    for one in quantities(program).values():
        for stream in program.streams:
            parts = one.parts(stream)
            if parts:
                assert sum(parts.values()) == one.of(stream)[0], one.key


def test_attention_passes_the_rest_where_a_walk_finds_it(program: Program) -> None:
    found = {(one.known.key, one.name): one for one in passings(program)}
    for key in ("flops.step", "memory.saved", "multiplications.forward"):
        one = found[key, "S"]
        stream, point = along(program, "S")
        (formula,) = one.known.of(stream)
        assert one.term + one.rest == formula
        behind = [
            size for size in range(one.start, 3000)
            if one.term.at(**{**point, "S": size}) < one.rest.at(**{**point, "S": size})
        ]  # fmt: skip
        assert one.size == (behind[-1] + 1 if behind else one.start), key
    assert found["flops.step", "S"].owners == "matmul"  # scores by hand are plain products
    assert found["memory.saved", "S"].owners == "Encoder"


def test_the_peaks_last_formula_is_the_peak_from_its_crossover_on(program: Program) -> None:
    (one,) = passings(program, ["memory.peak"])[1:]
    assert one.size is not None
    _, point = along(program, "S")
    for size in range(one.size, one.size + 300):
        there = {**point, "S": size}
        assert (one.term + one.rest).at(**there) == memory(program).peak(**there)


def test_the_page(program: Program) -> None:
    page = report(program)
    found = sections(program, page.figures)
    titles = [section.title for section in found]
    assert titles[:4] == ["Formulas", "Growth", "Growth in B", "Growth in S"]
    growth = next(part for part in found[1].parts if isinstance(part, Table))
    rows = {row[0]: row[1:3] for row in growth.rows}
    assert rows["flops.step"] == ("O(B·S²)", "B¹·S²")
    assert rows["bytes.step"] == ("O(B·S²)", "B¹·S²")
    texts = [part.text for part in found[3].parts if isinstance(part, Text)]
    one = next(o for o in passings(program, ["flops.step"]) if o.name == "S")
    assert f"passes the rest at S = {Quantity(one.size).exact}." in " ".join(texts)
    assert any(isinstance(part, Picture) for part in found[3].parts)


def test_decades_are_the_formulas_and_unknown_where_there_are_none(program: Program) -> None:
    section = next(s for s in sections(program, {}) if s.title == "Growth in S")
    table = [part for part in section.parts if isinstance(part, Table)][-1]
    keys = [head.title for head in table.columns[1:]]
    for size, *values in table.rows:
        for key, value in zip(keys, values, strict=True):
            assert value == quantities(program)[key].at(S=size)


class Strided(torch.nn.Module):
    """A convolution that halves the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).flatten(1)


def test_a_picture_grows_with_both_its_edges() -> None:
    """Through floors: degree one in each, and odd sizes as a fresh read counts them."""
    program = read(Strided(), Input("B", 3, "H", "W"), B=2, H=160, W=150)
    table = growth_table(program, quantities(program))
    assert {row[0]: row[1:3] for row in table.rows}["flops.step"] == ("O(B·H·W)", "B¹·H¹·W¹")
    titles = [section.title for section in sections(program, {})]
    assert {"Growth in H", "Growth in W"} <= set(titles)
    known = quantities(program)
    for high, wide in ((133, 135), (141, 134), (227, 199)):
        fresh = read(Strided(), Input(4, 3, high, wide))
        point = {"B": 4, "H": high, "W": wide}
        assert known["flops.step"].at(**point) == count(fresh).total("flops").at()
        assert known["memory.peak"].at(**point) == memory(fresh).fullest.bytes


def test_sizes_shown_lie_where_the_formula_holds(program: Program) -> None:
    """Decades at first; on a lattice the next of its sizes; in a bounded regime its own span."""
    assert sizes_of(program, "S") == DECADES
    (wide, *others) = program.streams

    def within(**regime: Any) -> tuple[int, ...]:
        own = replace(wide, regime=replace(wide.regime, **regime))
        return sizes_of(replace(program, streams=(own, *others)), "S")

    assert within(step={"S": 32})[:3] == (32, 128, 1024)
    bounded = within(least={"B": 2, "S": 150}, most={"S": 450})
    assert (bounded[0], bounded[-1], len(bounded)) == (150, 450, 5)
    assert within(most={"S": 2000}) == (10, 100, 1000)


def test_nothing_free_says_so() -> None:
    fixed = read(Encoder(), Input(2, 8, 16))
    assert "Nothing is left free" in str(sections(fixed, {})[-1])


def test_other_regimes_print_their_formulas(program: Program) -> None:
    last = sections(program, {})[-1]
    assert last.title == "Other regimes"
    texts = [part.text for part in last.parts if isinstance(part, Text)]
    assert any("B = 1" in text for text in texts)


class Uneven(torch.nn.Module):
    """As many layers as a remainder of the length says: no formula holds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(1 + x.shape[1] % 7):
            x = x + self.layer(x)
        return x


def test_no_formula_in_a_dimension_says_why() -> None:
    program = read(Uneven(), Input("B", "S", 8), B=4, S=10)
    assert "S" in program.why
    assert {one.name for one in passings(program)} <= {"B"}
    found = sections(program, {})
    assert all(section.title != "Growth in S" for section in found)


def test_a_crossover_beyond_the_regime_says_so(program: Program) -> None:
    one = next(o for o in passings(program, ["flops.step"]) if o.name == "S")
    assert one.size is not None
    assert one.within
    late = replace(one, most=one.size - 1)
    assert not late.within
    assert since(late).endswith(f"beyond S ≤ {one.size - 1}")
    assert sentences([late]) == []
    assert len(sentences([one])) == 1


def test_the_largest_of_several_takes_over_where_it_passes_the_others(program: Program) -> None:
    """max(S + 100, 2·S): 2·S is all that grows, from 100 on."""
    size = symbol("S")
    known = Known(program, "peak", "peak", "B", lambda stream: (size + 100, 2 * size))
    found = passing(known, "S")
    assert found is not None
    assert (found.term, found.size) == (2 * size, 100)


class Gram(torch.nn.Module):
    """Every row with every other: one row alone takes another way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.transpose(0, 1).reshape(-1, x.shape[0]) @ x.reshape(x.shape[0], -1)).sum()


@pytest.mark.parametrize("module", [Encoder, Gram])
def test_a_regime_prints_the_formulas_that_differ_there(module: Any) -> None:
    """Printed are those whose value at one row is not what the formula of many rows gives."""
    program = read(module(), Input("B", "S", 16), B=8, S=24, train=False)
    wide, *others = program.streams
    last = sections(program, {})[-1]
    printed = {p.text.split(" = ")[0] for p in last.parts if getattr(p, "kind", "") == "formula"}
    differing = {
        one.key
        for one in quantities(program).values()
        for own in others
        if [value_of(one, wide, size) for size in (5, 40)]
        != [value_of(one, own, size) for size in (5, 40)]
    }
    assert printed == differing
    assert differing or module is not Gram


def value_of(one: Known, stream: Any, size: int) -> int:
    return max(as_poly(formula).at(B=1, S=size) for formula in one.of(stream))


def test_sizes_put_into_a_formula_give_its_value() -> None:
    batch, size = symbol("B"), symbol("S")
    inner = symbol(Floor("S", 3, 4))
    formula = 3 * batch * inner**2 + symbol(Floor(batch * inner + 5, 1, 7)) + log2(size) * batch + 9
    half = put(formula, {"S": 65})
    assert half.names == {"B"}
    assert half.at(B=5) == formula.at(B=5, S=65) == put(formula, {"B": 5, "S": 65})
