"""``_foreach_`` ops: an op on a whole list of tensors, counted as its plain twin on each of them.

Nothing is declared here: ``aten._foreach_lerp_`` is built from ``aten.lerp`` when it is first asked
for. Row ``i`` of the call takes the ``i``-th entry of every list (tensors and scalars alike) and
every other argument as it is. Equal rows are counted once and multiplied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from botec.calls import Call, Tensor, tensors_in
from botec.ops.facts import Op, bytes_moved, flops, multiplications, op_of


def foreach(name: str) -> Op | None:
    """``aten._foreach_add_`` built from ``aten.add``; ``None`` where the twin has told nothing."""
    plain_name = name.replace("._foreach_", ".")
    twin = op_of(plain_name)
    if twin is None or not twin.facts.keys() & {"flops", "multiplications"}:
        return None
    built = Op(name, (name,), twin.kind, "")
    built.because = twin.because
    asked = (("multiplications", multiplications), ("flops", flops), ("bytes", bytes_moved))
    for fact, ask in asked:
        built.tell(fact, total_of(ask, plain_name))
    return built


def total_of(ask: Callable[[Call], Any], plain_name: str) -> Callable[..., Any]:
    """A formula: what ``ask`` says of the twin, summed over the rows of a call."""

    def total(call: Call) -> Any | None:
        answers = [
            (ask(one_row(call, plain_name, *row)), times) for row, times in rows_of(call).items()
        ]
        if any(answer is None for answer, _ in answers):
            return None
        return sum(answer * times for answer, times in answers)

    return total


def rows_of(call: Call) -> Counter[tuple[tuple[Any, ...], Tensor]]:
    """Each different row with how often it occurs: its entries of the lists, and its output."""
    lists = list_arguments(call)
    length = max((len(entries) for entries in lists.values()), default=0)
    outputs = call.outputs if len(call.outputs) == length else written_to(call)
    return Counter(zip(zip(*lists.values(), strict=True), outputs, strict=True))


def written_to(call: Call) -> tuple[Any, ...]:
    """An in-place op returns nothing: it writes its first list of tensors."""
    return next(entries for entries in list_arguments(call).values() if any(tensors_in(entries)))


def list_arguments(call: Call) -> dict[str, tuple[Any, ...]]:
    return {name: entry for name, entry in call.arguments.items() if isinstance(entry, tuple)}


def one_row(call: Call, plain_name: str, entries: tuple[Any, ...], output: Tensor) -> Call:
    """The twin's call on one row."""
    arguments = {**call.arguments, **dict(zip(list_arguments(call), entries, strict=True))}
    return Call(plain_name, call.overload, arguments, (output,))
