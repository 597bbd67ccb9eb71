"""What botec knows of one optimizer: its update rule, and the closed form where there is one.

All functions take ``o``, the options by their names (``o.lr``, ``o.beta1``), and work on numbers
and on symbols alike. A state is a mapping: ``w`` the weight, and what is kept beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeAlias

from botec.errors import BadInput

State: TypeAlias = dict[str, Any]
Options: TypeAlias = Any
Rule: TypeAlias = Callable[[State, Any, Any, Options], State]
Closed: TypeAlias = Callable[[Any, Any, Any, Options], State]
OfOptions: TypeAlias = Callable[[Options], Any]
OfGradient: TypeAlias = Callable[[Any, Options], Any]


@dataclass(frozen=True)
class Meaning:
    """An option: its sign in formulas, what it is, its range (``below`` is not reached)."""

    symbol: str
    text: str
    least: float | None = 0
    below: float | None = None
    most: float | None = None
    whole: bool = False


MEANINGS = {
    "lr": Meaning("η", "the learning rate"),
    "momentum": Meaning("μ", "how much of the last step is kept", 0, 1),
    "dampening": Meaning("τ", "the share of a gradient the momentum leaves out", None),
    "weight_decay": Meaning("λ", "the weight decay"),
    "beta1": Meaning("β₁", "how much of the gradients' average is kept at a step", 0, 1),
    "beta2": Meaning("β₂", "how much of the squares' average is kept at a step", 0, 1),
    "alpha": Meaning("α", "how much of the squares' average is kept at a step", 0, 1),
    "rho": Meaning("ρ", "how much of both averages is kept at a step", 0, 1),
    "eps": Meaning("ε", "the small number in the denominator"),
    "lr_decay": Meaning("γ", "how the rate declines: η/(1 + (k - 1)γ)"),
    "initial_accumulator_value": Meaning("s₀", "what the sum of squares begins with"),
    "momentum_decay": Meaning("ψ", "how slowly the momentum comes to its full size"),
    "eta_minus": Meaning("η⁻", "the factor of the step where the sign changes", 0, 1),
    "eta_plus": Meaning("η⁺", "the factor of the step where the sign stays", 1),
    "step_min": Meaning("Δₘᵢₙ", "the smallest step"),
    "step_max": Meaning("Δₘₐₓ", "the largest step"),
    "lambd": Meaning("λₐ", "the decay that is part of the method"),
    "power": Meaning("α", "the power with which the rate declines"),
    "t0": Meaning("t₀", "the step at which averaging begins"),
    "beta2_decay": Meaning(
        "κ", "the average of the squares takes a share k^κ of each new one", None, most=0
    ),
    "eps1": Meaning("ε₁", "the least root of the averaged square"),
    "eps2": Meaning("ε₂", "the least size of a weight"),
    "clip": Meaning("d", "the largest root mean square of an update", 1),
    "max_iter": Meaning("N", "the most iterations of a step", 1, most=1000, whole=True),
    "history_size": Meaning("H", "the most pairs that are kept", 1, most=10**5, whole=True),
    "tolerance_grad": Meaning("δ₁", "a gradient up to this is not followed"),
    "tolerance_change": Meaning("δ₂", "a way, or a fall of the loss, this small ends a step"),
    "nesterov": Meaning("nesterov", "look ahead along the momentum"),
    "centered": Meaning("centered", "divide by the deviation, not by the root of the square"),
    "amsgrad": Meaning("amsgrad", "divide by the largest average so far"),
    "decoupled": Meaning("decoupled", "decay the weight itself, not through the gradient"),
    "eps_place": Meaning("eps_place", "where ε stands: outside, inside the root, or uncorrected"),
}
PLACES = ("outside", "inside", "uncorrected")


@dataclass(frozen=True)
class Limit:
    """The largest curvature at which w = 0 on the bowl h w²/2 is stable.

    ``value`` is the largest h, or the largest h/d where the method divides by ``d`` (frozen);
    ``at_rest`` the largest h at the minimum itself, where d has shrunk to ε. ``None``: any.
    """

    value: Any
    formula: str
    at_rest: Any = None
    why: str | None = None
    divided: bool = False


@dataclass(frozen=True)
class Method:
    """One optimizer. What is ``None`` has no formula, and is answered by running the rule.

    ``real`` is its class in torch.optim ("" where it has none); ``kept`` the values it keeps for
    each parameter, ``grown`` how many after so many steps where they grow; ``no_form(start, c, o)``
    why there is no closed form, or ``None``; ``shown`` quantities derived from the state; ``speed``
    the size of a step after infinitely many; ``words`` what signs mean where that is its own.
    """

    name: str
    title: str
    real: str
    source: str
    options: Mapping[str, Any]
    kept: OfOptions
    rule: Rule
    closed: Closed
    formula: OfOptions
    derivation: OfOptions
    no_form: Callable[[Any, Any, Options], str | None] = lambda start, c, o: None
    averages: OfOptions = lambda o: {}
    shown: Callable[[State, Any, Options], State] = lambda state, t, o: {}
    speed: OfGradient | None = None
    rest: OfGradient | None = None
    noise: OfGradient | None = None
    alternating: OfGradient | None = None
    limit: OfOptions | None = None
    grown: OfOptions = lambda o: {}
    begin: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def begun(self, start: Any, options: Options) -> State:
        """The state before the first step."""
        return {"w": start, **dict.fromkeys(self.kept(options), 0), **began(self.begin, options)}


def began(begin: Mapping[str, Any], options: Options) -> State:
    return {name: value(options) if callable(value) else value for name, value in begin.items()}


def options_of(method: Method, given: Mapping[str, Any]) -> Options:
    """The method's options with those given in place of its defaults.

    Raises :class:`BadInput` for an option it does not have and for a value without a meaning.
    """
    for name, value in given.items():
        if name not in method.options:
            known = ", ".join(option_name(each) for each in method.options)
            asked = f"{method.name} {option_name(name)}"
            raise BadInput(f"{method.title} has no such option", f"it takes {known}", asked)
        check(name, value)
    options = SimpleNamespace(**{**method.options, **given})
    if given.get("nesterov") and (options.momentum == 0 or getattr(options, "dampening", 0)):
        seen, do = "Nesterov's form needs momentum and no dampening", "give --momentum 0.9"
        raise BadInput(seen, do, f"{method.name} --nesterov")
    return options


def option_name(name: str) -> str:
    """``weight_decay`` as it is typed: ``--weight-decay``."""
    return f"--{name.replace('_', '-')}"


def check(name: str, value: Any) -> None:
    """Raises :class:`BadInput` for a value outside the range of the option."""
    meaning, asked = MEANINGS[name], f"{option_name(name)} {value}"
    if isinstance(value, (bool, str)):
        return
    if not math.isfinite(value):
        raise BadInput("not a finite number", "give a number", asked)
    if meaning.whole and value != int(value):
        raise BadInput("not a whole number", f"give {meaning.text}", asked)
    if meaning.least is not None and value < meaning.least:
        seen = f"it is below {meaning.least}"
        raise BadInput(seen, f"give {meaning.least} or more: {meaning.text}", asked)
    if meaning.most is not None and value > meaning.most:
        seen = f"it is above {meaning.most}"
        raise BadInput(seen, f"give {meaning.most} or less: {meaning.text}", asked)
    if meaning.below is not None and value >= meaning.below:
        seen = f"at {meaning.below} and above nothing new is learned or old forgotten"
        raise BadInput(seen, f"give a value below {meaning.below}", asked)


def coupled(state: State, gradient: Any, o: Options) -> Any:
    """The gradient with the weight decay in it, g + λ w, unless that is decoupled."""
    if o.weight_decay == 0 or getattr(o, "decoupled", False):
        return gradient
    return gradient + o.weight_decay * state["w"]


def shrunk(state: State, o: Options) -> Any:
    """The weight after a decoupled decay, (1 - η λ) w, where there is one."""
    if o.weight_decay == 0 or not getattr(o, "decoupled", False):
        return state["w"]
    return (1 - o.lr * o.weight_decay) * state["w"]


def decay_of(o: Options) -> Any:
    """The share of the weight that decoupled decay takes at each step."""
    return o.lr * o.weight_decay if getattr(o, "decoupled", False) else 0


COUPLED = (
    "coupled weight decay enters the averages that divide it, so the steps have no closed form"
)


def coupled_has_none(start: Any, c: Any, o: Options) -> str | None:
    """Why the divided methods have no closed form with coupled decay."""
    return COUPLED if o.weight_decay != 0 and not getattr(o, "decoupled", False) else None
