"""The command line: every verb explains itself, bad input is told plainly."""

import pytest

from emma.cli import VERBS, build_parser, main


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    for verb in VERBS:
        # A long name has its text on the next line.
        assert f"\n    {verb} " in shown or f"\n    {verb}\n" in shown


@pytest.mark.parametrize("verb", VERBS)
def test_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        build_parser().parse_args([verb, "--help"])
    assert left.value.code == 0
    assert f"usage: emma {verb}" in capsys.readouterr().out


def test_bad_input_is_told_in_three_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["robots", "toaster"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("emma: ")
    for part in ("found:", "expected:", "to do:"):
        assert part in told


def test_a_mistake_in_a_verb_shows_the_usage_of_that_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["robots", "desk_arm", "--colour", "red"])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: emma robots")
    assert "unrecognized arguments: --colour red" in told


def test_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["teleport"])
    assert left.value.code == 2
    assert "teleport" in capsys.readouterr().err
