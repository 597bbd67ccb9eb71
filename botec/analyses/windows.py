"""``botec conv``: what a convolution, or a chain of them, makes of one axis of its input.

Sizes follow torch.nn.Conv2d and ConvTranspose2d; receptive fields Araujo, Norris & Sim 2019,
Computing receptive fields of convolutional neural networks, eqs 2 and 5-12, with the dilation in
them; where transposed layers make fields differ, they are found position by position.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Any

from botec.errors import BadInput
from botec.report import Column, Counted, Figure, Figures, Report, Section, Table, Text

SPEC = re.compile(r"(\d+)(?:/(\d+))?(?:/(\d+))?(?:/(\d+))?(t?)(?:\+(\d+))?")
HOW = "write KERNEL/STRIDE/PADDING/DILATION, such as 3/2/1; a t after it makes it transposed"
MOST_SIZE, MOST_PERIOD = 10**9, 4096


@dataclass(frozen=True)
class Window:
    """One layer on one axis: a convolution, a pooling, or their transpose."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    transposed: bool = False
    output_padding: int = 0

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
            value = getattr(self, name)
            if value < least:
                raise BadInput(
                    f"a {name} of {value} has no meaning", f"give one of at least {least}"
                )
        more = self.output_padding
        if more and not (self.transposed and 0 < more < max(self.stride, self.dilation)):
            do = "give less than the stride, to a transposed layer"
            raise BadInput(f"an output padding of {more} has no meaning here", do)

    def __str__(self) -> str:
        text = f"{self.kernel}/{self.stride}/{self.padding}"
        text += f"/{self.dilation}" if self.dilation > 1 else ""
        text += "t" if self.transposed else ""
        return text + (f"+{self.output_padding}" if self.output_padding else "")

    @property
    def span(self) -> int:
        """From the first tap to the last: D (K - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    def output(self, size: int) -> int:
        """⌊(W + 2 P - D (K - 1) - 1)/S⌋ + 1; transposed (W - 1) S - 2 P + D (K - 1) + 1 + more.

        Raises :class:`BadInput` where nothing comes out.
        """
        if self.transposed:
            found = (size - 1) * self.stride - 2 * self.padding + self.span + self.output_padding
            if found < 1:
                seen = f"a padding of {self.padding} cuts all of its output away"
                raise BadInput(seen, "give less padding or a larger input", str(self))
            return found
        padded = size + 2 * self.padding
        if self.span > padded:
            reach = f"a kernel of {self.kernel}"
            reach += f" spanning {self.span}" if self.dilation > 1 else ""
            seen = f"{reach} does not fit into its input of {size} with padding {self.padding}"
            raise BadInput(seen, f"give an input of at least {self.needed(1)}", str(self))
        return (padded - self.span) // self.stride + 1

    def needed(self, output: int) -> int:
        """The smallest input for so large an output: S (W_out - 1) + D (K - 1) + 1 - 2 P."""
        if self.transposed:
            more = output + 2 * self.padding - self.span - self.output_padding
            return max(1, -(-more // self.stride) + 1)
        return max(1, self.stride * (output - 1) + self.span - 2 * self.padding)

    def sources(self, place: int) -> list[int]:
        """The input positions that output position ``place`` reads, those outside included."""
        taps = range(0, self.span, self.dilation)
        if not self.transposed:
            return [place * self.stride - self.padding + tap for tap in taps]
        shifted = (place + self.padding - tap for tap in taps)
        return [one // self.stride for one in shifted if one % self.stride == 0]


Chain = Sequence[Window]


def window(text: str) -> Window:
    """``window("7/2/3")``: kernel, stride, padding, dilation, each but the first may be missing.

    Raises :class:`BadInput` for anything else.
    """
    found = SPEC.fullmatch(text)
    if not found:
        raise BadInput("not a layer", HOW, text)
    numbers = [int(given) if given else None for given in found.groups()[:4]]
    kernel, stride, padding, dilation = numbers
    one = 1 if stride is None else stride
    try:
        return Window(
            kernel or 0, one, padding or 0, 1 if dilation is None else dilation,
            bool(found[5]), int(found[6] or 0),
        )  # fmt: skip
    except BadInput as error:
        raise error.about(text) from None


def chain_from(layers: Sequence[str], given: Mapping[str, Any]) -> tuple[Window, ...]:
    """Layers as they are typed, or one of options. Raises :class:`BadInput` for both."""
    if layers and given:
        asked = " ".join(f"--{name.replace('_', '-')}" for name in given)
        raise BadInput("layers are given already", "write it into the layers", asked)
    if not layers and "kernel" not in given:
        raise BadInput("no layer", f"give -k 7 -s 2 -p 3, or {HOW}")
    return tuple(map(window, layers)) if layers else (Window(**given),)


def sizes(chain: Chain, size: int) -> list[int]:
    """The size before the first layer and after each. Raises :class:`BadInput`."""
    if not 1 <= size <= MOST_SIZE:
        raise BadInput("not a size", f"give one from 1 to {MOST_SIZE:,}", str(size))
    found = [size]
    for layer in chain:
        found.append(layer.output(found[-1]))
    return found


def field(chain: Chain, place: int) -> set[int]:
    """Every input position an output position depends on, as if nothing had an edge."""
    places = {place}
    for layer in reversed(chain):
        places = {source for one in places for source in layer.sources(one)}
    return places


def reads(chain: Chain, size: int, place: int) -> set[int]:
    """Every input position an output position really depends on."""
    places = {place}
    for layer, width in zip(reversed(chain), reversed(sizes(chain, size)[:-1]), strict=True):
        found = {source for one in places for source in layer.sources(one)}
        places = {source for source in found if 0 <= source < width}
    return places


def touches_edge(chain: Chain, widths: Sequence[int], place: int) -> bool:
    """Whether an output position reads, at any layer, beyond an edge."""
    places, plain = {place}, not any(layer.transposed for layer in chain)
    for layer, width in zip(reversed(chain), reversed(widths[:-1]), strict=True):
        places = {source for one in places for source in layer.sources(one)}
        if places and (min(places) < 0 or max(places) >= width):
            return True
        # Of plain layers the outermost reads of the outermost places are the outermost.
        places = {min(places), max(places)} if plain else places
    return False


def period(chain: Chain) -> int:
    """After how many positions fields repeat: 1 without transposed layers."""
    found = prod(layer.stride for layer in chain if layer.transposed)
    if found > MOST_PERIOD:
        raise BadInput(
            "fields that repeat so rarely are not listed", "ask for fewer layers at once"
        )
    return found


def border(chain: Chain, size: int) -> int:
    """How many output positions read beyond an edge, at any layer."""
    widths = sizes(chain, size)
    last, every = widths[-1], period(chain)

    def from_one_side(places: range) -> set[int]:
        found: set[int] = set()
        clean = 0
        for place in places:
            if touches_edge(chain, widths, place):
                found.add(place)
                clean = 0
            else:
                clean += 1
            if clean >= every:
                break
        return found

    return len(from_one_side(range(last)) | from_one_side(range(last - 1, -1, -1)))


@dataclass(frozen=True)
class Reach:
    """What one output position sees: ``least`` to ``most`` inputs from the first to the last it
    depends on, ``read`` of them really; ``jump`` apart, the first beginning at ``start``."""

    least: int
    most: int
    read: int
    jump: Fraction
    start: int
    center: Fraction


def reach(chain: Chain) -> Reach:
    """The receptive field, 1 + Σ D (K - 1) Π S of the layers before; found for every residue."""
    fields = [field(chain, place) for place in range(period(chain))]
    spans = [max(one) - min(one) + 1 if one else 0 for one in fields]
    jump = Fraction(1)
    for layer in chain:
        jump = jump / layer.stride if layer.transposed else jump * layer.stride
    first = next((one for one in fields if one), {0})
    center = Fraction(min(first) + max(first), 2)
    return Reach(min(spans), max(spans), max(map(len, fields)), jump, min(first), center)


def needed(chain: Chain, output: int) -> int:
    """The smallest input that gives an output of at least ``output``."""
    for layer in reversed(chain):
        output = layer.needed(output)
    return output


def unused(chain: Chain, size: int) -> int:
    """How many inputs at the far end no output reads: what ⌊ ⌋ leaves over."""
    last = sizes(chain, size)[-1]
    ends = [max(found) for place in tail(chain, last) if (found := reads(chain, size, place))]
    return size - 1 - max(ends, default=-1)


def tail(chain: Chain, last: int) -> range:
    return range(max(0, last - 1 - period(chain)), last)


def report(size: int, chain: Chain) -> Report:
    """The page for an input of ``size``. Raises :class:`BadInput` where the layers do not fit."""
    from botec import __version__

    found = {figure.key: figure for figure in figures(chain, size)}
    return Report(
        model={"name": " ".join(map(str, chain)), "layers": [str(layer) for layer in chain]},
        setting=setting(chain, size),
        figures=found,
        sections=tuple(sections(chain, size, found)),
        version=__version__,
    )


def setting(chain: Chain, size: int) -> dict[str, Any]:
    """The input, and for a single layer the letters of its formulas."""
    if len(chain) > 1:
        return {"input": size}
    one = chain[0]
    letters = {"W": size, "K": one.kernel, "S": one.stride, "P": one.padding, "D": one.dilation}
    return {**letters, "transposed": one.transposed, "output_padding": one.output_padding}


def figures(chain: Chain, size: int) -> Iterator[Figure]:
    """Every figure of a chain, in reading order."""
    last, seen, single = sizes(chain, size)[-1], reach(chain), chain[0] if len(chain) == 1 else None
    plain = single if single and not single.transposed else None
    yield figure("output", "output size", last, output_formula(single))
    text = "D*(K-1) + 1" if plain else None
    low = {"low": seen.least, "high": seen.most} if seen.least != seen.most else {}
    yield figure("receptive_field", "inputs an output sees, first to last", seen.most, text, **low)
    yield figure("reads", "of them it reads", seen.read, "K" if plain else None)
    yield figure(
        "jump", "inputs between neighbouring outputs", number(seen.jump), "S" if plain else None
    )
    yield figure("start", "first input the first output sees", seen.start, "-P" if plain else None)
    text = "(D*(K-1))/2 - P" if plain else None
    yield figure("center", "centre of the first output", number(seen.center), text)
    yield figure(
        "padding", "padding of the whole, on the input", -seen.start, "P" if plain else None
    )
    smallest = needed(chain, last)
    text = f"S*({last}-1) + D*(K-1) + 1 - 2*P" if plain and smallest > 1 else None
    yield figure("needed", "smallest input with this output", smallest, text)
    yield figure("least", "smallest input with any output", needed(chain, 1))
    yield figure("unused", "inputs at the end that nothing reads", unused(chain, size))
    edge = border(chain, size)
    yield figure("border", "outputs that read beyond an edge", edge)
    yield figure("border.share", "their share of all outputs", edge / last)


def figure(key: str, title: str, value: Any, formula: str | None = None, **ends: Any) -> Figure:
    return Figure(f"conv.{key}", title, "1", Counted(value, formula, "exact"), **ends)


def number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def output_formula(layer: Window | None) -> str | None:
    if layer is None:
        return None
    if layer.transposed:
        return "(W-1)*S - 2*P + D*(K-1) + 1 + output_padding"
    return "(W + 2*P - D*(K-1) - 1)//S + 1"


def sections(chain: Chain, size: int, found: dict[str, Figure]) -> Iterator[Section]:
    """The figures, the layers one by one, and what to know."""
    yield Section("One axis", (Figures(tuple(found)),))
    if len(chain) > 1:
        yield Section("Layer by layer", (layer_table(chain, size),))
    if told := tuple(map(Text, meanings(chain, size))):
        yield Section("What it means", told)
    yield Section("Formulas", tuple(Text(line, "formula") for line in FORMULAS))


FORMULAS = (
    "W_out = ⌊(W + 2P - D(K - 1) - 1)/S⌋ + 1; transposed (W - 1)S - 2P + D(K - 1) + 1 + more",
    "W_in = S(W_out - 1) + D(K - 1) + 1 - 2P, the smallest input with this output",
    "receptive field = 1 + Σ D(K - 1) Π S of the layers before; jump = Π S; start = -Σ P Π S",
    "W input, K kernel, S stride, P padding on either side, D dilation; Π over the layers before",
)


def layer_table(chain: Chain, size: int) -> Table:
    """After each layer: its size, and what one of its values sees of the input."""
    widths, rows = sizes(chain, size), []
    for count, layer in enumerate(chain, 1):
        part = chain[:count]
        seen = reach(part)
        share = border(part, size) / widths[count]
        rows.append(
            (
                f"{count}  {layer}",
                widths[count],
                seen.most,
                number(seen.jump),
                seen.start,
                100 * share,
            )
        )
    heads = ("layer", "output size", "sees", "jump", "start", "reads beyond an edge")
    units = ("", "1", "1", "1", "1", "%")
    return Table("", tuple(map(Column, heads, units)), tuple(rows))


def meanings(chain: Chain, size: int) -> Iterator[str]:
    """What the numbers say, in sentences."""
    seen, last = reach(chain), sizes(chain, size)[-1]
    yield from about_padding(chain, size, seen, last)
    if seen.most >= size:
        yield f"An output sees up to {seen.most:,} inputs, the whole input of {size:,}."
    if 0 < seen.read < seen.most:
        gaps = seen.most - seen.read
        yield f"Between the first and the last input an output sees, {gaps:,} are never read by it."
    if seen.least != seen.most:
        yield f"Outputs differ: they see {seen.least:,} to {seen.most:,} inputs, by position."
    if left := unused(chain, size):
        yield f"The last {left:,} inputs are read by no output."


def about_padding(chain: Chain, size: int, seen: Reach, last: int) -> Iterator[str]:
    """Padding adds outputs; it does not let any of them see more."""
    if not any(layer.padding for layer in chain) or any(layer.transposed for layer in chain):
        return
    bare = [replace(layer, padding=0) for layer in chain]
    text = (
        f"Padding does not widen the reach: without it an output sees {reach(bare).most:,} inputs, "
        f"with it {seen.most:,}"
    )
    try:
        without = sizes(bare, size)[-1]
    except BadInput:
        yield f"{text}; without it nothing would come out."
        return
    yield f"{text}; it makes {last:,} outputs of {without:,}, the new ones at the edges."
