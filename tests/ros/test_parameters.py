"""Parameters come from a dataclass; what does not fit is refused with the parameter's name."""

from dataclasses import dataclass

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from emma.errors import EmmaError
from emma.ros.parameters import declare, on_change, parameter, read


@dataclass(frozen=True, kw_only=True)
class Sample:
    robot: str = parameter("desk_arm", "which robot")
    rate: float = parameter(10.0, "how often, Hz", minimum=1.0, maximum=100.0)
    count: int = parameter(3, "how many", minimum=0)
    loud: bool = parameter(False, "whether to shout")
    cameras: tuple[str, ...] = parameter((), "which cameras")
    offsets: tuple[float, ...] = parameter((0.5, 1.5), "how far, m")
    colour: str = parameter("red", "which colour", choices=("red", "blue"), runtime=True)

    def __post_init__(self) -> None:
        if self.loud and self.count == 0:
            raise ValueError("loud needs a count above 0")


@pytest.fixture
def node(context):
    made = []

    def make(**overrides):
        values = [Parameter(name, value=value) for name, value in overrides.items()]
        made.append(Node("sample", context=context, parameter_overrides=values))
        return made[-1]

    yield make
    for each in made:
        each.destroy_node()


def test_defaults_and_overrides_come_back_as_the_dataclass(node):
    assert declare(node(), Sample) == Sample()
    given = {"rate": 20.0, "count": 5, "cameras": ["top", "wrist"], "offsets": [2.0], "colour": "blue"}
    assert declare(node(**given), Sample) == Sample(
        rate=20.0, count=5, cameras=("top", "wrist"), offsets=(2.0,), colour="blue"
    )


def test_descriptions_ranges_and_types_are_told_to_ros(node):
    asked = node()
    declare(asked, Sample)
    rate, cameras, colour = (asked.describe_parameter(name) for name in ("rate", "cameras", "colour"))
    assert rate.description == "how often, Hz"
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (1.0, 100.0)
    assert rate.read_only
    assert not colour.read_only
    assert cameras.type == Parameter.Type.STRING_ARRAY.value
    assert "red, blue" in colour.additional_constraints


@pytest.mark.parametrize(
    ("overrides", "name", "words"),
    [
        ({"rate": "fast"}, "rate", "a number with a decimal point"),
        ({"rate": 10}, "rate", "a number with a decimal point"),
        ({"count": 2.5}, "count", "a whole number"),
        ({"cameras": "top"}, "cameras", "a list of texts"),
        ({"rate": 500.0}, "rate", "1 to 100"),
        ({"count": -1}, "count", "at least 0"),
        ({"colour": "green"}, "colour", "red, blue"),
        ({"loud": True, "count": 0}, "sample", "loud needs a count"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(node, overrides, name, words):
    with pytest.raises(EmmaError) as refusal:
        declare(node(**overrides), Sample)
    assert name in refusal.value.problem
    assert words in str(refusal.value)


def test_runtime_parameters_change_and_others_do_not(node):
    changed = node()
    declare(changed, Sample)
    seen = []

    def apply(values):
        if values.get("colour") == "blue" and seen:
            raise EmmaError("no more blue")
        seen.append(values)

    on_change(changed, Sample, apply)
    (done,) = changed.set_parameters([Parameter("colour", value="blue")])
    assert done.successful
    assert read(changed, Sample).colour == "blue"
    (wrong,) = changed.set_parameters([Parameter("colour", value="green")])
    assert "red, blue" in wrong.reason
    (refused,) = changed.set_parameters([Parameter("colour", value="blue")])
    assert "no more blue" in refused.reason
    (fixed,) = changed.set_parameters([Parameter("count", value=9)])
    assert not fixed.successful
    assert read(changed, Sample) == Sample(colour="blue")
