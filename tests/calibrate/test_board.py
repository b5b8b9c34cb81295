"""The board: what is printed, and what a file may hold."""

from pathlib import Path

import pytest
from PIL import Image

from emma.calibrate.board import PRINT_DPI, Board, load_board
from emma.errors import EmmaError


def test_written_and_read_again(tmp_path: Path) -> None:
    board = Board(columns=7, rows=5, square_m=0.0251, marker_m=0.019, dictionary="DICT_4X4_50", legacy=True)
    files = board.write(tmp_path)
    assert load_board(tmp_path) == board
    assert files[2].read_bytes().startswith(b"%PDF")
    with Image.open(files[1]) as page:
        # 7 squares of 25.1 mm and two margins of 12 mm.
        assert page.width / PRINT_DPI * 25.4 == pytest.approx(7 * 25.1 + 24, abs=0.2)
        assert page.info["dpi"][0] == pytest.approx(PRINT_DPI, abs=0.1)


def test_corners_lie_on_the_squares() -> None:
    board = Board(columns=5, rows=4, square_m=0.02, marker_m=0.015)
    assert board.points.shape == (12, 3)
    assert board.points[0].tolist() == pytest.approx([0.02, 0.02, 0])
    assert board.points[-1].tolist() == pytest.approx([0.08, 0.06, 0])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("square_m: 30\n", "30 m"),
        ("square_m: .nan\n", "nan m"),
        ("columns: 2\n", "2"),
        ("columns: 7.5\n", "7.5"),
        ("dictionary: DICT_9X9\n", "DICT_9X9"),
        ("dictionary: DICT_4X4_50\ncolumns: 20\nrows: 20\n", "200 markers, 50 in DICT_4X4_50"),
        ("marker_m: 0.05\n", "0.05"),
        ("colour: red\n", "colour"),
        ("- 1\n", "list"),
    ],
)
def test_a_bad_board_is_refused(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "board.yaml").write_text(text)
    with pytest.raises(EmmaError) as error:
        load_board(tmp_path)
    assert found in str(error.value)
    assert "board.yaml" in str(error.value)
