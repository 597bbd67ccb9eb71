"""Recurrent layers: how far back a gradient reaches.

Over t steps a gradient is multiplied by ∂h_t/∂h_k = J_t ⋯ J_{k+1}, a product of the Jacobians of
single steps. For h' = W h it is W^(t-k), and eigenvalues tell its growth at last, singular values
its growth at first. With a nonlinearity each step has its own J = D W, D = diag φ'(a), and what
tells the growth is the leading Lyapunov exponent λ of the product: ln‖∂h_t/∂h_k‖ ≈ λ (t - k)
(Oseledets 1968; Engelken, Wolf & Abbott 2023, section II, https://arxiv.org/abs/2006.02427). It is
found here as they find it: tangents are carried along a trajectory and made orthonormal again at
every step, Q' R = J Q, and λ_i is the mean of ln R_ii (Benettin et al. 1980).

The steps are those of ``torch.nn.RNN``, ``LSTM`` (projections too) and ``GRU``, and of h' = W h.
Arrays are numpy's, [units, trajectories]; tangents have one more axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from botec.errors import BadInput

KINDS = ("linear", "tanh", "relu", "gru", "lstm")
GATES = {"linear": 1, "tanh": 1, "relu": 1, "gru": 3, "lstm": 4}
FORGET = 1  # the place of the forget gate among an LSTM's: input, forget, cell, output

WARM, STEPS = 60, 120
MOST_TRAJECTORIES, SHARED_STATES = 4, 2048  # wide layers average over units instead
LONGEST = 4000  # steps, however long the memory is
TINIEST = 1e-300  # a tangent of length 0 has this one, so that its logarithm is a number
OVERFLOW = {"fp32": 3.4028235e38, "bf16": 3.3895314e38, "fp16": 65504.0}
UNDERFLOW = {"fp32": 1.4e-45, "bf16": 9.2e-41, "fp16": 6e-8}


@dataclass(frozen=True, eq=False)
class Cell:
    """One recurrent layer in one direction, with its weights as ``torch.nn`` has them.

    ``input`` [gates·n, d] and ``hidden`` [gates·n, r] are weight_ih and weight_hh, ``input_bias``
    and ``hidden_bias`` [gates·n] the biases (zeros where there is none); r is n but for an LSTM
    with a ``projection`` [r, n]. ``reverse``: it reads its input from the end.
    """

    kind: str
    name: str
    input: Any
    hidden: Any
    input_bias: Any
    hidden_bias: Any
    projection: Any = None
    reverse: bool = False

    @property
    def units(self) -> int:
        """n, the units of a gate."""
        return int(self.hidden.shape[0]) // GATES[self.kind]

    @property
    def outputs(self) -> int:
        """r, the entries of h."""
        return int(self.hidden.shape[1])

    @property
    def states(self) -> int:
        """Entries of the whole state: h, and c of an LSTM."""
        return self.outputs + (self.units if self.kind == "lstm" else 0)

    @property
    def features(self) -> int:
        """d, the entries of an input."""
        return int(self.input.shape[1])


@dataclass(frozen=True, eq=False)
class Growth:
    """What a gradient does along trajectories.

    ``exponents``, largest first, are per step, ``error`` is the leading one's standard error.
    ``curve[t]`` is ln of the length of a gradient after t steps, the transient included, as the
    root of the mean square over directions. ``outputs`` [steps, r, trajectories] are the layer's.
    """

    exponents: tuple[float, ...]
    error: float
    curve: tuple[float, ...]
    outputs: Any
    state: Any
    last: Any

    @property
    def leading(self) -> float:
        """λ, the largest exponent."""
        return self.exponents[0]


@dataclass(frozen=True, eq=False)
class Matrix:
    """The linear rule of a matrix W: its eigenvalues and singular values, by size.

    ``powers`` are (t, ‖W^t‖) at t = 1, 2, 4, …; ``peak`` is the largest of ‖W^t‖/ρ^t, which
    eigenvalues hide: 1 for a normal matrix, and as large as the condition of its eigenvectors
    (Trefethen & Embree 2005, section 16).
    """

    eigenvalues: tuple[float, ...]
    singular: tuple[float, ...]
    powers: tuple[tuple[int, float], ...]

    @property
    def radius(self) -> float:
        """ρ, the size of the largest eigenvalue."""
        return self.eigenvalues[0]

    @property
    def norm(self) -> float:
        """σ, the largest singular value."""
        return self.singular[0]

    @property
    def peak(self) -> float:
        """The largest ‖W^t‖/ρ^t met."""
        found = [size - t * log(self.radius) for t, size in self.log_powers()]
        return math.exp(min(max(found), 700.0))

    def log_powers(self) -> list[tuple[int, float]]:
        """(t, ln ‖W^t‖) of the powers."""
        return [(t, size) for t, size in self.powers]


def log(value: float) -> float:
    """The natural logarithm; of 0 that of the least number."""
    return math.log(max(value, TINIEST))


# --- one step -------------------------------------------------------------------------------------


def step(cell: Cell, drive: Any, state: Any, tangents: Any) -> tuple[Any, Any]:
    """One step of the state [states, b] and its ``tangents`` [states, b, k].

    ``drive`` [gates·n, b] is what the input gives: W_ih x + b_ih.
    """
    import numpy

    r, b = cell.outputs, state.shape[1]
    both = numpy.concatenate([state[:r, :, None], tangents[:r]], 2)
    product = times(cell.hidden, both.reshape(r, -1)).reshape(-1, b, both.shape[2])
    recurrent = product[:, :, 0] + cell.hidden_bias[:, None]
    return STEPPERS[cell.kind](cell, drive, recurrent, product[:, :, 1:], state, tangents)


def times(matrix: Any, columns: Any) -> Any:
    """``matrix @ columns``: one by one where they are two, which reads the matrix faster."""
    import numpy

    if columns.shape[1] != 2:
        return matrix @ columns
    return numpy.stack([matrix @ column for column in numpy.ascontiguousarray(columns.T)], 1)


def step_plain(cell: Cell, drive: Any, h: Any, dh: Any, *_: Any) -> tuple[Any, Any]:
    """h' = φ(W_ih x + b_ih + W_hh h + b_hh), φ = tanh, ReLU or nothing."""
    import numpy

    a = drive + h
    if cell.kind == "tanh":
        after = numpy.tanh(a)
        return after, (1 - after**2)[:, :, None] * dh
    if cell.kind == "relu":
        return numpy.maximum(a, 0), (a > 0)[:, :, None] * dh
    return a, dh


def step_gru(cell: Cell, drive: Any, h: Any, dh: Any, state: Any, tangents: Any) -> tuple[Any, Any]:
    """PyTorch's GRU: n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h."""
    import numpy

    n = cell.units
    r, z = sigmoid(drive[:n] + h[:n]), sigmoid(drive[n : 2 * n] + h[n : 2 * n])
    new = numpy.tanh(drive[2 * n :] + r * h[2 * n :])
    d_r = (r * (1 - r))[:, :, None] * dh[:n]
    d_z = (z * (1 - z))[:, :, None] * dh[n : 2 * n]
    d_new = (1 - new**2)[:, :, None] * (h[2 * n :, :, None] * d_r + r[:, :, None] * dh[2 * n :])
    after = (1 - z) * new + z * state
    change = (1 - z)[:, :, None] * d_new + (state - new)[:, :, None] * d_z
    return after, change + z[:, :, None] * tangents


def step_lstm(
    cell: Cell, drive: Any, h: Any, dh: Any, state: Any, tangents: Any
) -> tuple[Any, Any]:
    """c' = f c + i g, h' = o tanh c' (times the projection, where there is one)."""
    import numpy

    n, c = cell.units, state[cell.outputs :]
    i, f, g, o = (drive[k * n : (k + 1) * n] + h[k * n : (k + 1) * n] for k in range(4))
    i, f, g, o = sigmoid(i), sigmoid(f), numpy.tanh(g), sigmoid(o)
    slopes = (i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o))
    d_i, d_f, d_g, d_o = (
        slope[:, :, None] * dh[k * n : (k + 1) * n] for k, slope in enumerate(slopes)
    )
    after = f * c + i * g
    d_after = f[:, :, None] * tangents[cell.outputs :] + c[:, :, None] * d_f
    d_after += g[:, :, None] * d_i + i[:, :, None] * d_g
    seen = numpy.tanh(after)
    out, d_out = o * seen, seen[:, :, None] * d_o + (o * (1 - seen**2))[:, :, None] * d_after
    if cell.projection is not None:
        out = cell.projection @ out
        d_out = (cell.projection @ d_out.reshape(n, -1)).reshape(cell.outputs, *d_out.shape[1:])
    return numpy.concatenate([out, after]), numpy.concatenate([d_out, d_after])


STEPPERS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "linear": step_plain, "tanh": step_plain, "relu": step_plain,
    "gru": step_gru, "lstm": step_lstm,
}  # fmt: skip


def sigmoid(x: Any) -> Any:
    """1/(1 + e^-x), without an overflow: (1 + tanh(x/2))/2."""
    import numpy

    return 0.5 + 0.5 * numpy.tanh(0.5 * x)


def jacobian(cell: Cell, x: Any, state: Any) -> Any:
    """The matrix ∂state'/∂state [states, states] of one step at input ``x`` and ``state``."""
    import numpy

    drive = (cell.input @ x + cell.input_bias)[:, None]
    identity = numpy.eye(cell.states, dtype=cell.hidden.dtype)[:, None, :]
    return step(cell, drive, state[:, None], identity)[1][:, 0, :]


# --- many steps -----------------------------------------------------------------------------------


def growth(
    cell: Cell,
    inputs: Any = None,
    *,
    k: int = 1,
    steps: int | None = None,
    warm: int | None = None,
    trajectories: int | None = None,
    seed: int = 0,
) -> Growth:
    """The ``k`` largest exponents of ``cell`` along ``inputs`` [steps, d, trajectories].

    Without inputs they are Gaussian of variance 1 and, where the memory turns out longer than the
    run can see, the run is made longer. The first ``warm`` steps settle the state, the next
    ``warm`` the tangents.
    """
    b = trajectories or max(1, min(MOST_TRAJECTORIES, SHARED_STATES // cell.states))
    found = run(cell, inputs, k, steps or STEPS, WARM if warm is None else warm, b, seed)
    if inputs is None and steps is None and found.leading:
        needed = min(int(5 / abs(found.leading)), LONGEST)
        if needed > WARM:
            found = run(cell, None, k, 2 * needed, needed, b, seed)
    return found


def run(
    cell: Cell, inputs: Any, k: int, steps: int, warm: int, trajectories: int, seed: int
) -> Growth:
    import numpy

    random = numpy.random.default_rng(seed)
    kind = cell.hidden.dtype
    if inputs is None:
        inputs = random.standard_normal((2 * warm + steps, cell.features, trajectories))
    inputs = inputs.astype(kind)
    warm = min(warm, len(inputs) // 4)
    b, k = inputs.shape[2], min(k, cell.states)
    state = numpy.zeros((cell.states, b), kind)
    tangents, _ = orthonormal(random.standard_normal((cell.states, b, k)).astype(kind))
    rows, outputs = [], []
    for number, x in enumerate(inputs):
        drive = cell.input @ x + cell.input_bias[:, None]
        moving = tangents if number >= warm else tangents[:, :, :0]
        state, moved = step(cell, drive, state, moving)
        outputs.append(state[: cell.outputs])
        if number >= warm:
            tangents, lengths = orthonormal(moved)
            rows.append(lengths)
    return told(numpy.stack(rows), numpy.stack(outputs), state, inputs[-1], warm)


def orthonormal(tangents: Any) -> tuple[Any, Any]:
    """Q [states, b, k] and ln of the diagonal of R [b, k]."""
    import numpy

    if tangents.shape[2] == 1:
        lengths = numpy.sqrt((tangents.astype("float64") ** 2).sum(0))
        safe = numpy.maximum(lengths, TINIEST)
        return (tangents / safe).astype(tangents.dtype), numpy.log(safe)
    q, r = numpy.linalg.qr(tangents.transpose(1, 0, 2))
    lengths = numpy.abs(numpy.diagonal(r, axis1=1, axis2=2)).astype("float64")
    return q.transpose(1, 0, 2), numpy.log(numpy.maximum(lengths, TINIEST))


def told(rows: Any, outputs: Any, state: Any, last: Any, warm: int) -> Growth:
    """Logarithms of lengths [steps, b, k] as exponents, their error, and the curve."""
    import numpy

    late = rows[min(warm, len(rows) // 2) :]
    each = late.mean((0, 1))
    blocks = numpy.array_split(late[:, :, 0], min(10, len(late)))
    means = numpy.concatenate([block.mean(0) for block in blocks])
    error = float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else math.inf
    lengths = rows[:, :, 0].cumsum(0)
    top = lengths.max(1, keepdims=True)
    curve = top[:, 0] + 0.5 * numpy.log(numpy.exp(2 * (lengths - top)).mean(1))
    exponents = tuple(sorted(map(float, each), reverse=True))
    return Growth(exponents, error, (0.0, *map(float, curve)), outputs, state, last)


def stack(cells: Sequence[Sequence[Cell]], **options: Any) -> list[Growth]:
    """Layers on top of each other, each a list of its directions: the growth of each cell.

    The Jacobian of the whole is block-triangular, so its exponents are those of all of them. Each
    layer reads what the one below it really gives. ``options`` are those of :func:`growth`.
    """
    import numpy

    found: list[Growth] = []
    inputs = options.pop("inputs", None)
    for layer in cells:
        each = [growth(cell, turned(inputs, cell), **options) for cell in layer]
        found += each
        length = min(len(one.outputs) for one in each)
        given = [turned(one.outputs[:length], cell) for one, cell in zip(each, layer, strict=True)]
        inputs = numpy.concatenate(given, 1)
    return found


def turned(inputs: Any, cell: Cell) -> Any:
    """``inputs`` in the order in which ``cell`` reads them."""
    return inputs[::-1] if inputs is not None and cell.reverse else inputs


# --- the linear rule ------------------------------------------------------------------------------


def linear_rule(matrix: Any, most: int = 1024) -> Matrix:
    """Eigenvalues, singular values and powers of a square ``matrix``.

    Raises :class:`BadInput` for one that is not square or has entries that are not numbers.
    """
    import numpy

    matrix = numpy.asarray(matrix, dtype="float64")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        size = "×".join(map(str, matrix.shape))
        raise BadInput(f"the recurrent matrix is {size}", "give a square one")
    if not numpy.isfinite(matrix).all():
        raise BadInput("the recurrent matrix has entries that are not finite", "give real numbers")
    eigenvalues = sorted(numpy.abs(numpy.linalg.eigvals(matrix)), reverse=True)
    singular = numpy.linalg.svd(matrix, compute_uv=False)
    return Matrix(tuple(map(float, eigenvalues)), tuple(map(float, singular)),
                  tuple(powers(matrix, most)))  # fmt: skip


def powers(matrix: Any, most: int) -> list[tuple[int, float]]:
    """(t, ln ‖W^t‖₂) at t = 1, 2, 4, …, each power the square of the last, scaled on the way."""
    import numpy

    found, power, scale, t = [], matrix, 0.0, 1
    while t <= most:
        size = float(numpy.linalg.norm(power, 2))
        found.append((t, scale + log(size)))
        if not size:
            break
        power, scale = power / size, scale + math.log(size)
        power, scale, t = power @ power, 2 * scale, 2 * t
    return found


# --- what follows ---------------------------------------------------------------------------------


def horizon(exponent: float, share: float) -> float:
    """Steps until a gradient is ``share`` of what it was (or grown to it); never is ∞."""
    change = math.log(share)
    return change / exponent if exponent and change * exponent > 0 else math.inf


def crossing(curve: Sequence[float], share: float) -> int | None:
    """The first step at which ``curve`` has reached ``share``; ``None`` where it has not."""
    change = math.log(share)
    for t, value in enumerate(curve):
        if t and value * math.copysign(1, change) >= abs(change):
            return t
    return None


def with_forget_bias(cell: Cell, more: float) -> Cell:
    """The LSTM ``cell`` with ``more`` added to its forget gate's bias."""
    bias = cell.hidden_bias.copy()
    bias[FORGET * cell.units : (FORGET + 1) * cell.units] += more
    return replace(cell, hidden_bias=bias)


def forget_bias_for(cell: Cell, memory: float, **options: Any) -> float | None:
    """What to add to an LSTM's forget bias so that a gradient falls to 1/e in ``memory`` steps.

    Found by bisection of λ = -1/memory on common inputs. ``None`` where the reach lies outside
    what biases up to ±20 give, or for another kind of cell.
    """
    if cell.kind != "lstm":
        return None
    wanted = -1 / memory

    def above(more: float) -> float:
        return growth(with_forget_bias(cell, more), **options).leading - wanted

    low, high = 0.0, 1.0
    if above(low) > 0:
        low, high = -1.0, 0.0
        while above(low) > 0:
            low, high = 2 * low, low
            if low < -20:
                return None
    while above(high) < 0:
        low, high = high, 2 * high
        if high > 20:
            return None
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) < 0 else (low, middle)
    return (low + high) / 2
