"""How fast a network is read, beside the tools that count one pass of it.

    python benchmarks/performance.py [-o docs/performance.md] [--only TEXT] [--again]

One process for each row. In a row the two sides run in turns on the same network and inputs,
nothing kept between turns; the processor's seconds of the process count, since a machine that is
shared stretches the clock on the wall. What is done is kept in ``build/performance.jsonl``, and a
later run goes on from there (``--again`` forgets it).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pkgutil
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "performance.jsonl"
PATIENCE = 3600  # seconds for one row; the longest is the tracker's on 126 layers
ENOUGH = 30.0  # seconds of the slower side after which a row is not repeated
REPEATS = 3
LARGE = (
    "transformers:llama?hidden_size=16384,intermediate_size=53248,num_hidden_layers={layers},"
    "num_attention_heads=128,num_key_value_heads=8,vocab_size=128256,max_position_embeddings=131072"
)
MODELS = {
    "resnet152": ("torchvision:resnet152", {"B": 8}),
    "vit_l_16": ("torchvision:vit_l_16", {"B": 8}),
    "llama 7B": ("transformers:llama", {"B": 2, "S": 2048}),
    "llama 405B": (LARGE.format(layers=126), {"B": 2, "S": 2048}),
    "deepseek_v3": ("transformers:deepseek_v3", {"B": 2, "S": 2048}),
}
RIVALS = {
    "meta": "FlopCounterMode on meta",
    "fake": "FlopCounterMode under FakeTensorMode",
    "tracker": "MemTracker, step with AdamW",
}
WAYS = {
    "pass": "one traced pass",
    "closed": "closed form",
    "step": "closed form of the step",
}
DEEPER = {  # 126 equal layers against 32: rows of a measurement, and what they say
    " command": "`botec estimate` with 126 equal layers against 32, from the shell",
    "": "reading alone, imports done: 126 equal layers against 32",
}
Timed = tuple[float, float]  # seconds of the processor, seconds on the wall
PARTS = {  # of a reading, by where their code is
    "building the network": ("botec.read.from_torch", "build"),
    "taking its weights to the meta device": ("botec.read.build", "twin_of"),
    "comparing its blocks": ("botec.read.short", "runs_of"),
    "whole traces": ("botec.read.step", "Subject.run"),
    "traces of few blocks": ("botec.read.short", "Short.run"),
    "the whole forward pass as proof": ("botec.read.short", "Short.prove_forward"),
    "the update": ("botec.read.short", "around"),
    "writing out every block": ("botec.read.short", "Short.whole"),
}


# --- what is measured -----------------------------------------------------------------------------


def timed(work: Callable[[], Any]) -> tuple[Timed, Any]:
    """What ``work`` took, and what it gave."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    return (time.process_time() - cpu, time.perf_counter() - wall), found


def spent(work: Callable[[], Any]) -> dict[str, Any]:
    """Where the processor's seconds of a reading go: of every part (what is inside of another is
    not counted twice) ``[seconds, times]``, and of all."""
    found: dict[str, Any] = {name: [0.0, 0] for name in PARTS}
    inner: list[float] = []

    def clocked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            inner.append(0.0)
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.process_time() - start
                found[name][0] += took - inner.pop()
                found[name][1] += 1
                if inner:
                    inner[-1] += took

        return run

    with contextlib.ExitStack() as stack:
        for name, (module, path) in PARTS.items():
            where, _, leaf = f"{module}:{path}".replace(":", ".").rpartition(".")
            function = pkgutil.resolve_name(f"{module}:{path}")
            stack.enter_context(patch(f"{where}.{leaf}", clocked(name, function)))
        found["all"] = timed(work)[0][0]
    return found


def imports() -> None:
    """Everything both sides would import, so that neither pays for it."""
    import scipy.optimize  # noqa: F401
    import torch
    import torch._dynamo
    import torch.distributed._tools.mem_tracker
    import torch.utils.flop_counter  # noqa: F401

    from botec.read import from_torch  # noqa: F401
    from botec.read.doors import open_source

    for name in ("torchvision:resnet18", "transformers:llama", "transformers:deepseek_v3"):
        open_source(name, True, ())


def pass_of(name: str, point: Mapping[str, int]) -> Callable[[], Any]:
    """botec's trace of one forward and backward pass, every block of it, at one point."""
    from botec.program import Setting
    from botec.read.build import build, on_meta
    from botec.read.doors import open_source
    from botec.read.given import hushed
    from botec.read.step import Subject

    source = open_source(name, True, ())
    module = build(source)

    def work() -> int:
        with hushed(), on_meta(module):
            return len(Subject(module, source, Setting(optimizer=None)).run(point).kinds)

    return work


def closed_form(name: str, point: Mapping[str, int], optimizer: str | None) -> Callable[[], Any]:
    """Everything from the network's name to its formulas: operations, bytes moved, peak memory."""
    import botec
    from botec.analyses.count import count
    from botec.analyses.memory import memory

    def work() -> Any:
        program = botec.read(name, optimizer=optimizer, **point)
        counts = count(program)
        totals = [counts.total(measure).value for measure in ("flops", "bytes")]
        return program, totals, memory(program).formula()

    return work


def counter_of(name: str, point: Mapping[str, int], fake: bool) -> Callable[[], Any]:
    """PyTorch's own counter over one forward and backward pass; the network is built before."""
    from torch.utils.flop_counter import FlopCounterMode

    mode, device = world(fake)
    with mode:
        module, positional, named = parts(name, point, device)

    def work() -> int:
        with mode, FlopCounterMode(display=False) as counter:
            loss_of(module(*positional, **named)).backward()
        module.zero_grad(set_to_none=True)
        return int(counter.get_total_flops())

    return work


def tracker_of(name: str, point: Mapping[str, int]) -> Callable[[], Any]:
    """PyTorch's memory tracker over a step with AdamW whose states are there already."""
    import torch
    from torch.distributed._tools.mem_tracker import MemTracker

    mode, device = world(fake=True)
    with mode:
        module, positional, named = parts(name, point, device)
        optimizer = torch.optim.AdamW(module.parameters())
        step(module, optimizer, positional, named)

    def work() -> int:
        with mode:
            tracker = MemTracker()
            tracker.track_external(module, optimizer, *positional, *named.values())
            with tracker:
                step(module, optimizer, positional, named)
        found = tracker.get_tracker_snapshot("peak")
        return max(int(one["Total"]) for one in found.values())

    return work


def step(module: Any, optimizer: Any, positional: Any, named: Mapping[str, Any]) -> None:
    """Forward, backward, update."""
    loss_of(module(*positional, **named)).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def world(fake: bool) -> tuple[Any, str]:
    """A context for tensors without data, and the device they say they are on."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return (FakeTensorMode(), "cpu") if fake else (contextlib.nullcontext(), "meta")


def parts(name: str, point: Mapping[str, int], device: str) -> tuple[Any, list[Any], Any]:
    """The network and the inputs botec would call it with, in a world without data."""
    import torch

    from botec.read.build import no_initialisation
    from botec.read.doors import open_source

    source = open_source(name, True, ())
    with torch.device(device), no_initialisation():
        module = source.build().train()
        if name.endswith("deepseek_v3"):
            as_bfloat16(module)
        positional, named = [], dict(source.arguments)
        for one in source.inputs:
            tensor = torch.zeros(one.shape(point), dtype=getattr(torch, one.dtype))
            if one.name:
                named[one.name] = tensor
            else:
                positional.append(tensor)
    return module, positional, named


def as_bfloat16(module: Any) -> None:
    """PyTorch's shape kernel of grouped products takes no other type. The module's own method
    cannot exchange weights under FakeTensorMode."""
    import torch

    for part in module.modules():
        for name, weight in part.named_parameters(recurse=False):
            part._parameters[name] = torch.nn.Parameter(weight.detach().bfloat16())
        for name, buffer in part.named_buffers(recurse=False):
            part._buffers[name] = buffer.bfloat16() if buffer.is_floating_point() else buffer


def loss_of(output: Any) -> Any:
    """The network's own loss, or the mean of its output."""
    loss = getattr(output, "loss", None)
    return output.mean() if loss is None else loss


# --- rows -----------------------------------------------------------------------------------------


def beside(model: str, rival: str) -> dict[str, Any]:
    """botec and one rival in turns on one network."""
    name, point = MODELS[model]
    own = {"pass": pass_of(name, point), "closed": closed_form(name, point, None)}
    if rival == "tracker":
        own = {"step": closed_form(name, point, "adamw")}
    found: dict[str, Any] = {way: [] for way in own}
    try:
        other = (
            tracker_of(name, point)
            if rival == "tracker"
            else counter_of(name, point, rival == "fake")
        )
        found["rival"] = []
        for turn in range(REPEATS):
            found["rival"].append(timed(other)[0])
            for way, work in own.items():
                found[way].append(timed(work)[0])
            if sum(cpu for cpu, _ in found["rival"]) > ENOUGH and turn:
                break
            if found["rival"][0][0] > ENOUGH:
                break
    except Exception as error:
        found["rival"] = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        for way, work in own.items():
            found[way] = [timed(work)[0] for _ in range(3)]
    found["spent"] = spent(list(own.values())[-1])
    return found


def alone(model: str) -> dict[str, Any]:
    """botec by itself in a fresh process: time, and memory beside that of the imports."""
    name, point = MODELS[model]
    before = peak_bytes()
    took, (program, _, peak) = timed(closed_form(name, point, "adamw"))
    return {
        "first": took, "imports": before, "memory": peak_bytes(),
        "events": len(program.stream().kinds), "peak formulas": len(peak),
    }  # fmt: skip


def growth() -> dict[str, Any]:
    """The same layers 32 and 126 times: reading them, and the formulas too."""
    import botec

    found: dict[str, list[Timed]] = {}
    for _ in range(REPEATS):
        for layers in (32, 126):
            name, point = LARGE.format(layers=layers), MODELS["llama 405B"][1]
            reading = timed(lambda n=name, p=point: botec.read(n, optimizer="adamw", **p))[0]
            found.setdefault(str(layers), []).append(reading)
            with_formulas = timed(closed_form(name, point, "adamw"))[0]
            found.setdefault(f"{layers} closed", []).append(with_formulas)
            found[f"{layers} spent"] = spent(
                lambda n=name, p=point: botec.read(n, optimizer="adamw", **p)
            )
            found.setdefault(f"{layers} command", []).append(command(name, point))
    return found


def command(name: str, point: Mapping[str, int]) -> Timed:
    """What ``botec estimate`` takes from the shell: imports, reading, page and all."""
    sizes = [f"{dimension}={size}" for dimension, size in point.items()]
    words = [sys.executable, "-c", "from botec.cli import main; main()", "estimate", name, *sizes]
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, time.perf_counter() - wall


def points() -> dict[str, Any]:
    """A million batches and lengths of a 7B step: peak memory, operations."""
    import numpy as np

    from botec.analyses.count import count
    from botec.analyses.memory import memory

    name, point = MODELS["llama 7B"]
    program, _, formulas = closed_form(name, point, "adamw")()
    batches, lengths = np.meshgrid(np.arange(1, 1001), np.arange(1, 1001) * 128 + 1)
    found: dict[str, Any] = {"peak": [], "operations": [], "envelope": len(formulas)}
    for _ in range(REPEATS):
        asked = memory(program)
        found["peak"].append(timed(lambda asked=asked: asked.peak(B=batches, S=lengths))[0])
        counts = count(program)
        found["operations"].append(
            timed(lambda counts=counts: counts.flops(B=batches, S=lengths))[0]
        )
    found["points"] = int(batches.size)
    return found


def peak_bytes() -> int:
    """The most memory this process has had resident."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def rows() -> Iterator[str]:
    """Every row by name, the quick ones first."""
    yield "points"
    yield "growth"
    for model in MODELS:
        yield f"alone/{model}"
    for rival in RIVALS:
        for model in MODELS:
            yield f"{rival}/{model}"


def measured(row: str) -> dict[str, Any]:
    """One row; to be run in a process of its own."""
    warnings.simplefilter("ignore")
    imports()
    kind, _, model = row.partition("/")
    if kind in ("points", "growth"):
        return {"points": points, "growth": growth}[kind]()
    return alone(model) if kind == "alone" else beside(model, kind)


def fresh(row: str) -> dict[str, Any]:
    """:func:`measured` in a new process."""
    command = [sys.executable, __file__, "--row", row]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {PATIENCE} s"}
    if ended.returncode:
        return {"failed": (ended.stderr.strip().splitlines() or ["it ended"])[-1][:300]}
    return json.loads(ended.stdout.strip().splitlines()[-1])


def all_rows(only: str, again: bool) -> dict[str, Any]:
    """Every row, those kept from an earlier run as they were; ``again`` forgets the wanted ones."""
    KEPT.parent.mkdir(exist_ok=True)
    kept = {}
    if KEPT.exists():
        lines = KEPT.read_text(encoding="utf-8").splitlines()
        kept = {one["row"]: one for one in map(json.loads, lines)}
    wanted = [row for row in rows() if only in row]
    for place, row in enumerate(wanted):
        if row not in kept or again:
            print(f"[{place + 1}/{len(wanted)}] {row}", file=sys.stderr, flush=True)
            kept[row] = {"row": row, **fresh(row)}
            text = "\n".join(json.dumps(one) for one in kept.values())
            KEPT.write_text(text + "\n", encoding="utf-8")
    return kept


# --- the page -------------------------------------------------------------------------------------


def median(times: Any) -> float | None:
    """The processor's seconds in the middle."""
    return statistics.median(cpu for cpu, _ in times) if isinstance(times, list) and times else None


def wall(times: Any) -> float | None:
    """The seconds on the wall in the middle."""
    return statistics.median(clock for _, clock in times) if isinstance(times, list) else None


def text(value: float | None, unit: str = " s") -> str:
    if value is None:
        return "?"
    return f"{value:.2f}{unit}" if value < 100 else f"{value:.0f}{unit}"


def ratio(rival: float | None, own: float | None) -> str:
    return "?" if rival is None or own is None else f"{rival / own:.1f} ×"


def contest(found: Mapping[str, Any], rival: str) -> list[str]:
    """The table against one rival."""
    ways = ["step"] if rival == "tracker" else ["pass", "closed"]
    heads = [head for way in ways for head in (f"botec: {WAYS[way]}", "ratio")]
    lines = [
        f"| | {RIVALS[rival]} | on the wall | {' | '.join(heads)} |",
        "|---" * (3 + len(heads)) + "|",
    ]
    for model in MODELS:
        row = found.get(f"{rival}/{model}", {})
        other = median(row.get("rival"))
        cells = [
            cell
            for way in ways
            for cell in (text(median(row.get(way))), ratio(other, median(row.get(way))))
        ]
        lines.append(
            f"| {model} | {text(other)} | {text(wall(row.get('rival')))} | {' | '.join(cells)} |"
        )
    reasons = [
        f"{model}: {row.get('failed') or row['rival']}"
        for model in MODELS
        if "failed" in (row := found.get(f"{rival}/{model}", {"failed": "not run"}))
        or isinstance(row.get("rival"), str)
    ]
    return [*lines, *(["", "No time: " + "; ".join(reasons) + "."] if reasons else [])]


def ratios_of(found: Mapping[str, Any], rival: str, way: str) -> list[float]:
    """The ratios of the models both sides answered."""
    pairs = [
        (median(row.get("rival")), median(row.get(way)))
        for model in MODELS
        if (row := found.get(f"{rival}/{model}", {}))
    ]
    return [other / own for other, own in pairs if other and own]


def goals(found: Mapping[str, Any]) -> list[tuple[str, str, float | None, bool | None]]:
    """Every goal, in words: what was wanted, what was found, and whether that is enough."""
    wanted = []
    for rival, way, least in (
        ("fake", "pass", 7), ("meta", "pass", 3), ("fake", "closed", 3), ("tracker", "step", 50),
    ):  # fmt: skip
        ratios = ratios_of(found, rival, way)
        value = statistics.median(ratios) if ratios else None
        what = f"{WAYS[way]} against {RIVALS[rival]}, median of {len(ratios)} of {len(MODELS)}"
        wanted.append((what, f"≥ {least} ×", value, value is not None and value >= least))
    for model, most in (("llama 405B", 2.0), ("deepseek_v3", 3.0)):
        value = (found.get(f"alone/{model}", {}).get("first") or [None])[0]
        what = f"{model}: step with AdamW, formulas included, beyond the imports"
        wanted.append((what, f"≤ {most:g} s", value, value is not None and value <= most))
    memory = found.get("alone/llama 405B", {}).get("memory")
    size = memory / 2**30 if memory else None
    wanted.append(("llama 405B: memory in all", "≤ 1 GiB", size, size is not None and size <= 1))
    for way, what in DEEPER.items():
        row = found.get("growth", {})
        few, many = median(row.get(f"32{way}")), median(row.get(f"126{way}"))
        value = many / few if few and many else None
        wanted.append((what, "< 1.3 ×", value, value is not None and value < 1.3))
    row = found.get("points", {})
    parts_ = [median(row.get(name)) for name in ("peak", "operations")]
    value = None if None in parts_ else sum(parts_)
    wanted.append(
        ("a million (B, S) of a 7B step: peak and operations", "< 1 s", value,
         value is not None and value < 1)
    )  # fmt: skip
    return wanted


def cause(what: str, found: Mapping[str, Any]) -> str:
    """Why a goal is missed, in what was measured."""
    if "equal layers" in what:
        return why_deeper(found["growth"])
    if "against" in what:
        rival = next(key for key, name in RIVALS.items() if name in what)
        way = next(key for key, name in WAYS.items() if what.startswith(f"{name} against"))
        return why_slower(found, rival, way)
    return "it takes what is said below"


def why_deeper(row: Mapping[str, Any]) -> str:
    """What the seconds go to that more layers take."""
    if "126 spent" not in row:
        return "measured before its parts were"
    few, many = row["32 spent"], row["126 spent"]
    more = {name: many[name][0] - few[name][0] for name in PARTS}
    total = many["all"] - few["all"]
    listed = ", ".join(f"{name} {text(more[name])}" for name in largest(more))
    return f"94 layers more take {text(total)} more: {listed}"


def why_slower(found: Mapping[str, Any], rival: str, way: str) -> str:
    """The model with the poorest ratio, and what its seconds go to."""
    ratios = {
        model: other / own
        for model in MODELS
        if (row := found.get(f"{rival}/{model}"))
        and (other := median(row.get("rival")))
        and (own := median(row.get(way)))
    }
    model = min(ratios, key=lambda name: ratios[name])
    used = found[f"{rival}/{model}"].get("spent") or {}
    start = f"the poorest is {model} with {ratios[model]:.1f} ×"
    if way == "pass" or not used:
        return start
    seconds = {name: used[name][0] for name in PARTS}
    listed = ", ".join(
        f"{name} {text(seconds[name])}"
        + (f" ({used[name][1]} of them)" if name.endswith("s") else "")
        for name in largest(seconds)
    )
    return f"{start}: of {text(used['all'])} there, {listed}"


def largest(seconds: Mapping[str, float]) -> list[str]:
    """The parts that take a twentieth of all parts or more, the largest first."""
    least = sum(seconds.values()) / 20
    return sorted((n for n in seconds if seconds[n] >= least), key=lambda n: -seconds[n])


def page(found: Mapping[str, Any]) -> str:
    """The page in Markdown."""
    lines = [
        "# How fast a network is read",
        "",
        "Made by `make bench`. Seconds are the processor's, medians over up to "
        f"{REPEATS} turns; both sides of a row run in turns in one process on the same network "
        "and inputs, with one thread. The clock on the wall stands beside them; on a machine with "
        "other work it is the longer one. PyTorch's tools get the network built; botec's closed "
        "form includes building it. Weights have no data on either side.",
        "",
        f"{platform.machine()}, Python {platform.python_version()}, torch {version('torch')}, "
        f"transformers {version('transformers')}, torchvision {version('torchvision')}.",
        "",
        "## Goals",
        "",
        "| | goal | found | |",
        "|---|---|---|---|",
    ]
    missed = []
    for what, wanted, value, met in goals(found):
        unit = " ×" if "×" in wanted else " GiB" if "GiB" in wanted else " s"
        lines.append(f"| {what} | {wanted} | {text(value, unit)} | {'met' if met else 'not met'} |")
        if not met:
            why = "not measured yet" if value is None else cause(what, found)
            missed.append(f"{what}: {why}.")
    lines += ["", *(f"- {one}" for one in missed), *([""] if missed else [])]
    for rival in RIVALS:
        lines += [f"## Against {RIVALS[rival]}", "", *contest(found, rival), ""]
    lines += [
        "A pass of botec's gives operations, bytes and the life of every storage at one point; the "
        "counter's gives a number of operations, the tracker's a peak. A closed form gives all "
        "three for every batch and length.",
        "",
        "## botec by itself",
        "",
        "A fresh process: a training step with AdamW, formulas of operations, bytes and peak "
        "memory in all dimensions.",
        "",
        "| | seconds | events | polynomials of the peak | memory of the imports | memory at most |",
        "|---|---|---|---|---|---|",
    ]
    for model in MODELS:
        row = found.get(f"alone/{model}", {})
        if "first" not in row:
            lines.append(f"| {model} | ? | | | | |")
            continue
        lines.append(
            f"| {model} | {text(row['first'][0])} | {row['events']:,} | {row['peak formulas']} | "
            f"{row['imports'] / 2**20:.0f} MiB | {row['memory'] / 2**20:.0f} MiB |"
        )
    row, layers = found.get("points", {}), found.get("growth", {})
    few, many = median(layers.get("32")), median(layers.get("126"))
    lines += [
        "",
        "## Equal layers, and a million points",
        "",
        f"The llama of 405B with 32 layers is read in {text(few)}, with 126 in {text(many)}; with "
        f"all formulas worked out, {text(median(layers.get('32 closed')))} and "
        f"{text(median(layers.get('126 closed')))}. From the shell, with imports and page, "
        f"`botec estimate` takes {text(median(layers.get('32 command')))} and "
        f"{text(median(layers.get('126 command')))}.",
        "",
        f"{row.get('points', 0):,} pairs of batch and length of the 7B step: peak memory in "
        f"{text(median(row.get('peak')))} (the envelope is {row.get('envelope', '?')} "
        f"polynomials), operations in {text(median(row.get('operations')))}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is not kept, and write the page."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-o", "--output", type=Path)
    options.add_argument("--only", default="", metavar="TEXT", help="rows with TEXT in their name")
    options.add_argument("--again", action="store_true", help="forget what was measured before")
    options.add_argument("--row", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.row:
        print(json.dumps(measured(given.row)))
        return
    found = page(all_rows(given.only, given.again))
    if given.output:
        given.output.write_text(found, encoding="utf-8")
    else:
        print(found, end="")


if __name__ == "__main__":
    main()
