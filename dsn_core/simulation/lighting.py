"""Lights what the renderer drew: luminance per pixel from sun, sky, street lamps, headlights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import CITYSCAPES
from dsn_core.simulation.camera import PinholeCamera
from dsn_core.simulation.reflections import add_gloss, add_mirror
from dsn_core.simulation.render import Picture
from dsn_core.simulation.stage import Compiled
from dsn_core.simulation.weather import Weather

__all__ = ['Footprint', 'Headlights', 'light_picture', 'surface_normals']

Float = NDArray[np.float32]
NEAREST_LAMPS = 14
GROUND = [CITYSCAPES.id_of(n) for n in ('road', 'sidewalk', 'terrain')]
LIT_BY_HOUR = [CITYSCAPES.id_of(n) for n in ('building', 'pole')]
LIT_BY_DRIVER = [
    CITYSCAPES.id_of(n) for n in ('car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')
]
SIGN = CITYSCAPES.id_of('traffic sign')
Footprint = tuple[float, float, float, float, float]  # world x, y, length, width, yaw


@dataclass(frozen=True)
class Headlights:
    """The camera car's own lamps, in the camera's optical frame when it looks level ahead."""

    kind: str  # none, low, high
    candela: float
    below: float  # metres below the camera
    colour: tuple[float, float, float]
    aim: float  # radians that the beam points below the horizon
    spread: float  # radians, horizontal half width of the beam


def _one_of(label: NDArray[np.uint8], ids: list[int]) -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[ids] = True
    return table[label]


def surface_normals(depth: Float, camera: PinholeCamera) -> Float:
    """Normals (H, W, 3), optical frame, facing the camera, from depth (H, W).

    Inverse depth is linear in the pixel on a plane, so its gradient gives the normal exactly;
    of the two neighbours the one on the same surface is used.
    """
    return np.ascontiguousarray(np.moveaxis(_normals(depth, camera, _planes(camera.rays())), 0, 2))


def _planes(picture: Float) -> Float:
    """(H, W, 3) → (3, H, W): arithmetic on planes is several times faster."""
    return np.ascontiguousarray(np.moveaxis(picture, 2, 0))


def _normals(depth: Float, camera: PinholeCamera, rays: Float) -> Float:
    w = np.where(np.isfinite(depth), 1.0 / np.maximum(depth, 1e-3), 0.0).astype(np.float32)

    def gradient(axis: int) -> Float:
        step = np.diff(w, axis=axis)
        pad = [(0, 0), (0, 0)]
        pad[axis] = (1, 0)
        back = np.pad(step, pad, mode='edge')
        pad[axis] = (0, 1)
        ahead = np.pad(step, pad, mode='edge')
        return np.where(np.abs(back) < np.abs(ahead), back, ahead)

    a, b = gradient(1) * np.float32(camera.fx), gradient(0) * np.float32(camera.fy)
    c = w - a * rays[0] - b * rays[1]
    scale = -1 / (np.sqrt(a * a + b * b + c * c) + np.float32(1e-9))
    return np.stack([a * scale, b * scale, c * scale])


def _own_beam(points: Float, normals: Float, lights: Headlights) -> Float:
    """Lux (N,) from the camera car's lamps on points (3, N) in the level car frame."""
    out = np.zeros(points.shape[1], np.float32)
    for x in (-0.62, 0.62):
        vx, vy, vz = points[0] - x, points[1] - float(lights.below), points[2] - 0.3
        r2 = vx * vx + vy * vy + vz * vz + 0.05
        r = np.sqrt(r2)
        cosine = -(normals[0] * vx + normals[1] * vy + normals[2] * vz) / r
        cosine = np.clip(cosine, 0, 1)
        h = np.arctan2(vx, np.maximum(vz, 1e-3))
        down = np.arcsin(np.clip(vy / r, -1, 1)) - lights.aim
        if lights.kind == 'low':
            cut = down + 0.035 * np.clip(h * 4.0, 0, 0.5)  # rises towards the near side
            vertical = np.where(cut > 0, np.exp(-cut / 0.085), 0.016 * np.exp(cut / 0.12) + 0.004)
            edge = 1 / (1 + np.exp(-np.clip(cut / 0.006, -30, 30)))
            shape = np.maximum(vertical * edge, 0.016 * np.exp(-np.abs(cut) / 0.12) + 0.003)
            wide = 0.75 * np.exp(-0.5 * (h / lights.spread) ** 2) + 0.25 * np.exp(
                -0.5 * (h / (2.2 * lights.spread)) ** 2
            )
        else:
            shape = 0.75 * np.exp(-0.5 * (down / 0.06) ** 2) + 0.25 * np.exp(
                -0.5 * (down / 0.2) ** 2
            )
            wide = np.exp(-0.5 * (h / (lights.spread * 0.8)) ** 2)
        ahead = vz > 0
        out += np.where(ahead, lights.candela * shape * wide * cosine / r2, 0).astype(np.float32)
    return out


def _contact(points: Float, ground: NDArray[np.bool_], feet: list[Footprint], eye: Float) -> Float:
    """Share of the sky (H, W) that ground pixels see beside and under vehicles and people."""
    open_sky = np.ones(ground.shape, np.float32)
    index = np.flatnonzero(ground)
    x, y = points[0].ravel()[index], points[1].ravel()[index]
    near = (np.abs(x - eye[0]) < 55) & (np.abs(y - eye[1]) < 55)
    index, x, y = index[near], x[near], y[near]
    for foot_x, foot_y, length, width, yaw in feet:
        size = float(max(length, width))
        if float(np.hypot(foot_x - eye[0], foot_y - eye[1])) > 55 or not len(index):
            continue
        hit = np.flatnonzero(
            (np.abs(x - float(foot_x)) < size) & (np.abs(y - float(foot_y)) < size)
        )
        if not len(hit):
            continue
        qx, qy = x[hit] - float(foot_x), y[hit] - float(foot_y)
        c, s = float(np.cos(yaw)), float(np.sin(yaw))
        dx = np.maximum(np.abs(qx * c + qy * s) - float(length) / 2, 0)
        dy = np.maximum(np.abs(-qx * s + qy * c) - float(width) / 2, 0)
        blur = 0.25 * min(float(width), 1.8)
        open_sky.ravel()[index[hit]] *= 1 - 0.82 * np.exp(-(dx + dy) / blur)
    return open_sky


def light_picture(
    picture: Picture,
    stage: Compiled,
    camera: PinholeCamera,
    camera_to_world: NDArray[np.float64],
    level: NDArray[np.float64],
    weather: Weather,
    headlights: Headlights,
    feet: list[Footprint],
    actors: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> Float:
    """Luminance (H, W, 3) in cd/m2, linear RGB.

    ``level``: (3, 3) rotation, camera's optical axes → the car's level optical axes.
    """
    turn = camera_to_world[:3, :3].astype(np.float32)
    eye = camera_to_world[:3, 3].astype(np.float32)
    shape = (3, camera.height, camera.width)
    rays = _planes(camera.rays())
    solid = picture.geom >= 0
    depth = np.where(solid, np.minimum(picture.depth, 2000.0), 1.0).astype(np.float32)
    in_camera = rays * depth
    points = (turn @ in_camera.reshape(3, -1) + eye[:, None]).reshape(shape)
    n_camera = _normals(picture.depth, camera, rays)
    normals = (turn @ n_camera.reshape(3, -1)).reshape(shape)
    reach = np.sqrt(rays[0] ** 2 + rays[1] ** 2 + 1)
    directions = (turn @ (rays / reach).reshape(3, -1)).reshape(shape)
    sky_id = np.uint8(CITYSCAPES.id_of('sky'))
    label = np.where(solid, stage.geom_class[picture.geom], sky_id)
    up = 0.5 + 0.5 * normals[2]
    bounce = 0.16 * _colour(weather.ambient)
    if weather.sun is not None:
        bounce = bounce + _colour(weather.sun) * (0.096 * max(float(weather.to_sun[2]), 0.0))
    open_sky = _contact(points, _one_of(label, GROUND), feet, eye)
    light: Float = up * open_sky * _colour(weather.ambient) + (1 - up) * open_sky * bounce
    if weather.sun is not None:
        light += picture.sun * _colour(weather.sun)
    far = depth * reach
    _add_lamps(light, stage, points, normals, weather, eye, turn[:, 2], actors, open_sky)
    if headlights.kind != 'none':
        near = np.flatnonzero(solid & (far < 160))
        tilt = level.astype(np.float32)
        here = np.take(in_camera.reshape(3, -1), near, axis=1)
        facing = np.take(n_camera.reshape(3, -1), near, axis=1)
        lux = np.zeros(far.size, np.float32)
        lux[near] = _own_beam(tilt @ here, tilt @ facing, headlights)
        light += lux.reshape(far.shape) * _colour(headlights.colour)
    wet = np.where(label == 0, np.float32(weather.wet), np.float32(0))
    albedo = np.clip(_planes(picture.albedo), 0, 1) * (1 - np.float32(0.45) * wet)
    out: Float = albedo * light * np.float32(1 / np.pi)
    add_gloss(out, picture, stage, directions, normals, wet, weather)
    _add_glow(out, albedo, picture, stage, label, light, weather)
    if weather.wet > 0:
        add_mirror(out, solid, directions, turn, wet, camera, weather)
    if weather.haze > 0:
        through = np.exp(-np.minimum(far, 1500) * np.float32(weather.haze))
        air = weather.horizon * 0.75 + weather.zenith * 0.25
        if weather.cloudiness >= 1:
            air = weather.cloud
        out = out * through + (1 - through) * _colour(air)
    sky = np.zeros_like(out)
    open_air = np.flatnonzero(picture.cover < 0.995)
    toward = np.ascontiguousarray(np.take(directions.reshape(3, -1), open_air, axis=1).T)
    sky.reshape(3, -1)[:, open_air] = weather.sky(toward).T
    cover = np.where(solid, np.maximum(picture.cover, 0.3), 0.0).astype(np.float32)
    out = out * cover + sky * (1 - cover)
    return np.ascontiguousarray(np.moveaxis(out, 0, 2))


def _colour(rgb: Float | tuple[float, float, float]) -> Float:
    return np.asarray(rgb, np.float32).reshape(3, 1, 1)


def _add_lamps(
    light: Float,
    stage: Compiled,
    points: Float,
    normals: Float,
    weather: Weather,
    eye: Float,
    ahead: Float,
    actors: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    open_sky: Float,
) -> None:
    lamps = []
    for lamp in stage.lamps:
        if (lamp.kind == 'street' and weather.lamps <= 0) or (
            lamp.kind == 'head' and not weather.cars_lit
        ):
            continue
        position, axis = np.array(lamp.position), np.array(lamp.direction)
        if lamp.actor is not None:
            at, (w, x, y, z) = actors[lamp.actor]
            turn = np.array(
                [
                    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
                ]
            )
            position, axis = at + turn @ position, turn @ axis
        forward = float((position - eye) @ ahead)
        away = float(np.linalg.norm(position - eye))
        reach = 30.0 if lamp.kind == 'street' else 45.0
        if forward > -reach * 0.8 and away < 130:
            lamps.append((away, reach, lamp, position.astype(np.float32), axis.astype(np.float32)))
    lamps.sort(key=lambda item: item[0])
    if not lamps:
        return
    px, py, pz = points.reshape(3, -1)
    nx, ny, nz = normals.reshape(3, -1)
    totals: dict[tuple[float, float, float], Float] = {}
    for _, reach, lamp, position, axis in lamps[:NEAREST_LAMPS]:
        x, y, z = (float(v) for v in position)
        hit = np.flatnonzero((px - x) ** 2 + (py - y) ** 2 < reach**2)
        dx, dy, dz = px[hit] - x, py[hit] - y, pz[hit] - z
        r2 = dx * dx + dy * dy + dz * dz + 0.1
        inverse = 1 / np.sqrt(r2)
        cosine = -(nx[hit] * dx + ny[hit] * dy + nz[hit] * dz) * inverse
        along = (dx * float(axis[0]) + dy * float(axis[1]) + dz * float(axis[2])) * inverse
        if lamp.kind == 'street':  # wide and flat, cut off above the horizon
            shape = np.sqrt(np.clip(along, 0, 1)) * (1.25 - 0.4 * along)
            cosine = np.clip(cosine * 0.9 + 0.1, 0, 1)
        else:
            shape = np.exp((along - 1) * (1 / 0.03)) + 0.02 * np.clip(along, 0, 1)
            cosine = np.clip(cosine, 0, 1)
        total = totals.setdefault(lamp.colour, np.zeros(px.size, np.float32))
        total[hit] += float(lamp.intensity) * shape * cosine * inverse * inverse
    for colour, total in totals.items():
        light += total.reshape(open_sky.shape) * open_sky * _colour(colour)


def _add_glow(
    out: Float,
    albedo: Float,
    picture: Picture,
    stage: Compiled,
    label: NDArray[np.uint8],
    light: Float,
    weather: Weather,
) -> None:
    """Add what shines by itself, and signs that throw light back."""
    table = np.zeros(256, np.float32)
    table[LIT_BY_HOUR] = weather.lamps
    table[LIT_BY_DRIVER] = float(weather.cars_lit)
    table[CITYSCAPES.id_of('traffic light')] = 1.0
    bright = np.append(stage.geom_glow[:, 0] > 0, False)  # the last for -1, the sky
    shines = np.flatnonzero(bright[picture.geom])
    kind = label.ravel()[shines]
    glow = stage.geom_glow[picture.geom.ravel()[shines]].T
    flat = out.reshape(3, -1)
    flat[:, shines] += glow * table[kind]
    sheet = shines[kind == SIGN]
    received = np.minimum(light.reshape(3, -1)[:, sheet], 60.0)
    flat[:, sheet] += albedo.reshape(3, -1)[:, sheet] * received * 1.5
