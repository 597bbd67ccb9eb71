"""Closed forms beside the real torch.optim in float64, over options that chance has chosen.

The tolerance is 1e-12 of the largest value so far: 1,000 steps of rounding, each half a last digit
of float64, come to 1e-13 at most; a form without weight to lose agrees to 1e-14.
"""

from __future__ import annotations

import math
import random
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from botec.analyses.optimizers import find, methods
from botec.analyses.optimizers.figures import figures, judged, largest_error
from botec.analyses.optimizers.method import options_of
from botec.analyses.optimizers.page import asked, report
from botec.analyses.optimizers.path import Way, change, run
from botec.errors import BotecError
from botec.report import Figures

pytest.importorskip("torch")
from botec.measure.optimizers import kept, real_classes, trajectory

STEPS, TOLERANCE = 1000, 1e-12
SHARE = st.floats(0, 0.999)
TINY = st.floats(-12, -2).map(lambda power: 10.0**power)
CHOICES: dict[str, Any] = {
    "lr": st.floats(-5, 0).map(lambda power: 10.0**power),
    "weight_decay": st.one_of(st.just(0.0), st.floats(1e-6, 0.5)),
    "momentum": SHARE,
    "dampening": st.floats(0, 0.9),
    "beta1": SHARE,
    "beta2": SHARE,
    "alpha": SHARE,
    "rho": SHARE,
    "eps": TINY,
    "eps1": TINY,
    "eps2": TINY,
    "lr_decay": st.floats(0, 1),
    "initial_accumulator_value": st.floats(0, 10),
    "momentum_decay": st.floats(0, 0.1),
    "eta_minus": st.floats(0.1, 0.9),
    "eta_plus": st.floats(1.01, 2),
    "step_min": st.floats(1e-9, 1e-3),
    "step_max": st.floats(1e-2, 100),
    "lambd": st.one_of(st.just(0.0), st.floats(1e-6, 0.1)),
    "power": st.floats(0.1, 2),
    "beta2_decay": st.floats(-1, -0.1),
    "tolerance_grad": TINY,
    "tolerance_change": TINY,
}
# A real optimizer that has no such option, or a form that is only for its default.
FIXED: dict[str, dict[str, Any]] = {
    "sparseadam": {"weight_decay": 0.0},
    "adam": {},
    "adamw": {},
    "muon": {"lr": 1e-2},
    "adafactor": {"weight_decay": 0.0, "lr": 1e-2},
    "lbfgs": {"max_iter": 3},
}
DIVIDED = {"rmsprop", "adagrad", "adadelta", "adamax"}
REAL = [name for name in methods() if name != "lion"]


def chosen(data: Any, name: str) -> dict[str, Any]:
    """Options by chance, with a closed form and a twin in torch.optim."""
    method, found = find(name), {}
    for option, default in method.options.items():
        if option in CHOICES and isinstance(default, float):
            found[option] = data.draw(CHOICES[option], option)
    if name in DIVIDED:
        found["weight_decay"] = 0.0
    if "decoupled" in method.options:
        found["decoupled"] = name != "sparseadam"
    if name == "sgd" and found["momentum"] and data.draw(st.booleans(), "nesterov"):
        found.update(nesterov=True, dampening=0.0)
    if name == "rprop":
        found["step_max"] = max(found["step_max"], found["step_min"])
    return {**found, **FIXED.get(name, {})}


@pytest.mark.parametrize("name", REAL)
@given(data=st.data(), power=st.floats(-6, 3), negative=st.booleans(), start=st.floats(-2, 2))
@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_the_closed_form_is_where_the_real_optimizer_goes(name, data, power, negative, start):
    gradient = (-1 if negative else 1) * 10.0**power
    start = 0.0 if name == "adafactor" else start
    way = asked(name, gradient, STEPS, start, **chosen(data, name))
    assert (way.reason is None) == (name != "adadelta")
    path = trajectory(name, vars(way.options), [gradient] * STEPS, start)
    assert largest_error(way, path) <= TOLERANCE


def test_lion_is_timms():
    try:
        import timm.optim
    except (ImportError, RuntimeError):  # a torchvision built for another torch
        pytest.skip("timm is not there")
    assert timm.optim.Lion
    for decay in (0.0, 0.3):
        way = asked("lion", -2e-5, STEPS, 1.5, lr=1e-2, weight_decay=decay)
        path = trajectory("lion", vars(way.options), [-2e-5] * STEPS, 1.5)
        assert largest_error(way, path) <= TOLERANCE


def test_lion_beside_its_paper_in_exact_fractions():
    """Chen et al. 2023, program 1, in a few lines that share nothing with the rule."""
    from fractions import Fraction

    w, m, lr, b1, b2, decay, g = (
        Fraction(3, 2),
        Fraction(0),
        Fraction(1, 100),
        Fraction(9, 10),
        Fraction(99, 100),
        Fraction(3, 10),
        Fraction(-1, 7),
    )
    for _ in range(200):
        update = m * b1 + g * (1 - b1)
        m = m * b2 + g * (1 - b2)
        w -= lr * ((1 if update > 0 else -1) + decay * w)
    way = asked("lion", -1 / 7, 200, 1.5, lr=0.01, weight_decay=0.3)
    assert way.at(200)["w"] == pytest.approx(float(w), rel=1e-13)


def test_centered_rmsprop_while_its_deviation_has_digits_left():
    """v - m² loses the digits that α^k takes: to 1e-12/α^100 here."""
    way = asked("rmsprop", 3.0, 100, centered=True, momentum=0.5, alpha=0.999)
    path = trajectory("rmsprop", vars(way.options), [3.0] * 100)
    assert largest_error(way, path) <= TOLERANCE


@pytest.mark.parametrize("given_", [{"weight_decay": 0.1}, {"amsgrad": True, "weight_decay": 0.1}])
@pytest.mark.parametrize("name", ["adam", "rmsprop", "nadam", "radam", "adagrad", "adafactor"])
def test_without_a_closed_form_the_rule_is_run_and_is_the_real_one(name, given_):
    given_ = {key: value for key, value in given_.items() if key in find(name).options}
    way = asked(name, 0.7, 300, 0.5, **given_)
    assert way.reason
    path = trajectory(name, vars(way.options), [0.7] * 300, 0.5)
    assert largest_error(way, path) <= 1e-10  # a sum of two opposite terms near the point of rest
    assert "rule was run" in (figures(way)["optimizer.w"].counted.why or "")


@pytest.mark.parametrize("name", [name for name in REAL if name != "muon"])
def test_the_rule_under_changing_gradients_is_the_real_one(name):
    draw = random.Random(1)
    gradients = [draw.gauss(0.1, 1) for _ in range(200)]
    options = options_of(find(name), {})
    path = trajectory(name, vars(options), gradients, 0.3)
    begun = find(name).begun(0.3, options)
    ran = list(run(find(name), options, begun, gradients))
    for own, real in zip(ran, path[1:], strict=True):
        assert own["w"] == pytest.approx(real["w"], rel=1e-12, abs=1e-13)


def test_muon_under_changing_gradients_is_the_real_one():
    gradients = [0.3, -2.0, 1e-5, 4.0, -0.001, 7.0]
    options = options_of(find("muon"), {})
    path = trajectory("muon", vars(options), gradients, 0.3)
    ran = list(run(find("muon"), options, find("muon").begun(0.3, options), gradients))
    assert [s["w"] for s in ran] == pytest.approx([r["w"] for r in path[1:]], rel=1e-13)


# --- what they keep -----------------------------------------------------------------------------

KEPT = [
    ("sgd", {}, 0), ("sgd", {"momentum": 0.9}, 1), ("adam", {}, 2), ("adam", {"amsgrad": True}, 3),
    ("adamw", {}, 2), ("nadam", {}, 2), ("radam", {}, 2), ("adamax", {}, 2), ("rmsprop", {}, 1),
    ("rmsprop", {"centered": True, "momentum": 0.5}, 3), ("adagrad", {}, 1), ("adadelta", {}, 2),
    ("rprop", {}, 2), ("adafactor", {}, 1), ("muon", {}, 1), ("asgd", {}, 1), ("sparseadam", {}, 2),
    ("lbfgs", {}, 202), ("lbfgs", {"history_size": 7, "max_iter": 3}, 16),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given_", "count"), KEPT)
def test_values_kept_are_those_of_the_real_object(name, given_, count):
    options = options_of(find(name), given_)
    shape = (64, 32) if name in ("muon", "sparseadam") else (64,)
    assert kept(name, vars(options), shape).per_parameter == count
    assert len(find(name).kept(options)) == count


def test_adafactor_keeps_a_row_and_a_column_of_a_matrix():
    found = kept("adafactor", vars(options_of(find("adafactor"), {})), (64, 32))
    assert found.entries == {"row_var": 64, "col_var": 32}


@pytest.mark.parametrize("given_", [{}, {"max_iter": 1, "history_size": 3}, {"max_iter": 50}])
def test_lbfgs_keeps_two_more_values_at_every_iteration_until_it_is_full(given_):
    options = options_of(find("lbfgs"), given_)
    found = kept("lbfgs", vars(options), (64,))
    grown = find("lbfgs").grown(options)
    assert grown == {steps: found.after[steps - 1] for steps in grown}
    assert len(found.after) == max(grown)
    assert found.entries["old_dirs"] == found.entries["old_stps"] == 64 * options.history_size
    assert found.scalars == 2 * options.history_size + 1  # ro, al and the scale of the first guess


def test_every_optimizer_of_torch_is_known():
    assert set(real_classes()) <= set(methods())


# --- what the figures say -----------------------------------------------------------------------


def value(way: Way, key: str) -> Any:
    return figures(way)[f"optimizer.{key}"].counted.value


def test_the_printed_formula_gives_the_printed_number():
    names = {
        "abs": abs,
        "sum": math.fsum,
        "min": min,
        "max": max,
        "range": range,
        "prod": math.prod,
    }
    seen = 0
    for name, method in methods().items():
        for decay in (0.0, 0.01):
            given_ = {"weight_decay": decay} if "weight_decay" in method.options else {}
            for more in ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True},
                         {"eps_place": "inside"}, {"eps_place": "uncorrected"},
                         {"decoupled": True}, {"centered": True}):  # fmt: skip
                if not set(more) <= set(method.options):
                    continue
                way = asked(name, -0.3, 60, 0.0 if name == "adafactor" else 0.4, **given_, **more)
                formula = figures(way)["optimizer.w"].counted.formula
                if formula:
                    seen += 1
                    local = {"gradient": -0.3, "steps": 60, "start": way.start, **vars(way.options)}
                    found = eval(formula, {**names, **local})
                    assert found == pytest.approx(way.at(60)["w"], rel=1e-9), (name, more)
    assert seen > 30


def test_momentum_in_the_usual_words():
    """-(η c/(1 - β)) (t + 1 - (1 - β^(t+1))/(1 - β)), as it is mostly written."""
    way = asked("sgd", 3.0, 50, lr=0.01, momentum=0.9)
    usual = -(0.01 * 3 / 0.1) * (51 - (1 - 0.9**51) / 0.1)
    assert way.at(50)["w"] == pytest.approx(usual, rel=1e-12)


def test_adam_does_not_know_the_gradients_size_but_near_eps():
    for power in range(-3, 7):
        assert asked("adam", 10.0**power).at(1000)["w"] == pytest.approx(-1, rel=2e-5)
    assert asked("adam", 1e-8).at(1000)["w"] == pytest.approx(-0.5, rel=1e-12)
    assert value(asked("adam", 1.0), "scale.exponent") == pytest.approx(0, abs=1e-6)
    assert value(asked("sgd", 1.0), "scale.exponent") == pytest.approx(1, rel=1e-9)
    assert value(asked("adam", 1.0), "scale.half") == 1e-8
    assert value(asked("radam", 1e3, 200), "scale.exponent") > 0.9
    inside = asked("adam", 1.0, eps_place="inside")
    half = value(inside, "scale.half")
    assert asked("adam", half, 1, eps_place="inside").moved(1) == pytest.approx(5e-4, rel=1e-9)


def test_radams_first_five_steps_are_plain_descent():
    way = asked("radam", 1000.0)
    assert [way.moved(t) for t in range(1, 6)] == pytest.approx([1.0] * 5)
    assert way.moved(6) < 0.001


def test_bias_correction_is_worth_6_57_at_step_12():
    way = asked("adam", 3.0)
    assert value(way, "uncorrected") == pytest.approx(6.57, abs=0.005)
    assert value(way, "uncorrected.at") == 12


def test_half_lives_and_times_to_settle():
    way = asked("adam", 1.0)
    assert value(way, "halflife.beta1") == pytest.approx(6.5788, abs=1e-4)
    assert value(way, "halflife.beta2") == pytest.approx(692.8, abs=0.1)
    assert value(way, "settled.beta1") == 44
    assert 1 - 0.9**44 >= 0.99 > 1 - 0.9**43
    path = trajectory("rmsprop", vars(asked("rmsprop").options), [1.0] * 500)
    reached = value(asked("rmsprop"), "speed.reached")
    step = [abs(path[t]["w"] - path[t - 1]["w"]) for t in (reached - 1, reached)]
    assert step[0] > 1.01 * 0.01 >= step[1]


def test_decay_coupled_and_decoupled_rest_where_they_say():
    for name, options in (
        ("sgd", {"lr": 0.5, "weight_decay": 0.1, "momentum": 0.5}),
        ("adamw", {"lr": 0.5, "weight_decay": 0.1}),
        ("lion", {"lr": 0.5, "weight_decay": 0.1}),
        ("adam", {"lr": 0.01, "weight_decay": 0.5}),
    ):
        way = asked(name, 0.7, 2000, 0.4, **options)
        assert way.at(2000)["w"] == pytest.approx(value(way, "rest"), rel=2e-2)


@pytest.mark.parametrize(
    ("name", "options"),
    [("sgd", {}), ("sgd", {"momentum": 0.8}), ("sgd", {"momentum": 0.8, "dampening": 0.4}),
     ("sgd", {"momentum": 0.8, "nesterov": True}), ("sgd", {"momentum": 0.8, "weight_decay": 3.0}),
     ("asgd", {}), ("adadelta", {}), ("adadelta", {"weight_decay": 9.0}),
     ("adam", {"eps": 1.0}), ("adamw", {"eps": 1.0, "weight_decay": 50.0}),
     ("nadam", {"eps": 1.0, "momentum_decay": 10.0}), ("rmsprop", {"eps": 1.0, "momentum": 0.5}),
     ("adam", {"eps": 1.0, "eps_place": "inside"})],
)  # fmt: skip
def test_the_stability_limit_parts_what_settles_from_what_explodes(name, options):
    """Gradients h w on the bowl, from so small a weight that divisors stay at ε."""
    way = asked(name, 1.0, lr=0.01, **options)
    limit = find(name).limit(way.options)
    edge = limit.at_rest if limit.divided else limit.value
    ends = []
    for share in (0.98, 1.02):
        state = find(name).begun(1e-30, way.options)
        for t in range(1, 2001):
            state = find(name).rule(state, share * edge * state["w"], t, way.options)
        ends.append(abs(state["w"]))
    assert ends[0] < 1e-35
    assert ends[1] > 1e-27


def test_the_limit_holds_for_the_real_optimizer():
    """Descent with momentum on real tensors, a hundredth below its limit and above."""
    import torch

    limit = find("sgd").limit(options_of(find("sgd"), {"lr": 0.1, "momentum": 0.9})).value
    assert limit == pytest.approx(38)
    for share, settles in ((0.99, True), (1.01, False)):
        weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        for _ in range(3000):
            weight.grad = share * limit * weight.detach()
            optimizer.step()
        assert (abs(weight.item()) < 1e-3) == settles


@pytest.mark.parametrize("name", ["adafactor", "adagrad", "rprop", "lbfgs"])
@pytest.mark.parametrize("curvature", [1e-3, 1.0, 1e3])
def test_no_bowl_makes_them_swing_wider(name, curvature):
    assert find(name).limit(options_of(find(name), {})).value is None
    state = find(name).begun(0.1, options_of(find(name), {}))
    for t in range(1, 3001):
        gradient = curvature * state["w"]
        state = find(name).rule(state, gradient, t, options_of(find(name), {}))
    assert abs(state["w"]) < 0.1


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [("sgd", {"momentum": 0.9}, 0.02), ("sgd", {"momentum": 0.9, "nesterov": True}, 0.02),
     ("adam", {}, 0.02), ("nadam", {"momentum_decay": 10.0}, 0.02), ("rmsprop", {}, 0.03),
     ("lion", {}, 1e-9)],
)  # fmt: skip
def test_noise_moves_the_weight_as_it_says(name, options, tolerance):
    """20,000 steps of Gaussian noise: the root mean square is known to about 1 %; Adam's form takes
    v̂ as settled, whose trembling is worth (1 - β₂) again."""
    way = asked(name, 2.0, **options)
    draw = random.Random(3)
    state, taken = find(name).begun(0.0, way.options), []
    for t in range(1, 20_001):
        old, state = state, find(name).rule(state, draw.gauss(0, 2.0), t, way.options)
        taken.append(state["w"] - old["w"])
    late = taken[5000:]
    rms = math.sqrt(math.fsum(step * step for step in late) / len(late))
    assert value(way, "noise") == pytest.approx(rms, rel=tolerance)


@pytest.mark.parametrize(
    ("name", "options"),
    [("sgd", {}), ("sgd", {"momentum": 0.9, "dampening": 0.3}),
     ("sgd", {"momentum": 0.9, "nesterov": True}), ("adam", {}), ("adam", {"eps": 0.5}),
     ("nadam", {"momentum_decay": 10.0}), ("rmsprop", {"momentum": 0.5}), ("adamax", {}),
     ("radam", {"beta2": 0.99}), ("adamw", {"weight_decay": 0.0})],
)  # fmt: skip
def test_an_alternating_gradient_moves_the_real_weight_as_it_says(name, options):
    way = asked(name, 2.0, **options)
    path = trajectory(name, vars(way.options), [2.0 if t % 2 == 0 else -2.0 for t in range(12_000)])
    real = abs(path[-1]["w"] - path[-2]["w"])
    # v without correction and RAdam's factor are still coming: the last part in 1e5.
    assert value(way, "alternating") == pytest.approx(real, rel=1e-4)


def test_a_jump_of_the_gradient_in_adams_closed_form():
    """From a settled state at c to r c: (1 + (r-1)(1-β₁^k))/√(1 + (r²-1)(1-β₂^k)) steps of η."""
    found = change(asked("adam", 1.0, eps=0.0), 10.0, 10_000, 200)

    def step(k: int) -> float:
        return (1 + 9 * (1 - 0.9**k)) / math.sqrt(1 + 99 * (1 - 0.999**k))

    best = max(range(1, 200), key=step)
    assert found.at == best
    assert found.largest == pytest.approx(1e-3 * step(best), rel=1e-3)


def test_momentum_coasts_by_its_gathered_steps():
    found = change(asked("sgd", 1.0, lr=1.0, momentum=0.9), 0.0, 1000, 1000)
    assert found.coasted == pytest.approx(10 * 0.9 / 0.1, rel=1e-9)


# --- the page -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(methods()))
def test_every_page_is_whole(name):
    page = report(asked(name, 3.0, 100))
    placed = {
        key for s in page.sections for p in s.parts if isinstance(p, Figures) for key in p.keys
    }
    assert placed == set(page.figures)
    assert all(figure.counted.value == figure.counted.value for figure in page.figures.values())
    assert next(s for s in page.sections if s.title == "Why").parts[1:]


SINGLE = r"(?<![A-Za-zα-ωΔ'])([A-Za-zα-ωΔΣΠ])(?![A-Za-z])"


@pytest.mark.parametrize("name", list(methods()))
def test_every_sign_of_a_derivation_is_told(name):
    """By the list before it, or by a line that says what it is."""
    for more in ({}, {"momentum": 0.9}, {"momentum": 0.9, "weight_decay": 0.1}, {"centered": True},
                 {"eps_place": "uncorrected"}):  # fmt: skip
        if not set(more) <= set(find(name).options):
            continue
        page = report(asked(name, 3.0, 50, **more))
        texts = next(section for section in page.sections if section.title == "Why").parts
        told, lines = (
            " ".join(part.text for part in texts if (part.kind == "formula") == formula)
            for formula in (False, True)
        )
        for sign in set(re.findall(SINGLE, lines)) - set("aΣΠ"):
            known = re.search(rf"(^|; |\. ){sign}[₀-₉ₐᵢₙₘₓ⁺⁻∞]* ", told)
            assert known or re.search(rf"{sign}[ₖ₁₊²∞'̂]* ?(=|, )|{sign} \\+ B =", lines), (
                name,
                sign,
            )


def test_the_judge_sees_a_planted_fault():
    """A rate 1e-9 larger is seen; so is a state too many."""
    way = asked("adam", 3.0, 50)
    options = {**vars(way.options), "lr": 1e-3 * (1 + 1e-9)}
    path = trajectory("adam", options, [3.0] * 50)
    two, three = (2.0, 2.0), (2.0, 3.0)
    from botec.analyses.optimizers.figures import disagreements

    found = judged(way, figures(way), path, three, "planted")
    differs, keeps = disagreements(found)
    assert "differs" in differs
    assert "keeps 3" in keeps
    good = trajectory("adam", vars(way.options), [3.0] * 50)
    assert disagreements(judged(way, figures(way), good, two, "real")) == ()


def test_options_may_be_symbols_for_the_closed_forms():
    sympy = pytest.importorskip("sympy")
    o = SimpleNamespace(**{**find("sgd").options, "lr": sympy.Symbol("lr")})
    assert str(find("sgd").closed(0, 1, sympy.Symbol("t"), o)["w"]) == "-lr*t"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("adam", {"beta1": 1.0}, "beta1"), ("adam", {"beta2": 1.5}, "beta2"),
        ("adam", {"lr": -1.0}, "below 0"), ("adam", {"lr": 0.0}, "moves nothing"),
        ("adam", {"lr": math.nan}, "finite"), ("adam", {"rho": 0.5}, "--beta1"),
        ("sgd", {"momentum": 1.0}, "below 1"), ("sgd", {"nesterov": True}, "momentum"),
        ("adma", {}, "did you mean adam"),
        ("adafactor", {"beta2_decay": 0.5}, "above 0"), ("lbfgs", {"max_iter": 0}, "below 1"),
        ("lbfgs", {"history_size": 2.5}, "whole"),
        ("adam", {"gradient": 0.0}, "moves nothing"), ("adam", {"steps": 0}, "--steps 0"),
        ("rmsprop", {"steps": 10**6}, "20,000"), ("adam", {"start": math.inf}, "finite"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_so(name, options, words):
    with pytest.raises(BotecError) as error:
        asked(name, **options)
    assert words in str(error.value)


def test_what_overflows_is_said_so():
    with pytest.raises(BotecError, match="beyond all numbers"):
        report(asked("sgd", 1.0, 100_000, 1.0, lr=1e3, weight_decay=1.0))
