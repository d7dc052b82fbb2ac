"""The stage: collects meshes, materials and things, and compiles them into a MuJoCo model."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import CITYSCAPES
from dsn_core.simulation.options import SimulationError
from dsn_core.simulation.shapes import Shape

__all__ = ['THINGS', 'Compiled', 'Lamp', 'Stage', 'instance_ids', 'load_mujoco']

Colour = tuple[float, float, float]
# MuJoCo chooses its OpenGL when it is imported, so say what to use before anybody does.
if not os.environ.get('MUJOCO_GL') and not os.environ.get('DISPLAY'):
    os.environ['MUJOCO_GL'] = 'egl'

IDS = {name: i for i, name in enumerate(CITYSCAPES.names)}
THINGS = [
    IDS[name]
    for name in ('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')
]


def load_mujoco() -> Any:
    """Import mujoco; SimulationError names the extra if it is absent."""
    try:
        import mujoco
    except ModuleNotFoundError as error:
        raise SimulationError("mujoco is not installed: pip install 'dsn_ros[sim]'") from error
    except Exception as error:  # it opens its OpenGL when it is imported: whatever that raises
        raise SimulationError(
            f'MuJoCo cannot start its OpenGL ({error}): without a display set MUJOCO_GL=egl and '
            'install libegl1 and libgl1-mesa-dri'
        ) from error
    return mujoco


@dataclass(frozen=True)
class Lamp:
    """A lamp that lights its surroundings: a street lamp, or the headlights of a vehicle."""

    position: tuple[float, float, float]  # metres, in the world or in its actor's frame
    direction: tuple[float, float, float]  # unit vector of the beam's axis
    intensity: float  # candela on the axis
    colour: Colour  # linear RGB, largest 1
    kind: str  # 'street' or 'head'
    actor: str | None = None


def instance_ids(classes: Sequence[int], things: Sequence[int]) -> NDArray[np.uint16]:
    """Ids (N,) as Cityscapes writes them: of a thing class * 1000 + number, else the class.

    Numbers count the things of a class from 0 in the order of ``things``; a cyclist and his
    bicycle are one of the ``things`` and two ids. Raises SimulationError beyond 1000 of a class.
    """
    numbers: dict[int, dict[int, int]] = {c: {} for c in THINGS}
    ids = []
    for label, thing in zip(classes, things, strict=True):
        if label not in numbers or thing == 0:
            ids.append(label)
            continue
        number = numbers[label].setdefault(thing, len(numbers[label]))
        if number > 999:
            raise SimulationError(
                f'a street has more than 1000 things of class {CITYSCAPES.names[label]}: '
                'ask for less clutter or a shorter street'
            )
        ids.append(label * 1000 + number)
    return np.asarray(ids, np.uint16)


@dataclass
class Compiled:
    """A compiled stage: the model, and what each of its geoms is."""

    model: Any
    geom_class: NDArray[np.uint8]  # (ngeom,) Cityscapes train id
    geom_instance: NDArray[np.uint16]  # (ngeom,) class * 1000 + number, or the class of stuff
    geom_glow: NDArray[np.float32]  # (ngeom, 3) luminance in cd/m2 when lit, linear RGB
    geom_gloss: NDArray[np.float32]  # (ngeom,) mirror-like share of the reflection, 0 to 1
    mocap: dict[str, int]  # actor name -> mocap index
    lamps: list[Lamp]


@dataclass
class Stage:
    """Everything that will be in one model. Names of meshes and materials are unique keys."""

    _mujoco: Any = field(default_factory=load_mujoco)
    lamps: list[Lamp] = field(default_factory=list)

    def __post_init__(self) -> None:
        mj = self._mujoco
        self._spec = mj.MjSpec()
        self._classes: list[int] = []
        self._glows: list[Colour] = []
        self._glosses: list[float] = []
        self._things: list[int] = []
        self._thing = 0
        self._bodies: dict[str, Any] = {}
        self._tiles: dict[str, tuple[float, float]] = {}
        self._meshes: set[str] = set()
        spec = self._spec
        spec.visual.quality.offsamples = 0
        spec.visual.map.znear = 0.0015
        spec.visual.map.zfar = 16.0
        spec.visual.map.shadowclip = 0.55
        spec.visual.map.shadowscale = 1.0
        spec.stat.extent = 100.0
        spec.stat.center = [0.0, 0.0, 0.0]
        spec.worldbody.add_light(
            name='sun', type=mj.mjtLightType.mjLIGHT_DIRECTIONAL, castshadow=True, dir=[0, 0, -1]
        )
        eye = spec.worldbody.add_body(name='eye', mocap=True)
        eye.add_camera(name='eye')
        self._bodies['eye'] = eye

    def material(
        self, key: str, picture: NDArray[np.uint8], tile: float | tuple[float, float]
    ) -> str:
        """Make a material of a tiling picture (H, W, 3) uint8 that repeats every ``tile`` m."""
        mj = self._mujoco
        texture = self._spec.add_texture(
            name=key,
            type=mj.mjtTexture.mjTEXTURE_2D,
            nchannel=3,
            width=picture.shape[1],
            height=picture.shape[0],
        )
        texture.data = np.ascontiguousarray(picture).tobytes()
        material = self._spec.add_material(name=key)
        material.textures[mj.mjtTextureRole.mjTEXROLE_RGB] = key
        self._tiles[key] = (tile, tile) if isinstance(tile, (int, float)) else tile
        return key

    def has_mesh(self, key: str) -> bool:
        """Whether a mesh of that name is there, to be placed once more."""
        return key in self._meshes

    def mesh(self, key: str, shape: Shape, material: str | None = None) -> str:
        """Register ``shape`` under ``key``; coordinates are scaled to the material's tile."""
        points, faces, uv = shape.arrays()
        mesh = self._spec.add_mesh(name=key)
        mesh.inertia = self._mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        mesh.uservert = points.ravel()
        mesh.userface = faces.ravel()
        if material is not None:
            mesh.usertexcoord = (uv / np.asarray(self._tiles[material])).ravel()
            mesh.userfacetexcoord = faces.ravel()
        self._meshes.add(key)
        return key

    def thing(self) -> int:
        """Return a new number for a thing whose parts are placed next."""
        self._thing += 1
        return self._thing

    def actor(self, name: str) -> str:
        """Make a body that can be moved every frame."""
        body = self._spec.worldbody.add_body(name=name, mocap=True)
        self._bodies[name] = body
        return name

    def place(
        self,
        mesh: str,
        label: str,
        colour: Colour = (1.0, 1.0, 1.0),
        *,
        material: str | None = None,
        actor: str | None = None,
        at: tuple[float, float, float] = (0.0, 0.0, 0.0),
        yaw: float = 0.0,
        glow: Colour = (0.0, 0.0, 0.0),
        gloss: float = 0.0,
        thing: int = 0,
    ) -> None:
        """Put a mesh on the stage. ``colour``: sRGB 0 to 1, multiplies the material.

        ``thing``: what it is a part of, a number of ``thing()``; 0: no countable thing.
        """
        mj = self._mujoco
        parent = self._bodies[actor] if actor is not None else self._spec.worldbody
        geom = parent.add_geom(
            name=f'g{len(self._classes)}',
            type=mj.mjtGeom.mjGEOM_MESH,
            meshname=mesh,
            contype=0,
            conaffinity=0,
            pos=list(at),
            rgba=[*map(float, colour), 1.0],
            quat=[float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))],
        )
        if material is not None:
            geom.material = material
            if min(colour) > 0.995:  # rgba 1 1 1 would be white in place of the material's own
                geom.rgba = [0.999, 1.0, 1.0, 1.0]
        self._classes.append(IDS[label])
        self._glows.append(glow)
        self._glosses.append(gloss)
        self._things.append(thing)

    def add(
        self,
        key: str,
        shape: Shape,
        label: str,
        colour: Colour = (1.0, 1.0, 1.0),
        *,
        material: str | None = None,
        actor: str | None = None,
        glow: Colour = (0.0, 0.0, 0.0),
        gloss: float = 0.0,
    ) -> None:
        """Register a mesh and put it on the stage once; an empty shape is left out."""
        if len(shape):
            self.mesh(key, shape, material)
            self.place(key, label, colour, material=material, actor=actor, glow=glow, gloss=gloss)

    def compile(self, width: int, height: int, shadow_size: int) -> Compiled:
        """Compile for pictures of up to width x height pixels."""
        mj, spec = self._mujoco, self._spec
        spec.visual.global_.offwidth = width
        spec.visual.global_.offheight = height
        spec.visual.quality.shadowsize = shadow_size
        model = spec.compile()
        order = np.array(
            [
                int(mj.mj_id2name(model, mj.mjtObj.mjOBJ_GEOM, i)[1:])
                for i in range(int(model.ngeom))
            ],
            dtype=np.int64,
        )
        mocap = {
            name: int(model.body_mocapid[mj.mj_name2id(model, mj.mjtObj.mjOBJ_BODY, name)])
            for name in self._bodies
        }
        return Compiled(
            model,
            np.asarray(self._classes, np.uint8)[order],
            instance_ids(self._classes, self._things)[order],
            np.asarray(self._glows, np.float32)[order],
            np.asarray(self._glosses, np.float32)[order],
            mocap,
            list(self.lamps),
        )
