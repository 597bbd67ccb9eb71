"""From traces at sample points to one stream in exact formulas.

Traces of one network at several points are laid side by side and must agree event by event. Every
*size* in them is then fitted as ``c·monomial + d`` in whole numbers; bytes and operations are never
fitted: they are products of sizes, formed from the ops' facts. A trace at a point the fit has not
seen proves the result, storage by storage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from itertools import product as choices
from typing import Any

from botec.calls import ITEM_BYTES, Call, Tensor
from botec.poly import Poly, as_poly, at, plain, product, symbol
from botec.program import BIRTH, OP, Regime, Storage, Stream
from botec.read.shapes import SHAPES
from botec.read.signatures import Signature
from botec.read.strides import RULES, atoms_of

Vector = tuple[int, ...]
Point = Mapping[str, int]


class PartedError(Exception):
    """The traces are not the same program: its text says where they part."""


class Fit:
    """Fits values seen at the sample points by ``c·monomial + d``; remembers every vector.

    What no monomial fits may be two dimensions laid end to end, or a size known by rule (that has
    an offset of its own: a window more than there are strides) times others.

    ``symbols`` is what each free dimension is counted in. Atoms that strided windows bring in are
    further words for their dimension; a monomial has at most one word for each.
    """

    def __init__(self, symbols: Sequence[Poly], points: Sequence[Point]) -> None:
        self.points = tuple(points)
        self.memory: dict[Vector, Any] = {}
        self.tensors: dict[tuple[Any, ...], Tensor] = {}
        self.words: dict[str, list[Poly]] = {}
        for one in symbols:
            (name,) = one.names
            self.words[name] = [one, one**2]
        self.told: dict[str, list[Poly]] = {name: [] for name in self.words}
        self.monomials = self.all_monomials()

    def all_monomials(self) -> list[tuple[Poly, Vector]]:
        """Every product of one word for each dimension or none, simplest first."""
        chosen = choices(*([None, *words] for words in self.words.values()))
        products = [as_poly(product(w for w in words if w is not None)) for words in chosen]
        wanted = sorted((one for one in products if one.names), key=simplicity)
        return [(one, tuple(one.at(**point) for point in self.points)) for one in wanted]

    def sums(self) -> Iterator[tuple[Poly, Vector]]:
        """Two dimensions end to end, alone and with each word of the others: ``B·(S + T)``."""
        for one, other in combinations(self.words, 2):
            total = self.words[one][0] + self.words[other][0]
            rest = [word for name, own in self.words.items() if name not in (one, other)
                    for word in own]  # fmt: skip
            for both in (total, *(word * total for word in rest)):
                yield both, tuple(both.at(**point) for point in self.points)
        rich = {name: [*words, *self.told[name]] for name, words in self.words.items()}
        for chosen in choices(*([None, *words] for words in rich.values())):
            whole = as_poly(product(word for word in chosen if word is not None))
            if len(whole.terms) > 1:
                yield whole, tuple(whole.at(**point) for point in self.points)

    def know(self, vector: Vector, size: Any) -> None:
        """A size known by rule: it stands for its vector from now on, its atoms are words."""
        if tuple(as_poly(size).at(**point) for point in self.points) != vector:
            return
        self.memory.setdefault(vector, size)
        for atom in atoms_of(size):
            words = self.words.get(str(atom.base), [])
            if words and symbol(atom) not in words:
                words.append(symbol(atom))
                self.monomials = self.all_monomials()
            if words and len(as_poly(size).terms) > 1 and size not in self.told[str(atom.base)]:
                self.told[str(atom.base)].append(as_poly(size))

    def __call__(self, vector: Vector) -> Any:
        """A number where all are equal, else the simplest fit. Raises :class:`PartedError`."""
        found = self.memory.get(vector)
        if found is None:
            found = self.memory[vector] = self.fit(vector)
        return found

    def fit(self, vector: Vector) -> Any:
        """The simplest formula through the sizes. Raises :class:`PartedError` if there is none."""
        if len(set(vector)) == 1:
            return vector[0]
        found = [fit for monomial, seen in self.monomials if (fit := line(monomial, seen, vector))]
        found = found or [fit for one, seen in self.sums() if (fit := line(one, seen, vector))]
        if not found:
            raise PartedError(f"the size {', '.join(map(str, vector))} fits no formula")
        # A pure multiple explains a size better than a small offset, and that one than a large one.
        return min(found, key=lambda one: abs(one[1]))[0]


def simplicity(monomial: Poly) -> tuple[int, int, str]:
    """Low degree first, dimensions before atoms."""
    ((powers, _),) = monomial.terms.items()
    atoms = sum(not isinstance(name, str) for name, _ in powers)
    return sum(exponent for _, exponent in powers), atoms, str(monomial)


def line(monomial: Poly, seen: Vector, vector: Vector) -> tuple[Poly, int] | None:
    """``c·monomial + d`` through every point, or ``None``."""
    pairs = [(a, b) for a, b in zip(seen, vector, strict=True)]
    first, other = pairs[0], next((pair for pair in pairs if pair[0] != pairs[0][0]), None)
    if other is None:
        return None
    factor, rest = divmod(other[1] - first[1], other[0] - first[0])
    offset = first[1] - factor * first[0]
    if rest or factor == 0 or any(factor * a + offset != b for a, b in pairs):
        return None
    return monomial * factor + offset, offset


def align(traces: Sequence[Any], symbols: Sequence[Poly], points: Sequence[Point]) -> Stream:
    """One stream of exact formulas. Raises :class:`PartedError` where the traces differ."""
    first = traces[0]
    for other in traces[1:]:
        compare(first, other)
    fit = Fit(symbols, points)
    calls, place = aligned_calls(traces, fit)
    storages = aligned_storages(traces, calls, place, fit)
    index = type(first.index)("i", first.index)
    for event, key in keys_of(traces):
        index[event] = place[key]
    return Stream(Regime(), tuple(calls), tuple(storages), first.kinds, index, first.scopes)


def compare(first: Any, other: Any) -> None:
    """The same kinds of events, of the same storages and modules, with the same ops."""
    if first.kinds == other.kinds and first.scopes == other.scopes:
        differs = (
            event
            for event, kind in enumerate(first.kinds)
            if (kind != OP and first.index[event] != other.index[event])
            or (kind == OP and op_at(first, event) != op_at(other, event))
        )
        event = next(differs, None)
        if event is None:
            return
    else:
        pairs = zip(first.kinds, other.kinds, strict=False)
        event = next((e for e, (a, b) in enumerate(pairs) if a != b), len(first.kinds) - 1)
    raise PartedError(f"the ops differ after {op_before(first, event)}")


def op_at(trace: Any, event: int) -> str:
    return trace.signatures[trace.index[event]].info.name


def op_before(trace: Any, event: int) -> str:
    """The last op at or before an event, for the reader."""
    for place in range(min(event, len(trace.kinds) - 1), -1, -1):
        if trace.kinds[place] == OP:
            return op_at(trace, place)
    return "the start"


def aligned_calls(traces: Sequence[Any], fit: Fit) -> tuple[list[Call], dict[Vector, int]]:
    """Every distinct tuple of signatures as one call in formulas, and where it is."""
    place: dict[Vector, int] = {}
    calls: list[Call] = []
    for key in dict.fromkeys(key for _, key in keys_of(traces)):
        place[key] = len(calls)
        rows = zip(traces, key, strict=True)
        calls.append(merged_call([trace.signatures[i] for trace, i in rows], fit))
    return calls, place


def keys_of(traces: Sequence[Any]) -> Iterator[tuple[int, Vector]]:
    """Every op's event, with the signature it has in each trace."""
    keys = zip(*(trace.index for trace in traces), strict=True)
    return ((e, key) for e, (kind, key) in enumerate(zip(traces[0].kinds, keys, strict=True))
            if kind == OP)  # fmt: skip


def merged_call(signatures: Sequence[Signature], fit: Any) -> Call:
    """One call whose sizes are formulas over the points of ``signatures``."""
    info = signatures[0].info
    arguments = arguments_of([signature.key for signature in signatures], info, fit)
    if isinstance(fit, Fit) and info.name in RULES:
        learn(RULES[info.name](arguments), [s.results[0][0] for s in signatures], fit)
    results = zip(*(signature.results for signature in signatures), strict=True)
    outputs = tuple(
        output_of(info.name, place, layouts, arguments, fit)
        for place, layouts in enumerate(results)
    )
    return Call(info.name, info.overload, arguments, outputs, info.view, info.writes)


def learn(sizes: Sequence[Any], shapes: Sequence[Any], fit: Fit) -> None:
    """Tell the fit the last sizes of an output that its op's own rule gives."""
    for place, size in enumerate(sizes):
        if isinstance(size, Poly):
            fit.know(tuple(shape[place - len(sizes)] for shape in shapes), size)


def output_of(op: str, place: int, layouts: Sequence[Any], arguments: Any, fit: Any) -> Any:
    """An output in formulas: fitted, or by the rule of its op where it has one."""
    rule = SHAPES.get((op, place))
    if rule is None:
        return merged(layouts, fit)
    shape = rule(arguments)
    for axis, size in enumerate(shape):
        if isinstance(fit, Fit) and isinstance(size, Poly):
            fit.know(tuple(layout[0][axis] for layout in layouts), size)
    return Tensor(shape, dtype_name(layouts[0][2]))


def arguments_of(keys: Sequence[Any], info: Any, fit: Fit) -> dict[str, Any]:
    """Arguments by the schema's names; those not given have the schema's defaults."""
    schema = schema_of(info.func)
    given = [list(key[1]) for key in keys]
    named = [dict(zip(*key[2], strict=True)) if key[2] else {} for key in keys]
    found: dict[str, Any] = {}
    for place, (name, default) in enumerate(schema):
        if place < len(given[0]):
            found[name] = merged([values[place] for values in given], fit)
        elif name in named[0]:
            found[name] = merged([values.get(name) for values in named], fit)
        else:
            found[name] = default
    return found


@cache
def schema_of(func: Any) -> tuple[tuple[str, Any], ...]:
    """The names of an op's arguments with their defaults; asking the framework takes longer."""
    return tuple((one.name, as_text(one.default_value)) for one in func._schema.arguments)


def merged(values: Sequence[Any], fit: Fit) -> Any:
    """What the same argument was at every point: a formula where it is a size that varies."""
    first = values[0]
    if is_layout(first):
        return merged_tensor(values, fit)
    if isinstance(first, tuple) and len(first) == 2 and first[0] in (bool, float):
        return first[1] if all(value == first for value in values) else None
    if isinstance(first, (tuple, list)):
        if any(not isinstance(v, (tuple, list)) or len(v) != len(first) for v in values):
            return None
        return tuple(merged(parts, fit) for parts in zip(*values, strict=True))
    if all(value == first for value in values):
        return as_text(first)
    if all(type(value) is int for value in values):
        try:
            return fit(tuple(values))
        except PartedError:
            return None
    return None


def is_layout(value: Any) -> bool:
    """Whether a traced argument is a tensor: its shape, strides and type."""
    return isinstance(value, tuple) and len(value) == 3 and type(value[0]).__name__ == "Size"


def merged_tensor(layouts: Sequence[Any], fit: Any) -> Tensor:
    """The tensor whose layouts these are, made once: a size once fitted stays what it is."""
    key = tuple(layouts)
    if key not in fit.tensors:
        fit.tensors[key] = new_tensor(layouts, fit)
    return fit.tensors[key]


def new_tensor(layouts: Sequence[Any], fit: Any) -> Tensor:
    shapes = [layout[0] for layout in layouts]
    if len({len(shape) for shape in shapes}) > 1:
        raise PartedError("a tensor has another number of axes")
    shape = tuple(fit(tuple(sizes)) for sizes in zip(*shapes, strict=True))
    return Tensor(shape, dtype_name(layouts[0][2]), expanded_axes(layouts))


def expanded_axes(layouts: Sequence[Any]) -> tuple[int, ...]:
    """The axes with stride 0, asked at the points where the axis has more than one entry."""
    found = []
    for axis in range(len(layouts[0][0])):
        still = {layout[1][axis] == 0 for layout in layouts if layout[0][axis] > 1}
        if len(still) > 1:
            raise PartedError("a tensor is expanded at some points only")
        if still == {True}:
            found.append(axis)
    return tuple(found)


def dtype_name(dtype: Any) -> str:
    """``"float32"`` of ``torch.float32``."""
    return str(dtype).removeprefix("torch.")


def as_text(value: Any) -> Any:
    """Plain numbers and texts as they are; the framework's own things by their name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return tuple(as_text(part) for part in value)
    return dtype_name(value)


def aligned_storages(
    traces: Sequence[Any], calls: Sequence[Call], place: dict[Vector, int], fit: Fit
) -> list[Storage]:
    """Bytes of every storage: those of the output that made it, or fitted where it is larger."""
    roles = roles_of(traces[0])
    memory: dict[Any, Any] = {}
    storages = []
    for number, sizes in enumerate(zip(*(trace.sizes for trace in traces), strict=True)):
        op, output = traces[0].births[number]
        key = (sizes, op >= 0 and tuple(trace.index[op] for trace in traces), output)
        if key not in memory:
            call = calls[place[key[1]]] if op >= 0 and key[1] in place else None
            memory[key] = bytes_of(sizes, call, output, fit)
        role, name = roles[number]
        scope = traces[0].scopes[op] if op >= 0 else 0
        storages.append(Storage(memory[key], role, scope, name))
    return storages


def bytes_of(sizes: Vector, call: Call | None, output: int, fit: Fit) -> Any:
    if len(set(sizes)) == 1:
        return sizes[0]
    made = call.outputs[output] if call and output < len(call.outputs) else None
    candidates = [made] if made is not None else []
    candidates += list(call.inputs) if call else []
    for tensor in candidates:
        size = plain(tensor.elements * ITEM_BYTES.get(tensor.dtype, 1))
        if tuple(as_poly(size).at(**point) for point in fit.points) == sizes:
            return size
    return fit(sizes)


def roles_of(trace: Any) -> list[tuple[str, str]]:
    """The role of every storage: told where it is known, else by its life.

    Born in the forward pass and alive at its end: an activation (kept for the backward pass).
    """
    told = trace.roles
    roles = [told.get(number, ("temporary", "")) for number in range(len(trace.sizes))]
    alive: set[int] = set()
    phase = -1
    for kind, index in zip(trace.kinds, trace.index, strict=True):
        if kind == BIRTH and phase == 0:
            alive.add(index)
        elif kind == BIRTH + 1:
            alive.discard(index)
        elif kind == BIRTH + 2:
            if phase == 0 and index == 1:
                break
            phase = index
    else:
        return roles
    for number in alive:
        if number not in told:
            roles[number] = ("activation", "")
    return roles


def proves(stream: Stream, trace: Any, point: Point) -> str:
    """``""`` where the stream at ``point`` is the trace event for event; else what differs."""
    try:
        compare_stream(stream, trace)
    except PartedError as error:
        return str(error)
    for number, size in enumerate(trace.sizes):
        expected = stream.storages[number].bytes
        if (expected.at(**point) if isinstance(expected, Poly) else expected) != size:
            return f"a storage of {size} bytes is {expected} by the formula"
    ops = (e for e, kind in enumerate(trace.kinds) if kind == OP)
    at_point = AtPoint(point)
    for place, traced in dict.fromkeys((stream.index[e], trace.index[e]) for e in ops):
        difference = call_differs(stream.calls[place], trace.signatures[traced], at_point)
        if difference:
            return difference
    return ""


def compare_stream(stream: Stream, trace: Any) -> None:
    if stream.kinds != trace.kinds or stream.scopes != trace.scopes:
        raise PartedError("the ops differ in order or number")
    for event, kind in enumerate(trace.kinds):
        if kind != OP and stream.index[event] != trace.index[event]:
            raise PartedError("memory is freed in another order")


class AtPoint:
    """The fit of a single trace, where every size is the number it is; and formulas there."""

    def __init__(self, point: Point) -> None:
        self.point = point
        self.tensors: dict[tuple[Any, ...], Tensor] = {}
        self.known: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, vector: Vector) -> int:
        return vector[0]

    def tensor(self, formula: Tensor) -> Tensor:
        """A tensor in formulas at the point; there an axis of one entry is expanded nowhere."""
        if id(formula) not in self.known:
            sizes = tuple(at(size, self.point) for size in formula.shape)
            expanded = tuple(axis for axis in formula.expanded if sizes[axis] > 1)
            self.known[id(formula)] = formula, Tensor(sizes, formula.dtype, expanded)
        return self.known[id(formula)][1]


def call_differs(call: Call, signature: Signature, at_point: AtPoint) -> str:
    """Whether the layouts of a call at a point are those that were traced."""
    if call.op != signature.info.name:
        return f"{signature.info.name} stands where {call.op} was"
    traced = merged_call([signature], at_point)
    pairs = zip([*call.inputs, *call.results], [*traced.inputs, *traced.results], strict=True)
    for formula, seen in pairs:
        expected = at_point.tensor(formula)
        if expected.shape != seen.shape:
            return f"{call.op} has shape {seen.shape} where the formula gives {expected.shape}"
        if expected.expanded != seen.expanded:
            return f"{call.op} is expanded otherwise"
    return ""
