"""The rules of the house, checked on the source itself.

Every check is a function of a folder that returns what is wrong, one line each. It is asked twice:
about the project, where nothing may be wrong, and about a small planted folder, where it must find
the fault: a check that cannot fail is a decoration.
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import subprocess
import tokenize
import tomllib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BOTEC = ROOT / "botec"

LONGEST_FUNCTION, LONGEST_MODULE, MEDIAN_FUNCTION = 60, 400, 8

# A room is a module or a folder directly in botec/. What each may know of the others (itself
# included, always); a room that is not listed here has no law yet, which is an error.
ANY = None
LAW: dict[str, set[str] | None] = {
    "errors": set(),
    "poly": set(),
    "units": {"errors"},
    "calls": {"poly"},
    "inputs": {"calls", "errors"},
    "program": {"calls", "errors", "poly"},
    "report": {"errors", "units", "write"},  # a report prints itself, at the last moment
    "ops": {"errors", "units", "poly", "calls"},
    "devices": {"errors", "units"},
    "analyses": {
        *("program", "graph", "ops", "devices", "rules", "units", "report", "poly", "calls"),
        "errors",
    },
    "rules": {"errors", "units", "poly", "calls", "devices", "ops", "report"},
    "write": {"report", "units", "errors"},
    "read": {
        *("archive", "program", "graph", "inputs", "ops", "devices", "poly", "calls", "errors"),
        "units",
    },
    # The judges know nothing of the facts they judge; verify asks estimate, as any user would.
    "measure": {
        *("inputs", "program", "read", "report", "devices", "errors", "units", "estimate"),
    },
    "archive": {"program", "poly", "calls", "errors"},
    "graph": {"calls", "errors", "poly"},
    "estimate": ANY,
    "fit": ANY,
    "duration": ANY,
    "learn": ANY,
    "commands": ANY,
    "cli": ANY,
    "__init__": ANY,
    "__main__": {"cli"},
}
FRAMEWORKS = {"torch", "torchvision", "timm", "transformers", "onnx"}
FRAMEWORK_ROOMS = {"read", "measure"}
LAZY = {"numpy", "scipy", "rich", "sympy", "matplotlib", "plotille", "pyarrow", "joblib", "jinja2"}

PREFIXES = ("get_", "compute_", "calculate_", "do_", "process_")
MODULE_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "misc", "types"}

# Written with gaps, so that this file passes its own check.
SPOKEN = tuple(
    text.replace(" ", "")
    for text in (
        *("py pi.org", "python hosted.org", "download.py torch.org", "ana conda.org", "index -url"),
        *("npm js.com", "npm js.org", "crates .io", "/ work/", "/ opt/", "/ root/", "/ tmp/"),
        *("shared /DESIGN", "shared /notes", "shared /truth", "shared /prototypes"),
    )
)
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


# --- reading the source -------------------------------------------------------------------------


def modules(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Every Python file under ``folder``, with its syntax tree."""
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def code_lines(path: Path, tree: ast.Module) -> set[int]:
    """The numbers of lines that hold code: neither blank, nor comment, nor docstring."""
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    text = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in quiet and token.type != tokenize.ENDMARKER:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, Function)) and ast.get_docstring(node):
            first = node.body[0]
            lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def size(node: Function, lines: set[int]) -> int:
    return len(lines & set(range(node.lineno, (node.end_lineno or node.lineno) + 1)))


def room_of(path: Path, folder: Path) -> str:
    """``read`` for ``botec/read/source.py``, ``poly`` for ``botec/poly.py``."""
    return path.relative_to(folder).parts[0].removesuffix(".py")


def imports(path: Path, tree: ast.Module, folder: Path) -> Iterator[tuple[str, ast.AST]]:
    """Dotted names of all that is imported, ``import_module("…")`` included, relative ones too."""
    package = (folder.name, *path.relative_to(folder).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*base, *filter(None, [node.module])))
            yield from ((f"{start}.{alias.name}", node) for alias in node.names)
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            yield from ((text, node) for text in texts if isinstance(text, str))


def nodes_run_at_import(tree: ast.Module) -> set[ast.AST]:
    """The statements that importing the module runs: not in functions, not for type checkers."""
    found: set[ast.AST] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        found.add(node)
        if isinstance(node, Function | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return found


# --- the checks ---------------------------------------------------------------------------------


def broken_imports(folder: Path) -> list[str]:
    """Who imports whom against the law, and heavy packages loaded by an import of botec."""
    wrong = []
    for path, tree in modules(folder):
        room, where, at_import = room_of(path, folder), path.name, nodes_run_at_import(tree)
        if room not in LAW:
            wrong.append(f"{where}: the room {room} has no law")
        for name, node in imports(path, tree, folder):
            top, _, rest = name.partition(".")
            place = f"{room}/{where}:{node.lineno}"
            if top == folder.name and not allowed(room, rest.partition(".")[0]):
                wrong.append(f"{place}: {room} imports {name}")
            if top in FRAMEWORKS and room not in FRAMEWORK_ROOMS:
                wrong.append(f"{place}: {room} imports {name}")
            if top in LAZY and node in at_import:
                wrong.append(f"{place}: imports {name} outside a function")
    return wrong


def loaded_too_early(folder: Path) -> list[str]:
    """Modules that load a framework when they are imported, where they must not.

    A file behind a door (in ``read/`` or ``measure/``) may need its framework to define a class;
    the door itself, its folder's ``__init__`` and every other room are free of it, so whoever
    opens the door does so inside a function.
    """
    known, edges = set(), {}
    for path, tree in modules(folder):
        own, at_import = module_name(path, folder), nodes_run_at_import(tree)
        edges[own] = {name for name, node in imports(path, tree, folder) if node in at_import}
        edges[own] |= {own.rpartition(".")[0]}
    loads = {name for name in edges if any(to.split(".")[0] in FRAMEWORKS for to in edges[name])}
    while loads != known:
        known = set(loads)
        loads |= {name for name in edges if any(reaches(to, known) for to in edges[name])}
    return [f"{name} loads a framework when imported" for name in sorted(loads - behind(edges))]


def reaches(name: str, known: set[str]) -> bool:
    """Whether importing ``name`` (a module, or something in a module) runs one of ``known``."""
    return name in known or name.rpartition(".")[0] in known


def behind(names: Iterable[str]) -> set[str]:
    """The modules that stand behind a door: in a framework's room, and not its ``__init__``."""
    return {name for name in names if name.count(".") > 1 and name.split(".")[1] in FRAMEWORK_ROOMS}


def module_name(path: Path, folder: Path) -> str:
    """``botec.read.source``; a folder's ``__init__`` is the folder."""
    parts = path.relative_to(folder.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def allowed(room: str, other: str) -> bool:
    known = LAW.get(room, set())
    return known is ANY or other in {*known, room, "__version__"}


def too_large(folder: Path) -> list[str]:
    """Functions over 60 code lines, modules over 400, a median function over 8."""
    wrong, sizes = [], []
    for path, tree in modules(folder):
        lines = code_lines(path, tree)
        if len(lines) > LONGEST_MODULE:
            wrong.append(f"{path.name}: {len(lines)} code lines")
        for node in functions(tree):
            sizes.append(size(node, lines))
            if sizes[-1] > LONGEST_FUNCTION:
                wrong.append(f"{path.name}:{node.lineno}: {node.name} has {sizes[-1]} code lines")
    if sizes and statistics.median(sizes) > MEDIAN_FUNCTION:
        wrong.append(f"the median function has {statistics.median(sizes)} code lines")
    return wrong


def bad_names(folder: Path) -> list[str]:
    """Names that say nothing of the subject."""
    wrong = [
        f"{path.relative_to(folder)}: a name that says nothing"
        for path in sorted(folder.rglob("*"))
        if path.stem in MODULE_NAMES and (path.is_dir() or path.suffix == ".py")
    ]
    for path, tree in modules(folder):
        for node in functions(tree):
            if node.name.lstrip("_").startswith(PREFIXES):
                wrong.append(f"{path.name}:{node.lineno}: {node.name}")
    return wrong


def undocumented(folder: Path) -> list[str]:
    """Modules, classes, and functions for others to use, that have no docstring.

    A function (or method) is for others where a module that imports its module speaks its name. A
    helper of one file speaks for itself, a rule of thumb by the sentence above it.
    """
    wrong = [
        f"{path.relative_to(folder)}: no docstring"
        for path, tree in modules(folder)
        if tree.body and not ast.get_docstring(tree)
    ]
    for path, name, node, for_others in public_of(folder):
        if (for_others or isinstance(node, ast.ClassDef)) and not says_what_it_is(node):
            wrong.append(f"{path.relative_to(folder)}:{node.lineno}: {name} has no docstring")
    return wrong


def says_what_it_is(node: Function | ast.ClassDef) -> bool:
    """Whether it has a docstring, or stands under ``@rule("…", …)``."""
    calls = [one for one in node.decorator_list if isinstance(one, ast.Call) and one.args]
    sentences = [one.args[0] for one in calls if ast.unparse(one.func) == "rule"]
    return bool(ast.get_docstring(node)) or any(isinstance(one, ast.Constant) for one in sentences)


def public_of(folder: Path) -> Iterator[tuple[Path, str, Function | ast.ClassDef, bool]]:
    """Everything public, and whether a module that imports its module speaks its name."""
    trees = dict(modules(folder))
    taken = {path: {name for name, _ in imports(path, trees[path], folder)} for path in trees}
    spoken = {path: names_spoken(tree) for path, tree in trees.items()}
    for path, tree in trees.items():
        own = {module_name(path, folder)}
        users = [other for other in trees if any(reaches(name, own) for name in taken[other])]
        elsewhere = set().union(*(spoken[other] for other in users if other != path))
        for name, node in public(tree):
            ways = {f".{node.name}"} if "." in name else {name, f"{path.stem}.{name}"}
            yield path, name, node, bool(ways & elsewhere)


def names_spoken(tree: ast.Module) -> set[str]:
    """``f`` taken from a module, ``.f`` asked of any object, ``x.f`` asked of a plain name."""
    nodes = list(ast.walk(tree))
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    taken = [
        alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    of_names = [node for node in attributes if isinstance(node.value, ast.Name)]
    return {
        *taken,
        *(f".{node.attr}" for node in attributes),
        *(f"{node.value.id}.{node.attr}" for node in of_names),
    }


def public(tree: ast.Module) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Classes, functions and methods without an underscore, as the module names them."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, Function)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, Function) and not method.name.startswith("_"):
                        yield f"{node.name}.{method.name}", method


def unannotated(folder: Path) -> list[str]:
    """Functions and methods without an underscore whose parameters or result have no type.

    In ``ops/`` only those that another module uses: a formula's parameters are letters, numbers
    or polynomials alike, and its shape signature says what they are.
    """
    wrong = []
    for path, name, node, for_others in public_of(folder):
        if isinstance(node, ast.ClassDef) or (room_of(path, folder) == "ops" and not for_others):
            continue
        if missing := without_type(node, "." in name):
            place = f"{path.relative_to(folder)}:{node.lineno}"
            wrong.append(f"{place}: {name} does not say the type of {', '.join(missing)}")
    return wrong


def without_type(node: Function, method: bool) -> list[str]:
    every = node.args
    taken = [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]
    static = any("staticmethod" in ast.unparse(decorator) for decorator in node.decorator_list)
    bound = 1 if method and not static else 0
    missing = [arg.arg for arg in taken[bound:] if arg is not None and arg.annotation is None]
    return missing + ([] if node.returns else ["its result"])


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """The text files that belong to the project: git's, or what git would not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    paths = [folder / name for name in names if name] or kept(folder)
    for path in paths:
        if path.is_file() and not path.is_symlink():
            try:
                yield path.relative_to(folder), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def kept(folder: Path) -> list[Path]:
    """Every file but git's own and those under a name that .gitignore has."""
    listed = folder / ".gitignore"
    names = listed.read_text(encoding="utf-8").split() if listed.exists() else []
    ignored = [name.strip("/") for name in [*names, ".git"]]
    return [
        path
        for path in sorted(folder.rglob("*"))
        if not any(
            fnmatch(part, name) for part in path.relative_to(folder).parts for name in ignored
        )
    ]


def lines_with(folder: Path, pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {found[0]}"
        for path, text in texts(folder)
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if (found := pattern.search(line))
    ]


def foreign_places(folder: Path) -> list[str]:
    """Hosts of package registries, and paths of the machine somebody worked on."""
    return lines_with(folder, re.compile("|".join(map(re.escape, SPOKEN))))


def unfinished(folder: Path) -> list[str]:
    """Notes to oneself: an unfinished thing is finished, or said in the documentation."""
    return lines_with(folder, UNFINISHED)


def unpinned(folder: Path) -> list[str]:
    """Packages that pyproject.toml names and constraints.txt does not pin to one version."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"].get("optional-dependencies", {})
    groups = project.get("dependency-groups", {})
    named = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    named += [line for lines in (*extras.values(), *groups.values()) for line in lines]
    pins = (folder / "constraints.txt").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([\w.-]+)==[\w.]+$", pins, re.MULTILINE))
    wanted = {re.match(r"[\w.-]+", line)[0] for line in named}
    return sorted(wanted - pinned - {project["project"]["name"]})


# --- the project --------------------------------------------------------------------------------


SOURCE_CHECKS = [broken_imports, loaded_too_early, too_large, bad_names, undocumented, unannotated]


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_the_source_keeps_the_rule(check):
    wrong = check(BOTEC)
    assert not wrong, "\n".join([check.__doc__, *wrong])


@pytest.mark.parametrize("check", [foreign_places, unfinished], ids=lambda check: check.__name__)
def test_every_text_keeps_the_rule(check):
    wrong = check(ROOT)
    assert not wrong, "\n".join([check.__doc__, *wrong])


def test_everything_installed_is_pinned():
    assert unpinned(ROOT) == []


def test_every_room_with_a_law_that_exists_is_checked():
    seen = {room_of(path, BOTEC) for path, _ in modules(BOTEC)}
    assert {"errors", "poly", "ops", "read", "analyses", "write"} <= seen


# --- the checks can fail ------------------------------------------------------------------------


def plant(folder: Path, **files: str) -> Path:
    """A small ``botec`` under ``folder``; its files given without ``.py``."""
    for name, text in files.items():
        path = folder / "botec" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "botec"


SOUND = '"""A module."""\n\n\ndef area(width: int) -> int:\n    """The area."""\n    return width\n'


def test_a_sound_tree_has_nothing_wrong(tmp_path):
    folder = plant(tmp_path, **{"poly": SOUND, "ops/a": f"{SOUND}\nfrom botec.poly import area\n"})
    for check in SOURCE_CHECKS:
        assert check(folder) == []
    assert foreign_places(folder) == unfinished(folder) == []


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("ops/a", "from botec.program import Program"),
        ("ops/a", "from botec import program"),
        ("ops/a", "from ..program import Program"),
        ("ops/a", "from .. import program"),
        ("ops/a", "def f():\n    import botec.report"),
        ("poly", "from botec.errors import BotecError"),
        ("errors", "import botec.poly"),
        ("units", "import botec.report"),
        ("report", "from botec.program import Program"),
        ("analyses/a", "from botec.read import read"),
        ("analyses/a", "from botec.write.to_json import to_json"),
        ("analyses/a", "from importlib import import_module\nimport_module('botec.measure')"),
        ("write/a", "from botec.analyses.count import count"),
        ("rules/a", "from botec.program import Program"),
        ("rules/a", "import botec.analyses.count"),
        ("measure/a", "from botec.ops.facts import flops"),
        ("read/a", "import botec.analyses"),
        ("analyses/a", "def f():\n    import torch"),
        ("ops/a", "def f():\n    from torch.nn import Linear"),
        ("cli", "def f():\n    import transformers"),
        ("analyses/a", "import numpy"),
        ("write/a", "from rich.table import Table"),
        ("attic", "x = 1"),
    ],
)
def test_a_forbidden_import_is_seen(tmp_path, place, line):
    assert len(broken_imports(plant(tmp_path, **{place: line}))) == 1


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("read/a", "def f():\n    import torch"),
        ("measure/a", "def f():\n    from timm import create_model"),
        ("read/a", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("analyses/a", "def f():\n    import numpy"),
        ("cli", "import click\nfrom botec.write import to_json"),
        ("write/a", "from botec import __version__"),
    ],
)
def test_a_lawful_import_is_left_alone(tmp_path, place, line):
    assert broken_imports(plant(tmp_path, **{place: line})) == []


@pytest.mark.parametrize(
    "files",
    [
        {"read/__init__": "import torch"},
        {"read/__init__": "if True:\n    from torch import nn"},
        {"read/__init__": "class A:\n    import timm"},
        {"read/a": "import torch", "read/__init__": "from botec.read.a import f"},
        {"read/a": "import torch", "read/__init__": "from botec.read import a"},
        {"read/a": "import torch", "read/__init__": "from .a import f"},
        {"read/a": "import torch", "cli": "import botec.read.a"},
        {
            "read/a": "from torch import nn",
            "read/b": "from . import a",
            "cli": "import botec.read.b",
        },
    ],
)
def test_a_framework_loaded_too_early_is_seen(tmp_path, files):
    assert len(loaded_too_early(plant(tmp_path, **files))) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"read/a": "import torch", "read/b": "from botec.read.a import f"},
        {"read/a": "import torch", "read/__init__": "def f():\n    from botec.read import a"},
        {"read/a": "import torch", "read/b": "", "cli": "from botec.read.b import f"},
    ],
)
def test_a_framework_behind_a_door_is_left_alone(tmp_path, files):
    assert loaded_too_early(plant(tmp_path, **files)) == []


def test_large_things_are_seen(tmp_path):
    body = "\n".join(["    x = 1"] * 60)
    assert too_large(plant(tmp_path / "a", poly=f"def f():\n{body}\n"))[0].endswith("61 code lines")
    assert too_large(plant(tmp_path / "b", poly="x = 1\n" * 401)) == ["poly.py: 401 code lines"]
    nine = "def f():\n" + "    x = 1\n" * 8
    assert too_large(plant(tmp_path / "c", poly=nine)) == ["the median function has 9 code lines"]


def test_comments_docstrings_and_blank_lines_are_no_code(tmp_path):
    text = '"""Doc.\n\nMore.\n"""\n\n# why\nx = """a\n\nb"""\n\n\ndef f():\n    """Doc."""\n'
    path = plant(tmp_path, poly=text) / "poly.py"
    assert len(code_lines(path, ast.parse(text))) == 4


@pytest.mark.parametrize("name", ["get_x", "compute_x", "calculate_x", "_do_x", "process_x"])
def test_an_empty_word_is_seen(tmp_path, name):
    folder = plant(tmp_path, poly=f"class A:\n    def {name}(self):\n        return 1\n")
    assert bad_names(folder) == [f"poly.py:2: {name}"]


@pytest.mark.parametrize("name", sorted(MODULE_NAMES))
def test_a_room_without_a_subject_is_seen(tmp_path, name):
    assert len(bad_names(plant(tmp_path / "file", **{f"ops/{name}": SOUND}))) == 1
    assert len(bad_names(plant(tmp_path / "folder", **{f"{name}/a": SOUND}))) == 1


METHOD = '"""M."""\nclass A:\n    """A."""\n    def f(self): ...\n'


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"poly": "x = 1\n"}, "poly.py: no docstring"),
        ({"poly": '"""M."""\nclass A:\n    x = 1\n'}, "A has no docstring"),
        (
            {"poly": METHOD, "calls": '"""M."""\nfrom botec.poly import A\nA().f()\n'},
            "A.f has no docstring",
        ),
        (
            {"poly": '"""M."""\ndef f(): ...\n', "calls": '"""M."""\nfrom botec.poly import f\n'},
            "f has no docstring",
        ),
        (
            {
                "poly": '"""M."""\ndef f(): ...\n',
                "calls": '"""M."""\nfrom botec import poly\npoly.f()\n',
            },
            "f has no docstring",
        ),
    ],
)
def test_a_missing_docstring_is_seen(tmp_path, files, words):
    (wrong,) = undocumented(plant(tmp_path, **files))
    assert words in wrong


def test_the_sentence_of_a_rule_is_its_docstring(tmp_path):
    rule, user = (
        '@rule("Twice.", unit="1")\ndef f(): ...\n',
        '"""M."""\nfrom botec.rules.a import f\n',
    )
    files = {"rules/a": f'"""M."""\n{rule}', "cli": user}
    assert undocumented(plant(tmp_path / "a", **files)) == []
    files["rules/a"] = files["rules/a"].replace("rule(", "cached(")
    assert len(undocumented(plant(tmp_path / "b", **files))) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("def f(a) -> int: ...", "of a"),
        ("def f(a: int): ...", "its result"),
        ("def f(*, key) -> int: ...", "of key"),
        ("def f(*many, **named) -> int: ...", "of many, named"),
        ("class A:\n    def f(self, a) -> int: ...", "of a"),
        ("class A:\n    @staticmethod\n    def f(a) -> int: ...", "of a"),
    ],
)
def test_a_missing_type_is_seen(tmp_path, line, words):
    (wrong,) = unannotated(plant(tmp_path, poly=line))
    assert wrong.endswith(words)


def test_letters_of_a_formula_need_no_type_until_another_file_uses_it(tmp_path):
    formula = "def f(n, k): ..."
    assert unannotated(plant(tmp_path / "a", **{"ops/a": formula})) == []
    user = "from botec.ops.a import f"
    assert len(unannotated(plant(tmp_path / "b", **{"ops/a": formula, "ops/b": user}))) == 1


def test_a_package_without_a_pin_is_seen(tmp_path):
    (tmp_path / "constraints.txt").write_text("numpy==2.4.6\nscipy>=1\nclick==8.5.1\n")
    (tmp_path / "pyproject.toml").write_text(
        'dependency-groups = {dev = ["pytest"]}\n[build-system]\nrequires = ["setuptools>=77"]\n'
        '[project]\nname = "botec"\ndependencies = ["numpy>=1.26", "scipy"]\n'
        'optional-dependencies = {a = ["click>=8"], b = ["timm"], c = ["botec[a]"]}\n'
    )
    assert unpinned(tmp_path) == ["pytest", "scipy", "setuptools", "timm"]


@pytest.mark.parametrize("word", SPOKEN)
def test_a_foreign_place_is_seen(tmp_path, word):
    (tmp_path / "notes.md").write_text(f"one\nsee {word} there\n", encoding="utf-8")
    assert foreign_places(tmp_path) == [f"notes.md:2: {word}"]


def test_what_git_ignores_is_not_read(tmp_path):
    (tmp_path / ".gitignore").write_text(".venv/\n*.egg-info/\n", encoding="utf-8")
    for name in (".venv", "a.egg-info", "kept"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.md").write_text(SPOKEN[0], encoding="utf-8")
    assert foreign_places(tmp_path) == [f"kept/notes.md:1: {SPOKEN[0]}"]


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "XX" + "X"])
def test_a_note_to_oneself_is_seen(tmp_path, word):
    (tmp_path / "code.py").write_text(f"x = 1  # {word}: later\n", encoding="utf-8")
    assert unfinished(tmp_path) == [f"code.py:1: {word}"]
