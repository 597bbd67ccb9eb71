"""The folder of commands is the registry, and every command keeps the same manners."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import click
import pytest

from botec import cli
from botec.commands import commands
from botec.commands.answering import Answer
from botec.commands.asking import Asked, command, question
from botec.report import Report


def test_every_file_with_an_order_is_a_command_in_that_order() -> None:
    folder = Path(cli.__file__).parent / "commands"
    texts = {path.stem: path.read_text() for path in folder.glob("*.py")}
    declared = {stem for stem, text in texts.items() if "\nORDER = " in text}
    found = list(commands())
    assert {one.name.replace("-", "_") for one in found if one.name} == declared
    assert list(cli.botec.commands) == [one.name for one in found]
    assert next(iter(cli.botec.commands)) == "estimate"


def test_a_new_file_is_a_new_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import botec.commands

    text = """
        import click
        from botec.commands.answering import Answer
        from botec.commands.asking import command
        ORDER = 0

        @command(click.argument("name"))
        def of_mine(name):
            '''Mine.'''
    """
    (tmp_path / "of_mine.py").write_text(textwrap.dedent(text))
    (tmp_path / "beside.py").write_text("shared = 1")
    monkeypatch.setattr(botec.commands, "__path__", [*botec.commands.__path__, str(tmp_path)])
    names = [one.name for one in commands()]
    assert names[0] == "of-mine"
    assert "beside" not in names


@pytest.mark.parametrize("name", cli.botec.commands)
def test_every_command_has_the_options_of_output(name: str) -> None:
    found = cli.botec.commands[name]
    options = {text for one in found.params for text in one.opts}
    assert {"--json", "-o", "--plain", "--debug"} <= options
    assert found.help
    assert len(found.get_short_help_str(200)) <= 70


def page() -> Report:
    return Report({"name": "x"}, {}, {}, ())


def test_a_command_gets_its_parameters_by_name(monkeypatch: pytest.MonkeyPatch, say: Any) -> None:
    seen: list[Any] = []

    @command(click.argument("name"), click.option("--top", default=3))
    def of_mine(name: str, top: int) -> Answer:
        seen.append((name, top))
        return Answer(page(), ("not so",))

    monkeypatch.setitem(cli.botec.commands, "of-mine", of_mine)
    said = say("of-mine", "a", "--top", "4", "--json")
    assert seen == [("a", 4)]
    assert (said.code, said.err) == (1, "botec: of-mine a: not so\n")


def test_a_question_gets_what_was_asked_and_the_rest(
    monkeypatch: pytest.MonkeyPatch, say: Any
) -> None:
    seen: list[Any] = []

    @question(click.option("--top", default=3))
    def of_mine(asked: Asked, top: int) -> Answer:
        seen.append((asked, top))
        return Answer(page())

    monkeypatch.setitem(cli.botec.commands, "of-mine", of_mine)
    assert say("of-mine", "m", "B=3", "--infer").code == 0
    ((asked, top),) = seen
    assert (asked.model, asked.options["B"], asked.options["optimizer"], top) == ("m", 3, None, 3)
    assert say("of-mine", "m", "B=x").wrong.startswith("B=x: B is 'x'; ")
