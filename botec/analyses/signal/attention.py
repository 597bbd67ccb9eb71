"""Products of two activations, softmax, and attention, which is made of them.

A logit is a sum over d units of a query times a key: two random signs make one, so its second
moment is d q_q q_k. What all keys have in common cancels in the softmax; what is left has variance
σ² = d q_q q_k (1 - k_k) over the keys, and Σ_j p² = e^σ²/n for n keys. At initialisation σ is small
and attention nearly averages: of values with correlation k it leaves q_v (S (1 - k) + k), S = Σ p².
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from botec.analyses.signal.averages import clamp, common_of, evenness, fresh
from botec.analyses.signal.book import Outcome, rule
from botec.analyses.signal.linear import matched_whole
from botec.analyses.signal.moves import reordered
from botec.analyses.signal.particles import EXAMPLE, SELF
from botec.analyses.signal.pointwise import data_part
from botec.analyses.signal.value import (
    ROLES,
    Data,
    Gradient,
    Missing,
    Part,
    Value,
    narrowed,
    normalised,
    role_of,
)  # fmt: skip

OTHERS = 64  # keys drawn for the denominator of a softmax
Back = Callable[[Gradient], tuple[Gradient | None, Gradient | None]]


@dataclass(frozen=True, eq=False)
class Means:
    """Mean weights ``each`` [h, i, j] of rows of a softmax; ``keys`` of them take part in a row.

    Sums of them are worked out once: all layers have them in common.
    """

    each: Any
    keys: int

    @cached_property
    def squares(self) -> Any:
        """p², [h, i, j]."""
        return self.each**2

    @cached_property
    def lost(self) -> float:
        """Σ_j p², the mean over rows."""
        return float(self.squares.sum(-1).mean())

    @cached_property
    def overlap(self) -> float:
        """Σ_j p p' of two rows."""
        return float((self.each.mean(-2) ** 2).sum(-1).mean())

    @cached_property
    def profile(self) -> tuple[Any, float]:
        """How p² varies, [i, j], and its mean."""
        return normalised(narrowed(self.squares.mean(0)))


@dataclass(frozen=True, eq=False)
class Rows:
    """What the rows of a softmax sum to: the mean weights, and ``boost`` E p²/(E p)².

    Dividing by ``keep`` boosts the squares of weights that dropout spares.
    """

    mean: Means
    boost: float

    def __truediv__(self, keep: float) -> Rows:
        return replace(self, boost=self.boost / keep)


def role_at(value: Value, axis: int) -> str:
    """The role of an axis, a unit's where nothing else is known."""
    found = role_of(value.roles[axis])
    return found if found in ROLES else "u"


# --- products -------------------------------------------------------------------------------------


def product(run: Any, a: Value, b: Value, shape: tuple[int, ...]) -> tuple[Value, Back]:
    """[…, i, c] times […, c, j]."""
    a, b = a.whole(), b.whole()
    one, other = a.one, b.one
    n = a.shape[-1]
    along_a, along_b = ROLES[role_at(a, -1)], ROLES[role_at(b, -2)]
    row, column = role_at(a, -2), role_at(b, -1)
    second = column if column != row else ("u" if row == "p" else "p")
    ma, mb = one.moments(), other.moments()

    def pair(r: int, s: int) -> float:
        """E[y y'] where a's entry is its replica r and b's its replica s."""
        same = n * moment(ma, r) * moment(mb, s)
        return same + n * (n - 1) * moment(ma, r, along_a) * moment(mb, s, along_b)

    moments = laid_out(
        {"self": pair(0, 0), "b": pair(EXAMPLE, EXAMPLE), row: pair(ROLES[row], 0),
         second: pair(0, ROLES[column])},
    )  # fmt: skip
    if isinstance(a.attention, Rows):  # a mask waits for its softmax
        moments, rows = averaged(a.attention, mb, along_b, moments, ROLES[row], shape)
    else:
        rows = meeting(one.profile, other.profile, shape)
    roles = (*a.roles[:-1], ((second, shape[-1]),))
    value = built(run, moments, rows, shape, roles, max(a.spread, b.spread))

    def back(gradient: Gradient) -> tuple[Gradient, Gradient]:
        return product_gradients(run, a, b, value, gradient, second)

    return value, back


def moment(moments: Any, *replicas: int) -> float:
    """E[x x'] with the replicas given (0 is the entry itself)."""
    chosen = sorted({r for r in replicas if r})
    if not chosen:
        return float(moments[0, 0])
    return float(moments[0, chosen[0]] if len(chosen) == 1 else moments[chosen[0], chosen[1]])


def laid_out(pairs: Mapping[str, float]) -> Any:
    """A matrix of second moments from those with one role differing."""
    from botec.analyses.signal.particles import correlations

    q = max(pairs["self"], 0.0)
    single = [clamp(pairs.get(role, 0.0) / q) if q > 0 else 0.0 for role in "pbu"]
    return correlations(*single) * q


def meeting(a: Any, b: Any, shape: tuple[int, ...]) -> Any:
    """The profile of a product, each factor's averaged over what is contracted."""
    import numpy

    left = a.mean(-1, keepdims=True)
    right = b.mean(-2, keepdims=True)
    lead = max(left.ndim, right.ndim, len(shape))
    left = left.reshape((1,) * (lead - left.ndim) + left.shape)
    right = right.reshape((1,) * (lead - right.ndim) + right.shape)
    return numpy.asarray(left * right)


def averaged(
    rows: Rows, mb: Any, along: int, moments: Any, row: int, shape: tuple[int, ...]
) -> tuple[Any, Any]:
    """Attention weights, which sum to 1, times values: what they share passes whole."""
    q, common = common_of(mb, along, rows.mean.each.shape[-1])
    squares = rows.boost * rows.mean.squares.sum(-1).mean(0)
    each = (q - common) * squares + common
    profile, q_out = normalised(each[..., :, None])
    even = evenness(profile)
    pair = ((q - common) * rows.mean.overlap + common) / max(even, 1e-300)
    found = moments * (q_out / max(float(moments[0, 0]), 1e-300))
    example = float(mb[0, EXAMPLE]) - float(mb[EXAMPLE, along])
    crossed = example * rows.mean.lost + float(mb[EXAMPLE, along])
    found[0, row] = found[row, 0] = min(pair, q_out)
    found[0, EXAMPLE] = found[EXAMPLE, 0] = min(crossed, q_out)
    low = min(found[0, row], found[0, EXAMPLE])
    found[row, EXAMPLE] = found[EXAMPLE, row] = low
    profile = profile.reshape((1,) * (len(shape) - profile.ndim) + profile.shape)
    return found, profile


def built(run: Any, moments: Any, rows: Any, shape: Any, roles: Any, spread: float) -> Value:
    profile, _ = normalised(narrowed(rows))
    z = run.noise.gaussian(moments)
    now, q = float((z[SELF] ** 2).mean()), float(moments[0, 0])
    z = z * math.sqrt(q / now) if now > 0 else z * 0.0
    return Value(shape, roles, (Part(shape[-1], z, profile),), len(shape) - 1, spread)


def product_gradients(
    run: Any, a: Value, b: Value, value: Value, gradient: Gradient, second: str
) -> tuple[Gradient, Gradient]:
    """dA = G Bᵀ and dB = Aᵀ G."""
    g = matched_whole(gradient, value)
    one, other = a.one, b.one
    mg, ma, mb = g.moments(), one.moments(), other.moments()
    i, j = a.shape[-2], b.shape[-1]
    row, column = ROLES[role_at(a, -2)], ROLES[role_at(b, -1)]
    along_a, along_b, along_g = ROLES[role_at(a, -1)], ROLES[role_at(b, -2)], ROLES[second]

    def left(r: int, s: int) -> float:
        return j * moment(mg, r) * moment(mb, s) + j * (j - 1) * moment(mg, r, along_g) * moment(
            mb, s, column
        )

    def right(r: int, s: int) -> float:
        return i * moment(mg, r) * moment(ma, s) + i * (i - 1) * moment(mg, r, row) * moment(
            ma, s, row
        )

    q_left, q_right = left(0, 0), right(0, 0)
    swapped, by_row = other.profile.swapaxes(-1, -2), g.profile.mean(-1, keepdims=True)
    rows = narrowed(by_row * swapped.mean(-2, keepdims=True))
    k_left = {row: left(row, 0), along_a: left(0, along_b), EXAMPLE: left(EXAMPLE, EXAMPLE)}
    k_right = {along_b: right(0, along_a), column: right(along_g, 0),
               EXAMPLE: right(EXAMPLE, EXAMPLE)}  # fmt: skip
    if isinstance(a.attention, Rows):  # a mask waits for its softmax
        q_right, columns, k_right = returned(a.attention, by_row, mg, row, along_b)
    else:
        columns = (one.profile * by_row).mean(-2, keepdims=True).swapaxes(-1, -2)
    rows, up = normalised(rows)
    columns, across = normalised(narrowed(columns))
    spread = gradient.spread
    first = fresh(run.noise, q_left * up, told(k_left, q_left), rows, a.one.size)
    last = fresh(run.noise, q_right * across, told(k_right, q_right), columns, b.one.size)
    return Gradient((first,), spread + b.spread), Gradient((last,), spread + a.spread)


def told(pairs: Mapping[int, float], q: float) -> tuple[float, float, float]:
    """Correlations by replica, 0 where nothing is told."""
    found = [clamp(pairs.get(r, 0.0) / q) if q > 0 else 0.0 for r in (1, 2, 3)]
    return found[0], found[1], found[2]


def returned(rows: Rows, by_row: Any, mg: Any, row: int, along: int) -> Any:
    """The gradient of the values behind attention weights, column by column.

    ``by_row`` is the profile of the gradient of their sums, its units averaged.
    """
    import numpy

    mean = rows.mean.each
    q, common = common_of(mg, row, mean.shape[-2])
    weight = by_row.reshape(-1, *by_row.shape[-2:]).mean(0)
    wide = numpy.broadcast_to(weight, (mean.shape[-2], 1)).T
    squares = rows.boost * (wide @ rows.mean.squares)[:, 0]
    sums = (wide**0.5 @ mean)[:, 0]
    each = ((q - common) * squares + common * sums**2).mean(0)
    profile, found = normalised(each[..., :, None])
    even = evenness(profile)
    overlap = float((((mean.sum(-1) ** 2) * weight[..., 0]).sum(-1)).mean()) / mean.shape[-1] ** 2
    pair = ((q - common) * overlap + common * float(sums.mean()) ** 2) / max(even, 1e-300)
    profile = profile.reshape((1,) * (by_row.ndim - profile.ndim) + profile.shape)
    example = found * float(mg[0, EXAMPLE]) / q if q > 0 else 0.0
    return found, profile, {along: min(pair, found), EXAMPLE: example}


@rule("aten.bmm")
def batched_product(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """A product for each matrix of a batch."""
    a, b = given["self"], given["mat2"]
    if not isinstance(a, Value) or not isinstance(b, Value):
        return known_product(run, node, a, b)
    value, back = product(run, a, b, run.shape(node.outputs[0]))

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        left, right = back(gradients[0])
        return {"self": left, "mat2": right}

    return Outcome((value,), pull)


def known_product(run: Any, node: Any, a: Any, b: Any) -> Outcome | None:
    """One factor is known: its entries become particles."""
    shape = run.shape(node.outputs[0])
    known, other = (a, b) if isinstance(a, Data) else (b, a)
    roles = tuple(
        (("p" if place < len(other.shape) - 1 else "u", size),)
        for place, size in enumerate(known.array.shape)
    )
    part = data_part(known.array, known.array.shape, roles, run.noise)
    made = Value(known.array.shape, roles, (replace(part, size=known.array.shape[-1]),),
                 len(known.array.shape) - 1)  # fmt: skip
    left, right = (made, other) if known is a else (other, made)
    value, back = product(run, left, right, shape)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        first, second = back(gradients[0])
        return {"mat2": second} if known is a else {"self": first}

    return Outcome((value,), pull)


# --- softmax --------------------------------------------------------------------------------------


MASKED = -50.0  # e to this power is nothing beside 1


@rule("aten.masked_fill", "aten.where")
def masked(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Logits that a known mask takes out of the softmax that follows."""
    arguments = node.call.arguments
    if node.call.op.startswith("aten.where"):
        x, other, condition = given["self"], given.get("other"), given["condition"]
        if not isinstance(x, Value) or not isinstance(condition, Data):
            return None
        fill, left, name = least(other), run.once("so", condition.array, lambda c: c != 0), "self"
    else:
        x, condition, name = given["self"], given["mask"], "self"
        if not isinstance(x, Value) or not isinstance(condition, Data):
            return None
        value = arguments.get("value") if "value" not in given else least(given["value"])
        fill, left = value, run.once("not", condition.array, lambda c: c == 0)
    if not isinstance(fill, (int, float)) or fill > MASKED or x.index:
        return None
    return Outcome((taking(run, x, left),), lambda gradients: {name: gradients[0]})


def least(one: Any) -> float | None:
    """The largest entry of what stands in for masked logits."""
    return float(one.array.max()) if isinstance(one, Data) and one.array.size else None


def taking(run: Any, x: Value, left: Any) -> Value:
    """``x``, whose last two axes are rows and columns of logits, with what a mask has left."""
    rows = run.once(("left", x.shape[-2:]), left, lambda one: laid(one, x.shape[-2:]))
    if x.attention is None or isinstance(x.attention, Rows):
        return replace(x, attention=rows)
    return replace(x, attention=rows * x.attention)


def laid(left: Any, shape: tuple[int, ...]) -> Any:
    """What a mask has left, 0 or 1 for each row and column of ``shape``."""
    import numpy

    rows = numpy.atleast_2d(numpy.asarray(left, dtype="float64"))
    return numpy.broadcast_to(rows, (*rows.shape[:-2], *shape))


def without_mask(run: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Arguments of a sum with -∞ (or what is as good as it) taken out, and what that leaves."""
    for name, one in given.items():
        if isinstance(one, Data) and one.array.dtype.kind == "f" and one.array.ndim >= 2:
            parted = run.once("mask", one.array, unmasked)
            if parted:
                return {**given, name: parted[0]}, parted[1]
    return dict(given), None


def unmasked(array: Any) -> tuple[Data, Any] | None:
    """What a mask adds where it leaves something, and where that is; ``None`` of no mask."""
    import numpy

    low = array <= MASKED
    if not low.any() or low.all():
        return None
    return Data(numpy.where(low, 0, array), ""), ~low


@rule("aten._softmax", "aten._safe_softmax", "aten.softmax")
def softmax(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Positive weights that sum to 1 along an axis."""
    x, dim = given["self"], node.call.arguments["dim"]
    if not isinstance(x, Value) or dim % len(x.shape) != len(x.shape) - 1:
        return None
    mask = x.attention if x.attention is not None and not isinstance(x.attention, Rows) else None
    value, back = softened(run, x.whole(), mask)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        return {"self": back(gradients[0])} if gradients[0] is not None else {}

    return Outcome((value,), pull)


def softened(run: Any, x: Value, mask: Any) -> tuple[Value, Callable[[Gradient], Gradient]]:
    """The softmax of ``x`` over its last axis, of which ``mask`` says what takes part."""
    part, n = x.one, x.shape[-1]
    moments = part.moments()
    role = role_at(x, -1)
    along = ROLES[role]
    variance = max(float(moments[0, 0] - moments[0, along]), 0.0)
    mean = run.once(("rows", x.shape[-2:]), mask, lambda one: means_of(one, *x.shape[-2:]))
    z, boost = weights(run, moments, variance, along, mean.keys)
    profile, square = mean.profile
    profile = profile.reshape((1,) * (len(x.shape) - profile.ndim) + profile.shape)
    z = z * math.sqrt(square)
    roles = (*x.roles[:-1], ((role, n),))
    value = Value(
        x.shape, roles, (Part(n, z, profile),), len(x.shape) - 1, attention=Rows(mean, boost)
    )

    def back(gradient: Gradient) -> Gradient:
        g = matched_whole(gradient, value)
        k = g.told()
        q = g.q * value.q * (1 - k[along - 1]) * max(1 - boost * mean.lost, 0.0)
        mixed, factor = normalised(narrowed(g.profile * profile))
        for r in (1, 2, 3):
            if r != along:
                k[r - 1] = clamp(k[r - 1] * float((z[SELF] * z[r]).mean()) / max(value.q, 1e-300))
        k[along - 1] = -1 / max(n - 1, 1)
        found = Part(
            n, fresh(run.noise, q * factor, (k[0], k[1], 0.0), mixed, n).z, mixed, tuple(k)
        )
        return Gradient((found,), gradient.spread)

    return value, back


def means_of(mask: Any, rows: int, n: int) -> Means:
    """The mean weights of ``rows`` rows of ``n`` keys, of which ``mask`` leaves some out."""
    import numpy

    valid = numpy.ones((1, n)) if mask is None else numpy.asarray(mask, dtype="float64")
    counts = valid.sum(-1, keepdims=True)
    each = valid / numpy.maximum(counts, 1)
    wide = numpy.broadcast_to(each, (*each.shape[:-2], rows, n)).reshape(-1, rows, n)
    return Means(wide, int(max(counts.mean(), 1)))


def weights(run: Any, moments: Any, variance: float, along: int, n: int) -> tuple[Any, float]:
    """Particles of n p (mean 1) of a row of n keys, and their second moment."""
    import numpy

    deviation = math.sqrt(min(variance, 60.0))
    single = [0.0, 0.0, 0.0]
    for r in (1, 2, 3):
        if r != along and variance > 0:
            single[r - 1] = clamp(float(moments[0, r] - moments[r, along]) / variance)
    from botec.analyses.signal.particles import correlations

    logits = deviation * run.noise.gaussian(correlations(*single))
    count = min(max(n - 1, 0), OTHERS)
    if count:
        others = numpy.exp(deviation * run.noise.random.standard_normal((count, logits.shape[1])))
        rest = others.mean(0) * (n - 1)
    else:
        rest = numpy.zeros(logits.shape[1])
    up = numpy.exp(logits)
    z = n * up / (up + rest)
    return z, float((z[SELF] ** 2).mean())


# --- fused attention ------------------------------------------------------------------------------


@rule(
    "aten._scaled_dot_product_flash_attention_for_cpu",
    "aten._scaled_dot_product_flash_attention", "aten._scaled_dot_product_efficient_attention",
    "aten.scaled_dot_product_attention", "aten._scaled_dot_product_attention_math_for_mps",
)  # fmt: skip
def attention(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """softmax(q kᵀ/√d + mask) v."""
    q, k, v = (given[name] for name in ("query", "key", "value"))
    if not all(isinstance(one, Value) for one in (q, k, v)):
        return None
    arguments = node.call.arguments
    scale = arguments.get("scale") or q.shape[-1] ** -0.5
    causal, bias = bool(arguments.get("is_causal")), given.get("attn_mask")
    key = ("mask", causal, q.shape[-2], k.shape[-2])
    known = bias.array if isinstance(bias, Data) else None
    mask = run.once(key, known, lambda one: mask_of(one, *key[1:]))
    k, v = repeated(k, q.shape), repeated(v, (*q.shape[:-1], v.shape[-1]))
    turned = reordered(k.whole(), [*range(len(k.shape) - 2), len(k.shape) - 1, len(k.shape) - 2])
    logits, back_logits = product(run, q, turned, (*q.shape[:-1], k.shape[-2]))
    logits = replace(logits, parts=(logits.one.scaled(scale**2),))
    p, back_softmax = softened(run, logits, mask)
    dropout = arguments.get("dropout_p") or 0.0
    if dropout:
        p = replace(p, attention=p.attention / (1 - dropout))
    out, back_out = product(run, p, v, run.shape(node.outputs[0]))

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        to_p, to_v = back_out(gradients[0])
        assert to_p is not None
        assert to_v is not None
        to_logits = back_softmax(to_p)
        scaled = Gradient((to_logits.parts[0].scaled(scale**2),), to_logits.spread)
        to_q, to_k = back_logits(scaled)
        assert to_k is not None
        swapped = replace(
            to_k.parts[0], profile=to_k.parts[0].profile.swapaxes(-1, -2), size=k.shape[-1]
        )
        turned_back = Gradient((swapped,), to_k.spread)
        return {
            "query": to_q,
            "key": gathered(turned_back, k.shape, given["key"].shape),
            "value": gathered(to_v, v.shape, given["value"].shape),
        }

    rest = tuple(Missing("attention's own statistic") for _ in node.outputs[1:])
    return Outcome((out, *rest), pull)


def repeated(x: Value, shape: Sequence[int]) -> Value:
    """Keys and values that groups of heads share."""
    return x if x.shape[1] == shape[1] else replace(x, shape=(x.shape[0], shape[1], *x.shape[2:]))


def gathered(gradient: Gradient, heads: Sequence[int], own: Sequence[int]) -> Gradient:
    """The sum of what a group's heads say to the keys or values they share: they say it by weights
    of their own, so second moments add."""
    groups = heads[1] / own[1]
    return replace(gradient, parts=tuple(part.scaled(groups) for part in gradient.parts))


def mask_of(array: Any, causal: bool, rows: int, columns: int) -> Any:
    """What takes part, [rows, columns] of 0 and 1; ``None`` for all."""
    import numpy

    found = numpy.tril(numpy.ones((rows, columns))) if causal else None
    if array is not None and array.ndim >= 2:
        taking = array if array.dtype.kind == "b" else array > -1e4
        taking = taking.reshape(-1, *taking.shape[-2:])[0].astype("float64")
        found = taking if found is None else found * taking
    return found
