"""Every closed form is proved: it begins where the rule begins, and one more step of the rule leads
from the form at t to the form at t + 1. The forms proved are the functions that compute.

Letters are symbols: the rate and all other options are any positive numbers, averages' shares any
numbers between 0 and 1, the start any number, and c is proved for both signs.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botec.analyses.optimizers import adam, adam_kin, find, matrix, methods, signs

sp = pytest.importorskip("sympy")

T = sp.Symbol("t", integer=True, positive=True)
C, START = sp.Symbol("c", positive=True), sp.Symbol("start", real=True)
SUMS: dict[Any, Any] = {}
SHARES = {"momentum", "beta1", "beta2", "alpha", "rho"}


def options_for(name: str, **fixed: Any) -> SimpleNamespace:
    """Symbols for all options that are numbers, but those given."""
    found = dict(find(name).options)
    for option, value in found.items():
        if isinstance(value, float):
            found[option] = sp.Symbol(option, positive=True)
        if option in SHARES and isinstance(value, float):
            # 1/(1 + p) is any share between 0 and 1, and sympy knows it.
            found[option] = 1 / (1 + sp.Symbol(f"p_{option}", positive=True))
    return SimpleNamespace(**{**found, **fixed})


def tidy(expression: Any) -> Any:
    """Sums and powers of t as one symbol each, what stands under roots in lowest terms."""
    expression = sp.sympify(expression).replace(
        lambda part: isinstance(part, (sp.Sum, sp.Product)),
        lambda part: SUMS.setdefault(part, sp.Symbol(f"sum_{len(SUMS)}", real=True)),
    )
    powers: dict[Any, Any] = {}

    def power(base: Any, exponent: Any) -> Any:
        if not exponent.has(T) or not isinstance(base, (sp.Symbol, sp.Pow, sp.Add, sp.Integer)):
            return base**exponent
        more, symbol = exponent.as_coeff_Add()
        times = symbol / T
        if not times.is_Rational:
            return base**exponent
        # A share to the power t is a share again: 1/(1 + q) with q > 0, (1 + p)^-t as well.
        share = 1 / (1 + sp.Symbol(f"q_{len(powers)}", positive=True))
        return powers.setdefault(base, share if times > 0 else 1 / share) ** times * base**more

    expression = expression.replace(sp.Pow, power)
    return expression.replace(
        lambda part: (
            isinstance(part, sp.Pow) and part.exp in (sp.Rational(1, 2), -sp.Rational(1, 2))
        ),
        lambda part: sp.factor(part.base) ** part.exp,
    )


def zero(expression: Any) -> bool:
    found = tidy(expression)
    return found == 0 or sp.simplify(found) == 0


def decide(one: Any, other: Any, larger: bool) -> Any:
    """The larger or smaller of two, by the sign of their difference."""
    difference = sp.factor(sp.simplify(tidy(one) - tidy(other)))
    assert difference.is_nonnegative or difference.is_nonpositive, difference
    return one if bool(difference.is_nonnegative) == larger else other


def proved(name: str, o: SimpleNamespace, c: Any, start: Any = START) -> None:
    """Base case and induction, for the weight and everything kept."""
    method = find(name)
    assert method.no_form(start, c, o) is None
    begun = method.begun(start, o)
    first, at_one = method.rule(begun, c, 1, o), method.closed(start, c, sp.Integer(1), o)
    assert set(first) >= set(at_one) > set()
    for key in at_one:
        assert zero(sp.sympify(at_one[key]).doit() - first[key]), (name, key, "first step")
    later, after = method.closed(start, c, T, o), method.closed(start, c, T + 1, o)
    stepped = method.rule({**begun, **later}, c, T + 1, o)
    for key in after:
        assert zero(stepped[key] - after[key]), (name, key, "induction")


BOTH = pytest.mark.parametrize("c", [C, -C], ids=["c>0", "c<0"])


@BOTH
@pytest.mark.parametrize(
    "fixed",
    [
        {"momentum": 0, "weight_decay": 0},
        {"momentum": 0},
        {"weight_decay": 0},
        {"weight_decay": 0, "dampening": 0, "nesterov": True},
    ],
    ids=["plain", "decay", "momentum", "nesterov"],
)
def test_descent(c, fixed):
    proved("sgd", options_for("sgd", **fixed), c)


@pytest.mark.parametrize("nesterov", [False, True])
def test_descent_with_momentum_and_decay(nesterov):
    """Both roots kept as symbols x, y: then q = x y, and x + y = p fixes the momentum."""
    from botec.analyses.optimizers import descent

    x, y, lr = sp.symbols("x y lr", positive=True)
    q = x * y
    mu = (1 - x - y + q) / (1 - q) if nesterov else 1 - x - y + q
    tau = 0 if nesterov else sp.Symbol("dampening")
    o = SimpleNamespace(
        lr=lr, momentum=mu, dampening=tau, nesterov=nesterov, weight_decay=q / lr / (1 - tau)
    )
    p = 1 - o.momentum + (q * (1 + o.momentum) if nesterov else q)
    assert sp.simplify(p - x - y) == 0  # what `rates` solves, and these are its roots
    slow, fast = descent.rates(SimpleNamespace(**{**vars(o), "nesterov": nesterov}))
    assert sp.simplify(slow * fast - q) == 0
    assert sp.simplify(slow + fast - p) == 0
    old = descent.rates
    descent.rates = lambda o: (x, y)
    try:
        first = descent.sgd_rule({"w": START, "b": 0}, C, 1, o)
        now = {key: value.subs(T, 1) for key, value in descent.sgd_closed(START, C, T, o).items()}
        after, later = (descent.sgd_closed(START, C, t, o) for t in (T + 1, T))
        stepped = descent.sgd_rule(later, C, T + 1, o)
    finally:
        descent.rates = old
    a, b = sp.symbols("a b", positive=True)

    def left(expression: Any) -> Any:
        found = sp.expand_power_exp(expression)
        return sp.simplify(found.subs({(1 - x) ** T: a, (1 - y) ** T: b}))

    for key in ("w", "b"):
        assert sp.simplify(first[key] - now[key]) == 0
        assert left(stepped[key] - after[key]) == 0


@BOTH
@pytest.mark.parametrize("decay", [{"weight_decay": 0, "lambd": 0}, {}], ids=["none", "decay"])
def test_averaged_descent(c, decay):
    proved("asgd", options_for("asgd", t0=10**9, **decay), c)


@BOTH
@pytest.mark.parametrize("place", ["outside", "inside", "uncorrected"])
@pytest.mark.parametrize("eps", [0, sp.Symbol("eps", positive=True)], ids=["eps=0", "eps>0"])
@pytest.mark.parametrize("decay", [0, sp.Symbol("weight_decay", positive=True)], ids=["", "decay"])
def test_adam(c, place, eps, decay):
    fixed = {"eps": eps, "eps_place": place, "weight_decay": decay, "decoupled": True}
    proved("adam", options_for("adam", **fixed), c)


def test_adam_without_eps_moves_by_the_rate_alone():
    o = options_for("adam", eps=0, weight_decay=0)
    assert adam.adam_closed(START, C, T, o)["w"] == START - o.lr * T
    assert adam.adam_closed(START, -C, T, o)["w"] == START + o.lr * T


@BOTH
def test_amsgrad(c, monkeypatch):
    monkeypatch.setattr(adam, "larger", lambda one, other: decide(one, other, True))
    proved("adam", options_for("adam", weight_decay=0, amsgrad=True), c)


@BOTH
@pytest.mark.parametrize("decay", [0, sp.Symbol("weight_decay", positive=True)], ids=["", "decay"])
def test_nadam(c, decay, monkeypatch):
    """For any schedule of the momentum."""
    monkeypatch.setattr(adam_kin, "momentum_at", lambda k, o: sp.Function("mu", positive=True)(k))
    proved("nadam", options_for("nadam", weight_decay=decay, decoupled=True), c)


@BOTH
@pytest.mark.parametrize("early", [True, False], ids=["plain steps", "divided steps"])
def test_radam(c, early, monkeypatch):
    """Which case holds depends on the number of the step alone, the same in rule and form."""
    choose = lambda condition, yes, no: yes if early else no()  # noqa: E731
    monkeypatch.setattr(adam_kin, "choose", choose)
    proved("radam", options_for("radam", weight_decay=0), c)


@BOTH
def test_adamax(c, monkeypatch):
    monkeypatch.setattr(adam_kin, "larger", lambda one, other: decide(one, other, True))
    proved("adamax", options_for("adamax", weight_decay=0), c)


@BOTH
@pytest.mark.parametrize("momentum", [0, None])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop(c, momentum, centered):
    fixed = {} if momentum is None else {"momentum": momentum}
    mu = sp.Symbol("mu", positive=True)
    fixed = {"momentum": mu} if momentum is None else fixed
    proved("rmsprop", options_for("rmsprop", weight_decay=0, centered=centered, **fixed), c)


@BOTH
def test_adagrad(c):
    proved("adagrad", options_for("adagrad", weight_decay=0), c)


@BOTH
@pytest.mark.parametrize("decay", [0, sp.Symbol("weight_decay", positive=True)], ids=["", "decay"])
def test_lion(c, decay, monkeypatch):
    def sign(value: Any) -> Any:
        return sp.sign(sp.factor(sp.simplify(tidy(value))))

    monkeypatch.setattr(signs, "sign", sign)
    proved("lion", options_for("lion", weight_decay=decay), c)


@BOTH
@pytest.mark.parametrize("count", [1, 2, 5])
def test_lbfgs_where_nothing_stops_it(c, count):
    """A loop of a number of rounds has no symbol: three of them stand for all."""
    o = options_for("lbfgs", tolerance_grad=0, tolerance_change=0, max_iter=count)
    proved("lbfgs", o, c)


@BOTH
@pytest.mark.parametrize("power", [-2, -3, -5, -9])
@pytest.mark.parametrize("place", ["tolerance_grad", "tolerance_change"])
def test_lbfgs_where_it_stops(c, power, place):
    """In whole fractions, on either side of every comparison."""
    number = sp.Rational(7) * sp.Rational(10) ** power * sp.sign(c)
    fixed = {"tolerance_grad": 0, "tolerance_change": 0, place: sp.Rational(1, 10**5)}
    o = options_for("lbfgs", **fixed, max_iter=3, lr=sp.Rational(1, 10))
    state = find("lbfgs").begun(START, o)
    for t in range(1, 4):
        state = find("lbfgs").rule(state, number, t, o)
        for key, value in find("lbfgs").closed(START, number, t, o).items():
            assert zero(state[key] - value), (key, t)


@BOTH
@pytest.mark.parametrize("nesterov", [False, True])
def test_muon(c, nesterov, monkeypatch):
    """Whatever five rounds make of a number: the form gives them the same number as the rule."""
    sigma = sp.Function("sigma")
    monkeypatch.setattr(matrix, "orthogonal", lambda u: sigma(sp.factor(sp.simplify(tidy(u)))))
    proved("muon", options_for("muon", weight_decay=0, nesterov=nesterov), c)


@pytest.mark.parametrize("p", [1, -1], ids=["above eps2", "below"])
def test_adafactor_grows_by_a_share_of_itself_once_it_is_above_its_least_size(p):
    o = options_for("adafactor", weight_decay=0, eps1=0, clip=1)
    size = o.eps2 * (1 + p / (1 + sp.Symbol("p", positive=True)))
    rate = matrix.adafactor_rate(T, o)
    after = matrix.adafactor_rule({"w": -size, "v": C**2}, C, T, o)
    grown = size * (1 + rate) if p > 0 else size + o.eps2 * rate
    assert sp.simplify(after["w"].doit() + grown) == 0
    assert sp.simplify(after["v"] - C**2) == 0


numbers = st.fractions(min_value="1/1000", max_value=3, max_denominator=1000)


@given(numbers, numbers, numbers, numbers, st.booleans())
@settings(max_examples=25, deadline=None)
def test_rprop_in_whole_fractions(lr, least, more, factor, negative):
    """Its cases are many and every one is a comparison: exact fractions walk through them all."""
    lr, least, more, factor = (
        sp.Rational(n.numerator, n.denominator) for n in (lr, least, more, factor)
    )
    o = options_for("rprop", lr=lr, step_min=least, step_max=least + more, eta_plus=1 + factor)
    c = sp.Integer(-7 if negative else 7)
    state = find("rprop").begun(sp.Integer(0), o)
    for t in range(1, 25):
        state = find("rprop").rule(state, c, t, o)
        assert find("rprop").closed(sp.Integer(0), c, t, o) == state


def test_every_method_with_a_form_is_proved_here():
    source = Path(__file__).read_text(encoding="utf-8")
    same_function = {"adamw": "adam", "sparseadam": "adam"}
    no_form = {"adadelta"}
    for name in methods():
        assert name in no_form or f'"{same_function.get(name, name)}"' in source


def test_adadelta_has_no_form_but_its_end_is_a_fixed_point_at_the_gradient():
    o = options_for("adadelta", weight_decay=0)
    state = find("adadelta").rule({"w": START, "v": C**2, "u": C**2}, C, T, o)
    assert sp.simplify(state["u"] - C**2) == 0
    assert zero(state["w"] - START + o.lr * C)


@pytest.mark.parametrize("name", ["adam", "sgd", "lion"])
def test_a_planted_fault_is_seen(name, monkeypatch):
    """The proof fails where the rule is another: half of the rate."""
    method = find(name)
    fault = SimpleNamespace(**vars(method))
    fault.rule = lambda s, g, t, o: {
        **method.rule(s, g, t, o), "w": (method.rule(s, g, t, o)["w"] + s["w"]) / 2
    }  # fmt: skip
    fault.begun = method.begun
    monkeypatch.setattr(f"{__name__}.find", lambda name: fault)
    o = SimpleNamespace(**dict(method.options))
    o = SimpleNamespace(**{**vars(o), "weight_decay": 0, "momentum": 0})
    with pytest.raises(AssertionError, match="first step"):
        proved(name, o, C)


def test_sums_count_with_one_symbol():
    from botec.analyses.optimizers.maths import total

    once, again = total(lambda k: k**2, T + 1), total(lambda k: k**2, T)
    assert sp.expand(once - again) == sp.expand((T + 1) ** 2)
    assert list(itertools.islice((total(lambda k: k, n) for n in (1, 2, 3)), 3)) == [1, 3, 6]
