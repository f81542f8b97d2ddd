"""The picture of the rooms: how it is drawn, and that the committed one shows today's code."""

import re
from xml.etree import ElementTree as ET

import pytest
import rooms

LAYERS = [["top"], ["left", "right"], ["ground"]]
IMPORTS = {"top": {"left", "ground"}, "left": {"ground"}, "right": set(), "ground": set()}
SVG = "{http://www.w3.org/2000/svg}"


def drawn(imports, layers=LAYERS):
    return ET.fromstring(rooms.draw(imports, layers))


def boxes(root):
    """Room -> (left, top, right, bottom)."""
    groups = [group for group in root.iter(f"{SVG}g") if group.get("font-family")]
    found = zip(groups[0].iter(f"{SVG}rect"), groups[0].iter(f"{SVG}text"), strict=True)
    sides = {text.text: [float(rect.get(name)) for name in ("x", "y", "width", "height")] for rect, text in found}
    return {room: (x, y, x + width, y + height) for room, (x, y, width, height) in sides.items()}


def heads(root):
    return sorted(path.get("marker-end") for path in root.iter(f"{SVG}path") if path.get("marker-end"))


def test_the_committed_picture_shows_the_code_as_it_is():
    expected = rooms.draw(rooms.read_imports(), rooms.read_layers(rooms.ROOT / "pyproject.toml"))
    assert rooms.TARGET.read_text(encoding="utf-8") == expected, "out of date: run python docs/rooms.py"


def test_imports_between_rooms_are_those_of_their_modules():
    found = rooms.read_imports()
    assert {"model", "judge", "report", "__main__"} <= set(found)
    assert "model" in found["judge"]
    assert all(room not in imported for room, imported in found.items())


def test_layers_are_stacked_in_order_and_no_two_boxes_touch():
    found = boxes(drawn(IMPORTS))
    assert set(found) == set(IMPORTS)
    assert found["top"][3] < found["left"][1] == found["right"][1] < found["ground"][1]
    sides = sorted([found["left"], found["right"]])
    assert sides[0][2] < sides[1][0]


def test_an_import_over_a_layer_leads_past_its_rooms_into_the_common_line():
    plan = rooms.plan_rows(rooms.stack_rooms(IMPORTS, LAYERS), IMPORTS)
    line = rooms.Node(1, "ground", is_line=True)
    ground = rooms.Node(2, "ground")
    assert (rooms.Node(0, "top"), line) in plan.edges
    assert (line, ground) in plan.edges
    assert (rooms.Node(1, "left"), ground) in plan.edges
    assert plan.against == []
    middles = rooms.place_nodes(plan)
    assert all(not left < middles[line] < right for left, _, right, _ in map(boxes(drawn(IMPORTS)).get, ("left", "right")))


def test_an_import_against_the_layers_is_marked():
    assert "url(#to-against)" not in heads(drawn(IMPORTS))
    for against in ({"ground": {"top"}}, {"left": {"right"}}):
        assert heads(drawn(IMPORTS | against)).count("url(#to-against)") == 1


def test_what_no_layer_names_stands_on_top_and_what_is_not_there_is_left_out():
    assert rooms.stack_rooms(["b", "a", "top"], [["top", "none"], ["none"]]) == [["a", "b"], ["top"]]


def test_the_picture_is_told_in_words_too():
    text = drawn(IMPORTS).findtext(f"{SVG}desc")
    assert text.endswith("top: ground, left.")
    assert "right: nothing. " in text


def test_the_order_of_the_input_does_not_matter():
    turned = {room: sorted(there, reverse=True) for room, there in reversed(IMPORTS.items())}
    assert rooms.draw(turned, LAYERS) == rooms.draw(IMPORTS, LAYERS)


@pytest.mark.parametrize(
    "contract",
    [
        'layers = ["pkg.top", "pkg.left | pkg.right", "pkg.ground"]',
        'containers = ["pkg"]\nlayers = ["top", "(left) : right", "ground"]',
    ],
)
def test_layers_are_those_of_the_first_contract_over_rooms(tmp_path, contract):
    path = tmp_path / "pyproject.toml"
    table = "[[tool.importlinter.contracts]]\n"
    inner = f'{table}type = "layers"\nlayers = ["pkg.a.b", "pkg.a.c"]\n'
    path.write_text(f'{table}type = "forbidden"\n{inner}{table}type = "layers"\n{contract}\n')
    assert rooms.read_layers(path, "pkg") == LAYERS
    path.write_text(inner)
    assert rooms.read_layers(path, "pkg") == []


def test_the_command_writes_the_picture(tmp_path, monkeypatch, capsys):
    path = tmp_path / "rooms.svg"
    monkeypatch.setattr("sys.argv", ["rooms.py", str(path)])
    rooms.main()
    assert path.read_text(encoding="utf-8") == rooms.TARGET.read_text(encoding="utf-8")
    assert re.fullmatch(r"wrote .*rooms\.svg\n", capsys.readouterr().out)
