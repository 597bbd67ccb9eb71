"""The real optimizers at work: what they keep for a parameter, and where they lead it.

torch.optim is the judge of every closed form, in float64; Lion, which it does not have, is timm's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botec.errors import BotecError

#: The names of options that are not the framework's own; two of them may be one pair there.
PAIRS = {
    "beta1": ("betas", 0), "beta2": ("betas", 1),
    "eta_minus": ("etas", 0), "eta_plus": ("etas", 1),
    "step_min": ("step_sizes", 0), "step_max": ("step_sizes", 1),
    "eps1": ("eps", 0), "eps2": ("eps", 1),
}  # fmt: skip
RENAMED = {"decoupled": "decoupled_weight_decay", "power": "alpha", "clip": "d"}
STATES = {
    "exp_avg": "m", "exp_avg_sq": "v", "max_exp_avg_sq": "v_max", "exp_inf": "u",
    "momentum_buffer": "b", "square_avg": "v", "grad_avg": "m", "acc_delta": "u", "sum": "s",
    "prev": "g", "step_size": "size", "ax": "a", "variance": "v", "d": "d", "prev_flat_grad": "g",
}  # fmt: skip
OWN_PLACE = {"sparseadam": "uncorrected"}


@dataclass(frozen=True)
class Kept:
    """What one optimizer keeps for a tensor of ``size`` entries.

    ``entries`` of each state by name, ``scalars`` how many single numbers beside them, and the
    entries of all states for each parameter ``after`` the first step, the second, ….
    """

    entries: Mapping[str, int]
    scalars: int
    after: tuple[float, ...]

    @property
    def per_parameter(self) -> float:
        """After the last step."""
        return self.after[-1]


def class_of(name: str) -> Any:
    """The class of the optimizer called ``name``. Raises ``ModuleNotFoundError`` without torch."""
    if name == "lion":
        from botec.read.from_torchvision import make_importable

        make_importable()  # timm imports torchvision
        from timm.optim import Lion

        return Lion
    return real_classes()[name]


def real_classes() -> dict[str, Any]:
    """Every optimizer of torch.optim by its name in small letters."""
    import torch

    base = torch.optim.Optimizer
    every = [one for one in vars(torch.optim).values() if isinstance(one, type)]
    return {one.__name__.lower(): one for one in every if issubclass(one, base) and one is not base}


def arguments(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` as the class takes them. Raises :class:`BotecError` for what it cannot do."""
    taken: dict[str, Any] = {}
    for option, value in options.items():
        if option == "eps_place":
            refuse_place(name, value)
        elif option in PAIRS:
            pair, place = PAIRS[option]
            taken.setdefault(pair, [0.0, 0.0])[place] = value
        elif name == "adamw" and option == "decoupled":
            refuse_coupled(value)
        else:
            taken[RENAMED.get(option, option)] = value
    if name == "sparseadam":
        return {key: taken[key] for key in ("lr", "betas", "eps")}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in taken.items()}


def refuse_place(name: str, place: str) -> None:
    own = OWN_PLACE.get(name, "outside")
    if place != own:
        seen = f"the real {name} has its eps {own}"
        raise BotecError(seen, f"leave --eps-place {place} out, or --verify")


def refuse_coupled(decoupled: bool) -> None:
    if not decoupled:
        raise BotecError("the real adamw decays the weight itself", "ask for adam")


@contextmanager
def in_float64() -> Iterator[None]:
    """Scalars that optimizers keep are in the default type: float64 as long as this lasts."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def trajectory(
    name: str, options: Mapping[str, Any], gradients: Sequence[float], start: float = 0.0
) -> list[dict[str, float]]:
    """The weight and its state before the first step and after each of ``gradients``, in float64.

    A weight is a tensor of one entry (a matrix for Muon, a row of one for a sparse gradient).
    """
    import torch

    real = class_of(name)
    with in_float64():
        weight = torch.nn.Parameter(torch.full((1, 1) if name == "muon" else (1,), start))
        optimizer = real([weight], **arguments(name, options))
        found = [{"w": start}]
        for gradient in gradients:
            step(optimizer, weight, torch.full_like(weight, gradient))
            found.append({"w": weight.item(), **states_of(optimizer.state[weight])})
    return found


def states_of(state: Mapping[str, Any]) -> dict[str, float]:
    """The named states of a tensor of one entry."""
    return {
        STATES[name]: value.item()
        for name, value in state.items()
        if name in STATES and getattr(value, "numel", lambda: 0)() == 1
    }


def step(optimizer: Any, weight: Any, gradient: Any) -> None:
    """One step under a gradient. One that asks for the loss again is given the line's, g w."""
    import torch

    def ask() -> Any:
        weight.grad = gradient
        return (weight.detach() * gradient).sum()

    if isinstance(optimizer, torch.optim.LBFGS):
        optimizer.step(ask)
        return
    sparse = isinstance(optimizer, torch.optim.SparseAdam)
    weight.grad = gradient.to_sparse() if sparse else gradient
    optimizer.step()


def kept(name: str, options: Mapping[str, Any], shape: tuple[int, ...] = (64, 32)) -> Kept:
    """What the real object holds for a tensor of ``shape`` after each of three steps.

    One that keeps pairs runs until it keeps no more: see :func:`kept_of_pairs`.
    """
    import torch

    weight = torch.nn.Parameter(torch.ones(shape))
    if name == "lbfgs":
        return kept_of_pairs(weight, options)
    optimizer = class_of(name)([weight], **arguments(name, options))
    held = []
    for _ in range(3):
        step(optimizer, weight, torch.ones_like(weight))
        held.append(held_by(optimizer.state[weight]))
    return summed(held, weight.numel())


def kept_of_pairs(weight: Any, options: Mapping[str, Any]) -> Kept:
    """LBFGS in a bowl h w²/2 until it keeps no more pairs, or for 500 iterations.

    So steep (h = 10⁴) and so slow (a rate of 10⁻³) that every iteration keeps one: how many it
    keeps does not depend on the rate, only on whether gradients change at all.
    """
    import torch

    most, count = options["history_size"], options["max_iter"]
    optimizer = torch.optim.LBFGS([weight], lr=1e-3, max_iter=count, history_size=most)

    def ask() -> Any:
        weight.grad = 1e4 * weight.detach()
        return (weight.detach() ** 2).sum() * 5e3

    held: list[dict[str, list[int]]] = []
    while not held or optimizer.state[weight]["n_iter"] <= min(most, 500):
        optimizer.step(ask)
        held.append(held_by(optimizer.state[weight]))
    return summed(held, weight.numel())


def held_by(state: Mapping[str, Any]) -> dict[str, list[int]]:
    """The sizes of all tensors a state holds, by its name."""
    import torch

    every = {key: value if isinstance(value, list) else [value] for key, value in state.items()}
    return {
        key: [one.numel() for one in values if isinstance(one, torch.Tensor)]
        for key, values in every.items()
    }


def summed(held: Sequence[Mapping[str, list[int]]], size: int) -> Kept:
    """The entries of the last of ``held``, and those of each for one of ``size`` parameters."""
    large = [
        {key: sum(one for one in sizes if one > 1) for key, sizes in state.items()}
        for state in held
    ]
    entries = {key: count for key, count in large[-1].items() if count}
    scalars = sum(sizes.count(1) for sizes in held[-1].values())
    return Kept(entries, scalars, tuple(sum(state.values()) / size for state in large))


def judge(
    name: str, options: Mapping[str, Any], gradients: Sequence[float], start: float
) -> tuple[list[dict[str, float]], tuple[float, ...], str]:
    """The real path, the values kept for each parameter of a vector (Muon: a matrix) after each
    step, and how.

    Raises :class:`BotecError` where the real optimizer does not take these options.
    """
    real = class_of(name)
    try:
        path = trajectory(name, options, gradients, start)
        found = kept(name, options, (64, 32) if name == "muon" else (64,))
    except ValueError as error:  # how the framework refuses an option
        raise BotecError(f"the real {name} refuses this: {error}", "leave out --verify") from None
    return (
        path,
        found.after,
        f"{real.__module__.partition('.')[0]}'s {real.__name__}, float64",
    )
