"""Factorisations and solutions of linear systems: operations of the textbook algorithms.

b matrices of n rows each; a right side of m columns. Counts are those of LAPACK Working Note 41
(Blackford and Dongarra, appendix C) to all orders where they are given. They are no products of
matrices in the sense of ``multiplications``: 0 there. Decompositions that iterate until they
converge (eigenvalues, singular values) depend on the data and are not told.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Tensor
from botec.ops.facts import op
from botec.ops.terms import fraction
from botec.poly import product

cholesky = op("Cholesky", "aten.linalg_cholesky_ex", "aten.linalg_cholesky", "aten.cholesky")
factored = op("LU", "aten.linalg_lu_factor_ex", "aten.linalg_lu_factor", "aten._lu_with_info")
determinant = op("determinant", "aten._linalg_det", "aten._linalg_slogdet")
inverted = op("inverse", "aten.linalg_inv_ex", "aten.linalg_inv")
solved = op("linear system", "aten._linalg_solve_ex", "aten.linalg_solve_ex")
triangular = op("triangular system", "aten.linalg_solve_triangular", "aten.triangular_solve")
substituted = op("system with factors", "aten.linalg_lu_solve", "aten._cholesky_solve_helper")
orthogonal = op("QR", "aten.linalg_qr")


def batch(matrix: Tensor) -> Any:
    return product(matrix.shape[:-2])


def factorisation(n: Any) -> Any | None:
    """LU with pivots: n (n - 1) / 2 quotients, and two operations for each of
    (n - 1) n (2 n - 1) / 6 pairs: n (n - 1) (4 n + 1) / 6.
    """
    return fraction(n * (n - 1) * (4 * n + 1), 6)


def times(count: Any | None, many: Any) -> Any | None:
    return None if count is None else count * many


def plus(count: Any | None, more: Any) -> Any | None:
    return None if count is None else count + more


@cholesky.flops
def _(self: Tensor):
    """n^3 / 3 + n^2 / 2 + n / 6, roots included."""
    n = self.shape[-1]
    return times(fraction(n * (2 * n * n + 3 * n + 1), 6), batch(self))


@factored.flops
def _(inputs):
    """See :func:`factorisation`; of square matrices."""
    return times(factorisation(inputs[0].shape[-1]), batch(inputs[0]))


@determinant.flops
def _(A: Tensor):  # noqa: N803 (the schema's name)
    """A factorisation, then the product of the diagonal (or the sum of its logarithms): 2 n."""
    n = A.shape[-1]
    return plus(times(factorisation(n), batch(A)), 2 * n * batch(A))


@inverted.flops
def _(inputs):
    """2 n^3, to the highest order."""
    n = inputs[0].shape[-1]
    return 2 * n * n * n * batch(inputs[0])


@solved.flops
def _(A: Tensor, B: Tensor):  # noqa: N803 (the schema's names)
    """A factorisation and two triangular systems: 2 n^2 - n for every column."""
    n = A.shape[-1]
    return plus(times(factorisation(n), batch(A)), (2 * n - 1) * B.elements)


@triangular.flops
def _(inputs):
    """n^2 for every column of the right side: n for each of its numbers."""
    first, second = inputs[:2]
    return first.shape[-1] * second.elements


@substituted.flops
def _(inputs, outputs):
    """Two triangular systems: 2 n^2 for every column."""
    return 2 * outputs[0].shape[-2] * outputs[0].elements


@orthogonal.flops
def _(A: Tensor):  # noqa: N803 (the schema's name)
    """Householder, and the factor written out: 4 (m n^2 - n^3 / 3), m rows, n columns."""
    m, n = A.shape[-2:]
    return times(fraction(4 * n * n * (3 * m - n), 3), batch(A))
