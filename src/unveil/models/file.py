"""Model files on disk: one .safetensors with weights, adapters, graphs, tables and a card. Reading executes nothing."""

# safetensors comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from unveil.errors import InvalidModel, ModelError, ModelNotFound
from unveil.models.blend import check_factors
from unveil.models.card import PLAIN, WHOLE_NUMBERS, Card

KEY = "unveil"
PROMPTS = "prompts"
LARGEST_FILE = 4 << 30
LARGEST_HEADER = 16 << 20
ROLES = ("restore", "estimate", "encode", "prompt", "map")


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """The low-rank change that fits the base network to one degradation: weight name -> factor name -> array.

    Factors are as they are stored: float16, float32, or int8 with a scale beside them.
    """

    degradation: str
    rank: int
    alpha: float
    mode: str
    base_checksum: str
    factors: dict[str, dict[str, NDArray[Any]]] = field(repr=False)

    @property
    def storage(self) -> str:
        """`int8` where its products are whole numbers, else the largest type of its numbers, `float16` or `float32`."""
        found = {array.dtype.name for factors in self.factors.values() for array in factors.values()}
        return next((name for name in ("int8", "float32") if name in found), "float16")

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return sum(array.size for factors in self.factors.values() for array in factors.values())

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Its arrays by the names that files give them."""
        return {
            f"adapters/{self.degradation}/{name}/{factor}": array
            for name, factors in self.factors.items()
            for factor, array in factors.items()
        }


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model file in memory. `weights` is role -> name -> array as stored, float16 or float32."""

    path: Path | None
    card: Card
    weights: dict[str, dict[str, NDArray[Any]]]
    adapters: dict[str, Adapter] = field(default_factory=dict[str, Adapter])
    graphs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    tables: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])

    def __repr__(self) -> str:
        count = sum(array.size for array in self.weights.get("restore", {}).values())
        return f"Model({self.card.name!r}, {count:,} weights, adapters: {', '.join(self.adapters) or 'none'})"


def base_checksum(weights: Mapping[str, NDArray[Any]]) -> str:
    """The checksum of base weights as they are stored, by which an adapter knows its base.

    SHA-256 over, for each array in order of name: name, NUL, dtype ("float16" or "float32"), NUL, the sides joined by
    commas, NUL, and the bytes in C order, little endian.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name]
        stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{name}\0{array.dtype.name}\0{','.join(map(str, array.shape))}\0".encode())
        digest.update(stored.tobytes())
    return f"sha256:{digest.hexdigest()}"


def read_card(path: str | os.PathLike[str]) -> Card:
    """Read only the card of a model file; no array is loaded.

    Raises:
        ModelNotFound, InvalidModel, ModelTooNew: as `read`.
    """
    return _load(Path(path), arrays=False)[0]


def read(path: str | os.PathLike[str]) -> Model:
    """Read a model file and check that its parts belong together.

    Raises:
        ModelNotFound: no file lies at the path.
        InvalidModel: not a model file, or a part is missing, foreign or changed.
        ModelTooNew: a format that this version does not know.
    """
    path = Path(path)
    card, tensors = _load(path, arrays=True)
    try:
        model = _assemble(path, card, tensors)
        check(model)
    except InvalidModel as error:
        raise InvalidModel(f"{path}: {error}") from error
    return model


def write(model: Model, path: str | os.PathLike[str]) -> Path:
    """Write a model file under a temporary name and rename it, so that a half file never carries the final name.

    Raises:
        InvalidModel: the parts of the model do not belong together, or its card holds what JSON cannot; nothing is
            written.
        ModelError: the file cannot be written there.
    """
    check(model)
    tensors = {
        f"weights/{role}/{name}": array for role, named in model.weights.items() for name, array in named.items()
    }
    for adapter in model.adapters.values():
        tensors |= adapter.tensors()
    card = replace(model.card, format=format_of(model.adapters.values()))
    tensors |= {f"graphs/{role}": np.frombuffer(graph, dtype=np.uint8) for role, graph in model.graphs.items()}
    tensors |= {f"tables/{name}": array for name, array in model.tables.items()}
    return store(Path(path), tensors, {KEY: card.to_json()}, kind="model")


def format_of(adapters: Iterable[Adapter]) -> int:
    """The oldest format that knows all that these adapters hold."""
    scaled = any("scale" in factors for adapter in adapters for factors in adapter.factors.values())
    return WHOLE_NUMBERS if scaled else PLAIN


def store(path: Path, tensors: Mapping[str, NDArray[Any]], metadata: dict[str, str], *, kind: str) -> Path:
    """Write a safetensors file under a temporary name and rename it. Raises ModelError, which names the `kind`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
        # Not `save_file`: its files can be read by nobody but their owner.
        with temporary.open("xb") as stream:
            stream.write(save(stored, metadata=metadata))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: the {kind} file cannot be written ({error}).") from error
    finally:
        # Where a folder turned out to be a file there is nothing to remove, and the complaint above is the one to hear.
        with contextlib.suppress(OSError):
            temporary.unlink()
    return path


def _load(path: Path, *, arrays: bool) -> tuple[Card, dict[str, NDArray[Any]]]:
    text, tensors = load(path, KEY, _advice, arrays=arrays)
    try:
        return Card.from_json(text), tensors
    except ModelError as error:
        raise type(error)(f"{path}: {error}") from error


def load(
    path: Path, key: str, advice: Callable[[dict[str, str]], str], *, arrays: bool = True
) -> tuple[str, dict[str, NDArray[Any]]]:
    """The text of one key of a safetensors file's metadata, and the arrays. `advice` says what else a file may be.

    Raises:
        ModelNotFound: no file lies at the path.
        InvalidModel: it cannot be read, or does not have the key.
    """
    if not path.is_file():
        raise ModelNotFound(f"{path}: no such file.")
    try:
        _check_size(path)
        with safe_open(path, framework="numpy") as opened:
            metadata: dict[str, str] = opened.metadata() or {}
            if key not in metadata:
                raise InvalidModel(f"{path}: {advice(metadata)}")
            return metadata[key], {name: opened.get_tensor(name) for name in opened.keys()} if arrays else {}  # noqa: SIM118
    except OSError as error:
        raise InvalidModel(f"{path}: cannot be read ({error}).") from error
    except (SafetensorError, TypeError, ValueError, KeyError) as error:
        raise InvalidModel(f"{path}: not a model file, or cut short ({error}); fetch it again.") from error


def _advice(metadata: dict[str, str]) -> str:
    if "unveil-adapter" in metadata:
        return "an adapter, not a model; 'unveil adapters add MODEL ADAPTER' puts it into one."
    if "unveil-encoder" in metadata:
        return "an encoder, not a model; name it under restoration.encoder of a recipe (docs/papers/constyle-v2.md)."
    return "a safetensors file, but without unveil's card; make a model file with `unveil export`."


def _check_size(path: Path) -> None:
    """Before anything is allocated: no array is larger than the file, and the header is parsed as a whole."""
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise InvalidModel(f"{path}: {size / 1e9:.1f} GB, the limit for a model file is {LARGEST_FILE / 1e9:.1f} GB.")
    with path.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    if size >= 8 and header > min(LARGEST_HEADER, size):
        raise InvalidModel(f"{path}: not a model file, or cut short (a header of {header} bytes); fetch it again.")


def _assemble(path: Path, card: Card, tensors: Mapping[str, NDArray[Any]]) -> Model:
    weights: dict[str, dict[str, NDArray[Any]]] = {}
    factors: dict[str, dict[str, dict[str, NDArray[Any]]]] = {}
    graphs: dict[str, bytes] = {}
    tables: dict[str, NDArray[Any]] = {}
    for full, array in tensors.items():
        match full.split("/"):
            case ["weights", role, name]:
                weights.setdefault(role, {})[name] = array
            case ["adapters", degradation, name, factor]:
                factors.setdefault(degradation, {}).setdefault(name, {})[factor] = array
            case ["graphs", role]:
                if array.dtype != np.uint8 or array.ndim != 1:
                    raise InvalidModel(f"'{full}' is {array.dtype} of shape {array.shape}, expected bytes.")
                graphs[role] = array.tobytes()
            case ["tables", name]:
                tables[name] = array
            case _:
                raise InvalidModel(f"'{full}' is no tensor of a model file (see docs/reference/model-file.md).")
    if set(factors) != set(card.adapters):
        raise InvalidModel(f"has adapters for {sorted(factors)}, but its card speaks of {sorted(card.adapters)}.")
    adapters = {
        degradation: Adapter(
            degradation, entry.rank, entry.alpha, entry.mode, entry.base_checksum, factors[degradation]
        )
        for degradation, entry in card.adapters.items()
    }
    return Model(path, card, weights, adapters, graphs, tables)


def check(model: Model) -> None:
    """Check that the parts of a model belong together.

    Raises:
        InvalidModel: naming the part that is missing, foreign or changed.
    """
    card = model.card
    for kind, named in (("weights", model.weights), ("graphs", model.graphs)):
        if foreign := set(named) - set(ROLES):
            raise InvalidModel(f"has {kind} for unknown roles {sorted(foreign)}; known are {', '.join(ROLES)}.")
    for role, named in model.weights.items():
        for name, array in named.items():
            _check_array(f"weights/{role}/{name}", array)
    wanted = ["restore", *(["estimate"] if card.estimator else []), *([code_role(card)] if card.codes else [])]
    wanted += ["map"] if card.map else []
    for role in wanted:
        if not model.graphs.get(role):
            raise InvalidModel(f"has no graph 'graphs/{role}', which its card calls for.")
    if not model.weights.get("restore"):
        raise InvalidModel("has no weights 'weights/restore/...'.")
    if (found := base_checksum(model.weights["restore"])) != card.base_checksum:
        raise InvalidModel(
            f"its base weights have checksum {found}, its card says {card.base_checksum}; they were changed."
        )
    undone = set(card.adapters) | set(card.prompts)
    if set(model.adapters) != set(card.adapters) or set(card.degradations) != undone:
        raise InvalidModel(
            f"has adapters {sorted(model.adapters)}; its card lists adapters {sorted(card.adapters)}, "
            f"prompts {sorted(card.prompts)} and degradations {sorted(card.degradations)}; they must be the same."
        )
    if card.estimator and undone and not undone & set(card.estimator.classes):
        raise InvalidModel(
            f"its estimator tells {', '.join(card.estimator.classes)} apart, none of which the model can undo; that is "
            f"{', '.join(sorted(undone))}."
        )
    _check_prompts(model)
    for degradation, adapter in model.adapters.items():
        _check_adapter(degradation, adapter, card, model.weights["restore"])


def code_role(card: Card) -> str:
    """The role whose graph gives the codes: of a prompt, or of the picture itself."""
    return "prompt" if card.prompts else "encode"


def _check_prompts(model: Model) -> None:
    card = model.card
    if not card.prompts:
        return
    table = model.tables.get(PROMPTS)
    if table is None or table.ndim != 3 or len(table) != len(card.prompts):
        found = "none" if table is None else f"one of shape {table.shape}"
        raise InvalidModel(
            f"its card names {len(card.prompts)} prompts, which 'tables/{PROMPTS}' must have as rows; found {found}."
        )
    if table.dtype.name not in ("float16", "float32") or not np.isfinite(table).all():
        raise InvalidModel(f"'tables/{PROMPTS}' is {table.dtype} or not finite everywhere, expected float32.")
    if not card.codes or card.adapters:
        raise InvalidModel("its card names prompts, but no codes or also adapters.")


def _check_adapter(degradation: str, adapter: Adapter, card: Card, base: Mapping[str, NDArray[Any]]) -> None:
    entry = card.adapters[degradation]
    for key in ("rank", "alpha", "mode"):
        if getattr(adapter, key) != getattr(entry, key):
            raise InvalidModel(
                f"the adapter {degradation!r} has {key} {getattr(adapter, key)}, its card {getattr(entry, key)}."
            )
    for checksum in (adapter.base_checksum, entry.base_checksum):
        if checksum != card.base_checksum:
            raise InvalidModel(
                f"the adapter {degradation!r} was trained on the base {checksum}, this is {card.base_checksum}."
            )
    for name, factors in adapter.factors.items():
        if name not in base:
            raise InvalidModel(f"the adapter {degradation!r} changes '{name}', which the base network does not have.")
        for factor, array in factors.items():
            _check_array(f"adapters/{degradation}/{name}/{factor}", array)
        try:
            check_factors(factors, tuple(base[name].shape), adapter.rank)
        except InvalidModel as error:
            raise InvalidModel(f"the adapter {degradation!r} at '{name}': {error}.") from error


def check_arrays(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Check arrays by their full names. Raises InvalidModel for one of a wrong kind, or not finite everywhere."""
    for full, array in tensors.items():
        _check_array(full, array)


def _check_array(full: str, array: NDArray[Any]) -> None:
    if "/" in full.split("/", 2)[2] and not full.startswith("adapters/"):
        raise InvalidModel(f"the name in '{full}' contains a '/'.")
    kinds = ("float16", "float32", *(("int8",) if full.startswith("adapters/") else ()))
    if array.dtype.name not in kinds:
        raise InvalidModel(f"'{full}' is {array.dtype}, expected {' or '.join(kinds)}.")
    if array.size == 0 or not np.isfinite(array).all():
        raise InvalidModel(f"'{full}' is {'empty' if array.size == 0 else 'not finite everywhere'}.")
