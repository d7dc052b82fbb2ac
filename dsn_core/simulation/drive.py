"""A drive down a simulated street: frames with exact depth, labels and poses."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import CITYSCAPES
from dsn_core.simulation.camera import PinholeCamera
from dsn_core.simulation.effects import CameraEffects, auto_exposure, develop, draw_effects
from dsn_core.simulation.lens import Drops, draw_drops
from dsn_core.simulation.lidar import cast, scan_pattern
from dsn_core.simulation.lighting import Footprint, Headlights, light_picture
from dsn_core.simulation.motion import START, CarState, EgoMotion, glide, tilted
from dsn_core.simulation.options import CONDITIONS, SimulationError, SimulationOptions
from dsn_core.simulation.render import Picture, Renderer
from dsn_core.simulation.town import Town, build_town
from dsn_core.simulation.weather import Weather, make_weather

__all__ = ['SimulatedDrive', 'SimulatedFrame']

SKY = CITYSCAPES.id_of('sky')


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
    segment: int
    """Number of the street; the drive jumps to another one when a street ends."""
    instances: NDArray[np.uint16]
    """(H, W) class * 1000 + number of countable things, the class of all else (Cityscapes)."""
    car_to_world: NDArray[np.float64]
    """(4, 4) of the road under the camera: the car's axes x right, y down, z ahead, unsprung."""
    car: CarState
    """How the car moves and stands on its springs."""


@dataclass(frozen=True)
class _Street:
    """One street of a drive."""

    town: Town
    weather: Weather
    camera: CameraEffects
    lights: Headlights
    drops: Drops | None
    motion: EgoMotion | None

    def state(self, time: float) -> CarState:
        """The car ``time`` seconds after it entered."""
        if self.motion is None:
            return glide(self.town.traffic.ego_speed, time)
        return self.motion.at(time)


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
        return tilted(self.pitch, self.roll)

    def _car(self, town: Town, state: CarState) -> NDArray[np.float64]:
        """Pose (4, 4) of the road under the camera: the car's level optical axes → world."""
        plan, path = town.plan, town.path
        s = START + state.travelled
        yaw, slope = path.yaw(s) + state.yaw, float(np.arctan(path.grade(s)))
        ahead = np.array([np.cos(yaw) * np.cos(slope), np.sin(yaw) * np.cos(slope), np.sin(slope)])
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        out = np.eye(4)
        out[:3, :3] = np.stack([right, np.cross(ahead, right), ahead], axis=1)
        out[:3, 3] = path.at(s, plan.lane(plan.ego_lane, 1) + self._shift + state.sway, 0.0)
        return out

    def _camera(self, car: NDArray[np.float64], state: CarState) -> NDArray[np.float64]:
        """Pose (4, 4) of the camera on the car's sprung body."""
        body = car @ state.body
        out = np.eye(4)
        out[:3, :3] = body[:3, :3] @ self.mounting
        out[:3, 3] = body[:3, 3] - body[:3, 1] * self.camera_height
        return out

    def _place(
        self,
        town: Town,
        renderer: Renderer,
        time: float,
        travelled: float,
        camera_to_world: NDArray[np.float64],
    ) -> tuple[dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]], list[Footprint]]:
        actors, feet = {}, []
        for mover, position, quat in town.traffic.poses(time, town.path, town.plan, travelled):
            gap = np.linalg.norm(position[:2] - camera_to_world[:2, 3])
            if gap < mover.size[0] / 2 + 2.5:  # would stand in the camera: out of the way
                position = position - np.array([0, 0, 60.0])
            actors[mover.actor] = (position, quat)
            s, _ = town.traffic.where(mover, time, town.plan, travelled)
            yaw = town.path.yaw(s) + mover.yaw
            feet.append((float(position[0]), float(position[1]), *mover.size, yaw))
        for s, t, length, width, turn in town.traffic.parked:
            x, y, _ = town.path.point(s, t)
            feet.append((x, y, length, width, town.path.yaw(s) + turn))
        renderer.pose(actors, camera_to_world)
        return actors, feet

    def _enter(self, segment: int) -> _Street:
        """Build a street and draw what the drive through it is like."""
        opts, hour = self.options, CONDITIONS.index(self.condition)
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
        drops = draw_drops(self._rng(7, segment, hour), opts.height, opts.width, weather.wet)
        motion = None
        if opts.dynamics:
            cruise, end = town.traffic.ego_speed, opts.length + 100
            motion = EgoMotion(town.path, town.plan, cruise, end, self._rng(6, segment))
        return _Street(town, weather, camera, lights, drops if opts.effects else None, motion)

    def frames(self, count: int) -> Iterator[SimulatedFrame]:
        """Yield the first ``count`` frames."""
        segment, entered, travelled = -1, 0.0, np.inf
        white: float | None = None
        try:
            for index in range(count):
                time = index / self.options.fps
                if START + travelled > self.options.length:
                    segment, entered, white = segment + 1, time, None
                    street = self._enter(segment)
                state = street.state(time - entered)
                travelled = state.travelled
                car = self._car(street.town, state)
                light, picture, pose = self._light(street, state, car, time - entered)
                self._held = (segment, index)
                white = self._exposure(light, street.camera, white)
                yield self._frame(
                    index,
                    time,
                    segment,
                    self._develop(light, street, white, index),
                    picture,
                    pose,
                    car,
                    state,
                )
        finally:
            self.close()

    def _light(
        self, street: _Street, state: CarState, car: NDArray[np.float64], time: float
    ) -> tuple[NDArray[np.float32], Picture, NDArray[np.float64]]:
        """Draw the street as it is: luminance (H, W, 3), what is seen, the camera's pose."""
        renderer, weather = self._renderer, street.weather
        assert renderer is not None
        pose = self._camera(car, state)
        actors, feet = self._place(street.town, renderer, time, state.travelled, pose)
        picture = renderer.render(weather.to_sun if weather.sun is not None else None)
        light = light_picture(
            picture,
            street.town.stage,
            self.intrinsics,
            pose,
            self.mounting,
            weather,
            street.lights,
            feet,
            actors,
        )
        return light, picture, pose

    def _exposure(
        self, light: NDArray[np.float32], camera: CameraEffects, white: float | None
    ) -> float:
        """The luminance that becomes white, after one that was ``white``."""
        if white is not None and not self.options.effects:
            return white
        level = auto_exposure(light, camera)
        # exposure follows the scene within about half a second, as cameras' do
        keep = float(np.exp(-2.0 / self.options.fps))
        return level if white is None else float(white**keep * level ** (1 - keep))

    def _frame(
        self,
        index: int,
        time: float,
        segment: int,
        image: NDArray[np.uint8],
        picture: Picture,
        pose: NDArray[np.float64],
        car: NDArray[np.float64],
        state: CarState,
    ) -> SimulatedFrame:
        assert self._town is not None
        stage, solid = self._town.stage, picture.geom >= 0
        within = solid & (picture.depth <= self.options.max_depth)
        return SimulatedFrame(
            index,
            time,
            image,
            np.where(within, picture.depth, np.inf).astype(np.float32),
            np.where(solid, stage.geom_class[picture.geom], SKY).astype(np.uint8),
            pose,
            state.speed,
            segment,
            np.where(solid, stage.geom_instance[picture.geom], SKY).astype(np.uint16),
            car,
            state,
        )

    def _develop(
        self,
        light: NDArray[np.float32],
        street: _Street,
        white: float,
        index: int,
    ) -> NDArray[np.uint8]:
        camera = street.camera
        if street.drops is not None:
            light = street.drops.refract(light)
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
        hour = CONDITIONS.index(self.condition)
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
        pattern = scan_pattern(opts.lidar_rings, opts.lidar_azimuth_step, opts.lidar_fov)
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
