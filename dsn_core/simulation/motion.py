"""How the camera car moves: along the street, in its lane, and on its springs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsn_core.simulation.path import Path
from dsn_core.simulation.plan import Plan

__all__ = ['START', 'CarState', 'EgoMotion', 'glide', 'tilted']

START = 5.0  # metres into the street
SWAY, SWAY_LENGTH = 0.12, 15.0  # metres: how far the car wanders in its lane, and over what way
STEP = 0.1  # metres between two points of the speed profile
RATE = 100.0  # steps of the springs per second
ACCELERATE, BRAKE, SIDEWAYS = 1.6, 2.4, 2.5  # m/s2 that a calm driver uses
# pitch, roll (radians per m/s2) of a middling car: about 3 and 5 degrees per g
LEAN = np.radians([0.3, 0.5])
FREQUENCY = 2 * np.pi * np.array([1.6, 1.3, 1.2])  # of pitch, roll, heave, radians per second
DAMPING = 0.3  # share of critical
ROUGHNESS = np.array([np.radians(0.25), np.radians(0.2), 0.008])  # rms at 10 m/s

Float = NDArray[np.float64]


@dataclass(frozen=True)
class CarState:
    """Where the car is and how it stands, at one time. Angles in radians."""

    travelled: float  # metres since the street began
    sway: float  # metres to the left of its place in the lane
    yaw: float  # relative to the street, positive to the left
    speed: float  # m/s
    pitch: float = 0.0  # of the body on its springs, positive nose up
    roll: float = 0.0  # positive leaning to the right
    heave: float = 0.0  # metres, positive up
    turning: float = 0.0  # radians per second, positive to the left

    @property
    def body(self) -> NDArray[np.float64]:
        """Pose (4, 4) of the sprung body on the road under it, level optical axes."""
        out = np.eye(4)
        out[:3, :3] = tilted(self.pitch, self.roll)
        out[1, 3] = -self.heave
        return out


def tilted(pitch: float, roll: float) -> NDArray[np.float64]:
    """Rotation (3, 3): tilted optical axes → level ones; nose up, leaning right, radians."""
    cp, sp, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(tilt @ lean)


def glide(speed: float, time: float) -> CarState:
    """The state at ``time`` of a car that goes at one speed, upright to the road."""
    return CarState(
        speed * time, SWAY * float(np.sin(time * 0.5)), 0.008 * float(np.cos(time * 0.5)), speed
    )


class EgoMotion:
    """A drive down one street: it slows down in bends and at crossings, never slides sideways.

    The body is a damped spring each for pitch, roll and heave (a quarter-car's slow mode, as in
    any text on vehicle dynamics), pushed by the car's acceleration and by the road's roughness.
    """

    def __init__(
        self, path: Path, plan: Plan, cruise: float, end: float, rng: np.random.Generator
    ) -> None:
        s = np.arange(START, end, STEP)
        curvature = np.interp(s, path.s, np.gradient(path.heading, path.s))
        speed = _speeds(s, curvature, plan, cruise, rng)
        self._travelled = s - START
        self._time = np.concatenate([[0.0], np.cumsum(2 * STEP / (speed[1:] + speed[:-1]))])
        self._speed, self._curvature = speed, curvature
        # v dv/ds: what the passengers feel
        along = np.gradient(speed**2 / 2, STEP)
        self._clock = np.arange(0.0, self._time[-1], 1 / RATE)
        push = np.stack([along, speed**2 * curvature])
        felt = np.stack([np.interp(self._clock, self._time, p) for p in push], axis=1)
        pace = np.interp(self._clock, self._time, speed)
        self._body = _springs(felt, pace, rng)

    def at(self, time: float) -> CarState:
        """The state ``time`` seconds after the street began; at its end the car stands."""
        travelled = float(np.interp(time, self._time, self._travelled))
        pitch, roll, heave = (float(np.interp(time, self._clock, b)) for b in self._body.T)
        # The sway goes with the way, not with time, and the heading is its slope: wheels roll.
        phase = travelled / SWAY_LENGTH
        speed = float(np.interp(time, self._time, self._speed))
        bend = float(np.interp(travelled, self._travelled, self._curvature))
        bend -= SWAY / SWAY_LENGTH**2 * float(np.sin(phase))
        return CarState(
            travelled,
            SWAY * float(np.sin(phase)),
            float(np.arctan(SWAY / SWAY_LENGTH * np.cos(phase))),
            speed,
            pitch,
            roll,
            heave,
            speed * bend,
        )


def _speeds(
    s: Float, curvature: Float, plan: Plan, cruise: float, rng: np.random.Generator
) -> Float:
    """Speed (N,) in m/s at ``s`` (N,) metres that a calm driver would choose."""
    knots = rng.uniform(-0.12, 0.06, int((s[-1] - s[0]) / 60) + 3)
    limit = cruise * (1 + np.interp((s - s[0]) / 60, np.arange(len(knots)), knots))
    limit = np.minimum(limit, np.sqrt(SIDEWAYS / np.maximum(np.abs(curvature), 1e-6)))
    for a, b in plan.crossings:
        u = rng.random()
        slow = 2.0 if u < 0.12 else cruise * float(rng.uniform(0.45, 0.85)) if u < 0.4 else cruise
        limit[(s > a - 4) & (s < b)] = np.minimum(limit[(s > a - 4) & (s < b)], slow)
    square = limit**2
    for i in range(1, len(s)):
        square[i] = min(square[i], square[i - 1] + 2 * ACCELERATE * STEP)
    for i in range(len(s) - 2, -1, -1):
        square[i] = min(square[i], square[i + 1] + 2 * BRAKE * STEP)
    half = round(5 / STEP)  # over 10 m: feet are not switches
    window = np.hanning(2 * half + 3)[1:-1]
    smooth = np.convolve(np.pad(square, half, mode='edge'), window / window.sum(), 'valid')
    return np.sqrt(smooth)


def _springs(felt: Float, pace: Float, rng: np.random.Generator) -> Float:
    """Pitch, roll and heave (N, 3) under accelerations ``felt`` (N, 2: ahead, to the left)."""
    # White noise of this size moves a damped spring by the wanted rms.
    rough = ROUGHNESS * float(rng.uniform(0.4, 1.5))
    rough = rough / np.sqrt(FREQUENCY / (4 * DAMPING * RATE))
    noise = rng.standard_normal((len(felt), 3)) * rough * np.sqrt(pace[:, None] / 10)
    target = noise
    target[:, :2] += felt * LEAN
    out = np.empty_like(target)
    place, rate = np.zeros(3), np.zeros(3)
    for i, goal in enumerate(target):
        out[i] = place
        rate = rate + (FREQUENCY**2 * (goal - place) - 2 * DAMPING * FREQUENCY * rate) / RATE
        place = place + rate / RATE
    return out
