"""A sweep over many networks: each read and swept in a process of its own, none losing the rest.

Networks are handed to joblib, whose backends include engines a user already has (dask, ray). What
is done is kept in a file, one line for each network, where a later run goes on.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from botec.errors import BadInput, BotecError, MissingPackage, one_line

if TYPE_CHECKING:
    from botec.analyses.sweep import Wanted
    from botec.inputs import Input
    from botec.report import Section

BACKENDS = {"loky": "", "threading": "", "multiprocessing": "", "dask": "distributed", "ray": "ray"}
MOST_POINTS = 2**20  # of one network: they travel between processes
READING = Lock()  # what stands still while a network is read (hooks, the collector) has no threads


@dataclass(frozen=True)
class Network:
    """One network of the sweep: its MODEL, and fields of its build."""

    model: str
    fields: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """One for every network."""
        return json.dumps([self.model, dict(self.fields)], sort_keys=True)


@dataclass(frozen=True)
class Question:
    """What is asked of every network: the ``options`` of ``read``, the axes, what is wanted."""

    inputs: tuple[Input, ...]
    options: Mapping[str, Any]
    axes: Mapping[str, tuple[int, ...]]
    wanted: Wanted

    @property
    def text(self) -> str:
        """The question as one line, to know it again."""
        axes = {name: [len(sizes), *sizes[:1], *sizes[-1:]] for name, sizes in self.axes.items()}
        given = [list(map(str, self.inputs)), self.options, axes, asdict(self.wanted)]
        return json.dumps(given, sort_keys=True, default=str)


@dataclass(frozen=True)
class Outcome:
    """What one network gave: its points in columns, or the ``reason`` why there are none."""

    model: str
    fields: Mapping[str, int]
    points: int = 0
    outside: int = 0
    kept: int = 0
    columns: Mapping[str, list[Any]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every kept point as a row; the reason alone where there is one."""
        head = {"model": self.model, **self.fields}
        if self.reason:
            yield {**head, "reason": self.reason}
        names = list(self.columns)
        for values in zip(*self.columns.values(), strict=True):
            yield {**head, **dict(zip(names, values, strict=True)), "reason": ""}


def outcome(network: Network, question: Question) -> Outcome:
    """Read one network and sweep it, whatever happens. (Runs in a process of its own.)"""
    from botec.write.progress import quiet

    own = Outcome(network.model, dict(network.fields))
    try:
        with quiet():
            return swept(network, question)
    except BotecError as error:
        return Outcome(own.model, own.fields, reason=error.seen)
    except Exception as error:  # one network that breaks botec itself must not lose the others
        return Outcome(own.model, own.fields, reason=one_line(f"{type(error).__name__}: {error}"))


def swept(network: Network, question: Question) -> Outcome:
    from botec.analyses.grid import Grid
    from botec.analyses.sweep import sweep
    from botec.read import read
    from botec.read.varied import read_with

    options = dict(question.options)
    with READING:
        if network.fields:
            program = read_with(network.model, network.fields, question.inputs, options)
        else:
            program = read(network.model, *question.inputs, **options)
    wanted = question.wanted
    grid = Grid(question.axes)
    asked = sweep(program, grid, wanted.where, wanted.best, wanted.figures, network.fields)
    pieces: list[Mapping[str, Any]] = []
    found = asked.run(pieces.append)
    columns = {
        name: [value for piece in pieces for value in piece[name].tolist()] for name in asked.header
    }
    counts = (found.points, found.outside, found.kept)
    return Outcome(network.model, dict(network.fields), *counts, columns, asked.header)


# --- many ----------------------------------------------------------------------------------------


def outcomes(
    networks: Sequence[Network], question: Question, backend: str, jobs: int, kept: str
) -> Iterator[Outcome]:
    """The outcome of every network, in their order; those in the file ``kept`` are not read again.

    Raises :class:`MissingPackage` where the backend is not installed, :class:`BadInput` for a file
    that holds another sweep.
    """
    from botec.analyses.grid import Grid

    points = Grid(question.axes).size
    if points > MOST_POINTS:
        seen = f"{points:,} points of each of {len(networks)} networks"
        raise BadInput(seen, f"take at most {MOST_POINTS:,}, or sweep one MODEL", "--points")
    known = Kept(kept, question) if kept else None
    done = known.outcomes if known else {}
    left = [one for one in networks if one.key not in done]
    fresh = parallel(left, question, backend, jobs)
    for network in networks:
        if network.key in done:
            yield done[network.key]
            continue
        found = next(fresh)
        if known:
            known.keep(network, found)
        yield found


def parallel(
    networks: Sequence[Network], question: Question, backend: str, jobs: int
) -> Iterator[Outcome]:
    """The outcomes of some networks, in their order, as they come."""
    joblib = engine(backend)
    with joblib.parallel_config(
        backend=backend, n_jobs=min(jobs or cores(), max(len(networks), 1))
    ):
        calls = (joblib.delayed(outcome)(one, question) for one in networks)
        try:
            run = joblib.Parallel(return_as="generator")
        except ValueError:  # a backend that gives results back all at once
            run = joblib.Parallel()
        yield from run(calls)


def engine(backend: str) -> Any:
    """joblib, its backend ready. Raises :class:`MissingPackage`."""
    try:
        import joblib
    except ImportError:
        do = 'run pip install "botec[sweep]", or sweep one MODEL at a time'
        raise MissingPackage("the package joblib is not installed", do, "sweep") from None
    package = BACKENDS[backend]
    try:
        if backend == "dask":
            from importlib import import_module

            import_module("distributed").Client(set_as_default=True)
        elif backend == "ray":
            from importlib import import_module

            import_module("ray.util.joblib").register_ray()
    except ImportError:
        do = f"run pip install {package}, or leave --backend out"
        asked = f"--backend {backend}"
        raise MissingPackage(f"the package {package} is not installed", do, asked) from None
    return joblib


def cores() -> int:
    return os.cpu_count() or 1


class Kept:
    """A file of outcomes, one line each; its first line says which sweep it belongs to."""

    def __init__(self, path: str, question: Question) -> None:
        """Raises :class:`BadInput` for a file of another sweep, or one that cannot be written."""
        self.path, self.outcomes = Path(path), dict[str, Outcome]()
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
            if lines:
                self.take(lines, question)
            else:
                self.add({"sweep": question.text})
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"it cannot be used ({error})", "name another file", path) from None

    def take(self, lines: Sequence[str], question: Question) -> None:
        """The outcomes of an earlier run; a last line that was cut short is left out."""
        first, *rest = lines
        if decoded(first).get("sweep") != question.text:
            do = "name a file of its own, or ask the same"
            raise BadInput("it holds another sweep", do, f"--resume {self.path}")
        for line in rest:
            found = decoded(line)
            key = found.pop("key", None)
            if key is not None:
                self.outcomes[key] = Outcome(**found)

    def keep(self, network: Network, found: Outcome) -> None:
        """Add an outcome, at once."""
        self.add({"key": network.key, **asdict(found)})

    def add(self, line: Mapping[str, Any]) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def decoded(line: str) -> dict[str, Any]:
    """The object in a line, an empty one where there is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# --- the page ------------------------------------------------------------------------------------


@dataclass
class Gathered:
    """What all networks gave: counts, the rows to show, and the networks without an answer."""

    names: tuple[str, ...]
    best: str = ""
    units: dict[str, str] = field(default_factory=dict)
    points: int = 0
    outside: int = 0
    kept: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    refused: list[Outcome] = field(default_factory=list)

    def take(self, found: Outcome) -> None:
        """Count a network in; keep its rows where they are to be shown."""
        self.points += found.points
        self.outside += found.outside
        self.kept += found.kept
        self.units = {**self.units, **found.units}
        if found.reason:
            self.refused.append(found)
            return
        self.rows += found.rows()
        if self.best:
            known = [row for row in self.rows if not math.isnan(row[self.best])]
            self.rows = sorted(known, key=lambda row: row[self.best])
        from botec.analyses.sweep import SHOWN

        del self.rows[SHOWN:]

    def sections(self, networks: int, where: str) -> tuple[Section, ...]:
        """How many networks and points, those to show, and who has no answer, and why."""
        from botec.report import Column, Section, Table, Text

        texts = [f"{networks:,} networks; {self.points:,} points asked; {self.kept:,} kept."]
        if self.outside:
            texts.append(f"{self.outside:,} lie where no formula is known and are left out.")
        if where:
            texts.append(f"Kept where {where}.")
        ordered = "the least first" if self.best else "in the order they were asked"
        heads = (
            *(Column(name, "" if name == "model" else "1") for name in self.names),
            *(Column(name, unit, True) for name, unit in self.units.items()),
        )
        rows = tuple(tuple(row.get(head.title) for head in heads) for row in self.rows)
        table = Table(f"{len(rows)} of {self.kept:,} points, {ordered}", heads, rows)
        parts: list[Any] = [Text(" ".join(texts)), *([table] if rows else [])]
        if self.refused:
            refused = tuple(
                (*({"model": one.model, **one.fields}.get(name) for name in self.names), one.reason)
                for one in self.refused
            )
            columns = (*map(Column, self.names), Column("why not"))
            parts.append(Table(f"{len(refused)} without an answer", columns, refused))
        return (Section("Sweep", tuple(parts)),)


def columns_of(found: Outcome, header: Sequence[str]) -> dict[str, Any]:
    """The rows of a network as columns of one header, empty where a network has no such figure."""
    import numpy as np

    rows = list(found.rows())
    return {name: np.array([row.get(name) for row in rows], dtype=object) for name in header}
