"""From a multipart body to one file and its options, in memory: an upload never touches the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from unveil.server.problems import Problem

MOST_FIELDS = 24
LONGEST_FIELD = 4096
LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Form:
    """An upload: the bytes of the file, the end of its name, and the fields beside it that are not empty."""

    data: bytes
    name: str
    fields: dict[str, str]


class _InMemory(MultiPartParser):
    # Admission has bounded the body already; beyond this size the base class would go to a temporary file.
    spool_max_size = 2**62


async def read_form(request: Request) -> Form:
    """Read the form with the file field `file`.

    Raises:
        Problem: 415 for another kind of body, 422 for a form that is damaged, or without or with several files.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise Problem(
            415, "not_a_form", "Send a multipart form (multipart/form-data) with the picture as field 'file'."
        )
    parser = _InMemory(
        request.headers, request.stream(), max_files=1, max_fields=MOST_FIELDS, max_part_size=LONGEST_FIELD
    )
    try:
        items = (await parser.parse()).multi_items()
    except (MultiPartException, HTTPException) as error:
        said = getattr(error, "message", None) or getattr(error, "detail", "")
        raise Problem(422, "bad_form", f"The form cannot be read: {said}") from error
    except UnicodeError as error:
        # The caller chooses the character set, and some of those that Python knows decode nothing.
        raise Problem(422, "bad_form", "The form cannot be read: its character set does not fit it.") from error
    data: bytes | None = None
    name, fields = "", dict[str, str]()
    for key, value in items:
        if isinstance(value, UploadFile):
            if key != "file":
                raise Problem(422, "bad_form", "The picture belongs into the field 'file'.")
            data, name = value.file.read(), _bare(value.filename or "")
            value.file.close()
        elif key in fields:
            raise Problem(422, "bad_option", f"The option {key[:40]!r} is given twice; give it once.")
        elif value.strip():
            fields[key] = value
    if data is None:
        raise Problem(422, "bad_form", "The form has no file; send the picture as field 'file'.")
    return Form(data, name, fields)


def _bare(name: str) -> str:
    """The last part of a path of any system, without what no file name should have."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    kept = "".join(letter for letter in last if letter.isprintable() and letter not in '"*:<>?|\\/')
    return kept[-LONGEST_NAME:].strip(". ")
