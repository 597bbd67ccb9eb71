"""A Program in a file, and back: asked again tomorrow, without torch and without the model.

The file is JSON, packed by gzip: plain data that no reader executes.
"""

from __future__ import annotations

import gzip
import json
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from botec.calls import Call, Tensor
from botec.errors import BadInput
from botec.poly import Floor, Log2, Monomial, Poly
from botec.program import (
    Kept,
    Kernels,
    Parameter,
    Program,
    Regime,
    Setting,
    Storage,
    Stream,
    verify,
)

SUFFIX = ".botec"
FORMAT = 1
HOW = "save one with botec.save(program, path)"
BROKEN = (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError)


def save(program: Program, path: str | Path) -> None:
    """Write ``program`` to ``path`` (by habit ``NAME.botec``). Raises ``OSError``."""
    text = json.dumps(packed(program), separators=(",", ":"))
    Path(path).write_bytes(gzip.compress(text.encode(), mtime=0))


def load(path: str | Path) -> Program:
    """The program in ``path``. Raises :class:`BadInput` for a file that holds none."""
    try:
        data = json.loads(gzip.decompress(Path(path).read_bytes()))
        if data.get("format") != FORMAT:
            raise ValueError(f"format {data.get('format')!r}, this botec reads {FORMAT}")
        return verify(unpacked(data))
    except FileNotFoundError:
        raise BadInput("no such file", HOW, str(path)) from None
    except BROKEN as error:
        do = "save it again with botec.save(program, path)"
        raise BadInput(f"not a saved program: {error}", do, str(path)) from error


def packed(program: Program) -> dict[str, Any]:
    """A program as JSON-able data."""
    return {
        "format": FORMAT,
        "name": program.name,
        "setting": asdict(program.setting),
        "asked": dict(program.asked),
        "parameters": [packed_parameter(one) for one in program.parameters],
        "buffers": [packed_parameter(one) for one in program.buffers],
        "scopes": list(program.scopes),
        "scope_types": list(program.scope_types),
        "streams": [packed_stream(stream) for stream in program.streams],
        "why": program.why,
        "assumed": list(program.assumed),
        "notes": list(program.notes),
    }


def unpacked(data: Mapping[str, Any]) -> Program:
    setting: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in data["setting"].items()
    }
    return Program(
        name=data["name"],
        setting=Setting(**setting),
        asked=data["asked"],
        parameters=tuple(unpacked_parameter(one) for one in data["parameters"]),
        buffers=tuple(unpacked_parameter(one) for one in data["buffers"]),
        scopes=tuple(data["scopes"]),
        scope_types=tuple(data["scope_types"]),
        streams=tuple(unpacked_stream(stream) for stream in data["streams"]),
        why=data["why"],
        assumed=tuple(data["assumed"]),
        notes=tuple(data["notes"]),
    )


def packed_parameter(one: Parameter) -> list[Any]:
    kept = [[one.kept.bytes, one.kept.scheme]] if one.kept else []
    return [list(one.names), value_out(one.tensor), one.trainable, list(one.active), *kept]


def unpacked_parameter(data: Any) -> Parameter:
    names, tensor, trainable, active, *rest = data
    kept = Kept(*rest[0]) if rest else None
    return Parameter(tuple(names), value_in(tensor), trainable, (active[0], active[1]), kept)


def packed_stream(stream: Stream) -> dict[str, Any]:
    return {
        "regime": asdict(stream.regime),
        "calls": [packed_call(call) for call in stream.calls],
        "storages": [[value_out(s.bytes), s.role, s.scope, s.name] for s in stream.storages],
        "kinds": list(stream.kinds),
        "index": list(stream.index),
        "scopes": list(stream.scopes),
        "repeated": stream.repeated,
        "kernels": packed_kernels(stream.kernels),
    }


def packed_kernels(kernels: Kernels | None) -> Any:
    """The generation, and the strides of the calls that have some, by the call's place."""
    if kernels is None:
        return None
    known = {str(place): strides for place, strides in enumerate(kernels.strides) if strides}
    named = {
        place: {name: value_out(one) for name, one in strides.items()}
        for place, strides in known.items()
    }
    return [kernels.capability, named]


def unpacked_kernels(data: Any, count: int) -> Kernels | None:
    if data is None:
        return None
    capability, known = data
    named = (known.get(str(place), {}) for place in range(count))
    strides = ({name: value_in(one) for name, one in each.items()} for each in named)
    return Kernels(capability, tuple(strides))


def unpacked_stream(data: Mapping[str, Any]) -> Stream:
    regime = dict(data["regime"])
    regime["fitted"], regime["proved"] = tuple(regime["fitted"]), tuple(regime["proved"])
    storages = (Storage(value_in(size), *rest) for size, *rest in data["storages"])
    return Stream(
        Regime(**regime),
        tuple(unpacked_call(call) for call in data["calls"]),
        tuple(storages),
        array("i", data["kinds"]),
        array("i", data["index"]),
        array("i", data["scopes"]),
        data.get("repeated", 1),
        unpacked_kernels(data.get("kernels"), len(data["calls"])),
    )


def packed_call(call: Call) -> list[Any]:
    arguments = {name: value_out(value) for name, value in call.arguments.items()}
    outputs = [value_out(output) for output in call.outputs]
    return [call.op, call.overload, arguments, outputs, call.view, list(call.writes)]


def unpacked_call(data: Any) -> Call:
    op, overload, arguments, outputs, view, writes = data
    named = {name: value_in(value) for name, value in arguments.items()}
    return Call(op, overload, named, tuple(map(value_in, outputs)), view, tuple(writes))


def value_out(value: Any) -> Any:
    """A number, text, tensor, polynomial or tuple of them as JSON-able data."""
    if isinstance(value, Tensor):
        return {"shape": value_out(value.shape), "dtype": value.dtype, "at0": list(value.expanded)}
    if isinstance(value, Poly):
        return {"poly": [[factor, monomial_out(m)] for m, factor in value.terms.items()]}
    if isinstance(value, (tuple, list)):
        return [value_out(part) for part in value]
    return value


def value_in(data: Any) -> Any:
    if isinstance(data, list):
        return tuple(value_in(part) for part in data)
    if isinstance(data, dict) and "poly" in data:
        return Poly({monomial_in(monomial): factor for factor, monomial in data["poly"]})
    if isinstance(data, dict):
        return Tensor(value_in(data["shape"]), data["dtype"], tuple(data["at0"]))
    return data


def monomial_out(monomial: Monomial) -> list[Any]:
    return [[symbol_out(name), exponent] for name, exponent in monomial]


def monomial_in(data: Any) -> Monomial:
    return tuple((symbol_in(name), exponent) for name, exponent in data)


def symbol_out(name: Any) -> Any:
    if isinstance(name, Floor):
        return {"floor": value_out(name.base), "shift": name.shift, "divisor": name.divisor}
    return {"log2": value_out(name.of)} if isinstance(name, Log2) else name


def symbol_in(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    if "log2" in data:
        return Log2(value_in(data["log2"]))
    return Floor(value_in(data["floor"]), data["shift"], data["divisor"])
