"""A kit: a thing made of a few coloured meshes, which can be put on the stage many times."""

from dataclasses import dataclass

from dsn_core.simulation.shapes import Shape
from dsn_core.simulation.stage import Colour, Stage

__all__ = ['Kit', 'Part']


@dataclass(frozen=True)
class Part:
    """One mesh of a kit. ``colour`` None: painted when the kit is placed, by ``paint``."""

    shape: Shape
    label: str
    colour: Colour | None = None
    paint: str = 'paint'
    material: str | None = None
    glow: Colour = (0.0, 0.0, 0.0)
    gloss: float = 0.0


@dataclass(frozen=True)
class Kit:
    """Parts in the thing's own frame: x forward, y left, z up, origin on the ground."""

    name: str
    parts: tuple[Part, ...]
    length: float = 1.0
    width: float = 1.0
    height: float = 1.0

    def place(
        self,
        stage: Stage,
        paints: dict[str, Colour] | None = None,
        *,
        actor: str | None = None,
        at: tuple[float, float, float] = (0.0, 0.0, 0.0),
        yaw: float = 0.0,
        lit: bool = True,
    ) -> None:
        """Place every part, at a fixed pose or as the body of an actor; unlit parts glow not."""
        thing = stage.thing()
        for i, part in enumerate(self.parts):
            if not len(part.shape):
                continue
            key = f'{self.name}.{i}'
            if not stage.has_mesh(key):
                stage.mesh(key, part.shape, part.material)
            colour = part.colour if part.colour is not None else (paints or {})[part.paint]
            stage.place(
                key,
                part.label,
                colour,
                material=part.material,
                actor=actor,
                at=at,
                yaw=yaw,
                glow=part.glow if lit else (0.0, 0.0, 0.0),
                gloss=part.gloss,
                thing=thing,
            )
