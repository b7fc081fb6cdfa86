"""Diagnose, blend, run in tiles, stitch."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack, overload

from numpy.typing import NDArray

from unveil import engines
from unveil.errors import InvalidRequest
from unveil.models import Card, Facts, Model, describe
from unveil.restoration import blending
from unveil.restoration import ensemble as ensembles
from unveil.restoration import rounds as looking
from unveil.restoration.canvas import open_canvas
from unveil.restoration.diagnosis import Diagnosis
from unveil.restoration.many import Count, Failure, run_many
from unveil.restoration.mapping import DamageMap
from unveil.restoration.options import Options, check
from unveil.restoration.prompting import Mixing, Prompt, check_mixing, weights_of
from unveil.restoration.result import Restoration
from unveil.restoration.running import Running
from unveil.restoration.sessions import SESSIONS, Sessions
from unveil.restoration.stitching import Progress
from unveil.restoration.tiles import side_of

if TYPE_CHECKING:
    from unveil.images import Picture


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
        self._running = Running(model, self._sessions, tile_side or side_of(model.card.footprint))

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
        return self._running.diagnose(open_canvas(image).pixels)

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
        return self._running.map(open_canvas(image).pixels)

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
        return self._running.encode(open_canvas(image).pixels, {})[0]

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
        check(self.card, strength=strength, weights=weights, only=only, blend=blend, rounds=rounds)
        check_mixing(mixing)
        size = self.card.ensemble if ensemble is None else ensemble
        ensembles.check(size)
        canvas = open_canvas(image)
        found, chosen = self._choose(canvas.pixels, weights, only, blend)
        tiles = shrunk_to = 0
        if strength == 0 or chosen is None:
            result = canvas.untouched()
        else:
            whole = canvas.pixels if context is None else open_canvas(context).pixels
            tiles, shrunk_to, result = self._running.restore(
                canvas, whole, chosen, strength=strength, mixing=mixing, ensemble=size, progress=progress
            )
        later: list[dict[str, float]] = []
        if tiles and chosen and found is not None and only is None and strength == 1:
            for _ in range(1, looking.usual(self.card) if rounds is None else rounds):
                canvas = open_canvas(result)
                more = self._look_again(canvas.pixels, found, [chosen, *later], blend)
                if not more:
                    break
                count, shrunk, result = self._running.restore(
                    canvas,
                    canvas.pixels,
                    more,
                    strength=1.0,
                    mixing=mixing,
                    ensemble=size,
                    progress=_after(tiles, progress),
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
        check(self.card, strength=1.0, weights=weights, only=only, blend=blend)
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
        found = self._running.diagnose(pixels)
        if only is None and found.is_clean:
            return found, None
        weights = blending.weigh(rule, found.probabilities, undone, only=only)
        if blend is None and only is None:
            weights = blending.whole(weights, self.card.estimator.whole)
        return found, weights

    def _look_again(
        self, pixels: NDArray[Any], first: Diagnosis, blends: list[dict[str, float]], blend: str | None
    ) -> dict[str, float]:
        """What to undo of a picture that these blends have restored; often nothing."""
        wanted = looking.sought(self.card, first, looking.undone(blends))
        if not wanted:
            return {}
        return looking.weigh(blend or self.card.blend, self._running.diagnose(pixels), wanted)


def _after(tiles: int, progress: Progress | None) -> Progress | None:
    """The progress of a later round, counted on from the tiles of the rounds before."""
    return None if progress is None else lambda done, count: progress(tiles + done, tiles + count)
