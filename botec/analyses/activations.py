"""Every activation of ``torch.nn`` under a Gaussian input: what it keeps of a signal.

A unit of a wide layer is a sum of many small terms, hence about Gaussian: z ~ N(0, 1) times the
root q of its second moment. Means over z are integrals, taken here by Gauss-Legendre panels whose
ends include every kink of the function, so that each panel sees a smooth one: ten digits and more.

The gain of an activation f is the factor that gives its output the second moment of its input:
1/√E f(z)². He et al. 2015 (equations 7 to 10, https://arxiv.org/abs/1502.01852) have it for ReLU,
√2. Where the mean is taken out afterwards (a standardised weight, a batch norm), it is
1/√Var f(z): the γ of Brock et al. 2021 (section 3, https://arxiv.org/abs/2102.06171). Gradients
pass with E f'(z)² (Schoenholz et al. 2017, equation 5, https://arxiv.org/abs/1611.01232).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from botec.errors import UnknownName, nearest

#: A normal variable lies farther out than this with probability 1e-33; the integral ends there.
REACH = 12.0
PANEL, NODES = 0.25, 20
#: The imaginary step of a derivative, f'(x) = Im f(x + ih)/h: exact to the last digit, since
#: nothing is subtracted (Squire & Trapp 1998, SIAM Review 40(1)).
STEP = 1e-30

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@dataclass(frozen=True)
class Activation:
    """One activation: a function of arrays, real or complex, and where it has kinks.

    ``options`` are the numbers it takes with their defaults (those of ``torch.nn``); ``kinks`` is
    given the options. ``module`` is its class in ``torch.nn``, ``""`` where it has none.
    """

    name: str
    module: str
    formula: Callable[..., Any]
    kinks: Callable[..., tuple[float, ...]] = lambda **_: ()
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Moments:
    """Of f(√q z), z ~ N(0, 1): means of f, f², f⁴, of the slope f'(√q z), and of its square.

    ``dead`` is the share of inputs at which the slope is 0.
    """

    mean: float
    square: float
    fourth: float
    slope: float
    slope_square: float
    dead: float

    @property
    def gain(self) -> float:
        """1/√E f²: the factor on the weights that keeps the second moment."""
        return 1 / math.sqrt(self.square) if self.square > 0 else math.inf

    @property
    def variance_gain(self) -> float:
        """1/√Var f: the same where the mean is taken out afterwards."""
        variance = self.square - self.mean**2
        return 1 / math.sqrt(variance) if variance > 0 else math.inf

    @property
    def gradient_gain(self) -> float:
        """1/√E f'²: the factor on the weights that keeps the gradient's second moment."""
        return 1 / math.sqrt(self.slope_square) if self.slope_square > 0 else math.inf


# --- the functions --------------------------------------------------------------------------------
# Each takes arrays, complex ones too: comparisons look at the real part.


def where(condition: Any, yes: Any, no: Any) -> Any:
    """``numpy.where``."""
    import numpy

    return numpy.where(condition, yes, no)


def exp(x: Any) -> Any:
    """e to the power x, its real part kept where it has a number."""
    import numpy

    return numpy.exp(where(x.real < 700, x, 700 + 0 * x))


def log1p(x: Any) -> Any:
    import numpy

    return numpy.log1p(x)


def tanh(x: Any) -> Any:
    import numpy

    return numpy.tanh(x)


def normal_below(x: Any) -> Any:
    """The share of a normal variable below x."""
    from scipy.special import erf

    return 0.5 * (1 + erf(x / math.sqrt(2)))


def below_zero(x: Any) -> Any:
    """x where it is negative, else 0."""
    return where(x.real < 0, x, 0 * x)


def expm1(x: Any) -> Any:
    import numpy

    return numpy.expm1(x)


def sigmoid(x: Any) -> Any:
    """1/(1 + e^-x), by the form that does not overflow."""
    small = exp(where(x.real < 0, x, -x))
    return where(x.real < 0, small, 1 + 0 * x) / (1 + small)


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + e^βx)/β, and x where βx is above the threshold, as ``torch.nn.Softplus``."""
    scaled = beta * x
    soft = where(x.real > 0, scaled, 0 * x) + log1p(exp(where(x.real > 0, -scaled, scaled)))
    return where(scaled.real > threshold, x, soft / beta)


def leaky(x: Any, slope: float) -> Any:
    return where(x.real > 0, x, slope * x)


def clipped(x: Any, low: float, high: float) -> Any:
    return where(x.real < low, low + 0 * x, where(x.real > high, high + 0 * x, x))


def elu(x: Any, alpha: float = 1.0) -> Any:
    return where(x.real > 0, x, alpha * expm1(below_zero(x)))


def gelu_tanh(x: Any) -> Any:
    """Hendrycks & Gimpel 2016, section 2: the form with tanh."""
    return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def hardsigmoid(x: Any) -> Any:
    return clipped(x / 6 + 0.5, 0.0, 1.0)


def absolute(x: Any) -> Any:
    return where(x.real < 0, -x, x)


def softshrink(x: Any, lambd: float) -> Any:
    return where(x.real > lambd, x - lambd, where(x.real < -lambd, x + lambd, 0 * x))


def sine(x: Any) -> Any:
    import numpy

    return numpy.sin(x)


def at_zero(**_: float) -> tuple[float, ...]:
    return (0.0,)


def both_sides(lambd: float) -> tuple[float, ...]:
    return (-lambd, lambd)


ACTIVATIONS: dict[str, Activation] = {}


def known(name: str, module: str, formula: Any, kinks: Any = None, **options: float) -> None:
    """Enter an activation in the book."""
    kinks = kinks or (lambda **_: ())
    ACTIVATIONS[name] = Activation(name, module, formula, kinks, options)


known("identity", "Identity", lambda x: 1 * x)
known("relu", "ReLU", lambda x: leaky(x, 0.0), at_zero)
known("leaky_relu", "LeakyReLU", lambda x, negative_slope: leaky(x, negative_slope), at_zero,
      negative_slope=0.01)  # fmt: skip
known("prelu", "PReLU", lambda x, init: leaky(x, init), at_zero, init=0.25)
known("rrelu", "RReLU", lambda x, lower, upper: leaky(x, (lower + upper) / 2), at_zero,
      lower=1 / 8, upper=1 / 3)  # fmt: skip
known("relu6", "ReLU6", lambda x: clipped(x, 0.0, 6.0), lambda: (0.0, 6.0))
known("hardtanh", "Hardtanh", lambda x, min_val, max_val: clipped(x, min_val, max_val),
      lambda min_val, max_val: (min_val, max_val), min_val=-1.0, max_val=1.0)  # fmt: skip
known("threshold", "Threshold",
      lambda x, threshold, value: where(x.real > threshold, x, value + 0 * x),
      lambda threshold, value: (threshold,), threshold=0.0, value=0.0)  # fmt: skip
known("elu", "ELU", elu, at_zero, alpha=1.0)
known("celu", "CELU", lambda x, alpha: where(x.real > 0, x, alpha * expm1(below_zero(x) / alpha)),
      at_zero, alpha=1.0)  # fmt: skip
known("selu", "SELU", lambda x: SELU_SCALE * elu(x, SELU_ALPHA), at_zero)
known("gelu", "GELU", lambda x: x * normal_below(x))
known("gelu_tanh", "GELU", gelu_tanh)
known("silu", "SiLU", lambda x: x * sigmoid(x))
known("mish", "Mish", lambda x: x * tanh(softplus(x)))
known("sigmoid", "Sigmoid", sigmoid)
known("log_sigmoid", "LogSigmoid", lambda x: -softplus(-x, threshold=math.inf))
known("hardsigmoid", "Hardsigmoid", hardsigmoid, lambda: (-3.0, 3.0))
known("hardswish", "Hardswish", lambda x: x * hardsigmoid(x), lambda: (-3.0, 3.0))
known("softplus", "Softplus", softplus,
      lambda beta, threshold: (threshold / beta,), beta=1.0, threshold=20.0)  # fmt: skip
known("softsign", "Softsign", lambda x: x / (1 + absolute(x)), at_zero)
known("tanh", "Tanh", tanh)
known("tanhshrink", "Tanhshrink", lambda x: x - tanh(x))
known("hardshrink", "Hardshrink",
      lambda x, lambd: where(abs(x.real) > lambd, x, 0 * x), both_sides, lambd=0.5)  # fmt: skip
known("softshrink", "Softshrink", softshrink, both_sides, lambd=0.5)
known("sin", "", sine)


# --- their moments --------------------------------------------------------------------------------


def activation(name: str) -> Activation:
    """The activation called ``name``. Raises :class:`UnknownName` with the nearest ones."""
    if name not in ACTIVATIONS:
        do = nearest(name, ACTIVATIONS) or f"known: {', '.join(ACTIVATIONS)}"
        raise UnknownName(f"no activation {name}", do, name)
    return ACTIVATIONS[name]


def moments(name: str, q: float = 1.0, **options: float) -> Moments:
    """The moments of activation ``name`` of an input of mean 0 and second moment ``q``.

    ``options`` replace its defaults. Raises :class:`UnknownName`.
    """
    one = activation(name)
    for option in options:
        if option not in one.options:
            has = ", ".join(one.options) or "no option"
            raise UnknownName(f"{name} has {has}", "leave it out", option)
    chosen = {**one.options, **options}
    return moments_of(lambda x: one.formula(x, **chosen), one.kinks(**chosen), math.sqrt(q))


def moments_of(f: Callable[[Any], Any], kinks: tuple[float, ...], deviation: float) -> Moments:
    """The moments of ``f`` (of complex arrays too), which is smooth between its ``kinks``."""
    if not deviation:
        kinks = ()  # a constant input meets one point only
    z, weight = quadrature(tuple(kink / deviation for kink in kinks))
    x = deviation * z
    value, slope = f(x), f(x + 1j * STEP).imag / STEP
    square = weight @ value**2
    return Moments(
        mean=float(weight @ value),
        square=float(square),
        fourth=float(weight @ value**4),
        slope=float(weight @ slope),
        slope_square=float(weight @ slope**2),
        dead=float(weight @ (slope == 0)),
    )


@lru_cache(64)
def quadrature(kinks: tuple[float, ...] = ()) -> tuple[Any, Any]:
    """Points and weights for means over a standard normal variable, panels ending at ``kinks``."""
    import numpy

    inner = [kink for kink in kinks if -REACH < kink < REACH]
    ends = numpy.unique(numpy.r_[numpy.arange(-REACH, REACH + PANEL / 2, PANEL), inner])
    nodes, weights = numpy.polynomial.legendre.leggauss(NODES)
    middle, half = (ends[1:] + ends[:-1]) / 2, (ends[1:] - ends[:-1]) / 2
    z = (middle[:, None] + half[:, None] * nodes).ravel()
    share = (half[:, None] * weights).ravel() * numpy.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return z, share / share.sum()


def fixed_point(
    name: str, weight_variance: float, bias_variance: float = 0.0, start: float = 1.0
) -> float | None:
    """Where the second moment q of a deep plain network settles: q = σ_w² E f(√q z)² + σ_b².

    ``weight_variance`` is σ_w² = fan-in × E[w²]. ``None`` where it grows without bound or the map
    has not settled after 10,000 layers (Poole et al. 2016, equation 3,
    https://arxiv.org/abs/1606.05340).
    """
    q = start
    for _ in range(10_000):
        after = weight_variance * moments(name, q).square + bias_variance
        if not math.isfinite(after) or after > 1e30:
            return None
        if abs(after - q) <= 1e-13 * max(after, 1e-300):
            return after
        if after < 1e-30:
            return 0.0
        q = after
    return None
