"""Which picture files the commands look for and can write."""

from __future__ import annotations

from pathlib import Path

from unveil.commands.terminal import shown
from unveil.errors import InvalidRequest


def readable_endings() -> frozenset[str]:
    """Lower-case endings, such as ".jpg", of every format that can be read."""
    from unveil.images import FORMATS

    return frozenset(ending for form in FORMATS.values() for ending in form.suffixes)


def writable_endings() -> frozenset[str]:
    """Lower-case endings of every format that can be written."""
    from unveil.images import FORMATS

    return frozenset(ending for form in FORMATS.values() if form.writable for ending in form.suffixes)


def suffix_of(extension: str | None) -> str | None:
    """`"JPG"` or `".jpg"` -> `".jpg"`. Raises InvalidRequest for a format that cannot be written."""
    if extension is None:
        return None
    suffix = "." + extension.lower().removeprefix(".")
    if suffix not in writable_endings():
        raise InvalidRequest(
            f"--format {extension} cannot be written; choose one of {', '.join(sorted(writable_endings()))}"
        )
    return suffix


def require_same_format(output: Path, extension: str | None) -> None:
    """Raise InvalidRequest if the file name given with -o and --format say different things."""
    from unveil.images import FORMATS

    suffix = suffix_of(extension)
    if suffix is None or output.suffix.lower() == suffix:
        return
    if not any({suffix, output.suffix.lower()} <= set(form.suffixes) for form in FORMATS.values()):
        raise InvalidRequest(
            f"-o {shown(output)} and --format {extension} contradict each other; the ending of the file name is enough"
        )
