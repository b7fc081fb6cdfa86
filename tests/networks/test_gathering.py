"""Networks whose statistics of the whole picture are gathered first, and so agree from tile to tile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from global_networks import SMALL, OneBlock, alive, picture, tensor  # noqa: E402

from unveil import conversion, graphs, models, networks  # noqa: E402
from unveil.errors import InvalidRequest  # noqa: E402
from unveil.networks import gathering  # noqa: E402
from unveil.restoration import Restorer  # noqa: E402


@pytest.mark.parametrize("name", SMALL)
def test_on_a_whole_picture_nothing_changes(name: str) -> None:
    plain, gathered = alive(name), alive(name, gathered=True)
    assert plain.state_dict().keys() == gathered.state_dict().keys()
    image = tensor(picture(64, 128))
    with torch.inference_mode():
        torch.testing.assert_close(gathered(image), plain(image), atol=2e-6, rtol=1e-5)
        code = gathered.summarise(image)
        assert code.shape == (1, gathered.code)
        other = gathered.restore(image, gathered.summarise(image.flip(1) * 0.3))
    assert (other - plain(image)).abs().max() > 1e-3


@pytest.mark.parametrize("name", SMALL)
def test_a_tile_under_the_pictures_statistics_is_a_part_of_it(name: str) -> None:
    """Far from the cut, to rounding; without them it is another picture."""
    network = alive(name, gathered=True)
    image = tensor(picture(64, 384))
    with torch.inference_mode():
        whole = network(image)[..., :96]
        tile = network.restore(image[..., :256], network.summarise(image))[..., :96]
        alone = network(image[..., :256])[..., :96]
    assert (tile - whole).abs().max() < 1e-5
    assert (alone - whole).abs().max() > 100 * (tile - whole).abs().max()


def test_a_converted_file_restores_in_tiles_as_in_one(tmp_path: Path) -> None:
    name = "nafnet"
    torch.save(alive(name).state_dict(), tmp_path / "w.pth")
    found = conversion.recognise(tmp_path / "w.pth")
    made = conversion.convert(found, tmp_path / "w.pth", conversion.Options(gather=True))
    # No weight is stored twice.
    assert not made.weights["encode"]
    config = {key: value for key, value in made.card.network["config"].items() if key != "gathered"}
    plain = replace(made, card=replace(made.card, network={"name": name, "config": config}, codes=()))
    pixels = picture(160, 224)
    whole = Restorer(plain, engine="torch", threads=1, tile_side=4096).restore(pixels)
    models.write(made, tmp_path / "m.safetensors")
    gathered = models.read(tmp_path / "m.safetensors")
    assert np.abs(Restorer(gathered, threads=1, tile_side=4096).restore(pixels) - whole).max() < 1e-5
    results = [
        Restorer(model, engine=engine, threads=1, tile_side=64).run(pixels)
        for model, engine in ((gathered, "onnx"), (gathered, "torch"), (plain, "torch"))
    ]
    assert all(done.tiles > 1 for done in results)
    near, same, far = (done.image for done in results)
    np.testing.assert_allclose(same, near, atol=2e-5)
    assert np.mean((near - whole) ** 2) < np.mean((far - whole) ** 2) / 4


def test_the_graph_that_restores_computes_no_statistics() -> None:
    """What is given need not be found once more: queries and keys drop out."""
    import onnx

    made = [graphs.restoring(network).data for network in (OneBlock(), gathering.gathered(OneBlock()))]
    plain, gathered = (sum(node.op_type == "Conv" for node in onnx.load_from_string(data).graph.node) for data in made)
    # Of six convolutions that make queries, keys and values, two are left.
    assert plain - gathered == 4


def test_what_takes_no_means_of_the_picture_is_refused(tmp_path: Path) -> None:
    for name, config in (("fastnaf", {}), ("promptir", {"dim": 8, "blocks": [1, 1, 1, 1], "refinement": 1})):
        with pytest.raises(ValueError, match="takes no means of the whole picture, or more than means"):
            gathering.gathered(networks.build(name, **config))
    torch.save(networks.build("srresnet").state_dict(), tmp_path / "w.pth")
    found = conversion.recognise(tmp_path / "w.pth")
    with pytest.raises(InvalidRequest, match="NAFNet, FastNAF with attention, Restormer and X-Restormer"):
        conversion.convert(found, tmp_path / "w.pth", conversion.Options(gather=True))
