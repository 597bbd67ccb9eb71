"""What an op was called with, interned: one signature for every distinct call of a trace."""

from __future__ import annotations

from typing import Any

import torch

from botec.read.in_place import SUBSTITUTES
from botec.read.shadow import makes_new

PURE, VIEW, IN_PLACE, OTHER = range(4)


class Signature:
    """One distinct call: the op, the layout of every argument, the layout of every output.

    ``key`` is the arguments with each tensor as ``(shape, stride, dtype)``; ``outputs`` is one such
    triple, a list of them (``None`` where undefined), or ``None`` where the op must be run again.
    """

    __slots__ = ("info", "key", "many", "outputs", "results", "shadowed", "way")

    def __init__(self, info: OpInfo, way: int, key: Any) -> None:
        self.info, self.way, self.key = info, way, key
        self.outputs: Any = None
        self.results: tuple[Any, ...] = ()
        self.many: Any = tuple
        self.shadowed = False


class OpInfo:
    """What the schema of an op says, asked once."""

    __slots__ = (
        "factory",
        "fresh",
        "func",
        "grouped",
        "name",
        "number",
        "overload",
        "seeded",
        "silent",
        "substitute",
        "view",
        "way",
        "writes",
        "written",
    )

    def __init__(self, func: Any, number: int) -> None:
        schema = func._schema
        self.func, self.number = func, number
        self.name = f"{func.namespace}.{schema.name.split('::')[1]}"
        self.overload = func._overloadname
        self.grouped = schema.name in ("aten::_grouped_mm", "transformers::grouped_mm_fallback")
        self.silent = func.namespace == "profiler"  # marks for a profiler, no work
        self.factory = any(argument.name == "device" for argument in schema.arguments)
        self.writes = tuple(
            a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write
        )
        names = [argument.name for argument in schema.arguments]
        self.written = tuple(names.index(name) for name in self.writes)
        self.view = any(
            r.alias_info is not None and not r.alias_info.is_write for r in schema.returns
        )
        self.seeded = torch.Tag.nondeterministic_seeded in func.tags
        self.fresh = makes_new(func)
        self.substitute = func in SUBSTITUTES
        self.way = self.way_of(func, schema)

    def way_of(self, func: Any, schema: Any) -> int:
        """How a second call with the same layouts can be answered without running the op."""
        tags = torch.Tag
        if self.name in NEW_LOOKS:
            self.view = self.name != "aten.lift_fresh"
            return VIEW
        if self.view:
            return VIEW
        if self.name in WRITES_STATISTICS:
            return PURE
        if tags.inplace_view in func.tags:
            return OTHER
        if schema.is_mutable:
            return IN_PLACE if self.returns_self(schema) else OTHER
        if tags.data_dependent_output in func.tags or tags.dynamic_output_shape in func.tags:
            return OTHER
        known = func.namespace in ("aten", "prims", "torchvision", "transformers")
        tensors = all(str(r.type) in ("Tensor", "List[Tensor]") for r in schema.returns)
        return PURE if known and tensors else OTHER

    def returns_self(self, schema: Any) -> bool:
        """Whether it changes its first argument only, and returns it."""
        first = schema.arguments[0] if schema.arguments else None
        return (
            len(self.writes) == 1
            and first is not None
            and self.writes[0] == first.name
            and str(first.type) == "Tensor"
            and len(schema.returns) == 1
            and schema.returns[0].alias_info is not None
        )


# A new tensor object over the same memory, though the schema does not say so.
NEW_LOOKS = {
    "aten._unsafe_view", "aten._reshape_alias", "aten.lift_fresh", "aten.alias", "aten.detach",
}  # fmt: skip
# Running statistics are updated in place beside outputs that are fresh.
WRITES_STATISTICS = {
    "aten.native_batch_norm", "aten.cudnn_batch_norm", "aten._native_batch_norm_legit",
    "aten._batch_norm_with_update", "aten.miopen_batch_norm",
}  # fmt: skip
