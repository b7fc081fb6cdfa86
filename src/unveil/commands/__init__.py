"""The command line: one small file a command. Importing it imports typer and nothing heavier."""

from unveil.commands.application import main

__all__ = ["main"]
