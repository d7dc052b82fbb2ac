"""Writes tiny data sets in the layouts in which nuScenes and Oxford RobotCar are published."""

import json
from pathlib import Path

import cv2
import numpy as np

ORANGE = (220, 120, 20)
US = 1_500_000_000_000_000  # microseconds


# The categories of nuScenes-lidarseg by their index.
LIDARSEG = (
    'noise',
    'animal',
    'human.pedestrian.adult',
    'human.pedestrian.child',
    'human.pedestrian.construction_worker',
    'human.pedestrian.personal_mobility',
    'human.pedestrian.police_officer',
    'human.pedestrian.stroller',
    'human.pedestrian.wheelchair',
    'movable_object.barrier',
    'movable_object.debris',
    'movable_object.pushable_pullable',
    'movable_object.trafficcone',
    'static_object.bicycle_rack',
    'vehicle.bicycle',
    'vehicle.bus.bendy',
    'vehicle.bus.rigid',
    'vehicle.car',
    'vehicle.construction',
    'vehicle.emergency.ambulance',
    'vehicle.emergency.police',
    'vehicle.motorcycle',
    'vehicle.trailer',
    'vehicle.truck',
    'flat.driveable_surface',
    'flat.sidewalk',
    'flat.terrain',
    'flat.other',
    'static.manmade',
    'static.vegetation',
    'static.other',
    'vehicle.ego',
)


def points_of(depth, fx=20.0, cx=15.5, cy=11.5):
    """Points (N, 3) in optical axes, each at a pixel's centre, of ``depth`` (H, W), 0: none."""
    v, u = np.nonzero(depth)
    z = depth[v, u]
    return np.column_stack([(u - cx) / fx * z, (v - cy) / fx * z, z])


def write_colour(file: Path, rgb=ORANGE, height=24, width=32):
    """A picture of one colour."""
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((height, width, 3), rgb[::-1], np.uint8)
    assert cv2.imwrite(str(file), picture)
    return file


class NuScenes:
    """Tables of one data set: ``scene`` adds a scene, ``write`` writes them and the pictures."""

    def __init__(self, root: Path, version='v1.0-trainval'):
        self.root, self.version = root, version
        self.files = {}  # of the sweeps and their labels: name → array
        names = ('scene', 'sample', 'sensor', 'calibrated_sensor', 'sample_data', 'ego_pose')
        self.tables = {name: [] for name in names}
        for channel in ('CAM_FRONT', 'CAM_BACK', 'LIDAR_TOP'):
            modality = channel[:3].replace('CAM', 'camera').replace('LID', 'lidar')
            self.tables['sensor'].append(
                {'token': f'sensor-{channel}', 'channel': channel, 'modality': modality}
            )

    def scene(self, name, description, times, key_every=2, poses=None, fx=20.0):
        """``times``: seconds of the CAM_FRONT pictures; ``poses``: (x, y, yaw) of the car."""
        t = self.tables
        t['scene'].append(
            {
                'token': f'token-{name}',
                'name': name,
                'description': description,
                'log_token': 'log',
                'nbr_samples': 1,
                'first_sample_token': '',
                'last_sample_token': '',
            }
        )
        for channel, camera_fx in (('CAM_FRONT', fx), ('CAM_BACK', 99.0), ('LIDAR_TOP', None)):
            t['calibrated_sensor'].append(
                {
                    'token': f'{name}-{channel}',
                    'sensor_token': f'sensor-{channel}',
                    'translation': [1.5, 0.0, 1.6],
                    'rotation': [0.5, -0.5, 0.5, -0.5],
                    'camera_intrinsic': [[camera_fx, 0, 15.5], [0, camera_fx, 11.5], [0, 0, 1]]
                    if camera_fx
                    else [],
                }
            )
        poses = poses or [(i * 1.0, 0.0, 0.0) for i in range(len(times))]
        for i, (time, (x, y, yaw)) in enumerate(zip(times, poses, strict=True)):
            if i % key_every == 0:
                token = f'{name}-sample-{i}'
                t['sample'].append(
                    {'token': token, 'timestamp': 0, 'scene_token': f'token-{name}'}
                )
            stamp = US + round(time * 1e6)
            for channel in ('CAM_FRONT', 'CAM_BACK'):
                kind = 'samples' if i % key_every == 0 else 'sweeps'
                data = f'{name}-{channel}-{i}'
                t['ego_pose'].append(
                    {
                        'token': data,
                        'timestamp': stamp,
                        'translation': [x, y, 0.0],
                        'rotation': [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)],
                    }
                )
                t['sample_data'].append(
                    {
                        'token': data,
                        'sample_token': token,
                        'ego_pose_token': data,
                        'calibrated_sensor_token': f'{name}-{channel}',
                        'filename': f'{kind}/{channel}/{name}__{channel}__{stamp}.jpg',
                        'fileformat': 'jpg',
                        'width': 32,
                        'height': 24,
                        'timestamp': stamp,
                        'is_key_frame': i % key_every == 0,
                    }
                )
        return self

    def lidar(self, name, clouds, labels=None, dtype=np.float32):
        """A sweep (N, 3) for each key frame of scene ``name``, and labels (N,) if any.

        Where calibration and poses are not changed in ``tables``, points are in the optical axes
        of the camera.
        """
        t = self.tables
        keys = [
            row
            for row in t['sample_data']
            if row['is_key_frame'] and row['calibrated_sensor_token'] == f'{name}-CAM_FRONT'
        ]
        poses = {row['token']: row for row in t['ego_pose']}
        for i, (key, cloud) in enumerate(zip(keys, clouds, strict=True)):
            token = key['token'].replace('CAM_FRONT', 'LIDAR_TOP')
            file = key['filename'].replace('CAM_FRONT', 'LIDAR_TOP').replace('.jpg', '.pcd.bin')
            t['ego_pose'].append({**poses[key['ego_pose_token']], 'token': token})
            other = {
                'token': token,
                'ego_pose_token': token,
                'calibrated_sensor_token': f'{name}-LIDAR_TOP',
                'filename': file,
                'fileformat': 'pcd',
            }
            t['sample_data'].append({**key, **other})
            rest = np.tile([17.0, 3.0], (len(cloud), 1))  # intensity, ring
            self.files[file] = np.hstack([cloud, rest]).astype(dtype)
            if labels is not None:
                stored = f'lidarseg/{self.version}/{token}_lidarseg.bin'
                row = {'token': token, 'sample_data_token': token, 'filename': stored}
                t.setdefault('lidarseg', []).append(row)
                self.files[stored] = np.asarray(labels[i], dtype=np.uint8)
        if labels is not None:
            t['category'] = [
                {'token': f'category-{i}', 'name': category, 'description': '', 'index': i}
                for i, category in enumerate(LIDARSEG)
            ]
        return self

    def write(self):
        folder = self.root / self.version
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            # As published: indented by nothing, in no particular order.
            (folder / f'{name}.json').write_text(json.dumps(rows[::-1], indent=0))
        for row in self.tables['sample_data']:
            if row['fileformat'] == 'jpg':
                write_colour(self.root / row['filename'])
        for name, values in self.files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            values.tofile(self.root / name)
        return self.root


def gbrg(rgb):
    """The mosaic (H, W) that a sensor with G B in its first row and R G in its second sees."""
    mosaic = rgb[..., 1].copy()
    mosaic[0::2, 1::2] = rgb[0::2, 1::2, 2]
    mosaic[1::2, 0::2] = rgb[1::2, 0::2, 0]
    return mosaic


def write_robotcar(
    root: Path,
    pictures,
    times,
    lut=None,
    steps=None,
    ins=None,
    model='stereo_wide_left',
    name='2014-12-09-13-21-02',
    motions=None,
):
    """A traversal of ``pictures`` (H, W, 3) RGB at ``times`` (seconds), and its camera model.

    ``lut``: (2, H, W) u, v; none: no distortion. ``steps``: metres between neighbours (vo.csv);
    ``ins``: (northing, easting) of each (ins.csv). ``motions``: x, y, z, roll, pitch, yaw of the
    later of two neighbours in the frame of the earlier (vo.csv).
    """
    path = root / name
    stamps = [US + round(t * 1e6) for t in times]
    (path / 'stereo' / 'left').mkdir(parents=True)
    for stamp, picture in zip(stamps, pictures, strict=True):
        assert cv2.imwrite(str(path / 'stereo' / 'left' / f'{stamp}.png'), gbrg(picture))
    (path / 'stereo.timestamps').write_text(''.join(f'{s} 1\n' for s in stamps))
    if steps is not None:
        motions = [s if s is None else (0.6 * s, -0.8 * s, 0, 0, 0, 0.01) for s in steps]
    if motions is not None:
        (path / 'vo').mkdir()
        rows = ['source_timestamp,destination_timestamp,x,y,z,roll,pitch,yaw']
        for earlier, later, motion in zip(stamps, stamps[1:], motions, strict=False):
            if motion is not None:
                rows.append(','.join(map(str, [later, earlier, *motion])))
        (path / 'vo' / 'vo.csv').write_text('\n'.join(rows) + '\n')
    if ins is not None:
        (path / 'gps').mkdir()
        head = 'timestamp,ins_status,latitude,longitude,altitude,northing,easting,down,utm_zone'
        rows = [head + ',velocity_north,velocity_east,velocity_down,roll,pitch,yaw']
        for stamp, (north, east) in zip(stamps, ins, strict=True):
            rows.append(f'{stamp},INS_SOLUTION_GOOD,51,-1,100,{north},{east},-100,30U,0,0,0,0,0,0')
        (path / 'gps' / 'ins.csv').write_text('\n'.join(rows) + '\n')
    height, width = pictures[0].shape[:2]
    if lut is None:
        lut = np.mgrid[0:height, 0:width][::-1]
    models = root / 'models'
    models.mkdir(exist_ok=True)
    frame = '0 -0 1 0\n1 0 -0 0\n0 1 0 0\n0 0 0 1\n'
    (models / f'{model}.txt').write_text(f'70.0 71.0 15.0 11.0\n{frame}')
    np.asarray(lut, dtype='<f8').tofile(models / f'{model}_distortion_lut.bin')
    return path


def write_scans(traversal: Path, scans):
    """``scans``: seconds → (N, 3) x, y, reflectance of LMS-front."""
    folder = traversal / 'lms_front'
    folder.mkdir()
    stamps = {US + round(time * 1e6): scan for time, scan in scans.items()}
    for stamp, scan in stamps.items():
        np.asarray(scan, dtype='<f8').tofile(folder / f'{stamp}.bin')
    (traversal / 'lms_front.timestamps').write_text(''.join(f'{s} 1\n' for s in sorted(stamps)))


def write_extrinsics(root: Path, **sensors):
    """``sensors``: x, y, z, roll, pitch, yaw of each; stereo, lms_front and ins, if not given."""
    folder = root / 'extrinsics'
    folder.mkdir(exist_ok=True)
    usual = {'stereo': (0,) * 6, 'lms_front': (2, 0, 1, 0, -np.pi / 2, 0), 'ins': (0,) * 6}
    for name, values in {**usual, **sensors}.items():
        (folder / f'{name}.txt').write_text(' '.join(map(str, values)))
