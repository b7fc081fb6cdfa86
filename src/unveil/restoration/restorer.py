"""Diagnose, blend, run in tiles, stitch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from unveil import engines
from unveil.errors import EngineError, InvalidRequest
from unveil.models import Card, Facts, Model, describe
from unveil.models.card import CLEAN
from unveil.models.file import PROMPTS
from unveil.restoration import blending, diagnosis, exposure
from unveil.restoration import ensemble as ensembles
from unveil.restoration.canvas import Canvas, open_canvas
from unveil.restoration.diagnosis import Diagnosis
from unveil.restoration.many import Count, Failure, run_many
from unveil.restoration.mapping import DamageMap, cell_side, map_tiles
from unveil.restoration.memory import while_memory_lasts
from unveil.restoration.options import Options
from unveil.restoration.parts import PART, SMALLEST, mean_over_parts
from unveil.restoration.prompting import Mixing, Prompt, check_mixing, codes_of, weights_of
from unveil.restoration.result import Restoration
from unveil.restoration.sessions import SESSIONS, Sessions
from unveil.restoration.stitching import Progress, restore_tiles
from unveil.restoration.tiles import Plan, plan, side_of

if TYPE_CHECKING:
    from unveil.images import Picture

MOSTLY = 0.5
"""The weight from which a degradation counts as undone, and the probability from which a second look believes it."""
TRACE = 0.02
"""The probability in the first diagnosis from which a second look may find a degradation."""

Result = TypeVar("Result")


class Restorer:
    """One model, ready for many images.

    Images are paths or Pictures (both give a Picture), or arrays: H W or H W C with C 1, 3 or 4 (the fourth channel is
    alpha and kept), uint8, uint16 or float 0..1, sRGB; an array of the same shape and dtype comes back.

    Args:
        model: as `unveil.models.read` gives it.
        engine: `auto`, `onnx`, `openvino`, `torch` or `torch-compiled` (`unveil.engines.choose`).
        threads: processor cores to use; None leaves it to the engine.
        tile_side: pictures with longer sides are cut into overlapping tiles of about this side; by default as the
            memory suggests that the network needs (`unveil.restoration.tiles.side_of`).
        sessions: restoring networks to keep ready, one a blend and shape of tile; more memory, fewer waits.
        precision: `fp32`, or `bf16`: faster on processors that have it, and less exact (docs/performance.md).
    """

    def __init__(
        self,
        model: Model,
        *,
        engine: str = "auto",
        threads: int | None = None,
        tile_side: int | None = None,
        sessions: int = SESSIONS,
        precision: engines.Precision = "fp32",
    ) -> None:
        if tile_side is not None and tile_side < 1:
            raise InvalidRequest(f"tile_side is {tile_side}, expected at least 1.")
        if sessions < 1:
            raise InvalidRequest(f"sessions is {sessions}, expected at least 1.")
        self.model = model
        network = str(model.card.network["name"])
        chosen = engines.choose(engine, threads=threads, precision=precision, network=network)
        self._sessions = Sessions(model, chosen, sessions)
        self._tile_side = tile_side or side_of(model.card.footprint)

    def __repr__(self) -> str:
        undoes = ", ".join(self.card.degradations) or "what its base was trained for"
        return f"Restorer({self.name!r}, engine={self.engine!r}, undoes: {undoes})"

    @property
    def card(self) -> Card:
        return self.model.card

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def engine(self) -> str:
        """What runs the networks: `onnx`, `openvino`, `torch` or `torch-compiled`."""
        return self._sessions.engine.name

    @cached_property
    def facts(self) -> Facts:
        """What another program needs to know to use the model: see `unveil.models.Facts`."""
        return describe(self.model)

    def push_to_hub(self, repository: str, *, token: str | None = None, private: bool = False) -> str:
        """Put the model and a page about it on the Hugging Face hub; see `unveil.models.hub.push`."""
        from unveil.models import hub

        return hub.push(self.model, repository, token=token, private=private)

    def diagnose(self, image: object) -> Diagnosis:
        """Say what is wrong with an image.

        Raises:
            InvalidRequest: the model has no estimator, or the image is an array of a wrong kind.
            PictureError: the file cannot be read.
        """
        return self._diagnose(open_canvas(image).pixels)

    def map(self, image: object) -> DamageMap:
        """Say what is wrong with every region of an image, by the base network alone.

        Raises:
            InvalidRequest: the model has no map, or the image is an array of a wrong kind.
            PictureError: the file cannot be read.
        """
        if not self.card.map:
            raise InvalidRequest(
                f"The model {self.name!r} has no map of damage; one is trained with pretraining.map in its recipe."
            )
        pixels = open_canvas(image).pixels

        def look(layout: Plan) -> DamageMap:
            network = self._sessions.open("map", dimensions=_sides(layout.rows.tile, layout.columns.tile))
            return map_tiles(
                pixels,
                layout,
                lambda tile: self._named(network(image=tile), "map", "map"),
                classes=self.card.map,
                printed=self.card.degradations,
                cell=cell_side(self.card.stride),
            )

        return self._in_tiles(pixels, look)[0]

    def encode(self, image: object) -> dict[str, NDArray[Any]]:
        """What the model computes once of a whole image, before it restores it: its codes, by name, `1 length` each.

        Raises:
            InvalidRequest: the model has no codes, or takes them from prompts; or the image is an array of a wrong
                kind.
            PictureError: the file cannot be read.
        """
        if not self.card.codes or self.card.prompts:
            why = "takes them from prompts, the same for all pictures" if self.card.prompts else "has none"
            raise InvalidRequest(f"The model {self.name!r} computes no codes of a picture: it {why}.")
        return self._encode(open_canvas(image).pixels, {})[0]

    @overload
    def restore(self, image: NDArray[Any], **options: Unpack[Options]) -> NDArray[Any]: ...
    @overload
    def restore(self, image: str | os.PathLike[str] | Picture, **options: Unpack[Options]) -> Picture: ...
    def restore(self, image: Any, **options: Unpack[Options]) -> Any:
        """Restore an image; takes the options of `run` and gives only the image."""
        return self.run(image, **options).image

    def run(
        self,
        image: object,
        *,
        strength: float = 1.0,
        weights: Mapping[str, float] | None = None,
        only: Iterable[str] | None = None,
        blend: str | None = None,
        prompt: Prompt | None = None,
        mixing: Mixing = "prompts",
        rounds: int | None = None,
        ensemble: int | None = None,
        context: object = None,
        progress: Progress | None = None,
    ) -> Restoration:
        """Restore an image and tell how.

        Args:
            strength: 0 (the input, bit for bit) to 1 (the model's answer).
            weights: of adapters, used as given instead of a diagnosis.
            only: keep these adapters of the diagnosis, scaled to what all of them had.
            blend: a rule of `unveil.restoration.blending.RULES`; the default is the card's.
            prompt: for models with prompts, in place of all these: `"rain"`, a mixture such as `{"dark": 0.6, "rain":
                0.4}`, or `"auto"`, the default: the model's classifier chooses.
            mixing: what is averaged in a mixture: the `prompts`, or the `codes` that the model makes of each of them.
            rounds: how often to look at most: a restored picture is looked at again, and what has come to light is
                undone too, each degradation once. By default 2 where the model's card says what to look for, else 1.
                What is given by hand, and a strength below 1, is done once.
            ensemble: views of every tile to average over, 1, 2, 4 or 8, each as much work as one alone
                (`unveil.restoration.ensemble`); by default the card's.
            context: the whole image of which this one is a part; what is taken once of a whole image, its exposure and
                its codes, is taken of that one.
            progress: called with the tiles done and their number after every tile. What it raises ends the work.

        Without `weights` and `only`, a picture that the estimator takes for clean comes back untouched.

        Raises:
            InvalidRequest: arguments that contradict each other or the model, or an array of a wrong kind.
            PictureError: the file cannot be read.
            EngineError: the network cannot be run.
        """
        started = time.perf_counter()
        only = None if only is None else [only] if isinstance(only, str) else list(only)
        if prompt is not None:
            weights = weights_of(prompt, self.card, weights, only, blend)
        self._check(strength, weights, only, blend)
        check_mixing(mixing)
        if rounds is not None and rounds < 1:
            raise InvalidRequest(f"rounds is {rounds}, expected at least 1.")
        size = self.card.ensemble if ensemble is None else ensemble
        ensembles.check(size)
        canvas = open_canvas(image)
        found, chosen = self._choose(canvas.pixels, weights, only, blend)
        tiles = shrunk_to = 0
        if strength == 0 or chosen is None:
            result = canvas.untouched()
        else:
            whole = canvas.pixels if context is None else open_canvas(context).pixels
            tiles, shrunk_to, result = self._restore(canvas, whole, chosen, strength, mixing, size, progress)
        later: list[dict[str, float]] = []
        if tiles and chosen and found is not None and only is None and strength == 1:
            for _ in range(1, self._rounds if rounds is None else rounds):
                canvas = open_canvas(result)
                undone = [name for each in (chosen, *later) for name, weight in each.items() if weight >= MOSTLY]
                more = self._look_again(canvas.pixels, found, undone, blend)
                if not more:
                    break
                count, shrunk, result = self._restore(
                    canvas, canvas.pixels, more, 1.0, mixing, size, _after(tiles, progress)
                )
                tiles, shrunk_to = tiles + count, shrunk or shrunk_to
                later.append(more)
        seconds = time.perf_counter() - started
        return Restoration(
            image=result,
            diagnosis=found,
            weights=chosen or {} if tiles else {},
            untouched=tiles == 0,
            tiles=tiles,
            seconds=seconds,
            source=image,
            shrunk_to=shrunk_to,
            later=tuple(later),
        )

    def choose(
        self,
        image: object,
        *,
        weights: Mapping[str, float] | None = None,
        only: Iterable[str] | None = None,
        blend: str | None = None,
    ) -> tuple[Diagnosis | None, dict[str, float] | None]:
        """What `run` would blend for an image, without restoring it: the diagnosis, None where none is needed, and the
        weights, None for a picture that would come back untouched.

        Raises:
            InvalidRequest, PictureError: as `run`.
        """
        only = None if only is None else [only] if isinstance(only, str) else list(only)
        self._check(1.0, weights, only, blend)
        return self._choose(open_canvas(image).pixels, weights, only, blend)

    def run_many(
        self,
        images: str | os.PathLike[str] | NDArray[Any] | Iterable[object],
        *,
        on_image: Count | None = None,
        on_error: Failure | None = None,
        **options: Unpack[Options],
    ) -> Generator[Restoration]:
        """Restore many images, each when its turn is asked for, in order.

        Args:
            images: a folder (all pictures below it, in order of name), a batch of arrays B H W C, or any iterable of
                images.
            on_image: called with the images done and their number (None where unknown) after each of them.
            on_error: called with an image that cannot be read and its PictureError; the rest goes on. Without it the
                error is raised.
            options: those of `run`, the same for all.

        Closing the generator, leaving a loop over it, or raising in a callback ends the work; nothing is half done.

        Raises:
            InvalidRequest: at once, if `images` is nothing of that kind; and as `run`, when an image has its turn.
        """
        only = options.get("only")
        if only is not None and not isinstance(only, str):
            # An iterator would be used up by the first image.
            options["only"] = list(only)
        return run_many(images, lambda image: self.run(image, **options), on_image=on_image, on_error=on_error)

    def _choose(
        self, pixels: NDArray[Any], weights: Mapping[str, float] | None, only: list[str] | None, blend: str | None
    ) -> tuple[Diagnosis | None, dict[str, float] | None]:
        undone = self.card.degradations
        if weights is not None:
            return None, blending.check_weights(weights, undone)
        rule = blend or self.card.blend
        if blending.read_rule(rule).is_blind:
            return None, blending.weigh(rule, {}, undone, only=only)
        if self.card.estimator is None:
            return None, {}
        found = self._diagnose(pixels)
        spared = only is None and found.is_clean
        return found, None if spared else blending.weigh(rule, found.probabilities, undone, only=only)

    @property
    def _rounds(self) -> int:
        return 2 if self.card.estimator and self.card.estimator.again else 1

    def _look_again(
        self, pixels: NDArray[Any], first: Diagnosis, undone: list[str], blend: str | None
    ) -> dict[str, float]:
        """What to undo of a picture that has been restored.

        Nothing, unless what is likeliest of all is to be looked for again, has not been undone, and had left a trace
        in the first diagnosis: what a restoration itself leaves behind may look like damage. And nothing once the
        picture has been sharpened.
        """
        assert self.card.estimator is not None
        if diagnosis.SHARPENING & set(undone):
            return {}
        traces = {name for name, share in first.probabilities.items() if share >= TRACE and name not in undone}
        sought = [name for name in self.card.estimator.again if name in self.card.degradations and name in traces]
        found = self._diagnose(pixels)
        if found.main not in sought or found.probabilities[found.main] < MOSTLY:
            return {}
        seen = {name: share for name, share in found.probabilities.items() if name in sought or name == CLEAN}
        return blending.weigh(blend or self.card.blend, seen, sought)

    def _check(
        self, strength: float, weights: Mapping[str, float] | None, only: list[str] | None, blend: str | None
    ) -> None:
        if not 0 <= strength <= 1:
            raise InvalidRequest(f"strength is {strength}, expected 0 to 1.")
        if weights is not None and (only is not None or blend is not None):
            raise InvalidRequest(
                "Give either weights, which are used as they are, or only and blend, which choose them."
            )
        rule = blending.read_rule(blend or self.card.blend)
        if weights is not None:
            blending.check_weights(weights, self.card.degradations)
        if only is not None:
            blending.check_names(only, self.card.degradations)
        if rule.name == "oracle":
            blending.oracle(rule.degradation, self.card.degradations)
        if self.card.prompts and self.card.estimator is None and not weights and not rule.is_blind:
            names = ", ".join(self.card.prompts)
            raise InvalidRequest(
                f"The model {self.name!r} cannot tell by itself what is wrong; say it with a prompt: {names}."
            )
        informed = blend is not None and rule.name != "none"
        if self.card.estimator is None and not rule.is_blind and (only is not None or informed):
            raise InvalidRequest(f"The model {self.name!r} has no estimator; give weights, or neither only nor blend.")

    def _diagnose(self, pixels: NDArray[Any]) -> Diagnosis:
        card = self.card.estimator
        if card is None:
            raise InvalidRequest(f"The model {self.name!r} has no estimator and cannot diagnose.")
        if card.side:
            seen = diagnosis.views(pixels, side=card.side, crops=card.crops)
            network = self._sessions.open(
                "estimate", dimensions={"batch": len(seen), "height": card.side, "width": card.side}
            )
            logits = network(views=seen)["logits"]
        else:
            network = self._sessions.open("estimate")
            logits = mean_over_parts(pixels, lambda part: network(views=part)["logits"])
        if logits.shape != (card.crops + bool(card.side) or 1, len(card.classes)) or not np.isfinite(logits).all():
            raise EngineError(f"model '{self.name}', role 'estimate': gave no sound logits, but shape {logits.shape}.")
        known = {**self.card.degradations, CLEAN: CLEAN}
        # Of a model that undoes nothing by adapters or prompts, all classes are told for what they are worth.
        removed = [name for name in card.classes if name not in known] if self.card.degradations else []
        return diagnosis.read_logits(logits, card, known, left_out=removed)

    def _restore(
        self,
        canvas: Canvas,
        whole: NDArray[Any],
        weights: dict[str, float],
        strength: float,
        mixing: Mixing,
        ensemble: int,
        progress: Progress | None,
    ) -> tuple[int, int, Any]:
        """Tiles run, the side that they were cut to if memory ran out (else 0), and the result."""
        pixels = canvas.pixels
        codes, cut = (self._prompt(weights, mixing), 0) if self.card.prompts else self._encode(whole, weights)
        blended = {} if self.card.prompts else weights
        restored = canvas.blank()
        exposed = exposure.of_blend(whole, weights, self.card.exposing)

        def network(tile: NDArray[Any]) -> NDArray[Any]:
            # Ensembles of eight have tiles on their side, too.
            opened = self._sessions.open("restore", weights=blended, dimensions=_sides(*tile.shape[-2:]))
            return opened(image=tile, **codes)["restored"]

        def work(layout: Plan) -> int:
            restore_tiles(
                pixels,
                restored,
                layout,
                lambda tile: ensembles.mean_of_views(exposed(tile), network, ensemble),
                strength=strength,
                progress=progress,
            )
            return layout.count

        count, shrunk_to = self._in_tiles(pixels, work)
        return count, min(filter(None, (cut, shrunk_to)), default=0), canvas.finish()

    def _in_tiles(self, pixels: NDArray[Any], work: Callable[[Plan], Result]) -> tuple[Result, int]:
        """Work on the tiles of a picture, on smaller and smaller ones while memory runs out.

        Returns:
            What `work` gave, and the side that tiles were cut to if they had to be smaller, else 0.
        """

        def less(side: int) -> int | None:
            # Of a picture that is smaller than the side, halving it once need not change the tile.
            area, side = self._plan(pixels, side).area, side // 2
            while side > 1 and self._plan(pixels, side).area >= area:
                side //= 2
            return side if self._plan(pixels, side).area < area else None

        first = self._tile_side
        result, side = while_memory_lasts(
            first, lambda side: work(self._plan(pixels, side)), less=less, free=self._free
        )
        return result, 0 if side == first else side

    def _free(self) -> None:
        """Close what need not be open."""
        self._sessions.keep(0)

    def _plan(self, pixels: NDArray[Any], side: int | None = None) -> Plan:
        card = self.card
        height, width = pixels.shape[:2]
        side = side or self._tile_side
        return plan(height, width, size_multiple=card.size_multiple, stride=card.stride, halo=card.halo, side=side)

    def _encode(self, pixels: NDArray[Any], weights: Mapping[str, float]) -> tuple[dict[str, NDArray[Any]], int]:
        """The codes that the model computes once on the whole picture and gives to every tile.

        And the side that its parts were cut to, if memory ran out, else 0.
        """
        if not self.card.codes:
            return {}, 0
        # What has weights of its own is the same for all blends; what shares the base's gives the codes of the blend.
        blended = None if self.model.weights.get("encode") else weights

        def encode(side: int) -> dict[str, NDArray[Any]]:
            network = self._sessions.open("encode", weights=blended)
            return {
                name: mean_over_parts(
                    pixels,
                    lambda part, name=name: self._named(network(image=part), "encode", name),
                    multiple=self.card.size_multiple,
                    side=side,
                )
                for name in self.card.codes
            }

        first = min(PART, self._tile_side)
        codes, side = while_memory_lasts(
            first, encode, less=lambda side: side // 2 if side > SMALLEST else None, free=self._free
        )
        return codes, 0 if side == first else side

    def _prompt(self, weights: Mapping[str, float], mixing: Mixing) -> dict[str, NDArray[Any]]:
        """The codes of a prompt, or of a mixture of several."""

        def summarise(prompts: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
            found = self._sessions.open("prompt")(prompt=prompts)
            return {name: self._named(found, "prompt", name) for name in self.card.codes}

        return codes_of(weights, self.card, self.model.tables[PROMPTS], mixing, summarise)

    def _named(self, found: Mapping[str, NDArray[Any]], role: str, name: str) -> NDArray[Any]:
        if name not in found:
            raise EngineError(f"model '{self.name}', role '{role}': gives no {name}.")
        return found[name]


def _sides(height: int, width: int) -> dict[str, int]:
    """The sizes that a network on tiles is opened for."""
    return {"batch": 1, "height": height, "width": width}


def _after(tiles: int, progress: Progress | None) -> Progress | None:
    """The progress of a later round, counted on from the tiles of the rounds before."""
    return None if progress is None else lambda done, count: progress(tiles + done, tiles + count)
