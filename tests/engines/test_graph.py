import pytest

from toy import encode_graph, estimate_graph, external_graph, restore_graph, value
from unveil.engines.graph import Place, Signature, read_signature, solve_dimensions
from unveil.errors import EngineError, InvalidModel


def test_inputs_outputs_and_weights_are_read():
    signature = read_signature(restore_graph(code=True))
    assert signature.inputs == {"image": ("batch", 3, "4*rows", "4*columns"), "shade": (1, 3, 1, 1)}
    assert signature.outputs == ("restored",)
    assert signature.weights == {
        "body.weight": Place(0, 13824, (8, 48, 3, 3)),
        "body.bias": Place(13824, 32, (8,)),
        "tail.weight": Place(13856, 13824, (48, 8, 3, 3)),
    }


def test_constants_inside_the_graph_are_no_weights():
    assert list(read_signature(estimate_graph()).weights) == ["head.weight", "head.bias"]


@pytest.mark.parametrize("content", [b"", b"JFIF", b"\xff" * 40, restore_graph()[:-7], b"\x08\x08"])
def test_what_is_no_graph_is_refused(content):
    with pytest.raises(InvalidModel, match="no ONNX graph"):
        read_signature(content)


def test_weights_in_foreign_files_are_refused():
    graph = encode_graph().replace(b"weights.bin", b"../.profile")
    with pytest.raises(InvalidModel, match=r"\.\./\.profile"):
        read_signature(graph)


def test_composed_symbols_are_solved():
    solved = solve_dimensions(read_signature(restore_graph()), {"batch": 1, "height": 512, "width": 64})
    assert solved == {"batch": 1, "4*rows": 512, "rows": 128, "4*columns": 64, "columns": 16}


def test_symbols_may_be_left_free():
    assert solve_dimensions(read_signature(restore_graph()), {"batch": 2}) == {"batch": 2}


@pytest.mark.parametrize(("height", "width", "complaint"), [(10, 8, "multiple of 4"), (8, 4, "already")])
def test_impossible_dimensions_are_refused(height, width, complaint):
    signature = Signature({"image": ("batch", 3, "4*n", "4*n")}, ("restored",), {})
    with pytest.raises(EngineError, match=complaint):
        solve_dimensions(signature, {"batch": 1, "height": height, "width": width})


def test_fixed_side_cannot_be_changed():
    with pytest.raises(EngineError, match="takes only 32"):
        solve_dimensions(read_signature(estimate_graph()), {"height": 64})


def test_large_numbers_and_unnamed_sides():
    graph = external_graph([], [value("image", 1, 3, 70_000, None)], [value("image", 1)], {})
    assert read_signature(graph).inputs == {"image": (1, 3, 70_000, "")}
