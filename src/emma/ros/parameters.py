"""ROS parameters from a frozen dataclass: declared with type, range and description, read back as the dataclass.

A field's type decides the parameter's: bool, int, float, str, tuple[str, ...] or tuple[float, ...].
"""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, get_type_hints

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from emma.errors import EmmaError
from emma.robots import DEFAULT_ROBOT

KINDS: dict[Any, Parameter.Type] = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
    tuple[str, ...]: Parameter.Type.STRING_ARRAY,
    tuple[float, ...]: Parameter.Type.DOUBLE_ARRAY,
}
WORDS = {
    Parameter.Type.BOOL: "true or false",
    Parameter.Type.INTEGER: "a whole number (5)",
    Parameter.Type.DOUBLE: "a number with a decimal point (5.0)",
    Parameter.Type.STRING: "text",
    Parameter.Type.STRING_ARRAY: "a list of texts",
    Parameter.Type.DOUBLE_ARRAY: "a list of numbers with decimal points",
}
ARRAYS = (Parameter.Type.STRING_ARRAY, Parameter.Type.DOUBLE_ARRAY)
LARGEST = {int: 2**63 - 1, float: float("inf")}


@dataclass(frozen=True)
class _About:
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    runtime: bool


def parameter(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    runtime: bool = False,
) -> Any:
    """A dataclass field that is a ROS parameter: read-only, unless `runtime` lets it change while the node runs."""
    return field(
        default=default, metadata={"parameter": _About(description, minimum, maximum, tuple(choices), runtime)}
    )


def robot_parameter() -> Any:
    """The parameter that names a node's robot."""
    return parameter(DEFAULT_ROBOT, "robot: a name that `emma robots` lists, or a path to a robot.yaml")


def declare[T](node: Node, cls: type[T]) -> T:
    """Declare every field of `cls` on `node` and return what was given. Raises EmmaError naming the parameter."""
    for name, kind, about, default in _specs(cls):
        try:
            # An empty list has no element type: the parameter is then declared by type alone and stays unset.
            node.declare_parameter(name, kind if default == [] else default, _descriptor(kind, about))
        except InvalidParameterTypeException as error:
            raise _wrong_type(node, name, kind, error) from None
        except InvalidParameterValueException as error:
            raise EmmaError(
                f"parameter {name} of node {node.get_name()} is out of range", found=error, expected=_allowed(about)
            ) from None
    return read(node, cls)


def read[T](node: Node, cls: type[T]) -> T:
    """The present values of the parameters as the dataclass. Raises EmmaError for a value `cls` does not accept."""
    values = {}
    for name, kind, about, _ in _specs(cls):
        value = node.get_parameter_or(name, Parameter(name)).value
        values[name] = tuple(value or ()) if kind in ARRAYS else value
        if about.choices and value not in about.choices:
            raise EmmaError(
                f"parameter {name} of node {node.get_name()} has a value it cannot take",
                found=repr(value),
                expected=f"one of {', '.join(about.choices)}",
            )
    try:
        return cls(**values)
    except ValueError as error:
        raise EmmaError(f"parameters of node {node.get_name()} do not fit together", found=error) from None


def on_change(node: Node, cls: type, apply: Callable[[dict[str, Any]], None]) -> None:
    """Call `apply` with the new values when parameters of `cls` are set at run time; an EmmaError refuses them."""
    choices = {name: about.choices for name, _, about, _ in _specs(cls) if about.choices}

    def changed(parameters: list[Parameter[Any]]) -> SetParametersResult:
        values = {p.name: p.value for p in parameters}
        for name, allowed in choices.items():
            if name in values and values[name] not in allowed:
                return SetParametersResult(successful=False, reason=f"{name} must be one of {', '.join(allowed)}")
        try:
            apply(values)
        except EmmaError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(changed)


def _specs(cls: type) -> list[tuple[str, Parameter.Type, _About, Any]]:
    hints = get_type_hints(cls)
    return [(f.name, KINDS[hints[f.name]], _about(f), _default(f)) for f in fields(cls)]


def _about(spec: Field) -> _About:
    about: _About = spec.metadata["parameter"]
    return about


def _default(spec: Field) -> Any:
    if spec.default is MISSING:
        raise TypeError(f"{spec.name} has no default")
    # rclpy takes lists, frozen dataclasses tuples.
    return list(spec.default) if isinstance(spec.default, tuple) else spec.default


def _descriptor(kind: Parameter.Type, about: _About) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        type=kind.value, description=about.description, read_only=not about.runtime, additional_constraints=""
    )
    if about.choices:
        descriptor.additional_constraints = f"one of {', '.join(about.choices)}"
    if about.minimum is None and about.maximum is None:
        return descriptor
    if kind is Parameter.Type.INTEGER:
        low = -LARGEST[int] if about.minimum is None else int(about.minimum)
        high = LARGEST[int] if about.maximum is None else int(about.maximum)
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=int(high), step=0)]
    else:
        low = -LARGEST[float] if about.minimum is None else float(about.minimum)
        high = LARGEST[float] if about.maximum is None else float(about.maximum)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    return descriptor


def _allowed(about: _About) -> str:
    low, high = ("" if bound is None else f"{bound:g}" for bound in (about.minimum, about.maximum))
    return f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"


def _wrong_type(node: Node, name: str, kind: Parameter.Type, found: object) -> EmmaError:
    return EmmaError(
        f"parameter {name} of node {node.get_name()} has the wrong type",
        found=found,
        expected=WORDS[kind],
        fix=f"correct -p {name}:=... or the YAML file",
    )
