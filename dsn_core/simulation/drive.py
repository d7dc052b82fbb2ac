"""A drive down a simulated street: frames with exact depth, labels and poses."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import CITYSCAPES
from dsn_core.simulation.camera import PinholeCamera
from dsn_core.simulation.effects import CameraEffects, auto_exposure, develop, draw_effects
from dsn_core.simulation.lidar import cast, scan_pattern
from dsn_core.simulation.lighting import Footprint, Headlights, light_picture
from dsn_core.simulation.options import CONDITIONS, SimulationError, SimulationOptions
from dsn_core.simulation.render import Renderer
from dsn_core.simulation.town import Town, build_town
from dsn_core.simulation.weather import make_weather

__all__ = ['SimulatedDrive', 'SimulatedFrame']

SKY = CITYSCAPES.id_of('sky')
START = 5.0  # metres into the street


@dataclass(frozen=True)
class SimulatedFrame:
    """One frame. ``camera_to_world``: REP 103 optical axes (x right, y down, z forward)."""

    index: int
    time: float  # seconds
    image: NDArray[np.uint8]  # (H, W, 3) RGB
    depth: NDArray[np.float32]  # (H, W) metres along the optical axis; +inf: sky or too far
    labels: NDArray[np.uint8]  # (H, W) Cityscapes train ids
    camera_to_world: NDArray[np.float64]  # (4, 4)
    speed: float  # m/s
    segment: int = 0
    """Number of the street; the drive jumps to another one when a street ends."""


class SimulatedDrive:
    """A drive that follows from its seed; the same seed drives the same streets at any hour.

    So day, dusk and night of one seed show the same views in another light.
    """

    def __init__(
        self, seed: int, condition: str, options: SimulationOptions | None = None
    ) -> None:
        if condition not in CONDITIONS:
            raise SimulationError(f'condition {condition!r}: choose from {", ".join(CONDITIONS)}')
        if seed < 0:
            raise SimulationError(f'seed {seed}: must not be negative')
        self.seed, self.condition = seed, condition
        self.options = options or SimulationOptions()
        rng = self._rng(1)
        fov = float(np.radians(rng.uniform(50, 95)))
        self.intrinsics = PinholeCamera.from_fov(self.options.width, self.options.height, fov)
        robot = rng.random() < 0.15
        self.camera_height = float(rng.uniform(0.4, 1.0) if robot else rng.uniform(1.1, 2.0))
        """Metres above the road."""
        self.pitch = float(np.radians(rng.uniform(-4, 4)))
        """Radians, positive looking up, relative to the road."""
        self.roll = float(np.radians(rng.uniform(-1, 1)))
        """Radians, positive clockwise as the camera sees itself lean to the right."""
        self._shift = float(rng.normal(0, 0.15))
        self._renderer: Renderer | None = None
        self._held: tuple[int, int] | None = None
        self._town: Town | None = None

    def _rng(self, *salt: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self.seed, *salt]))

    @property
    def mounting(self) -> NDArray[np.float64]:
        """Rotation (3, 3): the camera's optical axes → the car's level optical axes."""
        cp, sp, cr, sr = (
            np.cos(self.pitch),
            np.sin(self.pitch),
            np.cos(self.roll),
            np.sin(self.roll),
        )
        tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return np.asarray(tilt @ lean)

    def _camera(self, town: Town, s: float, time: float) -> NDArray[np.float64]:
        plan, path = town.plan, town.path
        t = plan.lane(plan.ego_lane, 1) + self._shift + 0.12 * float(np.sin(time * 0.5))
        out = np.eye(4)
        yaw, slope = (
            path.yaw(s) + 0.008 * float(np.cos(time * 0.5)),
            float(np.arctan(path.grade(s))),
        )
        ahead = np.array([np.cos(yaw) * np.cos(slope), np.sin(yaw) * np.cos(slope), np.sin(slope)])
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        car = np.stack([right, np.cross(ahead, right), ahead], axis=1)
        out[:3, :3] = car @ self.mounting
        out[:3, 3] = path.at(s, t, 0.0) - car[:, 1] * self.camera_height
        return out

    def _place(
        self, town: Town, renderer: Renderer, time: float, camera_to_world: NDArray[np.float64]
    ) -> tuple[dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]], list[Footprint]]:
        actors, feet = {}, []
        for mover, position, quat in town.traffic.poses(time, town.path, town.plan):
            gap = np.linalg.norm(position[:2] - camera_to_world[:2, 3])
            if gap < mover.size[0] / 2 + 2.5:  # would stand in the camera: out of the way
                position = position - np.array([0, 0, 60.0])
            actors[mover.actor] = (position, quat)
            s, _ = town.traffic.where(mover, time, town.plan)
            yaw = town.path.yaw(s) + mover.yaw
            feet.append((float(position[0]), float(position[1]), *mover.size, yaw))
        for s, t, length, width, turn in town.traffic.parked:
            x, y, _ = town.path.point(s, t)
            feet.append((x, y, length, width, town.path.yaw(s) + turn))
        renderer.pose(actors, camera_to_world)
        return actors, feet

    def frames(self, count: int) -> Iterator[SimulatedFrame]:
        """Yield the first ``count`` frames."""
        opts, hour = self.options, CONDITIONS.index(self.condition)
        segment, entered = -1, 0.0
        s = np.inf
        try:
            for index in range(count):
                time = index / opts.fps
                if s > opts.length:
                    segment, entered = segment + 1, time
                    town = self._open(segment)
                    dice = self._rng(2, segment, hour)
                    streetlit = any(lamp.kind == 'street' for lamp in town.stage.lamps)
                    weather = make_weather(dice, self.condition, streetlit)
                    camera = draw_effects(dice, self.condition)
                    lights = Headlights(
                        weather.beam,
                        float(10 ** dice.uniform(3.85, 4.5)),
                        max(self.camera_height - float(dice.uniform(0.55, 0.9)), 0.05),
                        (1.0, float(dice.uniform(0.82, 1.0)), float(dice.uniform(0.62, 1.05))),
                        float(dice.uniform(0.005, 0.025)),
                        float(dice.uniform(0.22, 0.45)),
                    )
                    white: float | None = None
                speed = town.traffic.ego_speed
                s = START + speed * (time - entered)
                pose = self._camera(town, s, time - entered)
                renderer = self._renderer
                assert renderer is not None
                actors, feet = self._place(town, renderer, time - entered, pose)
                self._held = (segment, index)
                sunny = weather.sun is not None
                picture = renderer.render(weather.to_sun if sunny else None)
                light = light_picture(
                    picture,
                    town.stage,
                    self.intrinsics,
                    pose,
                    self.mounting,
                    weather,
                    lights,
                    feet,
                    actors,
                )
                level = auto_exposure(light, camera)
                # exposure follows the scene within about half a second, as cameras' do
                keep = float(np.exp(-2.0 / opts.fps))
                white = level if white is None else white**keep * level ** (1 - keep)
                image = self._develop(light, camera, white, index, hour)
                labels = np.where(picture.geom >= 0, town.stage.geom_class[picture.geom], SKY)
                depth = np.where(
                    (picture.geom >= 0) & (picture.depth <= opts.max_depth), picture.depth, np.inf
                ).astype(np.float32)
                yield SimulatedFrame(
                    index, time, image, depth, labels.astype(np.uint8), pose, speed, segment
                )
        finally:
            self.close()

    def _develop(
        self,
        light: NDArray[np.float32],
        camera: CameraEffects,
        white: float,
        index: int,
        hour: int,
    ) -> NDArray[np.uint8]:
        if not self.options.effects:
            plain = CameraEffects(
                target=camera.target,
                glare_share=0,
                sharpness=0,
                vignette=0,
                electrons=1e9,
                read_noise=0,
                contrast=0,
                jpeg=0,
            )
            camera = plain
        return develop(light, camera, self._rng(3, hour, index), white)

    def _open(self, segment: int) -> Town:
        self.close()
        self._town = build_town(self.seed, segment, self.options)
        self._renderer = Renderer(
            self._town.stage,
            self.intrinsics,
            self.options.colour_scale,
            self.options.shadow_size > 0,
        )
        return self._town

    def lidar(self, frame: SimulatedFrame) -> NDArray[np.float32]:
        """Scan at ``frame``: points (N, 3), metres, in that frame's camera optical frame.

        Valid while ``frames`` is being iterated and ``frame`` is the latest it gave.
        """
        if (
            self._renderer is None
            or self._town is None
            or self._held != (frame.segment, frame.index)
        ):
            raise SimulationError(
                f'lidar of frame {frame.index}: only the latest frame of a running drive can be '
                'scanned; call it inside the loop over frames()'
            )
        opts = self.options
        pattern = scan_pattern(opts.lidar_rings, opts.lidar_azimuth_step)
        noise = None
        if opts.lidar_noise > 0:
            noise = self._rng(4, frame.index).normal(0, opts.lidar_noise, len(pattern))
        return cast(
            self._town.stage.model,
            self._renderer.data,
            frame.camera_to_world,
            self.mounting,
            pattern,
            noise,
        )

    def close(self) -> None:
        """Free the renderer; ``frames`` does so by itself when it ends."""
        if self._renderer is not None:
            self._renderer.close()
        self._renderer, self._town, self._held = None, None, None
