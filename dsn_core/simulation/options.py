"""What a user may choose about a simulated drive, and the errors the simulation raises."""

from dataclasses import dataclass

from dsn_core.errors import UserError

__all__ = ['CONDITIONS', 'SimulationError', 'SimulationOptions']

CONDITIONS = ('day', 'dusk', 'night')


class SimulationError(UserError):
    """The simulation cannot run as asked; the message names the remedy."""


@dataclass(frozen=True)
class SimulationOptions:
    """Options of a drive. The random choices themselves follow from the drive's seed."""

    height: int = 320
    """Rows of the picture, pixels."""
    width: int = 576
    """Columns of the picture, pixels."""
    fps: float = 10.0
    """Frames per simulated second. 1 or 2 gives well separated views for training."""
    max_depth: float = 200.0
    """What is farther (metres along the optical axis) is drawn, but its depth is +inf."""
    length: float = 400.0
    """Metres of street before the drive goes on in another one."""
    max_grade: float = 0.04
    """Steepest slope of the street; 0 is flat."""
    min_radius: float = 140.0
    """Tightest bend, metres; above 100, as the ground beside the road bends along."""
    clutter: float = 1.0
    """How much stands along the street and drives on it, 0 (nothing but ground) to 1."""
    narrow: float = 0.0
    """Share of the streets that are narrow, 0 to 1: a lane between parked cars, hedges and house
    fronts. The others are the same whatever it is."""
    colour_scale: float = 1.5
    """Colour is drawn this many times larger and area-averaged, against jagged edges; 1 to 3."""
    shadow_size: int = 2048
    """Side of the sun's shadow map in texels; 0 draws none."""
    effects: bool = True
    """Camera effects (noise, glare, vignetting, motion blur, drops on the lens, JPEG, exposure
    that follows the scene); without, the exposure is that of the street's first frame."""
    dynamics: bool = True
    """The car speeds up and brakes, and its body pitches, rolls and heaves; without, it glides
    at one speed, upright to the road."""
    lidar_rings: int = 32
    """Rings of the simulated LiDAR."""
    lidar_azimuth_step: float = 0.4
    """Degrees between two LiDAR columns."""
    lidar_fov: float = 120.0
    """Degrees that the LiDAR scans about straight ahead; 360 is all around."""
    lidar_noise: float = 0.0
    """Standard deviation of the LiDAR's range in metres; 0.01 is typical of a real one."""

    def __post_init__(self) -> None:
        def need(ok: bool, field: str, rule: str) -> None:
            if not ok:
                value = getattr(self, field)
                raise SimulationError(f'simulation option {field} = {value!r}: must be {rule}')

        need(16 <= self.height <= 4096, 'height', '16 to 4096')
        need(16 <= self.width <= 4096, 'width', '16 to 4096')
        need(self.fps > 0, 'fps', 'positive')
        need(10 <= self.max_depth <= 255, 'max_depth', '10 to 255 metres (16-bit PNG, 1/256 m)')
        need(100 <= self.length <= 2000, 'length', '100 to 2000 metres')
        need(0 <= self.max_grade <= 0.15, 'max_grade', '0 to 0.15')
        need(self.min_radius >= 100, 'min_radius', 'at least 100 metres')
        need(0 <= self.clutter <= 1, 'clutter', '0 to 1')
        need(0 <= self.narrow <= 1, 'narrow', '0 to 1')
        need(1 <= self.colour_scale <= 3, 'colour_scale', '1 to 3')
        need(0 <= self.shadow_size <= 8192, 'shadow_size', '0 to 8192 texels')
        need(1 <= self.lidar_rings <= 256, 'lidar_rings', '1 to 256')
        need(0.01 <= self.lidar_azimuth_step <= 10, 'lidar_azimuth_step', '0.01 to 10 degrees')
        need(1 <= self.lidar_fov <= 360, 'lidar_fov', '1 to 360 degrees')
        need(0 <= self.lidar_noise <= 1, 'lidar_noise', '0 to 1 metre')
