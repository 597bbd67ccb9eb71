"""What other counters count: the rules of known tools, and of people, as facts with sources.

A forward pass is parted once (:class:`Pieces`): products by the kind of module that makes them, and
the small things some add. A :class:`Convention` is then which pieces it leaves out, what it adds,
and how often each is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

from botec.analyses.count import Line
from botec.analyses.figures import Answers
from botec.analyses.vocabulary import Vocabulary
from botec.calls import Tensor
from botec.poly import at

#: Products, by who makes them.
CONVOLUTION, TRANSPOSED, LINEAR = "convolutions", "transposed convolutions", "linear layers"
RECURRENT = "recurrent layers"
MULTIHEAD = "attention inside multi-head layers"
PROJECTIONS = "projections of multi-head layers"
FUSED, WRITTEN = "fused attention", "products written in code"
FUNCTIONS = "layers called as functions"
PRODUCTS = (
    CONVOLUTION, TRANSPOSED, LINEAR, RECURRENT, MULTIHEAD, PROJECTIONS, FUSED, WRITTEN, FUNCTIONS,
)  # fmt: skip
#: Small things, of which a convention takes so many for each element.
BIAS, POOL, SOFTMAX = "biases", "pooling", "softmaxes"
NORM, LAYER_NORM = "batch norms", "layer norms"
CORNERED, SMOOTH = "relu, gelu and their kin", "other activations"
HOOKED = "the same, seen once more as modules"
GATES_BIAS, GATES = "biases of recurrent layers", "gates of recurrent layers"
HEADS = "scale, softmax and biases of multi-head attention"
ENLARGED = "transposed convolutions taken at their output's size"
LOOKUPS = "embeddings taken as products"
HEAD = "the last layer"
CAUSAL = "the masked half of causal attention"
CELLS = {"LSTM": 4, "GRU": 3, "RNN": 1}
HEADED, BATCHED = "MultiheadAttention", ("aten.bmm", "aten.baddbmm")
CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d")
CORNERED_OPS = (
    "relu",
    "relu_",
    "gelu",
    "leaky_relu",
    "leaky_relu_",
    "elu",
    "elu_",
    "_prelu_kernel",
)
SMOOTH_OPS = ("silu", "silu_", "hardtanh", "hardtanh_")
MODULES = ("ReLU", "GELU", "LeakyReLU", "ELU", "PReLU", "Pool")


class Pieces:
    """The forward pass of a program in inference, parted; every piece a number at its point."""

    def __init__(self, answers: Answers) -> None:
        self.answers, self.program = answers, answers.program
        self.words = Vocabulary(answers)
        self.lines = [line for line in answers.here.lines if line.phase == "forward"]

    def __getitem__(self, name: str) -> int:
        """One piece: a kind of products, or one of the small things; 0 where there is none."""
        return self.products.get(name, 0) if name in PRODUCTS else self.small.get(name, 0)

    @property
    def total(self) -> int:
        """All multiplications."""
        return sum(self.products.values())

    @cached_property
    def products(self) -> dict[str, int]:
        """Multiplications by who makes them."""
        found: dict[str, int] = {}
        for line in self.lines:
            if count := self.cost(line):
                kind = self.kind(line)
                found[kind] = found.get(kind, 0) + count
        return found

    def cost(self, line: Line) -> int:
        return at(line.costs["multiplications"] or 0, self.program.asked) * line.times

    def kind(self, line: Line) -> str:
        """Who makes a product: a layer of a known type, or code between layers."""
        layer = self.program.scope_types[line.scope]
        if layer in CELLS:
            return RECURRENT
        if layer == HEADED or path_inside(self.program, line.scope):
            own = line.kind == "attention" or line.call.op in BATCHED
            return MULTIHEAD if own else PROJECTIONS
        if line.kind == "attention":
            return FUSED
        if layer in CONVOLUTIONS:
            return CONVOLUTION
        if layer.startswith("ConvTranspose"):
            return TRANSPOSED
        if "Linear" in layer:
            return LINEAR
        return WRITTEN if line.call.op in BATCHED else FUNCTIONS

    @cached_property
    def small(self) -> dict[str, int]:
        """The small things, in elements."""
        found: dict[str, int] = {}
        for line in self.lines:
            if self.kind(line) not in (RECURRENT, MULTIHEAD, PROJECTIONS):
                for name, size in self.sized(line):
                    found[name] = found.get(name, 0) + size
        found[ENLARGED] = self.enlarged
        found[LOOKUPS] = self.lookups
        found[HEAD] = self.head
        found[CAUSAL] = self.masked
        found[HEADS] = self.heads
        found[GATES_BIAS], found[GATES] = self.gates(biases=True), self.gates(biases=False)
        return found

    def sized(self, line: Line) -> Iterator[tuple[str, int]]:
        layer = self.program.scope_types[line.scope]
        for name, tensor in small_things(line):
            size = at(tensor.elements, self.program.asked) * line.times
            if name != SOFTMAX or layer == "Softmax":
                yield name, size
            if name in (CORNERED, POOL) and any(one in layer for one in MODULES):
                yield HOOKED, size

    @property
    def enlarged(self) -> int:
        """What transposed convolutions cost more where the kernel is taken at every output."""
        more = 0
        for line in self.lines:
            if line.call.arguments.get("transposed"):
                sizes = [at(prod(t.shape[2:]), self.program.asked) for t in (
                    line.call.arguments["input"], line.call.results[0])]  # fmt: skip
                more += self.cost(line) * sizes[1] // sizes[0] - self.cost(line)
        return more

    @property
    def lookups(self) -> int:
        """What look-ups would cost as products of one-hot rows with their tables."""
        return sum(
            at(line.call.arguments["weight"].elements, self.program.asked)
            * at(line.call.arguments["indices"].elements, self.program.asked) * line.times
            for line in self.lines if line.call.op == "aten.embedding"
        )  # fmt: skip

    @property
    def head(self) -> int:
        """The products of the last layer."""
        costs = [cost for line in self.lines if (cost := self.cost(line))]
        return costs[-1] if len(costs) > 1 else 0

    @property
    def masked(self) -> int:
        """The products a causal mask throws away."""
        left = self.answers.here.without_causal_half(("forward",))
        return 0 if left is None else self.total - at(left, self.program.asked)

    @property
    def heads(self) -> int:
        """Biases, the scale on the queries and the softmax inside multi-head attention layers."""
        total = 0
        for line in self.lines:
            if self.kind(line) in (MULTIHEAD, PROJECTIONS):
                total += sum(size for name, size in self.sized(line) if name == BIAS)
                if line.call.op in ("aten.add", "aten.mul", "aten._softmax"):
                    total += at(line.call.results[0].elements, self.program.asked) * line.times
        return total

    def gates(self, biases: bool) -> int:
        """Recurrent layers: additions of biases, or hidden units updated, over all steps."""
        total = 0
        for scope, layer in enumerate(self.program.scope_types):
            if layer not in CELLS:
                continue
            sizes = self.sizes_of(self.program.scopes[scope])
            work = sum(self.cost(line) for line in self.lines if line.scope == scope)
            rows = work // max(1, sum(s for n, s in sizes.items() if "weight" in n))
            held = sum(s for n, s in sizes.items() if ("bias" in n if biases else "bias_hh" in n))
            total += rows * (held if biases else held // CELLS[layer])
        return total

    def sizes_of(self, path: str) -> dict[str, int]:
        """Entries of the parameters a module owns itself, by their own names."""
        return {
            name.rpartition(".")[2]: at(one.tensor.elements, {})
            for one in self.program.parameters
            for name in one.names
            if name.rpartition(".")[0] == path
        }

    @cached_property
    def by_parameters(self) -> int:
        """Parameters of each layer once an example, at every place of a convolution's output."""
        total, seen = 0, set()
        for line in self.lines:
            layer, path = self.program.scope_types[line.scope], self.program.scopes[line.scope]
            held = sum(self.sizes_of(path).values())
            called = self.kind(line) == FUNCTIONS and self.cost(line)
            if not held or path in seen or called or self.kind(line) in (MULTIHEAD, PROJECTIONS):
                continue
            if line.call.op == "aten.convolution":
                out = line.call.results[0].shape
                places = at(out[0] * prod(out[2:]), self.program.asked)
            elif layer in CELLS:
                work = sum(self.cost(one) for one in self.lines if one.scope == line.scope)
                weights = sum(s for n, s in self.sizes_of(path).items() if "weight" in n)
                places = work // weights
            elif line.call.inputs and not line.call.view:
                places = (self.words.examples or 1) * line.times
            else:
                continue
            seen.add(path)
            total += held * places
        return total


def path_inside(program: Any, scope: int) -> bool:
    """Whether a module lies inside a multi-head attention layer (its output projection does)."""
    before = program.scopes[scope].rpartition(".")[0]
    types = dict(zip(program.scopes, program.scope_types, strict=True))
    return types.get(before) == HEADED


def small_things(line: Line) -> Iterator[tuple[str, Tensor]]:
    """Biases, norms, activations and pooling of a line, with the elements they touch."""
    call, short = line.call, line.call.op.rpartition(".")[2]
    if not call.results:
        return
    if short == "addmm" or (isinstance(call.arguments.get("bias"), Tensor) and line.kind in (
        "matmul", "convolution",
    )):  # fmt: skip
        yield BIAS, call.results[0]
    if line.kind == "norm":
        yield NORM if "batch_norm" in short else LAYER_NORM, call.results[0]
    elif short in CORNERED_OPS:
        yield CORNERED, call.results[0]
    elif short in SMOOTH_OPS:
        yield SMOOTH, call.results[0]
    elif line.kind == "softmax":
        yield SOFTMAX, call.results[0]
    elif line.kind == "pool":
        yield POOL, call.inputs[0]


@dataclass(frozen=True)
class Convention:
    """A way to count: who counts so, the products left out, the small things added, a factor."""

    name: str
    source: str
    without: tuple[str, ...] = ()
    adds: Mapping[str, float] = field(default_factory=dict)
    times: float = 1.0
    by_parameters: bool = False
    known_as: tuple[str, ...] = ()

    def value(self, pieces: Pieces) -> float:
        """What it gives for a network."""
        if self.by_parameters:
            return self.times * pieces.by_parameters
        kept = pieces.total - sum(pieces[name] for name in self.without)
        return self.times * (kept + sum(pieces[name] * many for name, many in self.adds.items()))

    def words(self, pieces: Pieces) -> Iterator[str]:
        """What of it matters for this network, one sentence each."""
        if self.by_parameters:
            yield "every layer's parameters are taken once for each example"
            yield "a convolution's once for each place of its output"
        for name in self.without:
            if pieces[name]:
                yield f"{name} are left out ({-pieces[name]:,})"
        for name, many in self.adds.items():
            if pieces[name] and name in (HEAD, CAUSAL):
                yield f"{name} is left out ({-pieces[name]:,})"
            elif pieces[name]:
                yield f"{name} are counted ({round(many * pieces[name]):+,})"
        if self.times != 1:
            yield TIMES.get(self.times, f"all of it {self.times:g} times")


TIMES = {
    2.0: "a multiply-add counts as two operations",
    3.0: "a training step is taken as three forwards",
    6.0: "a training step is taken as three forwards, a multiply-add as two operations",
}
FUNCTIONAL = (FUSED, WRITTEN, FUNCTIONS)
OWN = (FUSED, MULTIHEAD)
FAST = (*OWN, PROJECTIONS)
THOP = "thop 0.1.1, vision/basic_hooks.py and rnn_hooks.py"
PTFLOPS, PTFLOPS_ATEN = "ptflops 0.7.5, pytorch_ops.py", "ptflops 0.7.5, aten_ops.py"
FVCORE, CALFLOPS = "fvcore 0.1.5, nn/jit_handles.py", "calflops 0.3.2, pytorch_ops.py"
TORCH = "torch 2.13, utils/flop_counter.py"
TORCHES = ("torch", "flopcountermode")
# Its hooks on modules and its patches of functions both see a relu, a gelu and a pooling.
PT_LAYERS = {
    BIAS: 1, NORM: 2, LAYER_NORM: 1, CORNERED: 1, SMOOTH: 1, SOFTMAX: 1, POOL: 1, HOOKED: 1,
    GATES_BIAS: 1, HEADS: 1,
}  # fmt: skip


def thop(name: str, gates: int) -> Convention:
    """thop knows layers alone; gates of a cell are so many operations for each hidden unit."""
    adds = {NORM: 4, LAYER_NORM: 4, ENLARGED: 1, GATES_BIAS: 1, GATES: gates}
    return Convention(
        name, THOP, (*FUNCTIONAL, MULTIHEAD, PROJECTIONS), adds, known_as=("thop", "opcounter")
    )


def ptflops(name: str, gates: int) -> Convention:
    """Its default backend knows layers alone."""
    return Convention(name, PTFLOPS, FUNCTIONAL, {**PT_LAYERS, GATES: gates}, known_as=("ptflops",))


def kernels(name: str, source: str, also: tuple[str, ...], **more: Any) -> list[Convention]:
    """A counter of kernels: blind to fused ones; the fast path of inference hides a whole layer."""
    return [
        Convention(name, source, (*OWN, RECURRENT, *also), **more),
        Convention(f"{name}, in inference", source, (*FAST, RECURRENT, *also), **more),
    ]


TOOLS = (
    thop("thop", 8),
    thop("thop, GRU", 7),
    ptflops("ptflops, pytorch", 10),
    ptflops("ptflops, pytorch, GRU", 7),
    *kernels("ptflops, aten", PTFLOPS_ATEN, (), adds={BIAS: 1}, known_as=("ptflops",)),
    Convention("ptflops, aten, GRU", PTFLOPS_ATEN, FAST, {BIAS: 1, GATES_BIAS: 0.5},
               known_as=("ptflops",)),
    *kernels("fvcore", FVCORE, (), adds={NORM: 2, LAYER_NORM: 5, POOL: 1}, known_as=("fvcore",)),
    *kernels("fvcore, products alone", FVCORE, (), known_as=("fvcore",)),
    Convention("torchinfo", "torchinfo 1.8.0, layer_info.py", by_parameters=True),
    *kernels("calflops", CALFLOPS, (WRITTEN,), known_as=("calflops",)),
    *kernels("FlopCounterMode on CPU", TORCH, (), times=2.0, known_as=TORCHES),
    *kernels("half of FlopCounterMode on CPU", TORCH, (), known_as=TORCHES),
    Convention("FlopCounterMode on meta", TORCH, times=2.0, known_as=TORCHES),
)  # fmt: skip
PAPERS = "how papers and tables count"
PEOPLE = (
    Convention("multiply-adds", PAPERS),
    Convention("operations", PAPERS, times=2.0),
    Convention("multiply-adds with biases", PAPERS, adds={BIAS: 1, GATES_BIAS: 1}),
    Convention("multiply-adds with norms", PAPERS, adds={NORM: 2, LAYER_NORM: 2}),
    Convention(
        "multiply-adds with biases and norms", PAPERS, adds={BIAS: 1, NORM: 2, LAYER_NORM: 2}
    ),
    Convention(
        "multiply-adds with biases, norms and activations", PAPERS,
        adds={BIAS: 1, NORM: 2, LAYER_NORM: 2, CORNERED: 1, SMOOTH: 1},
    ),
    Convention("multiply-adds without attention's own", PAPERS, (*OWN, WRITTEN)),
    Convention("operations without attention's own", PAPERS, (*OWN, WRITTEN), times=2.0),
    Convention("multiply-adds without the masked half", PAPERS, adds={CAUSAL: -1}),
    Convention("operations without the masked half", PAPERS, adds={CAUSAL: -1}, times=2.0),
    Convention("multiply-adds without the head", PAPERS, adds={HEAD: -1}),
    Convention("operations without the head", PAPERS, adds={HEAD: -1}, times=2.0),
    Convention("multiply-adds with embeddings", PAPERS, adds={LOOKUPS: 1}),
    Convention("multiply-adds, transposed at their output", PAPERS, adds={ENLARGED: 1}),
    Convention("a training step in multiply-adds", PAPERS, times=3.0),
    Convention("a training step in operations", PAPERS, times=6.0),
)  # fmt: skip


def named(tool: str) -> tuple[Convention, ...]:
    """The conventions a tool is known by; empty for an unknown one."""
    wanted = tool.lower().strip()
    return tuple(one for one in TOOLS if wanted in (one.name.lower(), *one.known_as))


def tool_names() -> list[str]:
    """Every name ``--as`` takes."""
    return sorted({name for one in TOOLS for name in (one.name, *one.known_as)})


def candidates(tool: str) -> tuple[Any, ...]:
    """A tool's own conventions first, where one is named; else everyone's, the plainest first."""
    return named(tool) if tool else (*PEOPLE, *TOOLS)
