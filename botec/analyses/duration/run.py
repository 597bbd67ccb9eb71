"""A whole run: how many steps, hours, dollars and kilowatt-hours, on one device or on many.

>>> run = parsed("1.28M examples x 90 epochs")
>>> run.amount, run.unit, run.epochs
(1280000.0, 'examples', 90.0)
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from botec.analyses.scaling import LAWS
from botec.devices import Device
from botec.errors import BadInput
from botec.rules.learning import twenty_tokens

FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
EXAMPLES, TOKENS, STEPS = "examples", "tokens", "steps"
UNITS = {
    **dict.fromkeys(("example", "image", "sample", "sequence", "picture"), EXAMPLES),
    "token": TOKENS,
    "step": STEPS,
}
NUMBER = r"(\d+(?:[.,]\d+)*(?:e\d+)?)\s*([kmbgt]?)"
FORM = re.compile(rf"{NUMBER}\s*({'|'.join(UNITS)})s?(?:\s*[x×*]\s*{NUMBER}\s*epochs?)?")
PRICE = re.compile(r"\$?\s*(\d+(?:\.\d+)?)\s*\$?\s*(?:/\s*h(?:our)?)?")
HOW = 'write it as "1.28M examples x 90 epochs", "300B tokens" or "50k steps"'
PUE = 1.1  # a good data centre's power over that of its machines; the usual one is nearer 1.5
HIDDEN = 0.7  # the share of a step's work behind which communication can hide
LINK_SHARE = 0.8  # what collectives reach of a link
IN_A_NODE = 8
NETWORK = {9: 50e9, 8: 25e9}  # bytes a second of one card: 400 and 200 Gbit/s, as nodes are sold


@dataclass(frozen=True)
class Run:
    """How much of what: so many examples (or tokens, or steps), so often."""

    amount: float
    unit: str
    epochs: float = 1.0
    text: str = ""

    def steps(self, examples: int, tokens: int | None) -> int:
        """Steps where each takes so many examples, with so many tokens in all.

        Raises :class:`BadInput` for tokens of a network that reads none.
        """
        if self.unit == STEPS:
            each = 1.0
        elif self.unit == TOKENS:
            if not tokens:
                seen = "the network reads no tokens"
                raise BadInput(seen, "count examples or steps", f"--run {self.text!r}")
            each = float(tokens)
        else:
            each = float(examples)
        return math.ceil(self.amount * self.epochs / each)


def parsed(text: str) -> Run:
    """A :class:`Run` from its words. Raises :class:`BadInput` for what is none."""
    found = FORM.fullmatch(text.strip().lower())
    if not found:
        raise BadInput("not a run", HOW, f"--run {text!r}")
    unit = UNITS[found[3]]
    amount = number(found[1]) * FACTORS[found[2]]
    epochs = number(found[4]) * FACTORS[found[5]] if found[4] else 1.0
    if amount <= 0 or epochs <= 0:
        raise BadInput("a run of nothing", HOW, f"--run {text!r}")
    return Run(amount, unit, epochs, text)


def number(text: str) -> float:
    """A number, its thousands parted by commas or not."""
    return float(text.replace(",", ""))


def price_from(text: str) -> float:
    """Dollars an hour of one device: ``2.5/h``. Raises :class:`BadInput`."""
    found = PRICE.fullmatch(text.strip().lower())
    if not found:
        raise BadInput("not a price", "write dollars an hour as 2.5/h", f"--price {text}")
    return float(found[1])


@dataclass(frozen=True)
class Costs:
    """What a run takes: ``None`` where nobody knows the price or the power."""

    steps: int
    seconds: float
    dollars: float | None
    joules: float | None


def costs(
    steps: int, step: float, devices: int, price: float | None, power: float | None, pue: float
) -> Costs:
    """Seconds of all steps, the price of the devices meanwhile, and their power at most.

    Energy is seconds × devices × rated power × PUE: an upper figure, since a device rarely draws
    what it is rated for.
    """
    seconds = steps * step
    return Costs(
        steps,
        seconds,
        None if price is None else seconds / 3600 * devices * price,
        None if power is None else seconds * devices * power * pue,
    )


@dataclass(frozen=True)
class Exchange:
    """What fully sharded training sends in a step, and the seconds it adds to one."""

    bytes: float
    seconds: float
    exposed: float


def exchange(
    parameters: int, item: int, devices: int, work: float, bandwidth: float, share: float
) -> Exchange:
    """Weights gathered twice, gradients scattered once: 3·P·(n-1)/n numbers through each device.

    Of their time what :data:`HIDDEN` of the step's work does not cover shows, and ``share`` of all
    of it besides. Source: nccl-tests' doc/PERFORMANCE.md for (n-1)/n; the other two are fitted to
    public tables of sharded training (benchmarks/fit_time.py).
    """
    moved = 3 * parameters * item * (devices - 1) / devices
    seconds = moved / (LINK_SHARE * bandwidth)
    exposed = max(0.0, seconds - HIDDEN * work) + share * seconds
    return Exchange(moved, seconds, exposed)


def link_of(device: Device, devices: int) -> float | None:
    """Bytes a second between devices: the link inside a node, at most its network cards beyond.

    A ring over whole nodes uses all cards of a node, one for each device, so a node of
    :data:`IN_A_NODE` is as fast as all of them (or as its inner link). ``None``: nobody knows.
    """
    link = device.number("link.GBps")
    if link is None:
        return None
    inside = link * 1e9
    if devices <= IN_A_NODE:
        return inside
    major = (device.capability or (8, 0))[0]
    return min(inside, IN_A_NODE * NETWORK.get(min(max(major, 8), 9), 25e9))


def best_splits(operations: float) -> dict[str, tuple[float, float]]:
    """Parameters and tokens that spend so many operations (6·N·D) best: by the rule of thumb of 20
    tokens a parameter, and by the fits of :mod:`botec.analyses.scaling`."""
    each = twenty_tokens(1)
    parameters = math.sqrt(operations / (6 * each))
    named = f"{each} tokens a parameter"
    return {
        named: (parameters, each * parameters),
        **{f"the fit of {law.name}": law.optimal(operations) for law in LAWS},
    }
