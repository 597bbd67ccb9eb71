"""Formula against fresh trace, over the zoos: how often is the closed form exact, to the last unit?

    python benchmarks/coverage.py [-o docs/coverage.md] [--only TEXT] [--limit N] [--again]
                                  [--so-far] [--sample N]

Every model is read once, as the command line reads it, for a training step with AdamW. Its widest
formula is then held against fresh traces at three points that the fit has not seen: a model built
anew, traced with numbers where the formula has letters. Equal means: the same operations and bytes
in every phase, and the same births and deaths of the same sizes, event by event.

One process for each model; what is done is kept in ``build/coverage.jsonl``, and a later run goes
on from there (``--again`` forgets what it kept of the models asked for; ``--so-far`` judges none
and writes the page of what is there, with how many are left). ``--sample N`` judges N rows, drawn
at random, a second time, beside the first: what a change of botec does to the page shows there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import re
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

from botec.analyses.count import MEASURES, Counts
from botec.analyses.memory import memory
from botec.errors import BotecError, ModelFailed
from botec.inputs import Input
from botec.poly import at
from botec.program import OP, PHASES, Program, Setting, Stream

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "coverage.jsonl"
PATIENCE = 600  # processor seconds for one model; the longest needs far less
ROOM = 4 * 2**30  # bytes for one model: shapes need little, weights made for real need more
PAGE, TICKS = 4096, 100  # bytes, and the units of /proc/PID/stat in a second
POINTS, TRIES = 3, 12
WIDE = 16  # between the heights of a formula's points
TIMM_NAMES, TRANSFORMERS_TYPES = 200, 100
KINDS = ("classification", "segmentation", "video")
EXACT, SOME, NUMBERS = "exact", "exact in some dimensions", "numbers alone"
REFUSED, DIFFERS = "refused", "differs"
VERDICTS = (EXACT, SOME, NUMBERS, REFUSED, DIFFERS)
UNBUILT = "not built by its library"  # these give their place to the next model
UNRUN = "not run by its library"
SETTING = Setting(train=True, optimizer="adamw")

# Fields of a configuration that say how many layers there are: by name, whatever the model.
DEPTH = re.compile(r"(num|n|encoder|decoder)_(\w+_)?layers?|depth|layers")
LAYERS = 4
# The same fields, and those that count words and experts: a model of these runs for real anywhere.
SMALL = (
    (DEPTH, 1),
    (re.compile(r"(\w+_)?vocab_size"), 1000),
    (re.compile(r"(num|n)_(\w+_)?experts"), 8),
)
SHORT = 128  # tokens of a step with real tensors

Point = dict[str, int]


@dataclass(frozen=True)
class Case:
    """One question of the coverage: a MODEL, its family, and whether its pictures are any size."""

    library: str
    family: str
    model: str
    sizes: bool = False

    @property
    def key(self) -> str:
        """One for every case."""
        return f"{self.model} H×W" if self.sizes else self.model


@dataclass(frozen=True)
class Row:
    """What came of a case: the formula's ``regime``, the ``points`` it was held against."""

    key: str
    library: str
    family: str
    verdict: str
    model: str = ""
    reason: str = ""
    regime: str = ""
    points: tuple[Point, ...] = ()
    events: int = 0
    seconds: float = 0.0
    when: str = ""


# -- the cases ------------------------------------------------------------------------------------


def cases() -> Iterator[Case]:
    """Every case: models as they are, then one of each vision family with H and W left free."""
    plain = [*torchvision_cases(), *transformers_cases(), *timm_cases()]
    yield from plain
    families = {(one.library, one.family): one for one in reversed(plain)}
    for one in reversed(families.values()):
        if one.library != "transformers":
            yield replace(one, sizes=True)


def torchvision_cases() -> Iterator[Case]:
    """All names of classification, segmentation and video."""
    from botec.read.from_torchvision import torchvision_models

    models = torchvision_models()
    for name in models.list_models():
        place = models.get_model_builder(name).__module__.split(".")[2:]
        kind = place[0] if len(place) > 1 else "classification"
        if kind in KINDS:
            yield Case("torchvision", place[-1], f"torchvision:{name}")


def timm_cases() -> Iterator[Case]:
    """The names of every family in turn, in the order of the alphabet."""
    from botec.read.from_timm import library

    timm = library("timm:")
    named = {family: timm.list_models(module=family) for family in timm.list_modules()}
    found = 0
    for place in range(max(map(len, named.values()))):
        for family, names in named.items():
            if place < len(names) and found < TIMM_NAMES:
                found += 1
                yield Case("timm", family, f"timm:{names[place]}")


def transformers_cases() -> Iterator[Case]:
    """Model types that a task is known for, evenly through the alphabet."""
    types = transformers_types()
    for place in range(TRANSFORMERS_TYPES):
        yield transformers_case(types[place * len(types) // TRANSFORMERS_TYPES])


def transformers_case(name: str) -> Case:
    return Case("transformers", name, f"transformers:{name}")


def transformers_types() -> list[str]:
    """Every model type that a task is known for, in the order of the alphabet."""
    from transformers.models.auto import modeling_auto

    from botec.read.from_transformers import TASKS, library
    from botec.read.transformers_config import model_types

    library("transformers:")
    tables = [getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES", {}) for task in TASKS]
    return sorted(name for name in model_types() if any(name in table for table in tables))


def instead(wanted: Sequence[Case], judged: Mapping[str, Row]) -> list[Case]:
    """For every type that transformers itself does not build or run the next that is not asked."""
    asked = {case.family for case in wanted if case.library == "transformers"}
    asked |= {row.family for row in judged.values() if row.verdict in (UNBUILT, UNRUN)}
    unbuilt = [case for case in wanted if is_unbuilt(case, judged)]
    types = transformers_types() if unbuilt else []
    found: list[Case] = []
    for case in unbuilt:
        later = types[types.index(case.family) :]
        name = next((one for one in [*later, *types] if one not in asked), "")
        if name:
            asked.add(name)
            found.append(transformers_case(name))
    return found


def is_unbuilt(case: Case, judged: Mapping[str, Row]) -> bool:
    """Whether a case is known to be one that its library does not build, or not run."""
    return case.key in judged and judged[case.key].verdict in (UNBUILT, UNRUN)


# -- one case -------------------------------------------------------------------------------------


def judge(case: Case) -> Row:
    """Read the model, then hold its formula against fresh traces."""
    begin = process_time()
    row = Row(case.key, case.library, case.family, REFUSED, case.model)
    try:
        source, program = opened(case)
        row = held(row, source, program)
    except BotecError as error:
        verdict = REFUSED
        if case.library == "transformers":
            verdict = UNBUILT if unbuilt(case.model) else verdict
            verdict = UNRUN if verdict == REFUSED and unrun(case.model, error) else verdict
        row = replace(row, verdict=verdict, reason=one_line(error.seen))
    except Exception as error:  # a defect of botec's own is a row too
        row = replace(row, verdict=DIFFERS, reason=one_line(f"{type(error).__name__}: {error}"))
    today = datetime.now(UTC).date().isoformat()
    return replace(row, seconds=round(process_time() - begin, 1), when=today)


def opened(case: Case) -> tuple[Any, Program]:
    """The source and its program; a transformers type with few layers, where it takes fewer."""
    texts = [case.model]
    if case.library == "transformers":
        few = (shrunken(case.model, ((DEPTH, count),)) for count in (LAYERS, 2 * LAYERS))
        texts = list(dict.fromkeys((*few, case.model)))
    for text in texts[:-1]:
        try:
            return read(text, case.sizes)
        except BotecError:
            continue
    return read(texts[-1], case.sizes)


def read(text: str, sizes: bool) -> tuple[Any, Program]:
    """A MODEL's source and program; with ``sizes`` its picture's edges are H and W."""
    from botec.read.doors import open_source
    from botec.read.from_torch import read_source

    source = open_source(text)
    if sizes:
        own = source.inputs[0]
        *front, high, wide = own.sizes
        source = open_source(text, inputs=(Input(*front, "H", "W", name=own.name),))
        source = replace(source, defaults={**source.defaults, "H": high, "W": wide})
    return source, read_source(source, SETTING, {})


def unbuilt(text: str) -> bool:
    """Whether the library itself does not make a model of the default configuration."""
    import torch

    from botec.read.build import no_initialisation
    from botec.read.doors import open_source

    try:
        with no_initialisation(), torch.device("meta"):
            open_source(text).build()
    except BotecError:
        return False
    except Exception:
        return True
    return False


def unrun(text: str, error: BaseException) -> bool:
    """Whether a training step with real tensors ends as the reading did: at the same line.

    The default configuration with few layers, words and experts, called as it was read. A call that
    is told wrongly would end alike, so the page says of each how it ended.
    """
    from botec.read.doors import open_source

    source = open_source(shrunken(text, SMALL))
    try:
        real_step(source)
    except Exception as other:
        return where(other) == where(error)
    return False


def real_step(source: Any) -> None:
    """Forward, loss and backward of two short examples; a whole number is half its bound, as it
    is supposed to be where a reading meets it."""
    import torch

    from botec.read.given import hushed
    from botec.read.step import walk

    point = {name: min(size, SHORT) if name != "N" else size
             for name, size in source.defaults.items()} | {"B": 2}  # fmt: skip
    tensors = dict(source.arguments)
    for one in source.inputs:
        kind = getattr(torch, one.dtype)
        whole = torch.full(one.shape(point), one.below // 2).to(kind)
        tensors[one.name] = torch.rand(one.shape(point)) if kind.is_floating_point else whole
    with hushed():
        out = source.build().train()(**tensors)
        losses = [out.get("loss")] if out.get("loss") is not None else list(walk(out))
        next(one for one in losses if one.requires_grad).mean().backward()


def where(error: BaseException) -> tuple[type[BaseException], str, int]:
    """What an error was at first, and the last line of a library other than torch it came from."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    lines = [(one.filename, one.lineno or 0) for one in traceback.extract_tb(error.__traceback__)]
    inside = [one for one in lines if "site-packages" in one[0] and "/torch/" not in one[0]]
    return type(error), *(inside[-1] if inside else ("", 0))


def shrunken(text: str, least: Sequence[tuple[re.Pattern[str], int]] = ((DEPTH, LAYERS),)) -> str:
    """``transformers:llama?num_hidden_layers=4``: every field that counts layers at most at 4."""
    from botec.read.from_transformers import library
    from botec.read.transformers_config import configuration

    library(text)
    config = configuration(text.partition(":")[2])
    fields = [f"{name}={size}" for pattern, size in least
              for name in fields_above(config.to_dict(), pattern, size)]  # fmt: skip
    return f"{text}{',' if '?' in text else '?'}{','.join(fields)}" if fields else text


def fields_above(
    fields: Mapping[str, Any],
    pattern: re.Pattern[str] = DEPTH,
    size: int = LAYERS,
    inside: str = "",
) -> list[str]:
    """The names of fields that count layers, those of the configuration's parts with a dot."""
    found = []
    for name, value in fields.items():
        if isinstance(value, Mapping) and name.endswith("config"):
            found += fields_above(value, pattern, size, f"{inside}{name}.")
        elif type(value) is int and value > size and pattern.fullmatch(name):
            found.append(inside + name)
    return found


def held(row: Row, source: Any, program: Program) -> Row:
    """The row of a program that was read: equal to fresh traces, or where it is not."""
    stream = program.streams[0]
    free = [name for name in program.dimensions if name in stream.regime.least]
    row = replace(
        row,
        model=source.name,
        regime=str(stream.regime),
        events=len(stream.kinds),
        reason=one_line(program.why),
    )
    if not free:
        return replace(row, verdict=NUMBERS)
    equal: list[Point] = []
    for point in unseen(program, stream, free):
        try:
            other = fresh(source, point)
        except BotecError as error:
            row = replace(row, reason=row.reason or one_line(error.seen))
            continue
        if different := difference(program, stream, other, point):
            return replace(row, verdict=DIFFERS, reason=f"at {point}: {different}")
        equal.append(point)
        if len(equal) == POINTS:
            break
    alone = [] if row.key.endswith("H×W") else own_sizes(source, program, free)
    if alone:
        own = ", ".join(f"{name}={program.asked[name]}" for name in alone)
        row = replace(row, reason=f"the model itself takes {own} alone")
    whole = {*free, *alone} == set(program.dimensions)
    verdict = (EXACT if whole else SOME) if len(equal) == POINTS else REFUSED
    return replace(row, verdict=verdict, points=tuple(equal))


def own_sizes(source: Any, program: Program, free: Sequence[str]) -> list[str]:
    """The dimensions without a formula in which the model takes the asked size and no other."""
    held = [name for name in program.dimensions if name not in free]
    sizes = {name: others(program, name) for name in held}
    return [
        name for name in held if not any(takes(source, program, name, size) for size in sizes[name])
    ]


def others(program: Program, name: str) -> list[int]:
    """Sizes beside, below and beyond the asked one."""
    asked = program.asked[name]
    return [asked - 1, asked + 1, asked // 2, 2 * asked]


def takes(source: Any, program: Program, name: str, size: int) -> bool:
    """Whether the model runs with another size of one dimension (or stops for a reason of ours)."""
    try:
        fresh(source, {**program.asked, program.dimensions[0]: 3, name: size})
    except ModelFailed:
        return False
    except BotecError:
        pass
    return True


def unseen(program: Program, stream: Stream, free: Sequence[str]) -> Iterator[Point]:
    """Points inside a stream's regime that were not traced for it, around the asked one."""
    seen = [dict(point) for point in (*stream.regime.fitted, *stream.regime.proved)]
    for turn in range(TRIES):
        point = {**program.asked, **stream.regime.fixed}
        for place, name in enumerate(free):
            point[name] = size_for(program, stream, name, turn, place)
        if point not in seen and stream.regime.holds(point):
            seen.append(point)
            yield point


def size_for(program: Program, stream: Stream, name: str, turn: int, place: int) -> int:
    """A size of one dimension: small for the batch, else from three quarters of the asked up."""
    regime, asked = stream.regime, program.asked[name]
    size = asked * (6 + turn) // 8 + 2 * turn + 5 + 2 * place
    if name == program.dimensions[0]:
        size = (4, 7, 9, 12)[turn % 4] + turn
    least, step = regime.least.get(name, 2), regime.step.get(name, 1)
    most = regime.most.get(name, size)
    size = min(size, most - turn - 2 * place) if size > most else size
    size = min(max(size, least + turn + place), most)
    return -(-size // step) * step


def fresh(source: Any, point: Point, setting: Setting = SETTING) -> Program:
    """The same model built anew and traced at a point, every size a number."""
    from botec.read.from_torch import read_source

    inputs = tuple(
        Input(*one.shape(point), dtype=one.dtype, name=one.name, below=one.below, only=one.only)
        for one in source.inputs
    )
    return read_source(replace(source, inputs=inputs, defaults={}, most={}), setting, {})


def difference(program: Program, stream: Stream, other: Program, point: Point) -> str:
    """The first way in which a formula at a point is not the fresh trace; ``""`` where it is."""
    (traced,) = other.streams
    if stream.kinds != traced.kinds or stream.scopes != traced.scopes:
        return f"{len(stream.kinds):,} events against {len(traced.kinds):,}, or another order"
    for event, (kind, mine, theirs) in enumerate(
        zip(stream.kinds, stream.index, traced.index, strict=True)
    ):
        if kind != OP and mine != theirs:
            return f"event {event:,} is of another storage"
    for number, (own, fresh_one) in enumerate(zip(stream.storages, traced.storages, strict=True)):
        if at(own.bytes, point) != fresh_one.bytes:
            return f"storage {number:,}: {at(own.bytes, point):,} B against {fresh_one.bytes:,} B"
    mine, theirs = Counts(program, stream), Counts(other, traced)
    for phase in PHASES:
        for measure in MEASURES:
            a, b = mine.total(measure, [phase]), theirs.total(measure, [phase])
            if a.at(**point) != b.at() or a.missing != b.missing:
                return f"{measure}.{phase}: {a.at(**point):,} against {b.at():,}"
    a, b = memory(program, **point).peak(), memory(other).fullest.bytes
    return f"memory.peak: {a:,} B against {b:,} B" if a != b else ""


def one_line(text: str, most: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}…"


# -- many cases -----------------------------------------------------------------------------------


def judge_all(wanted: Sequence[Case], kept: Path) -> dict[str, Row]:
    """Every case not yet kept, one process after the other; the libraries are imported once."""
    kept.parent.mkdir(exist_ok=True)
    found = known(kept)
    processes = multiprocessing.get_context("fork")
    left = [case for case in wanted if case.key not in found]
    for done, case in enumerate(left):
        progress(f"{done} of {len(left)}: {case.key}")
        child = processes.Process(target=judge_into, args=(case, kept))
        child.start()
        reason = watched(child)
        if reason or child.exitcode:
            child.kill()
            child.join()
            reason = reason or f"the process ended with {child.exitcode}"
            keep(kept, Row(case.key, case.library, case.family, REFUSED, case.model, reason))
    progress("")
    return known(kept)


def judge_into(case: Case, kept: Path) -> None:
    """What a process does."""
    keep(kept, judge(case))


def watched(child: Any) -> str:
    """Wait for a process; the reason why it must not go on, where there is one."""
    while child.is_alive():
        child.join(0.5)
        if worked(child.pid) > PATIENCE:
            return f"it takes longer than {PATIENCE} s of a processor"
        if resident(child.pid) > ROOM:
            return f"it takes more than {ROOM >> 30} GiB"
    return ""


def worked(process: int) -> float:
    """Processor seconds a process has used, 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2]
    except OSError:
        return 0.0
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / TICKS


def resident(process: int) -> int:
    """Bytes of memory a process holds, 0 where the system does not say."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * PAGE


def known(kept: Path) -> dict[str, Row]:
    """The rows in a file, the last of a key alone."""
    if not kept.exists():
        return {}
    lines = (json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines())
    return {one["key"]: Row(**{**one, "points": tuple(one["points"])}) for one in lines}


def keep(kept: Path, row: Row) -> None:
    with open(kept, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(row)) + "\n")


def forget(kept: Path, keys: Iterable[str]) -> None:
    """Drop the rows of some keys."""
    dropped = set(keys)
    rows = [row for row in known(kept).values() if row.key not in dropped]
    kept.unlink(missing_ok=True)
    for row in rows:
        keep(kept, row)


def progress(text: str) -> None:
    """How far it is, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


# -- the page -------------------------------------------------------------------------------------

INTRODUCTION = """# Where botec has a closed form, and where it has numbers

Written by `make coverage` ({when}; {versions}).

Each model is read once, as `botec estimate` reads it: a training step in fp32 with AdamW, sizes of
the documented input. The formula of the widest regime is held against fresh traces at {points}
points the fit has not seen: the model built anew, numbers where the formula has letters. *{exact}*
means equal to the last unit: multiplications, operations and bytes moved in every phase, every
birth and death of the memory timeline, and the peak. What has no formula in a dimension is answered
in numbers at the asked sizes, and says why.

torchvision: all names for classification, segmentation and video. timm: {timm} names, of every
family in turn. transformers: {types} model types a task is known for, evenly through the alphabet,
with {layers} layers at most (fields that count layers, by their names; twice as many, or all, where
it does not run with so few) and otherwise their default configuration; a type whose default
configuration transformers itself does not build, or with which one training step on real tensors
fails, gives its place to the next.
"""
LEFT = """
**Not all of it: {left} models of the full list have not been judged yet**, and are in no number
below.
"""
AGAIN = """
{many} rows, drawn at random, were judged a second time with botec as it was last ({when}): {same}
came out with the same verdict for the same sizes{named}.
"""
PARTIAL = """
## Exact for a range of sizes

{many} of the exact ones have their formula for a range of a dimension's sizes, for whole blocks, or
for the only size the model takes; sizes outside are answered by a reading there. A loop over blocks
of tokens has one for as many turns as the asked length takes.
"""
GONE = """
## Types that gave their place to the next

The configuration that transformers takes by default is not built, or one training step (few layers,
words and experts, real tensors on the CPU) ends at the line at which the reading ended.
"""
PICTURES = """
## Pictures of any size

One model of every vision family with height and width left free (`--input x=B,3,H,W`); the points
have odd sizes where the regime allows them. {flexible} of {all} are exact at every H and W of a
wide range, without a lattice; the others have a formula for a few sizes, or for one.
"""


def page(
    rows: Sequence[Row], left: int = 0, gone: Sequence[Row] = (), second: Sequence[Row] = ()
) -> str:
    """The whole page as markdown; ``left`` cases have not been judged, those of ``gone`` gave their
    place to others, those of ``second`` were judged again."""
    plain = [row for row in rows if not row.key.endswith("H×W")]
    pictures = [row for row in rows if row.key.endswith("H×W")]
    text = (
        introduction(rows)
        + (LEFT.format(left=left) if left else "")
        + "\n## Summary\n\n"
        + summary(plain)
        + (judged_again(rows, second) if second else "")
    )
    text += "\n## What is not exact in every dimension, and why\n\n" + reasons(plain)
    some = [row for row in plain if is_partial(row)]
    text += PARTIAL.format(many=len(some)) + "\n" + regimes(some) if some else ""
    text += GONE + "\n" + reasons(gone) if gone else ""
    if pictures:
        flexible = sum(map(is_flexible, pictures))
        text += PICTURES.format(flexible=flexible, all=len(pictures)) + "\n" + regimes(pictures)
    return text + "\n## Every family\n\n" + families(plain)


def is_partial(row: Row) -> bool:
    """Whether an exact formula is for a range or a lattice of sizes, or for one the model takes."""
    return row.verdict == EXACT and any(sign in row.regime for sign in ("≤", "=", "multiple"))


def is_flexible(row: Row) -> bool:
    """Whether a formula holds at every height of a range that its points show to be wide."""
    heights = [point.get("H", 0) for point in row.points] or [0]
    wide = max(heights) - min(heights) >= WIDE
    return row.verdict == EXACT and wide and "multiple" not in row.regime


def judged_again(rows: Sequence[Row], second: Sequence[Row]) -> str:
    """How many of the rows that were judged a second time came out as the first time."""
    first = {row.key: row for row in rows}
    pairs = [(first[row.key], row) for row in second if row.key in first]
    others = [
        one.key for one, two in pairs if (one.verdict, one.regime) != (two.verdict, two.regime)
    ]
    named = f"; not {', '.join(f'`{key}`' for key in others)}" if others else ""
    when = max((row.when for row in second), default="?")
    same = len(pairs) - len(others)
    return AGAIN.format(many=len(pairs), when=when, same=same, named=named)


def introduction(rows: Sequence[Row]) -> str:
    days = sorted({row.when for row in rows if row.when}) or ["?"]
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    names = ("torch", "torchvision", "timm", "transformers")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return INTRODUCTION.format(
        when=when,
        versions=f"Python {platform.python_version()}, {versions}",
        points=POINTS,
        exact=EXACT,
        timm=counted(rows, "timm"),
        types=counted(rows, "transformers"),
        layers=LAYERS,
    )


def counted(rows: Sequence[Row], library: str) -> int:
    """How many models of a library the page has."""
    return sum(row.library == library and not row.key.endswith("H×W") for row in rows)


def summary(rows: Sequence[Row]) -> str:
    """By library: how many models and families, and how many of every verdict."""
    head = ("library", "models", "families", *VERDICTS, "exact, of all", "seconds, median and most")
    lines = []
    libraries = list(dict.fromkeys(row.library for row in rows))
    for name in (*libraries, "all"):
        own = [row for row in rows if name in (row.library, "all")]
        counts = Counter(row.verdict for row in own)
        seconds = sorted(row.seconds for row in own)
        shares = f"{counts[EXACT] / len(own):.1%}" if own else "?"
        times = f"{seconds[len(own) // 2]:.1f}, {seconds[-1]:.1f}" if own else "?"
        numbers = [str(counts[verdict]) for verdict in VERDICTS]
        groups = str(len({(row.library, row.family) for row in own}))
        lines.append((name, str(len(own)), groups, *numbers, shares, times))
    return table(head, lines)


def reasons(rows: Sequence[Row]) -> str:
    """Every model that is not exact, with the reason it gives."""
    left = sorted((row for row in rows if row.verdict != EXACT), key=lambda row: row.key)
    lines = [(f"`{row.key}`", row.verdict, row.regime, row.reason) for row in left]
    return table(("model", "verdict", "formula for", "reason"), lines)


def regimes(rows: Sequence[Row]) -> str:
    """The regime of each family's formula in H and W."""
    ordered = sorted(rows, key=lambda row: row.key)
    lines = [(f"`{row.model}`", row.verdict, row.regime, row.reason) for row in ordered]
    return table(("model", "verdict", "formula for", "what has none, and why"), lines)


def families(rows: Sequence[Row]) -> str:
    """By library and family: how many of every verdict."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        groups.setdefault((row.library, row.family), []).append(row.verdict)
    lines = [
        (library, family, *(str(found.count(one) or "") for one in VERDICTS))
        for (library, family), found in sorted(groups.items())
    ]
    return table(("library", "family", *VERDICTS), lines)


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


def main() -> int:
    """Judge what is asked for, write the page; exit code 1 where a formula differs from a trace."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-o", dest="file", help="write the page here, not to stdout")
    options.add_argument("--only", default="", help="cases that contain this text")
    options.add_argument("--limit", type=int, help="the first N cases alone")
    options.add_argument("--again", action="store_true", help="forget what was kept of these")
    options.add_argument("--so-far", action="store_true", help="judge none: what is kept alone")
    options.add_argument("--sample", type=int, default=0, help="judge N of the rows once more")
    options.add_argument("--kept", type=Path, default=KEPT, help="where rows are kept")
    given = options.parse_args()
    wanted = [case for case in cases() if given.only in case.key][: given.limit]
    if given.again:
        forget(given.kept, (case.key for case in wanted))
    judged = known(given.kept) if given.so_far else judge_all(wanted, given.kept)
    gone: list[Row] = []
    while further := instead(wanted, judged):
        gone += [judged[case.key] for case in wanted if is_unbuilt(case, judged)]
        wanted = [*(case for case in wanted if not is_unbuilt(case, judged)), *further]
        judged = judged if given.so_far else judge_all(wanted, given.kept)
    rows = [judged[case.key] for case in wanted if case.key in judged]
    again = given.kept.with_suffix(".again.jsonl")
    if given.sample:
        drawn = Random(given.sample).sample(sorted(row.key for row in rows), given.sample)
        judge_all([case for case in wanted if case.key in drawn], again)
    second = [row for row in known(again).values() if row.key in judged]
    text = page(rows, len(wanted) - len(rows), gone, second)
    if given.file:
        Path(given.file).write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return int(any(row.verdict == DIFFERS for row in rows))


if __name__ == "__main__":
    sys.exit(main())
