"""The cameras of one traversal of Oxford RobotCar: their pictures, demosaiced and undistorted.

The format is that of the dataset's documentation and development kit (ori-mrg/
robotcar-dataset-sdk); no code is taken from there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.picture_file import list_pictures
from dsn_core.data.poses import inverse
from dsn_core.errors import ConfigError, UserError

__all__ = [
    'MODELS',
    'CameraModel',
    'demosaic',
    'find_kit_files',
    'model_files',
    'stamp_of',
    'traversal_pictures',
]

# The wide pair is left and right of the three cameras, the narrow one centre and right.
MODELS = {
    'stereo/left': 'stereo_wide_left',
    'stereo/centre': 'stereo_narrow_left',
    'stereo/right': 'stereo_wide_right',
    'mono_left': 'mono_left',
    'mono_right': 'mono_right',
    'mono_rear': 'mono_rear',
}


def traversal_pictures(traversal: Path, camera: str) -> list[Path]:
    """The pictures of ``camera`` (a key of MODELS), in time; raises ConfigError if there are none.

    They are named by their time in microseconds since 1970.
    """
    folder = traversal / camera
    pictures = [p for p in list_pictures(folder) if p.stem.isdecimal()]
    if not pictures:
        raise ConfigError(
            f'{folder} holds no pictures: a traversal is laid out as '
            '2014-12-09-13-21-02/stereo/left/1418132504537582.png; check path and camera'
        )
    return pictures


def stamp_of(file: Path) -> int:
    """When a picture or a scan was taken, microseconds since 1970: its name."""
    return int(file.stem)


def model_files(traversal: Path, models: Path | None, name: str) -> tuple[Path, Path]:
    """Intrinsics and look-up table of camera model ``name``.

    ``models`` is the folder of the development kit, or None: beside or in the traversal. Raises
    ConfigError naming what is missing.
    """
    names = (f'{name}.txt', f'{name}_distortion_lut.bin')
    intrinsics, table = find_kit_files(traversal, models, 'models', names, 'camera model')
    return intrinsics, table


def find_kit_files(
    traversal: Path, folder: Path | None, field: str, names: Sequence[str], what: str
) -> tuple[Path, ...]:
    """Files ``names`` in ``folder``, or the folder called ``field`` in or beside the traversal.

    Raises ConfigError saying which of them, ``what`` it is, is missing, and to set ``field``.
    """
    folders = (
        [folder] if folder is not None else [traversal / field, traversal.resolve().parent / field]
    )
    for each in folders:
        files = tuple(each / name for name in names)
        missing = [f for f in files if not f.is_file()]
        if not missing:
            return files
    where = ' or '.join(map(str, folders))
    raise ConfigError(
        f'{what} {missing[0].name} is not in {where}: give {field}=FOLDER, the folder '
        f"{field} of the dataset's development kit"
    )


class CameraModel:
    """A camera model of the development kit."""

    def __init__(self, intrinsics: Path, table: Path) -> None:
        """Raises UserError naming the file that is no camera model."""
        try:
            # The first line; the other four are where the camera sits.
            fx, fy, cx, cy = (float(v) for v in intrinsics.read_text().split()[:4])
        except (ValueError, OSError) as error:
            raise UserError(f'{intrinsics} must begin with fx fy cx cy: {error}') from error
        self.intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
        self._intrinsics_file = intrinsics
        self._file = table
        self._table = np.fromfile(table, dtype='<f8')
        self._maps: tuple[Any, Any] | None = None

    def to_optical(self) -> NDArray[np.float64]:
        """(4, 4) points of the camera's frame (x forward, y right, z down) → optical axes.

        Raises UserError naming the file whose lines 2 to 5 do not say so.
        """
        try:
            values = [float(v) for v in self._intrinsics_file.read_text().split()[4:]]
            back = np.array(values).reshape(4, 4)
            if not np.allclose(back[:3, :3] @ back[:3, :3].T, np.eye(3), atol=1e-3):
                raise ValueError('no rotation')
        except ValueError as error:
            raise UserError(
                f'{self._intrinsics_file} must hold a rigid motion of 4 x 4 below its first line '
                f"({error}): take the development kit's file"
            ) from error
        return inverse(back)

    def undistort(self, image: NDArray[np.uint8], file: Path) -> NDArray[np.uint8]:
        """Undistort (H, W, 3); raises UserError if the table is not of that size."""
        height, width = image.shape[:2]
        if self._table.size != 2 * height * width:
            raise UserError(
                f'{file} has {width} x {height} pixels, for which {self._file} '
                f'({self._table.size // 2} pixels) is not made: choose another model'
            )
        if self._maps is None:
            # All u, then all v: where in the distorted picture, pixel (0, 0) the first one's
            # centre, each pixel of the undistorted one is seen.
            u, v = self._table.astype(np.float32).reshape(2, height, width)
            maps: Any = cv2.convertMaps(u, v, cv2.CV_16SC2)
            self._maps = maps
        coarse, fine = self._maps
        border = cv2.BORDER_REPLICATE
        straight = cv2.remap(image, coarse, fine, cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(straight, dtype=np.uint8)


def demosaic(raw: NDArray[Any], camera: str, file: Path) -> NDArray[np.uint8]:
    """Bayer mosaic (H, W) uint8 → RGB (H, W, 3): GBRG of the stereo camera, RGGB of the others."""
    if raw.ndim != 2 or raw.dtype != np.uint8:
        raise UserError(
            f'{file} is {raw.dtype} of {" x ".join(map(str, raw.shape))}, no raw 8-bit Bayer '
            'picture: take the pictures as they are published'
        )
    # OpenCV names a pattern by its second row and column: GR is GBRG, BG is RGGB.
    code = cv2.COLOR_BayerGR2RGB if camera.startswith('stereo') else cv2.COLOR_BayerBG2RGB
    return np.asarray(cv2.cvtColor(raw, code), dtype=np.uint8)
