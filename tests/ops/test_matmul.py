"""Products against plain loops over counting numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from botec.ops.facts import flops, multiplications
from botec.poly import symbol
from tests.ops.calls_for import call, tensor
from tests.ops.counting import Table, dot, multiply_add, number, tally

size = st.integers(1, 5)
few = settings(max_examples=15, deadline=None)


def product_of(left, right, bias=None):
    n, k = left.shape
    result = Table((n, right.shape[1]))
    for row, column in result.places():
        start = bias[(column,)] if bias else 0.0
        down = [right[(depth, column)] for depth in range(k)]
        result[(row, column)] = dot(left.row(row), down, start)
    return result


@few
@given(size, size, size)
def test_product_of_matrices(n, k, m):
    left, right = torch.randn(n, k), torch.randn(k, m)
    done, result = tally(product_of, Table.of(left), Table.of(right))
    assert result.values() == pytest.approx((left.double() @ right.double()).flatten().tolist())
    plain = call("aten.mm", (n, m), self=tensor(n, k), mat2=tensor(k, m))
    biased = call("aten.addmm", (n, m), self=tensor(m), mat1=tensor(n, k), mat2=tensor(k, m),
                  beta=1, alpha=1)  # fmt: skip
    linear = call("aten.linear", (n, m), input=tensor(n, k), weight=tensor(m, k), bias=tensor(m))
    for asked in (plain, biased, linear):
        assert multiplications(asked) == done["products"]
        assert flops(asked) == 2 * done["products"] + done["elementwise"]


@few
@given(size, size, size, size)
def test_product_of_stacks(b, n, k, m):
    products = b * tally(product_of, Table((n, k)), Table((k, m)))[0]["products"]
    one, two = tensor(b, n, k), tensor(b, k, m)
    assert multiplications(call("aten.bmm", (b, n, m), self=one, mat2=two)) == products
    added = {"batch1": one, "batch2": two, "beta": 1, "alpha": 1}
    stack = call("aten.baddbmm", (b, n, m), self=tensor(b, n, m), **added)
    assert multiplications(stack) == products
    summed = call("aten.addbmm", (n, m), self=tensor(n, m), **added)
    assert multiplications(summed) == products


@few
@given(size, size)
def test_vectors(n, k):
    matrix, vector = tensor(n, k), tensor(k)
    products = tally(product_of, Table((n, k)), Table((k, 1)))[0]["products"]
    assert multiplications(call("aten.mv", (n,), self=matrix, vec=vector)) == products
    asked = call("aten.addmv", (n,), self=tensor(n), mat=matrix, vec=vector, beta=1, alpha=1)
    assert multiplications(asked) == products
    assert multiplications(call("aten.dot", (), self=vector, tensor=vector)) == k
    assert multiplications(call("aten.vdot", (), self=vector, other=vector)) == k
    pairs = tally(product_of, Table((n, 1)), Table((1, k)))[0]["products"]
    assert multiplications(call("aten.outer", (n, k), self=tensor(n), vec2=vector)) == pairs


def test_einsum_over_three_letters_is_its_bmm():
    b, i, j, k = 2, 3, 4, 5

    def loops(x, y):
        total = {}
        for place in Table((b, i, j, k)).places():
            at = place[:1] + place[1:2] + place[3:]
            total[at] = multiply_add(
                total.get(at, number(0)), x[place[:3]], y[place[:1] + place[2:]]
            )

    done, _ = tally(loops, Table((b, i, j)), Table((b, j, k)))
    asked = call("aten.bmm", (b, i, k), self=tensor(b, i, j), mat2=tensor(b, j, k))
    assert multiplications(asked) == done["products"]


def rows_by_group(ends, k, n):
    """Each row times the matrix of the group it lies in."""

    def work():
        start = 0
        for end in ends:
            product_of(Table((end - start, k)), Table((k, n)))
            start = end

    return tally(work)[0]["products"]


def test_grouped_products_in_all_four_forms():
    ends, k, n, groups = (3, 4, 9), 5, 6, 3
    offs = tensor(groups, dtype="int32")
    shared = {"offs": offs, "bias": None, "out_dtype": None}
    by_row = call(
        "aten._grouped_mm", (9, n), self=tensor(9, k), mat2=tensor(groups, k, n), **shared
    )
    assert multiplications(by_row) == rows_by_group(ends, k, n)
    by_column = call(
        "aten._grouped_mm", (n, 9), self=tensor(groups, n, k), mat2=tensor(k, 9), **shared
    )
    assert multiplications(by_column) == rows_by_group(ends, k, n)
    by_depth = call(
        "aten._grouped_mm", (groups, k, n), self=tensor(k, 9), mat2=tensor(9, n), **shared
    )
    assert multiplications(by_depth) == rows_by_group(ends, k, n)
    stacked = call("aten._grouped_mm", (groups, 4, n), self=tensor(groups, 4, k),
                   mat2=tensor(groups, k, n), **{**shared, "offs": None})  # fmt: skip
    assert multiplications(stacked) == groups * 4 * k * n


def test_trilinear_is_the_bilinear_layer():
    b, o, i, j = 2, 3, 4, 5
    x, z, weight = torch.randn(b, i), torch.randn(b, j), torch.randn(o, i, j)

    def loops(x, weight, z):
        result = Table((b, o))
        for row, out in result.places():
            middle = [dot(x.row(row), [weight[(out, a, c)] for a in range(i)]) for c in range(j)]
            result[(row, out)] = dot(middle, z.row(row))
        return result

    done, result = tally(loops, *map(Table.of, (x, weight, z)))
    real = torch.nn.functional.bilinear(x.double(), z.double(), weight.double())
    assert result.values() == pytest.approx(real.flatten().tolist())
    asked = call("aten._trilinear", (b, o), i1=tensor(b, i), i2=tensor(o, i, j), i3=tensor(b, j),
                 expand1=(1, 3), expand2=(0,), expand3=(1, 2), sumdim=(2, 3),
                 unroll_dim=1)  # fmt: skip
    assert multiplications(asked) == done["products"]


def test_scales_that_are_not_one_cost_one_each():
    base = {"self": tensor(3), "mat1": tensor(2, 4), "mat2": tensor(4, 3)}
    for alpha, beta, more in ((1, 1, 0), (0.5, 1, 6), (0.5, 2, 12), (1, 0, 0)):
        asked = call("aten.addmm", (2, 3), **base, alpha=alpha, beta=beta)
        assert flops(asked) == 2 * 24 + more


def test_complex_products_take_four():
    def loops(depth):
        for _ in range(depth):
            for a, b in ((1, 1), (1, 2), (2, 1), (2, 2)):
                multiply_add(number(0), number(a), number(b))

    pair = (tensor(2, 3, dtype="complex64"), tensor(3, 4, dtype="complex64"))
    asked = call("aten.mm", [tensor(2, 4, dtype="complex64")], self=pair[0], mat2=pair[1])
    assert multiplications(asked) == 8 * tally(loops, 3)[0]["products"]


def test_linear_keeps_its_letters():
    tokens, wide = symbol("B") * symbol("S"), symbol("D")
    asked = call("aten.addmm", (tokens, 4 * wide), self=tensor(4 * wide), mat1=tensor(tokens, wide),
                 mat2=tensor(wide, 4 * wide), alpha=1, beta=1)  # fmt: skip
    assert str(multiplications(asked)) == "4*B*D**2*S"
