"""Bytes read and written, counted by hand from what each op must touch."""

import pytest

from botec.calls import Call, Tensor
from botec.ops.facts import bytes_moved, flops, multiplications
from tests.ops.calls_for import call, tensor

INDEX = tensor(2, 3, dtype="int64")


def test_a_product_reads_its_operands_and_writes_its_result():
    asked = call("aten.mm", (2, 4), self=tensor(2, 3), mat2=tensor(3, 4))
    assert bytes_moved(asked) == 4 * (6 + 12 + 8)


def test_an_expanded_operand_is_read_once():
    wide = Tensor((8, 4), "float32", expanded=(0,))
    asked = call("aten.add", (8, 4), self=tensor(8, 4), other=wide, alpha=1)
    assert bytes_moved(asked) == 4 * (32 + 4 + 32)


def test_a_view_moves_nothing():
    asked = Call("aten.view", "default", {"self": tensor(4, 4)}, (tensor(16),), view=True)
    assert bytes_moved(asked) == flops(asked) == multiplications(asked) == 0
    foreign = Call("some.view", "default", {"self": tensor(4, 4)}, (tensor(16),), view=True)
    assert bytes_moved(foreign) == 0
    assert bytes_moved(call("aten._unsafe_view", (16,), self=tensor(4, 4))) == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [("empty_like", 0), ("zeros_like", 16), ("clone", 32), ("zero_", 16), ("fill_", 16),
     ("bernoulli_", 16), ("relu_", 32)],
)  # fmt: skip
def test_what_is_made_copied_and_written(name, expected):
    assert bytes_moved(call(f"aten.{name}", (4,), self=tensor(4))) == expected


def test_a_copy_does_not_read_its_target():
    half = tensor(4, dtype="float16")
    assert bytes_moved(call("aten.copy_", (4,), self=tensor(4), src=half)) == 8 + 16


def test_an_embedding_reads_its_rows_not_its_table():
    table = tensor(50_000, 8)
    asked = call("aten.embedding", (2, 3, 8), weight=table, indices=INDEX)
    assert bytes_moved(asked) == 6 * 8 + 2 * 48 * 4
    back = call("aten.embedding_dense_backward", (50_000, 8), grad_output=tensor(2, 3, 8),
                indices=INDEX, num_weights=50_000)  # fmt: skip
    assert bytes_moved(back) == 6 * 8 + 2 * 48 * 4
    assert multiplications(asked) == multiplications(back) == flops(asked) == 0
    assert flops(back) == 48


def test_gathering_and_scattering_touch_their_entries():
    table = tensor(1000, 3)
    gathered = call("aten.gather", (2, 3), self=table, dim=0, index=INDEX)
    assert bytes_moved(gathered) == 48 + 2 * 24
    added = {"self": table, "dim": 0, "index": INDEX, "src": tensor(2, 3)}
    assert bytes_moved(call("aten.scatter_add_", (1000, 3), **added)) == 48 + 24 + 48
    assert bytes_moved(call("aten.scatter_add", (1000, 3), **added)) == 48 + 24 + 2 * 12_000
    assert flops(call("aten.scatter_add_", (1000, 3), **added)) == 6
    assert flops(call("aten.scatter_", (1000, 3), **added)) == 0
    put = {"self": table, "indices": (tensor(2, dtype="int64"),), "values": tensor(2, 3)}
    assert bytes_moved(call("aten.index_put_", (1000, 3), **put, accumulate=True)) == 16 + 3 * 24
    assert flops(call("aten.index_put_", (1000, 3), **put, accumulate=True)) == 6
    assert flops(call("aten.index_put_", (1000, 3), **put, accumulate=False)) == 0
