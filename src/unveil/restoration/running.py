"""The networks of a model on whole pictures: in views, in parts and in tiles, in what memory there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unveil.errors import EngineError, InvalidRequest
from unveil.models import Card, Model
from unveil.models.card import CLEAN
from unveil.models.file import PROMPTS
from unveil.restoration import diagnosis, exposure
from unveil.restoration import ensemble as ensembles
from unveil.restoration.canvas import Canvas
from unveil.restoration.diagnosis import Diagnosis
from unveil.restoration.mapping import DamageMap, cell_side, map_tiles
from unveil.restoration.memory import while_memory_lasts
from unveil.restoration.parts import PART, SMALLEST, mean_over_parts
from unveil.restoration.prompting import Mixing, codes_of
from unveil.restoration.sessions import Sessions
from unveil.restoration.stitching import Progress, restore_tiles
from unveil.restoration.tiles import Plan, plan

Result = TypeVar("Result")


class Running:
    """One model, its sessions and its tiles. Pictures are `H W C`, uint8, uint16 or float 0..1.

    Args:
        model: whose networks run.
        sessions: of these networks.
        tile_side: of tiles, as long as memory lasts.
    """

    def __init__(self, model: Model, sessions: Sessions, tile_side: int) -> None:
        self.model, self.sessions, self.tile_side = model, sessions, tile_side

    @property
    def card(self) -> Card:
        return self.model.card

    def diagnose(self, pixels: NDArray[Any]) -> Diagnosis:
        """What is wrong with a picture.

        Raises:
            InvalidRequest: the model has no estimator.
            EngineError: its logits are not sound.
        """
        card = self.card.estimator
        if card is None:
            raise InvalidRequest(f"The model {self.card.name!r} has no estimator and cannot diagnose.")
        if card.side:
            seen = diagnosis.views(pixels, side=card.side, crops=card.crops)
            network = self.sessions.open(
                "estimate", dimensions={"batch": len(seen), "height": card.side, "width": card.side}
            )
            logits = network(views=seen)["logits"]
        else:
            network = self.sessions.open("estimate")
            logits = mean_over_parts(pixels, lambda part: network(views=part)["logits"])
        if logits.shape != (card.crops + bool(card.side) or 1, len(card.classes)) or not np.isfinite(logits).all():
            raise EngineError(
                f"model '{self.card.name}', role 'estimate': gave no sound logits, but shape {logits.shape}."
            )
        known = {**self.card.degradations, CLEAN: CLEAN}
        # Of a model that undoes nothing by adapters or prompts, all classes are told for what they are worth.
        removed = [name for name in card.classes if name not in known] if self.card.degradations else []
        return diagnosis.read_logits(logits, card, known, left_out=removed)

    def map(self, pixels: NDArray[Any]) -> DamageMap:
        """What is wrong with every region of a picture, by the base network alone."""

        def look(layout: Plan) -> DamageMap:
            network = self.sessions.open("map", dimensions=_sides(layout.rows.tile, layout.columns.tile))
            return map_tiles(
                pixels,
                layout,
                lambda tile: self._named(network(image=tile), "map", "map"),
                classes=self.card.map,
                printed=self.card.degradations,
                cell=cell_side(self.card.stride),
            )

        return self._in_tiles(pixels, look)[0]

    def restore(
        self,
        canvas: Canvas,
        whole: NDArray[Any],
        weights: dict[str, float],
        *,
        strength: float,
        mixing: Mixing,
        ensemble: int,
        progress: Progress | None,
    ) -> tuple[int, int, Any]:
        """Restore with adapters, or prompts, at these weights.

        Args:
            canvas: of the picture.
            whole: the picture of which that one is a part; what is taken once of a whole picture is taken of this.
            weights: of adapters, or of prompts.
            strength, mixing, ensemble, progress: as `Restorer.run` takes them.

        Returns:
            Tiles run, the side that they were cut to if memory ran out (else 0), and the result.
        """
        pixels = canvas.pixels
        codes, cut = (self._prompt(weights, mixing), 0) if self.card.prompts else self.encode(whole, weights)
        blended = {} if self.card.prompts else weights
        restored = canvas.blank()
        exposed = exposure.of_blend(whole, weights, self.card.exposing)

        def network(tile: NDArray[Any]) -> NDArray[Any]:
            # Ensembles of eight have tiles on their side, too.
            opened = self.sessions.open("restore", weights=blended, dimensions=_sides(*tile.shape[-2:]))
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

    def encode(self, pixels: NDArray[Any], weights: Mapping[str, float]) -> tuple[dict[str, NDArray[Any]], int]:
        """The codes that the model computes once on the whole picture and gives to every tile.

        And the side that its parts were cut to, if memory ran out, else 0.
        """
        if not self.card.codes:
            return {}, 0
        # What has weights of its own is the same for all blends; what shares the base's gives the codes of the blend.
        blended = None if self.model.weights.get("encode") else weights

        def encode(side: int) -> dict[str, NDArray[Any]]:
            network = self.sessions.open("encode", weights=blended)
            return {
                name: mean_over_parts(
                    pixels,
                    lambda part, name=name: self._named(network(image=part), "encode", name),
                    multiple=self.card.size_multiple,
                    side=side,
                )
                for name in self.card.codes
            }

        first = min(PART, self.tile_side)
        codes, side = while_memory_lasts(
            first, encode, less=lambda side: side // 2 if side > SMALLEST else None, free=self._free
        )
        return codes, 0 if side == first else side

    def plan(self, pixels: NDArray[Any], side: int | None = None) -> Plan:
        """The tiles of a picture."""
        card = self.card
        height, width = pixels.shape[:2]
        side = side or self.tile_side
        return plan(height, width, size_multiple=card.size_multiple, stride=card.stride, halo=card.halo, side=side)

    def _in_tiles(self, pixels: NDArray[Any], work: Callable[[Plan], Result]) -> tuple[Result, int]:
        """Work on the tiles of a picture, on smaller and smaller ones while memory runs out.

        Returns:
            What `work` gave, and the side that tiles were cut to if they had to be smaller, else 0.
        """

        def less(side: int) -> int | None:
            # Of a picture that is smaller than the side, halving it once need not change the tile.
            area, side = self.plan(pixels, side).area, side // 2
            while side > 1 and self.plan(pixels, side).area >= area:
                side //= 2
            return side if self.plan(pixels, side).area < area else None

        first = self.tile_side
        result, side = while_memory_lasts(first, lambda side: work(self.plan(pixels, side)), less=less, free=self._free)
        return result, 0 if side == first else side

    def _prompt(self, weights: Mapping[str, float], mixing: Mixing) -> dict[str, NDArray[Any]]:
        """The codes of a prompt, or of a mixture of several."""

        def summarise(prompts: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
            found = self.sessions.open("prompt")(prompt=prompts)
            return {name: self._named(found, "prompt", name) for name in self.card.codes}

        return codes_of(weights, self.card, self.model.tables[PROMPTS], mixing, summarise)

    def _free(self) -> None:
        """Close what need not be open."""
        self.sessions.keep(0)

    def _named(self, found: Mapping[str, NDArray[Any]], role: str, name: str) -> NDArray[Any]:
        if name not in found:
            raise EngineError(f"model '{self.card.name}', role '{role}': gives no {name}.")
        return found[name]


def _sides(height: int, width: int) -> dict[str, int]:
    """The sizes that a network on tiles is opened for."""
    return {"batch": 1, "height": height, "width": width}
