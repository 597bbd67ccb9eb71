"""Factorisations in plain loops over counting numbers."""

import pytest
import torch

from botec.ops.facts import flops, multiplications
from botec.poly import symbol
from tests.ops.calls_for import call, tensor
from tests.ops.counting import Number, function, tally


def lower(matrix):
    """Cholesky, column by column."""
    n = len(matrix)
    for j in range(n):
        matrix[j][j] = function("sqrt", matrix[j][j])
        for i in range(j + 1, n):
            matrix[i][j] = matrix[i][j] / matrix[j][j]
        for k in range(j + 1, n):
            for i in range(k, n):
                matrix[i][k] = matrix[i][k] - matrix[i][j] * matrix[k][j]
    return matrix


def factors(matrix):
    """LU without exchanges."""
    n = len(matrix)
    for j in range(n):
        for i in range(j + 1, n):
            matrix[i][j] = matrix[i][j] / matrix[j][j]
            for k in range(j + 1, n):
                matrix[i][k] = matrix[i][k] - matrix[i][j] * matrix[j][k]
    return matrix


def substituted(matrix, right):
    """A lower triangular system."""
    found = []
    for i, row in enumerate(matrix):
        rest = right[i]
        for j, known in enumerate(found):
            rest = rest - row[j] * known
        found.append(rest / row[i])
    return found


def numbers(matrix):
    return [[Number(value) for value in row] for row in matrix.tolist()]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_factorisations(n):
    root = torch.randn(n, n, dtype=torch.float64)
    matrix = root @ root.T + torch.eye(n, dtype=torch.float64)
    done, found = tally(lower, numbers(matrix))
    real = torch.linalg.cholesky(matrix)
    for i in range(n):
        assert [each.value for each in found[i][: i + 1]] == pytest.approx(
            real[i, : i + 1].tolist()
        )
    stack = tensor(3, n, n)
    assert flops(call("aten.linalg_cholesky_ex", (3, n, n), self=stack)) == 3 * done["elementwise"]
    done, _ = tally(factors, numbers(matrix))
    assert flops(call("aten.linalg_lu_factor_ex", (3, n, n), A=stack)) == 3 * done["elementwise"]
    half, _ = tally(substituted, numbers(real), [Number(1)] * n)
    named = {"self": stack, "B": tensor(3, n, 2)}
    asked = call("aten.linalg_solve_triangular", (3, n, 2), **named)
    assert flops(asked) == 6 * half["elementwise"]
    # A system: the factors, one half with a diagonal of ones (no quotients), the other half whole.
    whole = done["elementwise"] + 2 * (2 * half["elementwise"] - n)
    asked = call("aten._linalg_solve_ex", (3, n, 2), A=stack, B=tensor(3, n, 2))
    assert flops(asked) == 3 * whole
    assert multiplications(asked) == 0


def test_a_third_that_is_not_whole_for_every_size_is_unknown():
    n = symbol("N")
    assert flops(call("aten.linalg_cholesky_ex", (n, n), self=tensor(n, n))) is None
    assert str(flops(call("aten.linalg_inv_ex", (n, n), A=tensor(n, n)))) == "2*N**3"
