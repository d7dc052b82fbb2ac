"""The node's parameters: one table, from which declaration, checks and documentation come.

Pure Python: ROS is needed by :func:`declare` only. ``config/perception.yaml`` holds the same
defaults for users to copy; a test holds the two together.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = [
    'PARAMETERS',
    'Parameter',
    'declare',
    'markdown_table',
    'parameter',
    'refusal',
    'validate',
]

Value = bool | int | float | str

_TYPE_WORDS = {bool: 'true or false', int: 'a whole number', float: 'a number', str: 'text'}
_TYPE_NAMES = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}


@dataclass(frozen=True)
class Parameter:
    """One parameter; its type is that of ``default``.

    ``live``: a change takes effect with the next frame. The others are read when the node is
    configured and can't change until it is cleaned up.
    """

    name: str
    default: Value
    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    def problem(self, value: Any) -> str | None:
        """Return why ``value`` can't be this parameter's (naming it and the remedy), or None."""
        wanted = type(self.default)
        # bool is an int to Python, not to ROS; a double may be written without its point.
        fits = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and wanted is not bool):
            return (
                f'parameter {self.name} is {value!r}: it must be {_TYPE_WORDS[wanted]}'
                f'{self._remedy()}'
            )
        if self.choices and value not in self.choices:
            return f'parameter {self.name} is {value!r}: choose from {", ".join(self.choices)}'
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low = -math.inf if self.minimum is None else self.minimum
            high = math.inf if self.maximum is None else self.maximum
            if not (math.isfinite(value) and low <= value <= high):
                return f'parameter {self.name} is {value}: set it within {self.range_text}'
        return None

    def coerced(self, value: Any) -> Value:
        """Return ``value``, which has no problem, in the parameter's own type."""
        return type(self.default)(value)

    @property
    def range_text(self) -> str:
        """The values that are allowed, as a phrase; empty where every value of the type is."""
        if self.choices:
            return ', '.join(f"'{choice}'" for choice in self.choices)
        if self.minimum is None or self.maximum is None:
            return ''
        return f'{self.minimum:g} to {self.maximum:g}{" " + self.unit if self.unit else ""}'

    @property
    def type_name(self) -> str:
        """The type as ROS calls it."""
        return _TYPE_NAMES[type(self.default)]

    def _remedy(self) -> str:
        return f' ({self.range_text})' if self.range_text else ''


PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        'model',
        '',
        'Path of the deploy graph (ONNX, as dsn export writes it); none given: the weights that '
        'come with the package.',
    ),
    Parameter(
        'engine',
        'auto',
        'What runs the network, :cpu or :cuda behind it to name the device; auto takes the best '
        'that this machine has (dsn engine --list).',
        choices=(
            'auto',
            'openvino',
            'onnxruntime',
            'onnxruntime:cpu',
            'onnxruntime:cuda',
            'torch',
            'torch:cpu',
            'torch:cuda',
            'tensorrt',
        ),
    ),
    Parameter(
        'precision',
        'auto',
        'Arithmetic of the engine; auto takes the fastest that passes the golden-frame check.',
        choices=('auto', 'fp32', 'bf16', 'fp16', 'int8'),
    ),
    Parameter(
        'threads',
        0,
        'CPU threads of the engine; 0 leaves the number to it.',
        minimum=0,
        maximum=256,
    ),
    Parameter(
        'image_transport',
        'raw',
        'raw subscribes to image (sensor_msgs/Image), compressed to image/compressed '
        '(sensor_msgs/CompressedImage, jpeg or png).',
        choices=('raw', 'compressed'),
    ),
    Parameter(
        'output_size',
        'model',
        "Size of all outputs: the model's own, or the camera's.",
        choices=('model', 'camera'),
        live=True,
    ),
    Parameter(
        'min_confidence',
        0.0,
        'Pixels whose class is less probable than this get label 255 and depth NaN.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    ),
    Parameter(
        'camera.fov_degrees',
        0.0,
        'Horizontal field of view of a camera whose camera_info is missing or uncalibrated (its '
        'lens is then taken to be without distortion); 0: unknown.',
        unit='degrees',
        minimum=0.0,
        maximum=179.0,
        live=True,
    ),
    Parameter(
        'scale.mode',
        'none',
        'How depth becomes metric: none leaves it as the model gives it (metres if the model is '
        'metric and camera_info is known), fixed multiplies it with scale.factor.',
        choices=('none', 'fixed'),
        live=True,
    ),
    Parameter(
        'scale.factor',
        1.0,
        "Metres per unit of the network's depth, used where scale.mode is fixed.",
        minimum=1e-6,
        maximum=1e6,
        live=True,
    ),
    Parameter(
        'max_age',
        0.0,
        'Frames older than this when their turn comes are dropped, and counted; 0 drops none. '
        'With a bag, set use_sim_time as well, or every frame is too old.',
        unit='s',
        minimum=0.0,
        maximum=3600.0,
        live=True,
    ),
    Parameter(
        'diagnostics_period',
        1.0,
        'Time between two messages on /diagnostics.',
        unit='s',
        minimum=0.1,
        maximum=60.0,
        live=True,
    ),
)

_BY_NAME = {each.name: each for each in PARAMETERS}


def parameter(name: str) -> Parameter | None:
    """Return the row called ``name``; None where that is no parameter of this table."""
    return _BY_NAME.get(name)


def validate(name: str, value: Any) -> str | None:
    """Return what is wrong with ``value`` for the parameter ``name``, in one line, or None."""
    row = _BY_NAME.get(name)
    if row is None:
        return f'no parameter {name}: there are {", ".join(_BY_NAME)}'
    return row.problem(value)


def refusal(name: str, value: Any, configured: Any = None) -> str | None:
    """Return why a change of ``name`` to ``value`` must be refused, in one line, or None.

    ``configured`` is the value in use, None while the node isn't configured. Names that aren't in
    the table (use_sim_time, QoS overrides) are nobody's business here.
    """
    row = _BY_NAME.get(name)
    if row is None:
        return None
    problem = row.problem(value)
    if problem is None and not row.live and configured not in (None, value):
        return (
            f'parameter {name} is read when the node is configured: '
            'deactivate and clean up the node first (ros2 lifecycle set)'
        )
    return problem


def declare(node: Any) -> dict[str, str]:
    """Declare every parameter on ``node`` with its description and range.

    A value given at start (params file, command line) that doesn't fit is not taken: the
    parameter gets its default, so that the process lives and can be asked and mended.

    Returns:
        What was wrong, by name; the node must not be configured while this isn't empty.

    """
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    problems: dict[str, str] = {}
    for row in PARAMETERS:
        # rclpy raises where a start value has the wrong type or is out of range, with a text that
        # has no remedy. So look at the value untyped first.
        untyped = ParameterDescriptor(dynamic_typing=True)
        value = node.declare_parameter(row.name, row.default, untyped).value
        node.undeclare_parameter(row.name)
        problem = row.problem(value)
        if problem is not None:
            problems[row.name] = problem
            value = row.default
        descriptor = ParameterDescriptor(description=row.description)
        constraints = [f'one of {row.range_text}'] if row.choices else []
        constraints += [] if row.live else ['read when the node is configured']
        descriptor.additional_constraints = '; '.join(constraints)
        if row.minimum is not None and row.maximum is not None:
            if isinstance(row.default, float):
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=row.minimum, to_value=row.maximum)
                ]
            else:
                descriptor.integer_range = [
                    IntegerRange(from_value=int(row.minimum), to_value=int(row.maximum), step=1)
                ]
        node.declare_parameter(row.name, row.coerced(value), descriptor, ignore_override=True)
    return problems


def markdown_table() -> str:
    """Return the table for the documentation, one row per parameter."""
    return '\n'.join(_markdown_rows()) + '\n'


def _markdown_rows() -> Iterator[str]:
    yield '| parameter | type | default | allowed | live | what it does |'
    yield '|---|---|---|---|---|---|'
    for row in PARAMETERS:
        default = f"'{row.default}'" if isinstance(row.default, str) else f'{row.default}'
        yield (
            f'| `{row.name}` | {row.type_name} | {default} | {row.range_text or "any"} | '
            f'{"yes" if row.live else "no"} | {row.description} |'
        )
