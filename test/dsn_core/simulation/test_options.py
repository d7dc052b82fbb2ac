"""Options name the field that is wrong; the package imports without MuJoCo."""

import subprocess
import sys

import numpy as np
import pytest

from dsn_core.simulation import PinholeCamera, SimulatedDrive, SimulationError, SimulationOptions
from dsn_core.simulation.lighting import surface_normals


@pytest.mark.parametrize(
    ('field', 'value'),
    [('height', 0), ('fps', 0.0), ('max_depth', 1000.0), ('clutter', 2.0), ('narrow', 2.0)],
)
def test_a_wrong_option_is_named(field: str, value: float) -> None:
    with pytest.raises(SimulationError, match=field):
        SimulationOptions(**{field: value})  # type: ignore[arg-type]


def test_a_wrong_condition_is_named() -> None:
    with pytest.raises(SimulationError, match='day, dusk, night'):
        SimulatedDrive(1, 'noon')


def test_import_leaves_mujoco_alone_and_its_absence_is_told() -> None:
    code = (
        'import sys; sys.modules["mujoco"] = None\n'
        'import dsn_core.simulation as s\n'
        'try: next(iter(s.SimulatedDrive(1, "day").frames(1)))\n'
        'except s.SimulationError as e: assert "dsn_ros[sim]" in str(e); sys.exit(7)\n'
    )
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 7


def test_rays_and_projection_are_inverse() -> None:
    camera = PinholeCamera.from_fov(64, 48, 1.2)
    assert (camera.cx, camera.cy) == (31.5, 23.5)
    points = camera.rays().reshape(-1, 3) * 7.0
    v, u = np.mgrid[:48, :64]
    expected = np.stack([u.ravel(), v.ravel()], axis=1)
    np.testing.assert_allclose(camera.project(points), expected, atol=1e-4)


def test_normals_of_a_plane_are_exact() -> None:
    camera = PinholeCamera.from_fov(64, 48, 1.2)
    normal = np.array([0.1, -0.3, -0.95])
    normal /= np.linalg.norm(normal)
    depth = -3.0 / (camera.rays() @ normal)
    found = surface_normals(depth.astype(np.float32), camera)
    np.testing.assert_allclose(found, np.broadcast_to(normal, found.shape), atol=2e-3)
