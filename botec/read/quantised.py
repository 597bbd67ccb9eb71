"""Quantised weights by the bytes they are stored in, as a configuration says they are.

A network is traced in a plain number format; what a quantised checkpoint keeps of a weight
instead (packed codes, scales, zeros) follows from its shape, in closed form, one function a scheme.
Which layers: every linear one but those the configuration leaves out, by default the output layer.
Sources are named at each scheme. A scheme that nobody has told stays unknown, by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from botec.calls import ITEM_BYTES
from botec.poly import at
from botec.program import Kept, Parameter, Program

Fields = Mapping[str, Any]
LINEAR = ("Linear", "Conv1D")
OUTPUTS = ("lm_head", "embed_out", "output_projection", "score", "classifier")


def up(number: int, divisor: int) -> int:
    """⌈number/divisor⌉."""
    return -(-number // divisor)


def nf4_bytes(numbers: int, double: bool = False, block: int = 64) -> int:
    """bitsandbytes' four bits: two codes a byte, a scale for each block of 64.

    A scale takes 4 bytes; quantised itself (``double``) 1, with 4 bytes for each 256 scales and 4
    for their mean. Dettmers et al. 2023 (QLoRA), section 3; the table of 16 codes takes 64 bytes.
    """
    scales = up(numbers, block)
    kept = scales + 4 * up(scales, 256) + 4 if double else 4 * scales
    return up(numbers, 2) + kept + 64


def bitsandbytes(shape: Sequence[int], fields: Fields) -> int | None:
    """``load_in_4bit``, or ``load_in_8bit``: a byte each, 4 bytes of scale for each output row."""
    rows, columns = shape
    if fields.get("load_in_4bit") or fields.get("_load_in_4bit"):
        return nf4_bytes(rows * columns, bool(fields.get("bnb_4bit_use_double_quant")))
    if fields.get("load_in_8bit") or fields.get("_load_in_8bit"):
        return rows * columns + 4 * rows
    return None


def gptq(shape: Sequence[int], fields: Fields) -> int | None:
    """Frantar et al. 2022 as AutoGPTQ packs it: codes and zeros in 32-bit words, scales of 2 bytes.

    A group is ``group_size`` inputs (-1: all); each input keeps the number of its group, 4 bytes.
    """
    (outputs, inputs), bits = shape, fields.get("bits")
    if not isinstance(bits, int):
        return None
    groups = grouped(inputs, fields)
    return 4 * (up(inputs * bits, 32) * outputs + groups * up(outputs * bits, 32) + inputs) + (
        2 * groups * outputs
    )


def awq(shape: Sequence[int], fields: Fields) -> int | None:
    """Lin et al. 2023 as AutoAWQ packs it: like GPTQ's, without the inputs' group numbers."""
    (outputs, inputs), bits = shape, fields.get("bits") or fields.get("w_bit")
    if not isinstance(bits, int):
        return None
    groups = grouped(inputs, fields)
    return 4 * (inputs + groups) * up(outputs * bits, 32) + 2 * groups * outputs


def fp8(shape: Sequence[int], fields: Fields) -> int | None:
    """A byte each, a scale of 4 bytes for each block (128 x 128 where nothing is said).

    DeepSeek-AI 2024 (V3), section 3.3.
    """
    *stack, rows, columns = shape
    high, wide = fields.get("weight_block_size") or (128, 128)
    times = 1
    for size in stack:
        times *= size
    return times * (rows * columns + 4 * up(rows, high) * up(columns, wide))


def fbgemm_fp8(shape: Sequence[int], fields: Fields) -> int | None:
    """A byte each, a scale of 4 bytes for each output row."""
    rows, columns = shape
    return rows * columns + 4 * rows


def mxfp4(shape: Sequence[int], fields: Fields) -> int | None:
    """Four bits each, a scale of a byte for 32 of them (OCP Microscaling 1.0, section 5.2)."""
    numbers = 1
    for size in shape:
        numbers *= size
    return up(numbers, 2) + up(numbers, 32)


def grouped(inputs: int, fields: Fields) -> int:
    """How many groups share a scale."""
    size = fields.get("group_size") or fields.get("q_group_size") or -1
    return 1 if size == -1 else up(inputs, size)


SCHEMES: dict[str, Callable[[Sequence[int], Fields], int | None]] = {
    "bitsandbytes": bitsandbytes, "gptq": gptq, "awq": awq, "fp8": fp8, "fbgemm_fp8": fbgemm_fp8,
    "mxfp4": mxfp4,
}  # fmt: skip
STACKED = ("fp8", "mxfp4")  # schemes that also pack experts' weights of three axes


def scheme_of(fields: Fields) -> str:
    """The name of the scheme: ``quant_method``, or what bitsandbytes' own fields say."""
    told = fields.get("quant_method")
    of_bits = any(fields.get(name) for name in ("load_in_4bit", "load_in_8bit"))
    name = getattr(told, "value", told) or ("bitsandbytes" if of_bits else "quantisation")
    return str(name)


def quantised(program: Program, fields: Fields) -> Program:
    """``program`` with the weights of its linear layers as a checkpoint of the scheme has them."""
    scheme = scheme_of(fields)
    types = dict(zip(program.scopes, program.scope_types, strict=True))
    parameters = tuple(
        replace(one, kept=kept(one, scheme, fields)) if packs(one, types, scheme, fields) else one
        for one in program.parameters
    )
    packed = {one.names[0]: one.kept for one in parameters if one.kept}
    if not packed:
        return program
    sizes = {name: found.bytes for name, found in packed.items() if found.bytes is not None}
    streams = tuple(
        replace(
            stream,
            storages=tuple(
                replace(one, bytes=sizes[one.name])
                if one.role == "parameter" and one.name in sizes
                else one
                for one in stream.storages
            ),
        )
        for stream in program.streams
    )
    return replace(
        program, parameters=parameters, streams=streams,
        notes=(*program.notes, note(parameters, scheme)),
    )  # fmt: skip


def kept(one: Parameter, scheme: str, fields: Fields) -> Kept:
    """What is kept of a weight; unknown bytes for a scheme nobody has told."""
    rule = SCHEMES.get(scheme)
    shape = [at(size, {}) for size in one.tensor.shape]
    return Kept(rule(shape, fields) if rule else None, scheme)


def packs(one: Parameter, types: Mapping[str, str], scheme: str, fields: Fields) -> bool:
    """Whether the scheme packs a weight: of a linear layer that is not left out, and not tied."""
    module, _, name = one.names[0].rpartition(".")
    axes = len(one.tensor.shape)
    linear = axes == 2 and name == "weight" and types.get(module, "").endswith(LINEAR)
    if not (linear or (axes == 3 and scheme in STACKED)) or len(one.names) > 1:
        return False
    left_out = fields.get("modules_to_not_convert") or fields.get("llm_int8_skip_modules")
    parts = module.split(".")
    names = OUTPUTS if left_out is None else tuple(left_out)
    return not any(
        part == name or module.startswith(f"{name}.") for name in names for part in (*parts, module)
    )


def note(parameters: Sequence[Parameter], scheme: str) -> str:
    """How many layers are packed, and what unpacking the largest of them takes."""
    packed = [one for one in parameters if one.kept]
    whole = max(at(one.tensor.elements, {}) * ITEM_BYTES[one.tensor.dtype] for one in packed)
    return (
        f"{len(packed)} weights are kept as {scheme} packs them; a kernel that unpacks one first "
        f"takes up to {whole:,} bytes more while it runs."
    )
