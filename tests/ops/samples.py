"""One sample call of every op of the book, written from the framework's own schema.

The first size of every tensor is the free one. Shapes are the simplest that can be read; where an
op needs others, they stand in SHAPES by the op's family or in ARGUMENTS by its name.
"""

from __future__ import annotations

import torch

from botec.calls import Call, Tensor
from tests.ops.calls_for import tensor

NUMBERS = {"dim": 1, "reduction": 1, "mode": 2, "interpolation_mode": 0, "C": 4, "HxW": 36,
           "group": 2, "groups": 1, "num_heads": 2, "num_head": 2, "sampling_ratio": 2,
           "custom_mask_type": 1, "last_dim_size": 6, "axis": 0, "p": 2, "ord": 2}  # fmt: skip
LISTS = {"dim": (1,), "kernel_size": (2, 2), "normalized_shape": (6,), "output_size": (3, 3),
         "expand1": (), "expand2": (), "expand3": (), "sumdim": (1,),
         "size": (2, 2, 3, 3)}  # fmt: skip
NOT_GIVEN = {"cum_seq_q", "cum_seq_k", "cu_seqlens_q", "cu_seqlens_k"}


def shapes_of(b, kind, name):
    """Argument name -> shape, for families that need more than (b, 4, 6, 6)."""
    return {
        "matmul": product_shapes,
        "convolution": convolution_shapes,
        "recurrent": recurrent_shapes,
        "attention": attention_shapes,
        "loss": loss_shapes,
        "linalg": lambda b, name: {"outputs": [(b, 6, 6)], "self": (b, 6, 6), "A": (b, 6, 6)},
        "embedding": lambda b, name: {"weight": (9, 4), "indices": (b, 3), "grad": (b, 4),
                                      "self": (9, 4), "outputs": [(b, 3, 4)]},
    }.get(kind, lambda b, name: {})(b, name)  # fmt: skip


def product_shapes(b, name):
    if "linear" in name:
        return {"self": (b, 4), "input": (b, 4), "weight": (5, 4), "bias": (5,),
                "grad_output": (b, 5), "outputs": [(b, 5)]}  # fmt: skip
    if "addb" in name or "badd" in name or name.endswith("bmm"):
        return {"self": (b, 4, 5), "batch1": (b, 4, 3), "batch2": (b, 3, 5), "mat2": (b, 5, 3),
                "outputs": [(b, 4, 5)]}  # fmt: skip
    pairs = {"self": (b, 4), "mat1": (b, 4), "mat": (b, 4), "mat2": (4, 5), "outputs": [(b, 5)]}
    vectors = {"vec": (4,), "vec1": (b,), "vec2": (5,), "other": (4, 5), "tensor": (4,)}
    return {**pairs, **vectors, "grad": (b, 5), "i1": (b, 4), "i2": (b, 4), "i3": (b, 4)}


def convolution_shapes(b, name):
    if "tbc" in name:
        return {"self": (b, 3, 4), "weight": (2, 4, 5), "input": (b, 3, 4), "outputs": [(b, 3, 5)]}
    image = dict.fromkeys(("input", "self", "ggI", "z"), (b, 4, 9, 9))
    made = dict.fromkeys(("grad_output", "gO"), (b, 8, 7, 7))
    return {**image, **made, "weight": (8, 4, 3, 3), "ggW": (8, 4, 3, 3), "bias": (8,),
            "ggb": (8,), "outputs": [(b, 8, 7, 7)]}  # fmt: skip


def recurrent_shapes(b, name):
    sequence, state = (3, b, 4), (b, 5)
    weights = {f"weight{place}": (20, 4) for place in range(5)}
    cell = {"w_ih": (20, 4), "w_hh": (20, 5), "cx": state, "hx": state, "grad_hy": state}
    cell |= {"input": (b, 4)} if "cell" in name else {"input": sequence, "data": sequence}
    return {**weights, **cell, "weight": [(20, 4), (20, 5)], "params": [(20, 4), (20, 5)]}


def attention_shapes(b, name):
    if "transformer" in name or "multi_head" in name or "qkv" in name:
        token = dict.fromkeys(("src", "query", "key", "value"), (b, 3, 6))
        return {**token, "ffn_weight_1": (8, 6), "ffn_weight_2": (6, 8), "qkv": (b, 3, 18)}
    return dict.fromkeys(("query", "key", "value", "q", "k", "v"), (b, 2, 3, 4))


def loss_shapes(b, name):
    return {"log_probs": (7, b, 5), "log_alpha": (b, 7, 9), "outputs": [(b,), (b, 7, 9)]}


def schema_of(name):
    """The op's own schema, or its in-place twin's; the first overload that writes no ``out``."""
    namespace, base = name.split(".", 1)
    for spelled in (base, f"{base}_"):
        packet = getattr(getattr(torch.ops, namespace), spelled, None)
        if packet is not None:
            overloads = [getattr(packet, overload) for overload in packet.overloads()]
            schemas = [each._schema for each in overloads]
            plain = [schema for schema in schemas if not writes_out(schema)]
            return max(plain or schemas, key=lambda each: len(tensors_wanted(each)))
    raise AssertionError(f"the dispatcher has no {name}")


def writes_out(schema):
    return any(each.is_out for each in schema.arguments)


def tensors_wanted(schema):
    return [each for each in schema.arguments if "Tensor" in str(each.type)]


def sample(op, name, b):
    """A call of ``op`` under ``name``, its free size ``b``."""
    schema, shapes = schema_of(name), shapes_of(b, op.kind, name)
    default = (b, 4, 6, 6)
    if name in WHOLE_SHAPES:
        shapes = {**shapes, **WHOLE_SHAPES[name](b)}
    arguments = {
        each.name: argument(each, shapes.get(each.name, default)) for each in schema.arguments
    }
    outputs = shapes.get("outputs", [default] * len(schema.returns))
    made = tuple(tensor(*shape) for shape in outputs)
    return Call(name, schema.overload_name or "default", arguments, made)


def argument(wanted, shape):
    """A plain value of the schema's type."""
    kind, name = str(wanted.type), wanted.name
    if name in NOT_GIVEN:
        return None
    if "Tensor" in kind:
        return tensors(kind, shape)
    if "List[" in kind:
        return (True,) * wanted.N if "bool" in kind else LISTS.get(name, (1, 1))
    plain = {"int": NUMBERS.get(name, 2), "number": NUMBERS.get(name, 2), "bool": True,
             "float": 2.0 if name in ("p", "ord") else 0.5, "str": "sum"}  # fmt: skip
    found = [value for type_name, value in plain.items() if type_name in kind]
    return found[0] if found else None


def tensors(kind, shape):
    several = isinstance(shape, list)
    shapes = shape if several else [shape, shape]
    if "List" in kind:
        return tuple(Tensor(tuple(each)) for each in shapes)
    return Tensor(tuple(shapes[0]))


WHOLE_SHAPES = {
    "aten._fft_c2r": lambda b: {"outputs": [(b, 6)]},
    "aten._compute_linear_combination": lambda b: {"coefficients": (b, 4)},
}
