"""Draws a stage with MuJoCo: what every pixel shows, before any light is computed.

Light is not left to MuJoCo's renderer, which lights vertices, with eight lamps at most and in
8 bits: it draws surface colours, geom ids, depth and the sun's shadows; ``lighting`` does the
rest.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.simulation.camera import PinholeCamera
from dsn_core.simulation.options import SimulationError
from dsn_core.simulation.stage import Compiled, load_mujoco

__all__ = ['Picture', 'Renderer']

HIDDEN_GROUP = 5
Float = NDArray[np.float32]


@dataclass(frozen=True)
class Picture:
    """What the camera sees, unlit. All arrays are (H, W) or (H, W, 3)."""

    geom: NDArray[np.int32]  # geom id; -1: sky
    depth: Float  # metres along the optical axis; inf: sky
    albedo: Float  # (H, W, 3) linear reflectance 0 to 1
    cover: Float  # share of the pixel that is not sky, 0 to 1
    sun: Float  # share of the sun's light that falls on it (cosine and shadow), 0 to 1


def _to_linear() -> Float:
    v = np.arange(256) / 255.0
    return np.where(v < 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _soften(sun: Float, geom: NDArray[np.int32]) -> Float:
    """Blur the shadow map's steps, but not across the edges of things."""
    edge = np.zeros(geom.shape, np.uint8)
    edge[:, 1:] |= geom[:, 1:] != geom[:, :-1]
    edge[1:] |= geom[1:] != geom[:-1]
    near = cv2.dilate(edge, np.ones((5, 5), np.uint8)) > 0
    return np.where(near, sun, cv2.GaussianBlur(sun, (7, 7), 1.6)).astype(np.float32)


class Renderer:
    """An offscreen MuJoCo context for one compiled stage and one camera."""

    def __init__(
        self, stage: Compiled, camera: PinholeCamera, colour_scale: float, shadows: bool
    ) -> None:
        mj = self._mj = load_mujoco()
        self._stage, self._camera, self._shadows = stage, camera, shadows
        self._model = stage.model
        self._data = mj.MjData(self._model)
        self._large = (round(camera.width * colour_scale), round(camera.height * colour_scale))
        self._model.cam_fovy[0] = float(np.degrees(camera.vertical_fov))
        try:
            self._gl = mj.GLContext(*self._large)
            self._gl.make_current()
            self._context = mj.MjrContext(self._model, mj.mjtFontScale.mjFONTSCALE_100)
        except Exception as error:  # whatever EGL, OSMesa or GLFW raise
            raise SimulationError(
                f'cannot open an OpenGL context ({error}): choose another gpu '
                '(MUJOCO_EGL_DEVICE_ID), or without a display set MUJOCO_GL=egl and install '
                'libegl1 and libgl1-mesa-dri'
            ) from error
        mj.mjr_setBuffer(mj.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mj.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mj.MjvScene(self._model, int(self._model.ngeom) + 64)
        self._option = mj.MjvOption()
        self._option.geomgroup[:] = [1, 0, 0, 0, 0, 0]
        self._view = mj.MjvCamera()
        self._view.type = mj.mjtCamera.mjCAMERA_FIXED
        self._view.fixedcamid = 0
        model = self._model
        model.vis.headlight.active = 1
        model.vis.headlight.ambient[:] = 1.0
        model.vis.headlight.diffuse[:] = 0.0
        model.vis.headlight.specular[:] = 0.0
        model.light_diffuse[:] = 1.0
        model.light_ambient[:] = 0.0
        model.light_specular[:] = 0.0
        model.mat_specular[:] = 0.0
        model.mat_reflectance[:] = 0.0
        self._matid, self._rgba = model.geom_matid.copy(), model.geom_rgba.copy()
        self._linear = _to_linear()

    def __enter__(self) -> 'Renderer':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the OpenGL context, whichever context is current."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    @property
    def data(self) -> Any:
        """MuJoCo's data at the last pose, for casting rays."""
        return self._data

    def pose(
        self,
        movers: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
        camera_to_world: NDArray[np.float64],
    ) -> None:
        """Move the actors (position, quaternion w x y z) and the camera."""
        for name, (position, quaternion) in movers.items():
            i = self._stage.mocap[name]
            self._data.mocap_pos[i] = position
            self._data.mocap_quat[i] = quaternion
        eye = self._stage.mocap['eye']
        turn = camera_to_world[:3, :3] @ np.diag([1.0, -1.0, -1.0])  # OpenGL: y up, z backward
        quat = np.zeros(4)
        self._mj.mju_mat2Quat(quat, turn.ravel())
        self._data.mocap_pos[eye] = camera_to_world[:3, 3]
        self._data.mocap_quat[eye] = quat
        self._mj.mj_kinematics(self._model, self._data)
        self._mj.mj_camlight(self._model, self._data)
        self._to_camera = np.linalg.inv(camera_to_world)

    def _hide(self, around: float) -> NDArray[np.bool_]:
        """Leave out what cannot be seen; ``around`` metres are kept for the shadows they cast."""
        radius = self._model.geom_rbound
        p = self._data.geom_xpos @ self._to_camera[:3, :3].T + self._to_camera[:3, 3]
        far = np.linalg.norm(p, axis=1)
        slope_x = self._camera.width / 2 / self._camera.fx
        slope_y = self._camera.height / 2 / self._camera.fy
        inside = p[:, 2] > -radius
        for i, slope in ((0, slope_x), (1, slope_y)):
            inside &= np.abs(p[:, i]) < p[:, 2] * slope + radius * np.hypot(1, slope)
        # what covers less than about half a pixel is not drawn
        inside &= radius * self._camera.fx > 0.4 * far
        seen = inside | ((far < around + radius) if around > 0 else np.zeros_like(inside))
        self._model.geom_group[:] = np.where(seen, 0, HIDDEN_GROUP)
        return np.asarray(seen)

    def _update(self) -> None:
        mj = self._mj
        mj.mjv_updateScene(
            self._model,
            self._data,
            self._option,
            None,
            self._view,
            mj.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )

    def _draw(self, size: tuple[int, int], **flags: bool) -> tuple[NDArray[np.uint8], Float]:
        mj, scene = self._mj, self._scene
        scene.flags[:] = 0
        for name, value in flags.items():
            scene.flags[getattr(mj.mjtRndFlag, f'mjRND_{name.upper()}')] = value
        box = mj.MjrRect(0, 0, *size)
        mj.mjr_render(box, scene, self._context)
        rgb = np.empty((size[1], size[0], 3), np.uint8)
        z = np.empty((size[1], size[0]), np.float32)
        mj.mjr_readPixels(rgb, z, box, self._context)
        return rgb[::-1], z[::-1]

    def _metres(self, z: Float) -> Float:
        """Depth buffer (reversed: 0 is infinitely far) → metres along the optical axis."""
        extent, vis = float(self._model.stat.extent), self._model.vis.map
        near, far = np.float64(vis.znear * extent), np.float64(vis.zfar * extent)
        c = 0.5 * (far + near) / (far - near) - 0.5
        d = far * near / (far - near)
        with np.errstate(divide='ignore'):
            return np.where(z > 0, d / (z.astype(np.float64) + c), np.inf).astype(np.float32)

    def render(self, to_sun: NDArray[np.float64] | None) -> Picture:
        """Draw from the pose set before. ``to_sun``: unit vector towards the sun, or None."""
        model, camera = self._model, self._camera
        size = (camera.width, camera.height)
        self._gl.make_current()  # another drive may have drawn in between
        model.light_active[0] = 0
        seen = self._hide(0.0)
        self._update()
        rgb, z = self._draw(size, segment=True, idcolor=True)
        red, green, blue = (rgb[..., i].astype(np.int32) for i in range(3))
        index = red + 256 * green + 65536 * blue
        drawn = np.flatnonzero(seen)
        if self._scene.ngeom != len(drawn):  # something else was drawn: ask geom by geom
            drawn = np.array([g.objid for g in self._scene.geoms[: self._scene.ngeom]])
        geom = np.concatenate([[-1], drawn]).astype(np.int32)[index]
        depth = self._metres(z)
        colour, z_large = self._draw(self._large)
        cover = (z_large > 0).astype(np.float32)
        albedo = np.asarray(cv2.LUT(np.ascontiguousarray(colour), self._linear), np.float32)
        if self._large != size:
            cover = np.asarray(cv2.resize(cover, size, interpolation=cv2.INTER_AREA), np.float32)
            albedo = np.asarray(cv2.resize(albedo, size, interpolation=cv2.INTER_AREA), np.float32)
            albedo /= np.maximum(cover, np.float32(0.05))[..., None]
        sun = np.zeros((camera.height, camera.width), np.float32)
        if to_sun is not None:
            self._hide(45.0)
            model.light_active[0] = 1
            model.geom_matid[:] = -1
            model.geom_rgba[:] = 1.0
            model.vis.headlight.ambient[:] = 0.0
            self._update()
            light = self._scene.lights[int(self._scene.nlight) - 1]
            forward = np.linalg.inv(self._to_camera)[:3, 2]
            eye = np.linalg.inv(self._to_camera)[:3, 3]
            light.pos[:] = eye + forward * 35.0 + to_sun * 60.0
            light.dir[:] = -to_sun
            white, _ = self._draw(size, shadow=self._shadows)
            sun = _soften(white[..., 0].astype(np.float32) / 255.0, geom)
            model.geom_matid[:], model.geom_rgba[:] = self._matid, self._rgba
            model.vis.headlight.ambient[:] = 1.0
        return Picture(geom, depth, albedo, cover, sun)
