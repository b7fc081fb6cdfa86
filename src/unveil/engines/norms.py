"""Norms over channels in a graph that ONNX Runtime has rewritten for blocks of channels.

    blocks -> map -> list -> pixels -> norm -> pixels in rows -> map -> blocks

becomes

    blocks -> pixels -> norm -> blocks

Every step but the norm copies the whole map, and those that are left out are the slow ones. No number changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from unveil.engines.nodes import Node

BLOCKS = "com.microsoft.nchwc"


@dataclass(frozen=True, slots=True)
class Detour:
    """What stands around one norm."""

    before: tuple[Node, Node]
    after: tuple[Node, Node]
    into: tuple[Node, ...]


def shorten(nodes: list[Node], lists: Mapping[str, NDArray[Any]]) -> list[Node]:
    """The nodes with direct ways to norms and back; `lists` are the graph's constants of whole numbers."""
    makers = {name: node for node in nodes for name in node.outputs}
    takers: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        for name in node.inputs:
            takers[name].append(node)
    left_out: set[Node] = set()
    instead: dict[Node, Node] = {}
    for norm in nodes:
        if norm.operator != "LayerNormalization" or (found := _detour(norm, makers, takers, lists)) is None:
            continue
        flat, turned = found.before
        source, result = flat.inputs[0], turned.outputs[0]
        maker = makers.get(source)
        if maker is not None and maker.domain == BLOCKS and maker.operator == "ReorderOutput":
            numbers = {name: value[0] for name, value in maker.numbers.items() if value}
            instead[turned] = Node.make(
                "ReorderOutput", maker.inputs[0], result, BLOCKS, **(numbers | {"channels_last": 1})
            )
            if all(taker in left_out or taker is flat for taker in takers[source]):
                left_out.add(maker)
        else:
            instead[turned] = Node.make("Transpose", source, result, perm=(0, 2, 3, 1))
        left_out |= {flat, *found.after}
        for node in found.into:
            instead[node] = Node.make("ReorderInput", norm.outputs[0], node.outputs[0], BLOCKS, channels_last=1)
    return [instead.get(node, node) for node in nodes if node not in left_out]


def _detour(
    norm: Node, makers: Mapping[str, Node], takers: Mapping[str, list[Node]], lists: Mapping[str, NDArray[Any]]
) -> Detour | None:
    turned = makers.get(norm.inputs[0])
    flat = makers.get(turned.inputs[0]) if turned else None
    whole = _only(takers, norm)
    back = _only(takers, whole) if whole else None
    if turned is None or flat is None or back is None or whole is None:
        return None
    if _only(takers, flat) is not turned or _only(takers, turned) is not norm or len(norm.outputs) != 1:
        return None
    if any(node.operator != "Reshape" for node in (flat, whole)):
        return None
    for node, order in ((turned, (0, 2, 1)), (back, (0, 3, 1, 2))):
        if node.operator != "Transpose" or node.numbers.get("perm") != order:
            return None
    pixels, sides = lists.get(flat.inputs[1]), lists.get(whole.inputs[1])
    if pixels is None or sides is None or len(pixels) != 3 or len(sides) != 4:
        return None
    batch, height, width, channels = sides.tolist()
    if min(batch, channels, height, width) < 1 or pixels.tolist() != [batch, channels, height * width]:
        return None
    into = tuple(takers.get(back.outputs[0], ()))
    if not all(node.domain == BLOCKS and node.operator == "ReorderInput" for node in into) or not into:
        return None
    if any(node.numbers.get("channels_last", (0,)) != (0,) for node in into):
        return None
    return Detour((flat, turned), (whole, back), into)


def _only(takers: Mapping[str, list[Node]], node: Node) -> Node | None:
    """What takes the only output of a node, where that is one node."""
    found = takers.get(node.outputs[0], [])
    return found[0] if len(found) == 1 and len(node.outputs) == 1 else None
