"""This machine's speeds: measured ones where it is calibrated, else a stated assumption."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botec.analyses.count import Counts
from botec.analyses.duration.classes import BACKWARD, class_of, dtype_of
from botec.analyses.duration.slowdowns import fitted_to
from botec.analyses.duration.speeds import (
    ASSUMED,
    MEASURED,
    USUAL,
    Rate,
    Speeds,
    constant,
    fitted,
)  # fmt: skip
from botec.analyses.duration.times import bytes_of, operations_of
from botec.poly import at
from botec.program import Program
from botec.report import Column, Report, Section, Table, Text
from botec.units import Quantity

if TYPE_CHECKING:
    from botec.measure.calibration import Calibration, Sample

# A core of a server of these years, where nobody has measured: 2.5 GHz x 2 units x 16 numbers x 2,
# of which a framework reaches half, and what one core draws from its memory.
ASSUMED_RATE, ASSUMED_BANDWIDTH = 80e9, 12e9
ASSUMED_CALL = 3e-6
ASSUMED_BAND = 0.3, 3.0
SHARP = 50.0  # measured rates hold both roofs already: the larger of the two counts
PRODUCT = "matmul"


def assumed() -> Speeds:
    """A machine nobody has measured, and that is said."""
    words = (
        "This machine is not calibrated: a server's core of "
        f"{Quantity(ASSUMED_RATE, 'flop/s')} and {Quantity(ASSUMED_BANDWIDTH, 'B/s')} stands "
        "for it. botec calibrate measures this one in ten seconds.",
    )
    shares = fitted()["operations"]
    return Speeds(
        title="this machine (assumed)", basis=ASSUMED,
        products={(name, "float32"): constant(ASSUMED_RATE * own) for name, own in shares.items()},
        memory={(name, ""): constant(ASSUMED_BANDWIDTH * min(own, 1.0))
                for name, own in fitted()["bytes"].items()},
        overhead=ASSUMED_CALL, view=ASSUMED_CALL, sharpness=fitted()["sharpness"],
        low=ASSUMED_BAND[0], high=ASSUMED_BAND[1],
        peaks={"float32": ASSUMED_RATE}, bandwidth=ASSUMED_BANDWIDTH, notes=words,
    )  # fmt: skip


def known(train: bool) -> Speeds | None:
    """What this machine was measured to reach; ``None`` where it was not."""
    from botec.measure.calibration import kept

    found = kept()
    return speeds_from(found, train) if found else None


def speeds_from(found: Calibration, train: bool) -> Speeds:
    """Roofs and slowdowns by class of a calibration's samples."""
    from botec.measure.calibration import NEW_MEMORY, by_class

    products, memory, slowdowns = {}, {}, {}
    groups = dict(by_class(found.samples))
    new = groups.pop((NEW_MEMORY, "float32"), [])
    for key, samples in groups.items():
        most, widest, slowdowns[key] = fitted_to(
            (one.operations, one.bytes, one.seconds) for one in samples
        )
        if most:
            products[key] = constant(most)
        memory[key] = constant(widest)
    peaks, bandwidth = roofs(found.samples)
    band = fitted()["bands"][f"{MEASURED}.{'train' if train else 'infer'}"]
    each = found.train if train else found.infer
    return Speeds(
        title=f"{found.machine}, {found.threads} threads", basis=MEASURED,
        products={**dict(never_timed(products)), **products}, memory=memory,
        overhead=each, view=each, sharpness=SHARP,
        low=band["low"] - found.spread / 2, high=band["high"] + found.spread / 2,
        peaks=peaks, bandwidth=bandwidth, notes=tuple(warnings(found)), slowdowns=slowdowns,
        fresh=fresh(new, groups.get(("fill", "float32"), [])),
    )  # fmt: skip


def fresh(new: list[Sample], usual: list[Sample]) -> float:
    """Seconds a byte of new memory takes beyond its filling, which large blocks tell."""
    if not new or not usual:
        return 0.0
    filled = max(usual, key=lambda one: one.bytes)
    return max(0.0, new[0].seconds / new[0].bytes - filled.seconds / filled.bytes)


def never_timed(products: Mapping[tuple[str, str], Rate]) -> Iterator[tuple[tuple[str, str], Rate]]:
    """Classes that multiply and that no kernel stands for, as far below a product as elsewhere."""
    shares = fitted()["operations"]
    for (name, dtype), rate in products.items():
        if name == PRODUCT:
            for other, share in shares.items():
                if (other.removesuffix(BACKWARD), dtype) not in products:
                    yield (other, dtype), constant(rate.rates[0] * share / shares[PRODUCT])


def roofs(samples: Iterable[Sample]) -> tuple[dict[str, float], float]:
    """The best product of each type, and the bandwidth of the largest sum of two tensors."""
    peaks: dict[str, float] = {}
    widest: tuple[float, float] = (0.0, 1.0)
    for one in samples:
        if one.operations:
            peaks[one.dtype] = max(peaks.get(one.dtype, 0.0), one.operations / one.seconds)
        if one.name == USUAL:
            widest = max(widest, (one.bytes, one.bytes / one.seconds))
    return peaks, widest[1]


def warnings(found: Calibration) -> Iterable[str]:
    """How it was measured, and whether the machine was its user's alone."""
    from botec.measure.calibration import BUSY

    yield (
        f"Calibrated {found.date} with torch {found.torch}, {found.threads} threads; repeated "
        f"measurements differ by {found.spread:.0%}."
    )
    if found.spread > BUSY:
        yield "The machine was busy when it was calibrated: calibrate again when it is idle."


def exact(program: Program, base: Speeds) -> Speeds:
    """``base`` with every distinct op of the program timed here, its data out of the caches."""
    from botec.measure.exact import ROUNDS, seconds_of, signature
    from botec.write.progress import tell

    lines = [
        line for line in Counts(program, program.stream()).lines if class_of(line.call, line.phase)
    ]
    calls = [line.call for line in lines]
    asked = program.asked
    found = seconds_of(
        calls, asked, lambda done: tell(f"op {done} of at most {ROUNDS * len(calls)}")
    )
    sums: dict[tuple[Any, ...], list[float]] = {}
    alone = 0
    for line in lines:
        seconds = found[signature(line.call, asked)]
        if seconds is None:
            alone += line.times
            continue
        key = key_of(line, asked)
        both = sums.setdefault(key, [0.0, 0])
        both[0] += seconds * line.times
        both[1] += line.times
    band = fitted()["bands"][f"exact.{'train' if program.setting.train else 'infer'}"]
    words = f"Every distinct op was timed on this machine ({len(found)} of them), caches swept."
    more = (f"{alone} ops could not be run alone; their classes stand for them.",) if alone else ()
    return replace(
        base, exact={key: total / times for key, (total, times) in sums.items()},
        low=band["low"], high=band["high"], basis=MEASURED, notes=(words, *more, *base.notes),
    )  # fmt: skip


def key_of(line: Any, point: Any) -> tuple[Any, ...]:
    """How a timed op is found again: class, type, operations and bytes."""
    name = class_of(line.call, line.phase)
    products = at(operations_of(line, name), point)
    return name, dtype_of(line.call), products, at(bytes_of(line, name), point)


def report(found: Calibration, path: str) -> Report:
    """What was measured, as a page."""
    from botec import __version__
    from botec.measure.calibration import by_class

    rows = []
    for (name, dtype), samples in sorted(by_class(found.samples).items()):
        works = [(one.operations or one.bytes) / one.seconds for one in samples]
        unit = "flop/s" if samples[0].operations else "B/s"
        spread = max(one.spread for one in samples)
        rows.append(
            (name, dtype, str(Quantity(min(works), unit)), str(Quantity(max(works), unit)),
             f"{spread:.0%}")
        )  # fmt: skip
    columns = tuple(map(Column, ("kind of op", "type", "slowest", "fastest", "spread")))
    asking = (
        ("an op alone", found.call), ("an op of a network, inference", found.infer),
        ("an op of a network, training", found.train),
    )  # fmt: skip
    tables = (
        Table("What each kind of op reaches", columns, tuple(rows)),
        Table("What asking costs", (Column("call"), Column("time", "s")), asking),
    )
    words = tuple(Text(text) for text in warnings(found))
    model = {"name": found.machine, "kept in": path, "taken": f"{found.seconds:.1f} s"}
    return Report(model, {}, {}, (Section("Calibration", (*words, *tables)),), (), __version__)
