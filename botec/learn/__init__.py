"""What a network can learn, subject by subject: the folder is the registry.

A file here that declares ``ORDER`` is a subject. It has

* ``ORDER``, its place on the page, and ``NAME``, what ``--only`` calls it;
* ``answer(asked, options) -> Part``: ``asked`` is a :class:`Question` about a model, ``options``
  its own options by name;
* ``OPTIONS``, click options of its own (may be left out);
* ``applies(asked) -> bool``: whether it speaks where nobody asked for it by name (may be left out:
  always). Asked by name it always answers, if only why it has nothing to say.

Files join rooms here: what they import at the top must load no framework and nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any

from botec.errors import BadInput, BotecError, UnknownName, nearest

if TYPE_CHECKING:
    from botec.graph import Graph
    from botec.program import Program
    from botec.read.source import Source
    from botec.report import Figure, Report, Section


@dataclass(frozen=True)
class Part:
    """One subject's share of the page; ``refusals`` say why the answer is no, where it is."""

    figures: Mapping[str, Figure] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Question:
    """A model with its inputs and the options of :func:`botec.read`, dimensions among them.

    What subjects read of it is read once.
    """

    model: Any
    inputs: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    graphs: dict[tuple[bool, bool], Graph] = field(default_factory=dict)

    @property
    def point(self) -> dict[str, int]:
        """The sizes given to dimensions."""
        from botec.read import CHOICES

        return {name: size for name, size in self.options.items() if name not in CHOICES}

    @cached_property
    def source(self) -> Source:
        """Where the model comes from. Raises :class:`BotecError` where no door opens."""
        from botec.read import need_torch

        need_torch()
        from botec.read.tape import source_of

        return source_of(self.model, bool(self.options.get("train", True)), self.inputs)

    @cached_property
    def unlabelled(self) -> Source:
        """The same without training: what a model makes of its labels is an input then."""
        labels = {one.name for one in self.source.inputs if one.only == "train"}
        if not labels:
            return self.source
        from botec.read.tape import source_of

        others = tuple(one for one in self.inputs if getattr(one, "name", "") not in labels)
        return source_of(self.model, False, others)

    def graph(self, train: bool = False, loss: bool = False) -> Graph:
        """The forward pass as a graph of values, in either mode of the module."""
        if (train, loss) not in self.graphs:
            source = self.source if train else self.unlabelled
            from botec.read.tape import tape_source

            self.graphs[train, loss] = tape_source(source, self.point, train=train, loss=loss)
        return self.graphs[train, loss]

    @cached_property
    def program(self) -> Program:
        """The whole step, as :func:`botec.read` reads it."""
        from botec.read import read

        return read(self.model, *self.inputs, **self.options)


def subjects() -> dict[str, ModuleType]:
    """Every subject by its name, in the order of the page."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    files = [module for module in modules if hasattr(module, "ORDER")]
    return {file.NAME: file for file in sorted(files, key=lambda file: (file.ORDER, file.NAME))}


def options_of(subject: ModuleType, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the ``given`` options that are the subject's own, by their Python names."""
    return {name: given[name] for name in map(name_of, own_options(subject)) if name in given}


def own_options(subject: ModuleType) -> tuple[Any, ...]:
    """The click options a subject declares."""
    return tuple(getattr(subject, "OPTIONS", ()))


def name_of(option: Any) -> str:
    """The Python name of what a click option gives its command."""

    def probe() -> None: ...

    (parameter,) = option(probe).__click_params__
    return str(parameter.name)


def chosen(only: str) -> tuple[str, ...]:
    """``("reach", "signal")`` of ``"reach,signal"``. Raises :class:`UnknownName`."""
    names = tuple(name.strip() for name in only.split(",")) if only else ()
    known = subjects()
    for name in names:
        if name not in known:
            do = nearest(name, known) or f"use one of {', '.join(known)}"
            raise UnknownName(f"no subject {name!r}", do, f"--only {only}")
    return names


def learn(model: Any, *inputs: Any, only: str | Sequence[str] = "", **options: Any) -> Report:
    """What a network sees and how its signals and gradients fare, in one report.

    ``model``, ``inputs`` and ``options`` are those of :func:`botec.read`, and the subjects' own;
    ``only`` names subjects. Raises :class:`BotecError`.
    """
    own = {name for file in subjects().values() for name in map(name_of, own_options(file))}
    given = {name: options.pop(name) for name in list(options) if name in own}
    names = only if isinstance(only, str) else ",".join(only)
    return answered(Question(model, inputs, options), names, given)[0]


def answered(
    asked: Question, only: str, given: Mapping[str, Any]
) -> tuple[Report, tuple[str, ...]]:
    """The page of the chosen subjects (of all that apply, where none is), and its refusals."""
    from botec import __version__
    from botec.learn.recurrent import is_matrix
    from botec.report import Report

    inputs: tuple[Any, ...] = ()
    setting: dict[str, Any] = {}
    if is_matrix(asked.model):
        parts = [part_of_matrix(asked.model, chosen(only))]
        name = asked.model if isinstance(asked.model, str) else "matrix"
    else:
        parts = parts_of(asked, chosen(only), given)
        name, inputs = asked.source.name, asked.source.inputs
        setting = {**asked.options, "dimensions": asked.point}
    report = Report(
        model={"name": name, "inputs": list(map(str, inputs))},
        setting=setting,
        figures={key: figure for part in parts for key, figure in part.figures.items()},
        sections=tuple(section for part in parts for section in part.sections),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        version=__version__,
    )
    return report, tuple(refusal for part in parts for refusal in part.refusals)


def part_of_matrix(model: Any, names: tuple[str, ...]) -> Part:
    """The page of a recurrent matrix. Raises :class:`BadInput` for another subject than that."""
    from botec.learn.recurrent import NAME, matrix_in, of_matrix

    if names not in ((), (NAME,)):
        raise BadInput("a matrix has recurrence alone", f"use --only {NAME}", str(model)[:40])
    return of_matrix(matrix_in(model))


def parts_of(asked: Question, names: tuple[str, ...], given: Mapping[str, Any]) -> list[Part]:
    """Every subject's part. One that nobody named and that fails is a note, if others answer."""
    known = subjects()
    found, failed = [], []
    for name, subject in known.items():
        if names and name not in names:
            continue
        try:
            if names or getattr(subject, "applies", lambda asked: True)(asked):
                found.append(subject.answer(asked, options_of(subject, given)))
        except BotecError as error:
            if names:
                raise
            failed.append((name, error))
    if not found:
        raise failed[0][1] if failed else BadInput("no subject applies", "name one with --only")
    if failed:
        found.append(Part(notes=tuple(f"{name} has no answer: {error}" for name, error in failed)))
    return found
