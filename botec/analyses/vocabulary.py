"""The words in which rules of thumb speak of a network, found in its program.

A word a network has no single answer to (the width of layers that differ) is absent, and the rules
that need it do not apply.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from botec.analyses.count import Counts, parameter_count
from botec.analyses.figures import TWO_AVERAGES, Answers, token_sizes
from botec.analyses.memory import Memory, weight_bytes
from botec.analyses.spelled import Spelled
from botec.calls import ITEM_BYTES, Call, Tensor
from botec.ops.attention import operands
from botec.ops.facts import kind_of
from botec.poly import as_poly, at, plain, product, symbol
from botec.program import Parameter


class Vocabulary:
    """Every word as an attribute: a number at the asked point, or ``None`` where there is none.

    With the counts of a stream every word is a formula of that stream.
    """

    def __init__(self, answers: Answers, formal: Counts | None = None) -> None:
        self.answers = answers
        self.program = answers.program
        self.formal = formal is not None
        self.counts = formal or answers.here

    def __getitem__(self, word: str) -> Any:
        """The number for a word; ``None`` for one that is unknown, or has no single answer."""
        return getattr(self, word, None) if not word.startswith("_") else None

    def here(self, value: Any) -> Any:
        """A formula at the asked point; as it is where words are formulas."""
        return value if self.formal else at(value, self.program.asked)

    def size(self, text: str) -> Any:
        """The size an input's axis was given, by the name of a dimension or in digits."""
        if text in self.program.asked:
            return self.here(symbol(text))
        return int(text) if text.isdigit() else None

    @cached_property
    def forward(self) -> Any:
        """Multiplications of the forward pass."""
        return self.here(self.counts.total("multiplications", ("forward",)).value)

    @cached_property
    def parameters(self) -> int:
        """Numbers in all weights, tied ones once."""
        return parameter_count(self.program.parameters)

    @cached_property
    def trainable(self) -> int:
        """Numbers in the weights that are trained."""
        return parameter_count(p for p in self.program.parameters if p.trainable)

    @cached_property
    def weights(self) -> int:
        """Bytes of weights and buffers as stored."""
        return weight_bytes(self.program)

    @cached_property
    def tokens(self) -> Any:
        """Rows of token numbers in the batch."""
        return product(map(self.size, token_sizes(self.program))) if self.reads_tokens else None

    @property
    def reads_tokens(self) -> bool:
        """Whether the network reads rows of token numbers."""
        return bool(token_sizes(self.program))

    @cached_property
    def examples(self) -> Any:
        """The first size of the first input."""
        first = next(iter(self.program.setting.inputs), "")
        return self.size(first.partition("=")[2].partition(":")[0].partition(",")[0])

    @cached_property
    def sequence(self) -> Any:
        """Tokens of one example."""
        if not (self.tokens and self.examples):
            return None
        return plain(as_poly(self.tokens) // self.examples)

    @cached_property
    def item_bytes(self) -> int | None:
        """Bytes of one weight, where all have as many."""
        return single(ITEM_BYTES.get(p.tensor.dtype) for p in self.program.parameters)

    # -- memory --------------------------------------------------------------------------------

    @property
    def two_averages(self) -> bool:
        """Whether it is trained by an optimizer that keeps two averages."""
        setting = self.program.setting
        return setting.train and setting.optimizer in TWO_AVERAGES

    @property
    def adam_weights(self) -> int | None:
        """Bytes of the weights, where Adam or its kin trains them."""
        return self.weights if self.two_averages else None

    @property
    def adam_parameters(self) -> int | None:
        """Numbers in the weights, where Adam or its kin trains them."""
        return self.parameters if self.two_averages else None

    @property
    def inferred_weights(self) -> int | None:
        """Bytes of the weights, where nothing is trained."""
        return None if self.program.setting.train else self.weights

    @property
    def trained_examples(self) -> int | None:
        """Examples of a training step."""
        return self.examples if self.program.setting.train else None

    @cached_property
    def outputs_of_one(self) -> Any:
        """Bytes all ops of the forward pass make for one example."""
        if not self.examples:
            return None
        made = self.here(self.memory.outputs())
        return (Spelled(str(made)) if self.formal else made) // self.examples

    @property
    def memory(self) -> Memory:
        """The timeline of the stream the words are of, without what kernels take inside an op."""
        return Memory(self.program, self.counts.stream, {})

    @property
    def peak(self) -> Any:
        """The memory peak."""
        return Spelled("memory.peak") if self.formal else self.answers.memory.fullest.bytes

    @property
    def kept(self) -> Any:
        """What the optimizer keeps of the peak."""
        kept = self.answers.memory.by_role().get("optimizer")
        return Spelled("memory.peak.optimizer") if self.formal and kept else kept

    @property
    def states(self) -> Any:
        """Bytes of weights, gradients and optimizer states together."""
        return self.here(self.memory.states())

    # -- fully connected layers of one width ---------------------------------------------------

    @cached_property
    def uniform_width(self) -> int | None:
        """K where every weight is a K x K matrix (biases beside them), else ``None``."""
        return (
            single(size for p in self.matrices for size in p.tensor.shape) if self.plain else None
        )

    @cached_property
    def linear_layers(self) -> int | None:
        """How many matrices there are, where they are of one width."""
        return len(self.matrices) if self.uniform_width else None

    @property
    def matrices(self) -> list[Parameter]:
        return [p for p in self.program.parameters if len(p.tensor.shape) == 2]

    @property
    def plain(self) -> bool:
        """Nothing but matrices and vectors, and every product one of matrices."""
        kinds = set(self.counts.by_kind("multiplications", ("forward",)))
        others = any(len(p.tensor.shape) > 2 for p in self.program.parameters)
        working = {kind for kind in kinds if self.works(kind)}
        return not others and bool(self.matrices) and working == {"matmul"}

    def works(self, kind: str) -> bool:
        total = self.counts.by_kind("multiplications", ("forward",))[kind]
        return bool(self.here(total.value))

    # -- attention -----------------------------------------------------------------------------

    @cached_property
    def attentions(self) -> int | None:
        """Calls of attention in the forward pass, where it attends to itself."""
        return sum(times for _, times in self.attending) or None

    @cached_property
    def heads(self) -> int | None:
        """Heads of queries."""
        return single(query[1] for query, _ in self.operand_sizes)

    @cached_property
    def key_heads(self) -> int | None:
        """Heads of keys, of which each may serve several of queries."""
        return single(key[1] for _, key in self.operand_sizes)

    @cached_property
    def head_width(self) -> int | None:
        """Width of one head."""
        return single(query[3] for query, _ in self.operand_sizes)

    @property
    def heads_width(self) -> int | None:
        """Width of all heads of queries together."""
        return self.heads * self.head_width if self.heads and self.head_width else None

    @property
    def operand_sizes(self) -> list[tuple[list[int], list[int]]]:
        return [tuple(map(self.sizes, operands(call)[:2])) for call, _ in self.attending]  # type: ignore[misc]

    @cached_property
    def attending(self) -> list[tuple[Call, int]]:
        """Attention calls on four axes (examples, heads, tokens, width) and how often they are."""
        found = []
        for line in self.counts.lines:
            if line.phase == "forward" and kind_of(line.call) == "attention":
                shapes = [self.sizes(one) for one in operands(line.call)[:2]]
                if {len(shape) for shape in shapes} != {4} or shapes[0][2] != shapes[1][2]:
                    return []
                found.append((line.call, line.times))
        return found

    def sizes(self, tensor: Tensor) -> list[Any]:
        """A tensor's shape."""
        return [self.here(size) for size in tensor.shape]

    # -- what is looked up ---------------------------------------------------------------------

    @cached_property
    def looked_up(self) -> int:
        """Parameters that are only looked up: tables no product uses under another name."""
        tables = set(self.tables())
        return parameter_count(
            p for p in self.program.parameters if tables.issuperset(map(owner, p.names))
        )

    def tables(self) -> Iterator[str]:
        """Modules whose forward is a look-up by numbers."""
        for line in self.counts.lines:
            if line.phase == "forward" and line.call.op == "aten.embedding":
                yield self.program.scopes[line.scope]


def owner(name: str) -> str:
    """The module a parameter belongs to."""
    return name.rpartition(".")[0]


def single(values: Any) -> Any:
    """The value all share; ``None`` where they differ, or there is none."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
