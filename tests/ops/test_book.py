"""Over the whole book: every op answers, in numbers as in letters, under names that exist."""

from pathlib import Path

import pytest
import torch

import botec.ops
from botec.errors import BotecError
from botec.ops import facts
from botec.ops.facts import bytes_moved, causal, flops, kind_of, load, multiplications, op_of
from botec.poly import Poly, symbol
from tests.ops.calls_for import call, tensor
from tests.ops.samples import sample

QUESTIONS = (multiplications, flops, bytes_moved, causal)
POINTS = (2, 5, 16)
BOOK = load()
WITH_SCHEMA = sorted(name for name in BOOK if name.startswith("aten."))
FAMILIES = {path.stem for path in Path(botec.ops.__file__).parent.glob("*.py")}

# Elementwise ops of the framework that nobody has told about.
NOT_TOLD: tuple[str, ...] = ()


def at(value, b):
    return value.at(B=b) if isinstance(value, Poly) else value


@pytest.mark.parametrize("family", sorted({op.kind for op in BOOK.values()}))
def test_letters_and_numbers_agree(family):
    """Every op, every fact, at three points: the formula's value is the count."""
    for name in WITH_SCHEMA:
        if BOOK[name].kind != family:
            continue
        formulas = [question(sample(BOOK[name], name, symbol("B"))) for question in QUESTIONS]
        for b in POINTS:
            counted = [question(sample(BOOK[name], name, b)) for question in QUESTIONS]
            assert [at(formula, b) for formula in formulas] == pytest.approx(counted), (name, b)


def test_every_op_is_told():
    """Neither count of the samples is unknown."""
    for name in WITH_SCHEMA:
        asked = sample(BOOK[name], name, symbol("B"))
        assert multiplications(asked) is not None, name
        assert flops(asked) is not None, name


def test_every_name_exists():
    """A misspelt alias would never be asked for."""
    wrong = []
    for name in BOOK:
        namespace, base = name.split(".", 1)
        if namespace != "torchvision":
            packet = getattr(torch.ops, namespace)
            if not (hasattr(packet, base) or hasattr(packet, f"{base}_")):
                wrong.append(name)
    assert wrong == []


def pointwise_names():
    for schema in torch._C._jit_get_all_schemas():
        namespace, base = schema.name.split("::")
        packet = getattr(torch.ops.aten, base, None) if namespace == "aten" else None
        overload = getattr(packet, schema.overload_name or "default", None)
        if overload is not None and torch.Tag.pointwise in overload.tags:
            yield f"aten.{base}"


def test_every_elementwise_op_of_the_framework_is_told():
    names = set(pointwise_names())
    assert len(names) > 200
    assert {name for name in names if op_of(name) is None} == set(NOT_TOLD)


def test_the_kind_is_the_file():
    assert {op.kind for op in BOOK.values()} <= FAMILIES
    assert kind_of(call("aten.native_layer_norm", (2,), input=tensor(2))) == "norm"
    assert kind_of(call("aten.add_", (2,), self=tensor(2))) == "pointwise"


def test_every_fact_is_one_of_the_known():
    assert {fact for op in BOOK.values() for fact in op.facts} <= set(facts.FACTS)


def test_zero_has_its_reason():
    silent = [op for op in BOOK.values() if op.because and flops_of(op) != 0]
    assert silent == []


def flops_of(op):
    return op.facts["flops"]()


def test_unknown_is_not_zero():
    asked = call("aten.linalg_eigh", (4,), self=tensor(4, 4))
    assert multiplications(asked) is None
    assert flops(asked) is None
    assert kind_of(asked) == "unknown"
    assert bytes_moved(asked) == 4 * (16 + 4)


def test_an_op_that_tells_nothing_is_unknown(monkeypatch):
    monkeypatch.setattr(facts, "OPS", dict(BOOK))
    facts.op("declared only", "some.op", kind="move")
    asked = call("some.op", (4,), self=tensor(4))
    assert multiplications(asked) is None
    assert flops(asked) is None
    op_of.cache_clear()


def test_a_fact_told_twice_is_an_error():
    known = BOOK["aten.mm"]
    with pytest.raises(BotecError, match="the multiplications of product are told twice; keep one"):
        known.multiplications(lambda: 0)
    with pytest.raises(BotecError, match=r"aten\.mm is declared by product and by again"):
        facts.op("again", "aten.mm", kind="matmul")


def test_a_call_that_does_not_fit_is_named():
    asked = call("aten.linear", (2, 3), input=tensor(2, 4), weight=tensor(3))
    with pytest.raises(BotecError, match=r"multiplications of aten\.linear: shape \(3,\) does not"):
        multiplications(asked)
