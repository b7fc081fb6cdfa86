"""The options of `POST /v1/restore`: form fields that say how to restore and how to write the result."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from unveil.restoration import blending
from unveil.server.problems import Problem

Written = Literal["same", "jpeg", "png", "webp", "tiff", "avif", "bmp"]
# Adapters are made for 0 to 1; far beyond, networks answer with values that are not numbers.
LARGEST_WEIGHT = 4
_SHORT = {"jpg": "jpeg", "tif": "tiff"}


def _parse_weights(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    weights: dict[str, float] = {}
    for word in text.split(","):
        name, found, number = (part.strip() for part in word.partition("="))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (name and found and 0 <= value <= LARGEST_WEIGHT) or name in weights:
            raise ValueError(f"write each degradation once, such as noise=.6,rain=.4, with 0 to {LARGEST_WEIGHT}")
        weights[name] = value
    return weights


def _parse_prompt(text: Any) -> Any:
    """`auto`, a name, or a mixture."""
    if not isinstance(text, str) or text == "auto":
        return text
    return _parse_weights(text if "=" in text else f"{text}=1")


def _parse_names(text: Any) -> Any:
    return [name.strip() for name in text.split(",") if name.strip()] if isinstance(text, str) else text


def _parse_number(text: Any) -> Any:
    return int(text) if isinstance(text, str) and text.isdigit() else text


def _check_rule(text: str | None) -> str | None:
    if text is not None:
        blending.read_rule(text)
    return text


def _parse_region(text: Any) -> Any:
    return tuple(part.strip() for part in text.split(",")) if isinstance(text, str) else text


def _parse_format(text: Any) -> Any:
    return _SHORT.get(text.lower(), text.lower()) if isinstance(text, str) else text


class Options(BaseModel):
    """Form fields beside `file`. Empty fields count as not given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strength: Annotated[float, Field(ge=0, le=1, description="0 keeps the input, 1 is the whole restoration.")] = 1.0
    weights: Annotated[
        dict[str, float] | None,
        BeforeValidator(_parse_weights, json_schema_input_type=str),
        Field(description="What to undo and how much, such as `noise=.6,rain=.4`; not diagnosed."),
    ] = None
    only: Annotated[
        list[str] | None,
        BeforeValidator(_parse_names, json_schema_input_type=str),
        Field(description="Of what the diagnosis finds, undo only these: `rain,noise`."),
    ] = None
    blend: Annotated[
        str | None,
        AfterValidator(_check_rule),
        Field(description=f"How a diagnosis becomes weights: {', '.join(blending.RULES)}; the model's own if empty."),
    ] = None
    rounds: Annotated[
        int | None, Field(ge=1, le=4, description="Looks at the picture at most; the model's own number if empty.")
    ] = None
    ensemble: Annotated[
        Literal[1, 2, 4, 8] | None,
        BeforeValidator(_parse_number, json_schema_input_type=str),
        Field(description="Turned views to average over, each as much work as one; the model's own number if empty."),
    ] = None
    prompt: Annotated[
        Literal["auto"] | dict[str, float] | None,
        BeforeValidator(_parse_prompt, json_schema_input_type=str),
        Field(description="For models with prompts: which, such as `rain` or `dark=.6,rain=.4`; or `auto`."),
    ] = None
    format: Annotated[
        Written,
        BeforeValidator(_parse_format, json_schema_input_type=str),
        Field(description="Format of the result. `same` is the upload's; for HEIC and GIF it is JPEG or PNG."),
    ] = "same"
    quality: Annotated[int | None, Field(ge=1, le=100, description="Of JPEG, WebP and AVIF.")] = None
    strip: Annotated[
        Literal["none", "location", "all"],
        Field(description="Metadata to leave out: none, where it was taken, or everything but the colour profile."),
    ] = "none"
    region: Annotated[
        tuple[int, int, int, int] | None,
        BeforeValidator(_parse_region, json_schema_input_type=str),
        Field(description="`left,top,width,height`: answer this part only, a quick preview without metadata."),
    ] = None

    @model_validator(mode="after")
    def _agree(self) -> Options:
        if self.weights is not None and (self.only is not None or self.blend is not None):
            raise ValueError("give either weights, or only and blend")
        if self.prompt is not None and any(given is not None for given in (self.weights, self.only, self.blend)):
            raise ValueError("give a prompt alone; it says all that weights, only and blend say")
        return self

    @property
    def asks_for_encoding(self) -> bool:
        """Whether a picture that needs nothing must be written anew all the same."""
        return self.quality is not None or self.strip != "none" or self.region is not None


def parse_options(fields: dict[str, str]) -> Options:
    """Options from form fields. Raises Problem 422 that names the field."""
    try:
        return Options.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = str(first["loc"][0]) if first["loc"] else "options"
        if first["type"] == "extra_forbidden":
            known = ", ".join(Options.model_fields)
            raise Problem(422, "bad_option", f"There is no option {where[:40]!r}; known are {known}.") from None
        raise Problem(422, "bad_option", f"{where}: {first['msg'].removeprefix('Value error, ')}.") from None


def no_options(fields: dict[str, str]) -> None:
    """Raises Problem 422 where fields are given to a route that has none."""
    if fields:
        raise Problem(422, "bad_option", f"There is no option {next(iter(fields))[:40]!r} here; send the file alone.")
