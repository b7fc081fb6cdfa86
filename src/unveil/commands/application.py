"""The `unveil` command: its subcommands, the short form `unveil photo.jpg`, and what happens to errors."""

from __future__ import annotations

import difflib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from unveil.commands import (
    adapters,
    compare,
    convert,
    data,
    defaults,
    degrade,
    diagnose,
    doctor,
    evaluate,
    export,
    models,
    prepare,
    report,
    represent,
    restore,
    serve,
    shards,
    strip,
    study,
    teach,
    train,
)
from unveil.commands.batch import stopped
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest, UnveilError

EXAMPLES = examples(
    "unveil photo.jpg                      writes photo.restored.jpg beside it",
    "unveil diagnose photo.jpg             says what is wrong and changes nothing",
    "unveil restore holiday/ -o better/    restores a whole folder",
)


def _format_help_with_examples(
    command: TyperCommand | TyperGroup, format_help: Callable[[Any, Any], None], ctx: Any, formatter: Any
) -> None:
    # typer would reflow the epilog, some versions into one paragraph and others with an empty line after each line.
    epilog, command.epilog = command.epilog, None
    format_help(ctx, formatter)
    command.epilog = epilog
    typer.echo(epilog)


def _looks_like_path(word: str) -> bool:
    return word == "-" or "/" in word or os.sep in word or bool(Path(word).suffix) or Path(word).exists()


class WithExamples(TyperCommand):
    """A command whose help ends with its epilog, printed line by line as it is written."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _format_help_with_examples(self, super().format_help, ctx, formatter)


class ShortFormGroup(TyperGroup):
    """A group whose first word may be a picture: `unveil photo.jpg` is `unveil restore photo.jpg`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        word = args[0]
        if word not in self.commands and not ctx.resilient_parsing and (word == "-" or not word.startswith("-")):
            if _looks_like_path(word):
                args = ["restore", *args]
            else:
                near = difflib.get_close_matches(word, self.commands, n=1)
                advice = f"did you mean 'unveil {near[0]}'?" if near else "'unveil --help' lists them."
                ctx.fail(f"'{word}' is neither a command nor a file; {advice}")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _format_help_with_examples(self, super().format_help, ctx, formatter)


app = typer.Typer(
    cls=ShortFormGroup,
    name="unveil",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXAMPLES,
)


def _print_version(asked: bool) -> None:
    if asked:
        from unveil import __version__

        typer.echo(f"unveil {__version__}")
        raise typer.Exit


@app.callback()
def unveil(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Finds out what is wrong with a photograph and undoes it.

    'unveil photo.jpg' is short for 'unveil restore photo.jpg'.
    """
    # The doctor reports what is wrong with the files of defaults instead of failing by it.
    if ctx.invoked_subcommand in defaults.COMMANDS and not ctx.resilient_parsing:
        ctx.default_map = defaults.read(getattr(ctx.command, "commands", {}))


for name, module in {
    "restore": restore,
    "diagnose": diagnose,
    "report": report,
    "degrade": degrade,
    "models": models,
    "export": export,
    "convert": convert,
    "train": train,
    "prepare": prepare,
    "evaluate": evaluate,
    "compare": compare,
    "strip": strip,
    "represent": represent,
    "study": study,
    "teach": teach,
    "doctor": doctor,
    "serve": serve,
}.items():
    bare = module in (models, prepare, serve, doctor)
    app.command(name, cls=WithExamples, epilog=module.EXAMPLES, no_args_is_help=not bare)(module.command)
data.app.command("check", cls=WithExamples, epilog=data.EXAMPLES, no_args_is_help=True)(data.command)
data.app.command("shards", cls=WithExamples, epilog=shards.EXAMPLES, no_args_is_help=True)(shards.command)
app.add_typer(data.app, name="data")
for name, (command, usage) in adapters.COMMANDS.items():
    adapters.app.command(name, cls=WithExamples, epilog=usage, no_args_is_help=name != "list")(command)
app.add_typer(adapters.app, name="adapters")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: that of the process) and return its exit code.

    0 all good, 1 something failed and was reported, 2 the request itself is wrong, 130 interrupted, 143 terminated.
    """
    terminal = Terminal()
    _print_whatever_names()
    try:
        with terminal.short_warnings():
            get_command(app).main(None if arguments is None else list(arguments), prog_name="unveil")
        sys.stdout.flush()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt as stop:
        return stopped(stop)
    except BrokenPipeError:
        # Whoever read our output has left.
        _forget_stdout()
        return 1
    except UnveilError as error:
        terminal.error(str(error))
        return 2 if isinstance(error, InvalidRequest) else 1
    except OSError as error:
        # A disk, a right or a name is at fault: of stdout, or of a file that no other message speaks of.
        terminal.error(f"{shown(str(error.filename))}: {error.strerror}" if error.filename else str(error))
        try:
            sys.stdout.flush()
        except OSError:
            _forget_stdout()
        return 1
    except Exception as error:
        terminal.unexpected(error)
        return 1
    return 0


def _print_whatever_names() -> None:
    """A name that stdout's encoding does not have is no reason to fail; stderr has this from Python itself."""
    stream: object = sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        cast("io.TextIOWrapper[Any]", stream).reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Python's own flush at exit must not complain once more about what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `unveil` and of `python -m unveil`: `run`, then leave the process with its exit code."""
    sys.exit(run(arguments))
