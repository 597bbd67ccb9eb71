"""``torch.autocast`` on meta tensors, as a CUDA device does it.

Every build of PyTorch has the CUDA kernels of autocast, with or without a GPU: they only look at
types and call on. They are asked what they would cast with tensors that claim to be on such a
device and hold nothing. A few sums are not cast but told to add in float32 (``fp32_set_opt_dtype``
and ``fp32_append_dtype``, ``aten/src/ATen/autocast_mode.h``, PyTorch 2.13); these are written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes

from botec.read import autocast as on_cpu
from botec.read.autocast import BOTH_KEYS, OWN_KEY, PLANS, Casting, Plan, exchanged, tensors_of

CUDA, KEY = "cuda", "AutocastCUDA"
aten = torch.ops.aten
ADDED_IN_FLOAT32 = {
    aten.prod.default, aten.prod.dim_int, aten.softmax.int, aten.log_softmax.int,
    aten.cumprod.default, aten.cumsum.default, aten.linalg_vector_norm.default,
    aten.linalg_matrix_norm.default, aten.linalg_matrix_norm.str_ord, aten.sum.default,
    aten.sum.dim_IntList,
}  # fmt: skip
WITH_TYPE = {
    aten.norm.Scalar: aten.norm.ScalarOpt_dtype,
    aten.norm.ScalarOpt_dim: aten.norm.ScalarOpt_dim_dtype,
}
FUSED = {aten.softmax.int: aten._softmax.default, aten.log_softmax.int: aten._log_softmax.default}
HALF = (torch.float16, torch.bfloat16)


@contextmanager
def autocast_as_on_cuda() -> Iterator[dict[int, Any]]:
    """Let every ``torch.autocast`` block work on meta tensors as a block on CUDA does; gives the
    kept casts, which are to be let go after each trace."""
    casts: dict[int, tuple[Any, Any]] = {}
    kernels = on_cpu.OwnKernels(ops_of_cuda, lambda op: CastingOnCuda(op, casts))
    followed = on_cpu.following_blocks(casts, kernels)
    try:
        with followed, on_cpu.names_of_meta(), on_cpu.transformers_blocks():
            yield casts
    finally:
        casts.clear()
        kernels.drop()


@cache
def ops_of_cuda() -> list[str]:
    """Names of the ops for which CUDA has an autocast kernel."""
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    names = torch._C._dispatch_get_all_op_names()
    return [name for name in names if name.startswith("aten::") and has(name, KEY)]


class CastingOnCuda(Casting):
    """An op on CUDA's list: its arguments cast as CUDA would, then the op itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(BOTH_KEYS):
            if self.op in ADDED_IN_FLOAT32 or self.op in WITH_TYPE:
                return self.in_float32(args, kwargs)
            tensors = list(tensors_of((args, kwargs)))
            for place, kind in self.plan(args, kwargs):
                tensors[place] = self.cast(tensors[place], kind)
            args, kwargs = exchanged((args, kwargs), iter(tensors))
            return self.op(*args, **kwargs)

    def in_float32(self, args: Any, kwargs: Any) -> Any:
        """The op told to add in float32, where nobody has told it otherwise."""
        first = args[0]
        told = kwargs.get("dtype") is not None or (self.op in FUSED and len(args) > 2)
        if told or not first.is_floating_point() or first.dtype == torch.float64:
            return self.op(*args, **kwargs)
        if self.op in FUSED and first.dtype == torch.float16:
            return FUSED[self.op](first, args[1], True)  # one kernel reads half, writes float
        return WITH_TYPE.get(self.op, self.op)(*args, **{**kwargs, "dtype": torch.float32})

    def plan(self, args: Any, kwargs: Any) -> Plan:
        """The casts CUDA's autocast kernel makes for a call, asked once for its types."""
        kind = torch.get_autocast_dtype("cpu")  # the block's own type: it is opened on the CPU
        key = (CUDA, self.op, kind, tuple(one.dtype for one in tensors_of((args, kwargs))))
        if key not in PLANS:
            PLANS[key] = plan_on_cuda(self.op, args, kwargs, kind)
        return PLANS[key]


def plan_on_cuda(op: Any, args: Any, kwargs: Any, kind: Any) -> Plan:
    """The casts of one call under autocast to ``kind``: (which tensor, to what), in order."""
    kinds = [one.dtype for one in tensors_of((args, kwargs))]
    own = torch._C.DispatchKeySet(OWN_KEY)
    apart = _disable_current_modes(), torch._C._ExcludeDispatchKeyGuard(own), torch.no_grad()
    with apart[0], apart[1], apart[2], FakeTensorMode(), switched_on(kind):
        tiny = [torch.empty((), dtype=one, device=CUDA) for one in kinds]
        args, kwargs = exchanged((args, kwargs), iter(tiny))
        with Watched(tiny) as watched, suppress(Exception):
            op(*args, **kwargs)
    return tuple(watched.plan)


class Watched(on_cpu.Watched):
    """Lets a tensor say on which device it claims to be."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default:
            return func(*args, **(kwargs or {}))
        return super().__torch_dispatch__(func, types, args, kwargs)


@contextmanager
def switched_on(kind: Any) -> Iterator[None]:
    """CUDA's autocast to ``kind``; ``torch.autocast`` itself refuses without a GPU."""
    before = torch.is_autocast_enabled(CUDA), torch.get_autocast_dtype(CUDA)
    try:
        torch.set_autocast_enabled(CUDA, True)
        torch.set_autocast_dtype(CUDA, kind)
        yield
    finally:
        torch.set_autocast_enabled(CUDA, before[0])
        torch.set_autocast_dtype(CUDA, before[1])
