"""The official validation scenes of nuScenes.

The 150 names are those of ``val`` in the dataset's own development kit (nutonomy/nuscenes-devkit,
python-sdk/nuscenes/utils/splits.py, Apache-2.0); the other 700 of v1.0-trainval are ``train``.
"""

__all__ = ['VALIDATION_SCENES']

# First and last of each run of numbers.
_RUNS = (
    (3, 3), (12, 18), (35, 36), (38, 39), (92, 110), (221, 221), (268, 278), (329, 332),
    (344, 346), (519, 524), (552, 565), (625, 627), (629, 630), (632, 638), (770, 771),
    (775, 775), (777, 778), (780, 784), (794, 800), (802, 802), (904, 917), (919, 931),
    (962, 963), (966, 969), (971, 972), (1059, 1073),
)  # fmt: skip

VALIDATION_SCENES = frozenset(
    f'scene-{number:04d}' for first, last in _RUNS for number in range(first, last + 1)
)
"""Names of the scenes, such as scene-0003."""
