"""Tables 1, 2, 3 and 5 of the paper, as it prints them."""

from typing import NamedTuple

__all__ = [
    'TABLE_1',
    'TABLE_2',
    'TABLE_3_NUSCENES',
    'TABLE_3_NUSCENES_CLASSES',
    'TABLE_3_ROBOTCAR',
    'TABLE_3_ROBOTCAR_CLASSES',
    'TABLE_5',
    'AblationRow',
    'DepthRow',
    'DepthSummaryRow',
    'LabelRow',
]


class DepthRow(NamedTuple):
    """A row of Table 1: Abs Rel, Sq Rel, RMSE, RMSE log, and the three shares."""

    method: str
    figures: tuple[float, float, float, float, float, float, float]


class DepthSummaryRow(NamedTuple):
    """A row of Table 2: Abs Rel, RMSE and the share within 1.25, by day and by night."""

    method: str
    train: str
    day: tuple[float, float, float]
    night: tuple[float, float, float]


class LabelRow(NamedTuple):
    """A row of Table 3, percent: mIoU, then each class."""

    method: str
    condition: str
    miou: float
    classes: tuple[float, ...]


class AblationRow(NamedTuple):
    """A row of Table 5: mIoU in percent, Abs Rel, RMSE and the share within 1.25."""

    marks: tuple[str, ...]
    """The parts it has: RN, SN (real and synthetic night), LE (light enhancement), PD (day depth
    distillation)."""
    day: tuple[float, float, float, float]
    night: tuple[float, float, float, float]


# Oxford RobotCar, 40 m.
TABLE_1: dict[str, tuple[DepthRow, ...]] = {
    'night': (
        DepthRow('Monodepth2 (day)', (0.477, 5.389, 9.163, 0.466, 0.351, 0.635, 0.826)),
        DepthRow('Monodepth2 (night)', (0.661, 25.213, 12.187, 0.553, 0.551, 0.849, 0.914)),
        DepthRow('HR-Depth', (0.512, 5.800, 8.726, 0.484, 0.388, 0.666, 0.827)),
        DepthRow('ADDS-DepthNet', (0.233, 2.344, 6.859, 0.270, 0.631, 0.908, 0.962)),
        DepthRow('DepthSegNet24', (0.195, 1.714, 5.936, 0.240, 0.734, 0.917, 0.970)),
    ),
    'day': (
        DepthRow('Monodepth2 (day)', (0.117, 0.673, 3.747, 0.161, 0.867, 0.973, 0.991)),
        DepthRow('Monodepth2 (night)', (0.306, 2.313, 5.468, 0.325, 0.545, 0.842, 0.937)),
        DepthRow('HR-Depth', (0.121, 0.732, 3.947, 0.166, 0.848, 0.970, 0.991)),
        DepthRow('ADDS-DepthNet', (0.109, 0.584, 3.578, 0.153, 0.880, 0.976, 0.992)),
        DepthRow('DepthSegNet24', (0.113, 0.604, 3.490, 0.161, 0.865, 0.974, 0.991)),
    ),
}

# nuScenes, 80 m; by day: the clear ones.
TABLE_2: tuple[DepthSummaryRow, ...] = (
    DepthSummaryRow('Monodepth2', 'M', (0.137, 6.692, 0.850), (0.283, 9.729, 0.518)),
    DepthSummaryRow('Monodepth2-naive', 'M', (0.215, 9.256, 0.660), (0.256, 11.018, 0.565)),
    DepthSummaryRow('RNW', 'M', (0.287, 9.185, 0.562), (0.333, 10.098, 0.437)),
    DepthSummaryRow('PackNet-SfM', 'M', (0.157, 7.230, 0.826), (0.262, 11.063, 0.566)),
    DepthSummaryRow('STEPS', 'M', (0.258, 9.864, 0.858), (0.287, 9.120, 0.572)),
    DepthSummaryRow('md4all', 'M+v', (0.137, 6.452, 0.846), (0.192, 8.507, 0.710)),
    DepthSummaryRow('DepthSegNet24', 'M', (0.151, 6.712, 0.816), (0.211, 8.899, 0.661)),
)

TABLE_3_NUSCENES_CLASSES = (
    'road',
    'sidewalk',
    'fence',
    'vegetation',
    'terrain',
    'person',
    'car',
    'truck',
)
TABLE_3_NUSCENES: tuple[LabelRow, ...] = (
    LabelRow(
        'Mask2Former', 'day', 68.31, (95.97, 58.52, 28.41, 86.59, 62.34, 60.76, 77.29, 76.62)
    ),
    LabelRow(
        'DepthSegNet24', 'day', 57.74, (93.15, 41.02, 25.09, 82.45, 57.44, 40.47, 68.61, 54.18)
    ),
    LabelRow(
        'Mask2Former', 'night', 39.71, (87.14, 32.14, 24.68, 67.34, 27.62, 7.42, 58.36, 12.94)
    ),
    LabelRow(
        'DepthSegNet24', 'night', 35.05, (86.37, 37.24, 5.93, 67.94, 12.93, 1.91, 61.23, 6.81)
    ),
)

TABLE_3_ROBOTCAR_CLASSES = (
    'road',
    'sidewalk',
    'building',
    'wall',
    'fence',
    'pole',
    'vegetation',
    'sky',
    'car',
)
TABLE_3_ROBOTCAR: tuple[LabelRow, ...] = (
    LabelRow(
        'DepthSegNet24',
        'day',
        64.31,
        (97.52, 70.12, 88.36, 24.05, 8.35, 37.70, 70.19, 92.99, 89.5),
    ),
    LabelRow(
        'DepthSegNet24',
        'night',
        49.73,
        (91.36, 49.93, 73.54, 43.85, 11.3, 13.88, 62.19, 19.67, 81.86),
    ),
)

# nuScenes, 80 m; by day: the clear ones.
TABLE_5: tuple[AblationRow, ...] = (
    AblationRow(('SN', 'LE', 'PD'), (56.26, 0.157, 6.897, 0.811), (34.95, 0.210, 8.803, 0.668)),
    AblationRow(('RN', 'LE', 'PD'), (55.39, 0.155, 6.761, 0.811), (35.43, 0.211, 8.747, 0.666)),
    AblationRow(('RN', 'SN', 'PD'), (54.14, 0.156, 6.760, 0.812), (34.42, 0.214, 8.794, 0.655)),
    AblationRow(('RN', 'SN', 'LE'), (56.13, 0.166, 7.115, 0.803), (33.87, 0.214, 8.765, 0.651)),
    AblationRow(
        ('RN', 'SN', 'LE', 'PD'), (57.74, 0.151, 6.712, 0.816), (35.05, 0.211, 8.899, 0.661)
    ),
)
