"""What this machine reaches: every class of ops timed once, kept, and used from then on.

A calibration holds for one processor, one version of torch, one number of threads; it is kept in
the user's cache folder. With one thread the clock is the processor's own time, which other
programs' turns do not enter; with more it is the wall's. Every kernel is run in a few batches; the
spread between batches says how far the machine was disturbed.

On a CUDA machine the same kernels are timed by device events. Nobody has run that path yet.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from math import prod
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Any

from botec.errors import BadInput

SECONDS = 6.0
BATCHES = 3
LONG = 0.004  # seconds of a call that is timed once in a round
LEAST = 0.0007  # seconds of one batch: hundreds of ticks of the clock
BUSY = 0.15  # a spread from which the machine was not its user's alone
LAYERS = 40
DTYPES = ("float32", "bfloat16")
NEW_MEMORY = "fill of new memory"  # the one kernel that stands for no class of ops
VERSION = 2


@dataclass(frozen=True)
class Sample:
    """One kernel as it was timed: seconds of a call, and the quarter of batches around it."""

    name: str
    dtype: str
    operations: float
    bytes: float
    seconds: float
    spread: float


@dataclass(frozen=True)
class Calibration:
    """A machine's samples, what a call costs besides (bare, in a module, with autograd), and how
    it was measured."""

    machine: str
    torch: str
    threads: int
    date: str
    call: float
    infer: float
    train: float
    seconds: float
    spread: float
    samples: tuple[Sample, ...] = field(default_factory=tuple)
    version: int = VERSION


def machine() -> str:
    """The processor's name, and how many there are."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8"))
        name = found[1] if found else name
    return f"{name.strip()} ({os.cpu_count()} cores)"


def cache_folder() -> Path:
    """Where the platform keeps what a program can make again."""
    if set_by_user := os.environ.get("XDG_CACHE_HOME"):
        return Path(set_by_user) / "botec"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "botec"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "botec"
    return Path.home() / ".cache" / "botec"


def place(threads: int, version: str) -> Path:
    """The file of this machine's calibration for so many threads and a version of torch."""
    words = f"{machine()} torch {version} {threads} threads"
    return cache_folder() / "calibrations" / (re.sub(r"[^A-Za-z0-9.]+", "-", words) + ".json")


def save(found: Calibration) -> Path:
    """Keep a calibration. Raises :class:`BadInput` where the folder cannot be written."""
    path = place(found.threads, found.torch)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(found)), encoding="utf-8")
    except OSError as error:
        seen = f"{path.parent} cannot be written ({error.strerror})"
        raise BadInput(seen, "set XDG_CACHE_HOME to a folder of yours", "calibrate") from None
    return path


def kept(threads: int | None = None) -> Calibration | None:
    """This machine's calibration, ``None`` where there is none (or one of another form)."""
    import torch

    path = place(threads or torch.get_num_threads(), torch.__version__)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        samples = tuple(Sample(**one) for one in found.pop("samples"))
        return Calibration(**{**found, "samples": samples}) if found["version"] == VERSION else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def wanted() -> Calibration:
    """:func:`kept`, where it must be there. Raises :class:`BadInput` where it is not."""
    found = kept()
    if found is None:
        raise BadInput("this machine is not calibrated", "run botec calibrate", "calibrate --show")
    return found


def with_threads(threads: int | None) -> None:
    """Let torch work with so many threads from now on. Raises :class:`BadInput` for none."""
    import torch

    if threads is not None and threads < 1:
        raise BadInput(f"{threads} threads", "give one or more", f"--threads {threads}")
    if threads is not None:
        torch.set_num_threads(threads)


def calibrate(
    seconds: float = SECONDS, report: Callable[[int], None] = lambda done: None
) -> Calibration:
    """Time every kernel on this machine, in about ``seconds`` (twice that on a busy one).

    Those of float32 are gone through twice, as far as time is left: what disturbs one round is not
    in the other.
    ``report`` is told how many timings are done.
    """
    import torch

    from botec.measure.kernels import kernels

    device = "cuda" if torch.cuda.is_available() else "cpu"
    clock = clock_of(device, torch.get_num_threads())
    begin = perf_counter()
    made: dict[int, list[Sample]] = {}
    asked: list[tuple[float, float, float]] = []
    with torch.no_grad():
        known = [one for dtype in DTYPES for one in kernels(getattr(torch, dtype), device)]
        again = [one for one in known if one.dtype == DTYPES[0]]
        for turn, some in enumerate((known, again)):
            asked.append((bare_call(clock), *in_modules(clock)))
            for place, one in enumerate(some):
                left = seconds - (perf_counter() - begin)
                if turn and left < 0:
                    break
                found = sample(one, clock, asked[-1][0], left, warm=turn > 0)
                made.setdefault(id(one), []).append(found)
                report(turn * len(known) + place + 1)
    samples = tuple(together(found) for found in made.values())
    call, infer, train = map(min, zip(*asked, strict=True))
    return Calibration(
        machine=machine(), torch=torch.__version__, threads=torch.get_num_threads(),
        date=date.today().isoformat(), call=call, infer=infer, train=train,
        seconds=perf_counter() - begin, spread=median(one.spread for one in samples),
        samples=samples,
    )  # fmt: skip


def together(found: list[Sample]) -> Sample:
    """A kernel's rounds as one: their geometric mean, or the least where they are twice apart,
    which only a disturbance does. Its spread is how far they are apart, where that is more."""
    each = [one.seconds for one in found]
    apart = max(each) / min(each)
    seconds = min(each) if apart > 2 else prod(each) ** (1 / len(each))
    return replace(found[0], seconds=seconds, spread=max(found[0].spread, apart - 1))


Clock = Callable[[Callable[[], Any], int], float]


def clock_of(device: str, threads: int) -> Clock:
    """Seconds of so many calls, by the clock that suits: see the head of this file."""
    if device == "cuda":
        return device_clock
    now = process_time if threads == 1 else perf_counter

    def taken(run: Callable[[], Any], times: int) -> float:
        begin = now()
        for _ in range(times):
            run()
        return now() - begin

    return taken


def device_clock(run: Callable[[], Any], times: int) -> float:
    """Seconds between two events of a CUDA stream around so many calls."""
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(times):
        run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def timed(
    run: Callable[[], Any], clock: Clock, least: float = LEAST, warm: bool = False
) -> tuple[float, float]:
    """Seconds of one call: the median of a few batches, and their spread (quartiles over it).

    A call of :data:`LONG` seconds and more is a batch of its own, and the only one. A call that is
    not ``warm`` is made once before.
    """
    if not warm:
        clock(run, 1)
    once = clock(run, 1)
    if once >= LONG:
        return once, 0.0
    times = max(1, round(least / max(once, 1e-9)))
    low, middle, high = quantiles(
        (clock(run, times) / times for _ in range(BATCHES)), n=4, method="inclusive"
    )
    return middle, (high - low) / max(middle, 1e-12)


def sample(one: Any, clock: Clock, call: float, left: float, warm: bool = False) -> Sample:
    """One kernel timed, without what the call itself costs; in a hurry, by fewer calls."""
    taken, spread = timed(one.run, clock, LEAST if left > 0 else LEAST / 5, warm)
    one.run.forget()
    seconds = max(taken - call, taken / 10)
    return Sample(one.name, one.dtype, one.operations, one.bytes, seconds, spread)


def bare_call(clock: Clock) -> float:
    """Seconds of the smallest op: what asking costs."""
    import torch

    one = torch.ones(1)
    return timed(lambda: torch.add(one, one), clock)[0]


def in_modules(clock: Clock) -> tuple[float, float]:
    """Seconds a tiny op costs inside modules, in inference and in training, each of all its ops.

    Linear layers, activations and norms of eight numbers do next to nothing but be called; the
    ops of the step are counted as they are dispatched.
    """
    import torch
    from torch import nn

    layers = [part for _ in range(LAYERS) for part in (nn.Linear(8, 8), nn.ReLU(), nn.LayerNorm(8))]
    network, x = nn.Sequential(*layers), torch.randn(2, 8)

    def infer() -> None:
        with torch.no_grad():
            network(x)

    def train() -> None:
        with torch.enable_grad():
            network(x).mean().backward()
            network.zero_grad(set_to_none=True)

    return each_of(infer, clock), each_of(train, clock)


def each_of(run: Callable[[], None], clock: Clock) -> float:
    """Seconds of each op of a run."""
    return timed(run, clock, 5 * LEAST)[0] / dispatched(run)


def dispatched(run: Callable[[], None]) -> int:
    """How many ops a run asks for, views included."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            self.seen += 1
            return func(*args, **(kwargs or {}))

    with Counting() as counting:
        run()
    return counting.seen


def by_class(samples: Iterable[Sample]) -> Mapping[tuple[str, str], list[Sample]]:
    """Samples under their class and type."""
    found: dict[tuple[str, str], list[Sample]] = {}
    for one in samples:
        found.setdefault((one.name, one.dtype), []).append(one)
    return found
