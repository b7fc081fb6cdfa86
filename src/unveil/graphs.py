"""Networks to weightless ONNX graphs.

A graph names every weight of its network but holds none: the weights come from the model file when a session is
opened, so that one graph serves every blend of adapters.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from unveil.errors import InvalidRequest
from unveil.networks.base import CodedNetwork, Network

if TYPE_CHECKING:
    import onnx

OPSET = 18
WEIGHTS_FILE = "weights.bin"
LONGEST_SIDE = 65536


@dataclass(frozen=True, slots=True)
class Graph:
    """A serialised ONNX graph and the names of the weights that it needs."""

    data: bytes
    weights: tuple[str, ...]


def restoring(network: nn.Module) -> Graph:
    """The role `restore`: `image` (batch, 3, m*rows, m*columns) -> `restored`, m being the network's size multiple.

    A network with a code takes `code` (batch, length) beside the image.
    """
    network = cast("Network", network)
    image, dims = _image(network.size_multiple)
    inputs = {"image": (image, dims)}
    if network.code:
        inputs["code"] = (torch.rand(2, network.code), {0: dims[0]})
    return trace(network, network.restore, inputs, "restored")


def summarising(network: nn.Module) -> Graph:
    """The role `encode`: `image` (batch, 3, m*rows, m*columns) -> `code` (batch, length)."""
    network = cast("CodedNetwork", network)
    return trace(network, network.summarise, {"image": _image(network.size_multiple)}, "code")


def prompting(network: nn.Module, side: int) -> Graph:
    """The role `prompt`: `prompt` (batch, side, side) -> `code` (batch, length)."""
    network = cast("CodedNetwork", network)
    dims = {0: torch.export.Dim("batch", min=1, max=1024)}
    return trace(network, network.summarise, {"prompt": (torch.rand(2, side, side), dims)}, "code")


def estimating(estimator: nn.Module, side: int) -> Graph:
    """The role `estimate`: `views` (batch, 3, side, side) -> `logits` (batch, classes)."""
    dims = {0: torch.export.Dim("batch", min=1, max=1024)}
    return trace(estimator, estimator.forward, {"views": (torch.rand(2, 3, side, side), dims)}, "logits")


def mapping(network: nn.Module, head: nn.Module) -> Graph:
    """The role `map`: `image` (batch, 3, m*rows, m*columns) -> `map` (batch, classes, ...), at a stride that divides m.

    The graph names the network's weights as `restore` does, and the head's as `map_head.NAME`.
    """
    network.add_module("map_head", head)
    encode = cast("Network", network).encode
    inputs = {"image": _image(cast("Network", network).size_multiple)}
    try:
        return trace(network, lambda image: head(encode(image)), inputs, "map")
    finally:
        del network.map_head


def classifying(classifier: nn.Module) -> Graph:
    """The role `estimate` of a classifier that looks at pictures of any size: `views` (batch, 3, rows, columns)."""
    logits = cast("Callable[[Tensor], Tensor]", classifier.logits)
    return trace(classifier, logits, {"views": _image(1)}, "logits")


def _image(multiple: int) -> tuple[Tensor, dict[int, Any]]:
    side = multiple * max(2, -(-64 // multiple))
    dims = {
        0: torch.export.Dim("batch", min=1, max=1024),
        2: multiple * torch.export.Dim("rows", min=1, max=LONGEST_SIDE // multiple),
        3: multiple * torch.export.Dim("columns", min=1, max=LONGEST_SIDE // multiple),
    }
    return torch.rand(2, 3, side, side + multiple), dims


def trace(
    network: nn.Module,
    call: Callable[..., Tensor],
    inputs: Mapping[str, tuple[Tensor, Mapping[int, Any]]],
    output: str,
) -> Graph:
    """Export one method of a network as an ONNX graph whose weights are external and absent.

    Args:
        network: whose weights the graph names.
        call: the method, taking the inputs in their order.
        inputs: name to example and its free dimensions.
        output: name of the result.

    Raises:
        InvalidRequest: the exporter lost a weight (folded it into a constant), so a blend could not reach it.
    """
    from onnxscript import optimizer

    with _calling(network, call):
        examples = tuple(example for example, _ in inputs.values())
        needed = needed_weights(network, examples)
        with _silence(), torch.no_grad():
            program = torch.onnx.export(
                network,
                examples,
                dynamo=True,
                optimize=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=tuple(dict(dims) for _, dims in inputs.values()),
                verbose=False,
            )
            assert program is not None
            proto = program.model_proto
            names = set(network.state_dict())
            weights = [tensor for tensor in proto.graph.initializer if tensor.name in names]
            _as_inputs(proto, weights)
            proto = cast("onnx.ModelProto", optimizer.optimize(proto))
    used = {name for node in proto.graph.node for name in node.input}
    weights = [tensor for tensor in weights if tensor.name in used]
    _as_external(proto, weights)
    _strip(proto)
    if lost := sorted(needed - {tensor.name for tensor in weights}):
        raise InvalidRequest(f"the exported graph does not use the weights {', '.join(lost[:5])} ({len(lost)} in all)")
    return Graph(proto.SerializeToString(), tuple(tensor.name for tensor in weights))


def needed_weights(network: nn.Module, examples: tuple[Tensor, ...]) -> set[str]:
    """The parameters that the result depends on, and the running statistics of the modules that have them."""
    parameters = {name: value.detach().requires_grad_() for name, value in network.named_parameters()}
    with torch.enable_grad():
        result = torch.func.functional_call(network, parameters, examples)
        grads = torch.autograd.grad(result.sum(), list(parameters.values()), allow_unused=True)
    reached = {name for name, grad in zip(parameters, grads, strict=True) if grad is not None}
    owners = {name.rpartition(".")[0] for name in reached}
    statistics = {
        name
        for name, value in network.state_dict().items()
        if name not in parameters and value.is_floating_point() and name.rpartition(".")[0] in owners
    }
    return reached | statistics


@contextlib.contextmanager
def _calling(network: nn.Module, call: Callable[..., Tensor]) -> Iterator[None]:
    """Let another method of the network be what is called, in evaluation mode."""
    was_training = network.training
    network.eval()
    network.forward = call
    try:
        yield
    finally:
        del network.forward
        network.train(was_training)


def _as_inputs(proto: onnx.ModelProto, weights: list[onnx.TensorProto]) -> None:
    """Turn weights into graph inputs, so that the optimiser cannot fold them away."""
    from onnx import helper

    for tensor in weights:
        proto.graph.initializer.remove(tensor)
        proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))


def _as_external(proto: onnx.ModelProto, weights: list[onnx.TensorProto]) -> None:
    """Turn those inputs back into initialisers whose data lie elsewhere."""
    from onnx import TensorProto

    names = {tensor.name for tensor in weights}
    kept = [value for value in proto.graph.input if value.name not in names]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    offset = 0
    for tensor in weights:
        length = 4 * int(np.prod(tensor.dims, dtype=np.int64))
        external = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        external.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS_FILE), ("offset", str(offset)), ("length", str(length))):
            external.external_data.add(key=key, value=value)
        proto.graph.initializer.append(external)
        offset += length


def _strip(proto: onnx.ModelProto) -> None:
    """Remove what the exporter leaves for debugging: it is many times larger than the graph."""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]
    proto.doc_string = proto.graph.doc_string = ""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        del value.metadata_props[:]
        value.doc_string = ""


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The exporter warns about its own insides; nothing there is for a user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
