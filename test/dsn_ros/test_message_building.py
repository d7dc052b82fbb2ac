"""Messages built of arrays and fields, of ROS's classes and of the bag library's alike."""

import numpy as np
import pytest
from support.bag_factory import (
    camera_fields,
    picture,
    png,
)

from dsn_core.labels import CITYSCAPES
from dsn_ros.cloud import CLOUD_DTYPE
from dsn_ros.errors import MessageError
from dsn_ros.message_builders import BagMessages, RosMessages
from dsn_ros.messages import (
    CameraInfoFields,
    camera_info_fields,
    compressed_to_rgb,
    image_view,
    stamp_ns,
)

STAMP = 1_700_000_000_123_456_789


class TestBuilding:
    def test_header(self, make):
        header = make.header(STAMP, 'camera')
        assert stamp_ns(header) == STAMP
        assert header.frame_id == 'camera'

    def test_image_fields(self, make):
        depth = np.arange(12, dtype=np.float32).reshape(3, 4)
        msg = make.image(depth, '32FC1', make.header(STAMP, 'camera'))
        assert (msg.height, msg.width, msg.step, msg.is_bigendian) == (3, 4, 16, 0)
        assert bytes(msg.data) == depth.tobytes()

    def test_image_of_strided_and_big_endian_arrays(self, make):
        array_ = np.arange(24, dtype='>u2').reshape(4, 6)[::2, ::3]
        msg = make.image(array_, '16UC1', make.header(STAMP, 'camera'))
        np.testing.assert_array_equal(image_view(msg), array_)

    @pytest.mark.parametrize(
        ('array_', 'encoding'),
        [
            (np.zeros((2, 2), np.float64), '32FC1'),
            (np.zeros((2, 2, 3), np.uint8), 'mono8'),
            (np.zeros((2, 2), np.uint8), 'rgb8'),
            (np.zeros((2, 2), np.uint8), 'yuv422'),
        ],
    )
    def test_image_refuses_what_does_not_fit(self, make, array_, encoding):
        with pytest.raises(ValueError, match=encoding):
            make.image(array_, encoding, make.header(STAMP, 'camera'))

    def test_compressed_image(self, make):
        data = png(picture())
        msg = make.compressed_image(data, 'png', make.header(STAMP, 'camera'))
        np.testing.assert_array_equal(compressed_to_rgb(msg), picture())

    def test_camera_info(self, make):
        msg = make.camera_info(camera_fields(), make.header(STAMP, 'camera'))
        assert camera_info_fields(msg) == camera_fields()
        binned = CameraInfoFields(
            **{**vars(camera_fields()), 'binning_x': 2, 'roi': (1, 2, 30, 40), 'd': ()}
        )
        msg = make.camera_info(binned, make.header(STAMP, 'camera'))
        assert camera_info_fields(msg) == binned

    def test_camera_info_of_ros_1(self):
        from rosbags.typesys import Stores, get_typestore

        make = BagMessages()
        msg = make.camera_info(camera_fields(), make.header(STAMP, 'camera'))
        store = get_typestore(Stores.ROS1_NOETIC)
        raw = make.store.cdr_to_ros1(make.serialize(msg), msg.__msgtype__)
        old = store.deserialize_ros1(raw, msg.__msgtype__)
        assert not hasattr(old, 'k')
        assert camera_info_fields(old) == camera_fields()
        assert stamp_ns(old.header) == STAMP

    def test_camera_info_fields_of_the_wrong_length(self):
        with pytest.raises(MessageError, match='field k has 4 numbers, not 9'):
            CameraInfoFields(1, 1, '', (), (1.0,) * 4, (1.0,) * 9, (1.0,) * 12)
        with pytest.raises(MessageError, match='no field k'):
            camera_info_fields(type('NoK', (), {**vars(make_info()), 'k': None})())

    def test_label_info(self, make):
        msg = make.label_info(CITYSCAPES.names, make.header(STAMP, 'camera'))
        found = {c.class_id: c.class_name for c in msg.class_map}
        assert found == {**dict(enumerate(CITYSCAPES.names)), 255: 'unlabelled'}
        assert msg.threshold == 0.5

    def test_point_cloud_is_organised_and_packed(self, make):
        dtype = [('x', 'f4'), ('y', 'f4'), ('z', 'f4'), ('label', 'u1'), ('rgb', 'u4')]
        points = np.zeros((3, 5), dtype)
        points['z'] = np.arange(15).reshape(3, 5)
        points['label'] = 7
        msg = make.point_cloud(points, make.header(STAMP, 'camera'))
        assert (msg.height, msg.width, msg.point_step, msg.row_step) == (3, 5, 17, 85)
        assert not msg.is_dense
        assert [(f.name, f.offset, f.datatype, f.count) for f in msg.fields] == [
            ('x', 0, 7, 1),
            ('y', 4, 7, 1),
            ('z', 8, 7, 1),
            ('label', 12, 2, 1),
            ('rgb', 13, 6, 1),
        ]
        assert bytes(msg.data) == points.tobytes()

    def test_point_cloud_is_read_by_sensor_msgs_py_point_for_point(self):
        reader = pytest.importorskip(
            'sensor_msgs_py.point_cloud2', reason='sensor_msgs_py is not sourced'
        )
        rng = np.random.default_rng(4)
        points = np.zeros((3, 5), CLOUD_DTYPE)
        for name in CLOUD_DTYPE.names:
            points[name] = rng.integers(0, 200, points.shape)
        points['x'][1, 2] = np.nan
        make = RosMessages()
        read = reader.read_points(make.point_cloud(points, make.header(STAMP, 'camera')))
        for name in CLOUD_DTYPE.names:  # v * width + u, as Nav2's layers walk it
            assert np.array_equal(read[name], points[name].reshape(-1), equal_nan=True)

    @pytest.mark.parametrize(
        'points',
        [
            np.zeros((2, 3), np.dtype([('x', 'f4'), ('l', 'u1')], align=True)),
            np.zeros((2, 3), np.dtype([('l', 'u1'), ('x', 'f4')], align=True)),
            np.zeros(6, [('x', 'f4')]),
            np.zeros((2, 3), [('x', '>f4')]),
            np.zeros((2, 3), [('x', 'f4', 3)]),
            np.zeros((2, 3), 'f4'),
        ],
    )
    def test_point_cloud_refuses_what_is_not_packed(self, make, points):
        with pytest.raises(ValueError, match=r'padded|structured|number'):
            make.point_cloud(points, make.header(STAMP, 'camera'))

    def test_tf_and_string(self, make):
        msg = make.tf_message([(STAMP, 'map', 'camera', (1, 2, 3), (0, 0, 0, 1))])
        (transform,) = msg.transforms
        assert (transform.header.frame_id, transform.child_frame_id) == ('map', 'camera')
        assert stamp_ns(transform.header) == STAMP
        assert make.string('hello').data == 'hello'

    def test_each_transform_has_its_own_numbers_in_their_places(self, make):
        half = 0.5**0.5
        msg = make.tf_message(
            [
                (STAMP, 'map', 'odom', (1, 2, 3), (0, half, 0, half)),
                (STAMP + 1, 'odom', 'camera', (4, 5, 6), (0.1, 0.2, 0.3, 0.9)),
            ]
        )
        found = []
        for each in msg.transforms:
            t, q = each.transform.translation, each.transform.rotation
            found.append(((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)))
        assert found[0] == ((1, 2, 3), (0, half, 0, half))
        assert found[1] == ((4, 5, 6), (0.1, 0.2, 0.3, 0.9))
        assert [stamp_ns(each.header) for each in msg.transforms] == [STAMP, STAMP + 1]
        assert [each.child_frame_id for each in msg.transforms] == ['odom', 'camera']

    def test_every_field_of_an_image_a_file_and_a_calibration(self, make):
        header = make.header(STAMP, 'camera')
        image = make.image(np.zeros((2, 5, 3), np.uint8), 'bgr8', header)
        assert (image.encoding, image.step, image.is_bigendian) == ('bgr8', 15, 0)
        assert image.header.frame_id == 'camera'
        file = make.compressed_image(b'\x01\x02\x03', 'jpeg', header)
        assert (file.format, bytes(file.data)) == ('jpeg', b'\x01\x02\x03')
        assert file.header.frame_id == 'camera'
        fields = CameraInfoFields(
            **{**vars(camera_fields()), 'binning_x': 2, 'binning_y': 3, 'roi': (1, 2, 30, 40)}
        )
        info = make.camera_info(fields, header)
        assert (info.binning_x, info.binning_y, info.header.frame_id) == (2, 3, 'camera')
        window = (info.roi.x_offset, info.roi.y_offset, info.roi.height, info.roi.width)
        assert window == (1, 2, 30, 40)
        assert not info.roi.do_rectify
        names = make.label_info(['a'], header, 0.25)
        assert (names.threshold, names.header.frame_id) == (0.25, 'camera')
        cloud = make.point_cloud(np.zeros((2, 3), [('x', 'f4')]), header)
        assert (cloud.header.frame_id, cloud.is_bigendian, cloud.is_dense) == ('camera', 0, 0)

    @pytest.mark.parametrize(
        ('array_', 'encoding', 'said'),
        [
            (np.zeros(4, np.uint8), 'mono8', 'encoding mono8 wants uint8 of shape'),
            (np.zeros((2, 2, 1), np.uint8), 'mono8', r'got uint8 of \(2, 2, 1\)'),
            (np.zeros((2, 2, 4), np.uint8), 'rgb8', r"wants uint8 of shape \('H', 'W', 3\)"),
            (np.zeros((2, 2)), 'yuv9', "no encoding 'yuv9': choose from rgb8, bgr8, "),
        ],
    )
    def test_an_image_that_does_not_fit_is_told_what_would(self, make, array_, encoding, said):
        with pytest.raises(ValueError, match=said):
            make.image(array_, encoding, make.header(STAMP, 'camera'))

    def test_binning_of_zero_is_none_and_a_window_of_zeros_the_full_picture(self):
        msg = make_info()
        msg.binning_x, msg.binning_y = 0, 4
        found = camera_info_fields(msg)
        assert (found.binning_x, found.binning_y, found.roi) == (1, 4, None)
        msg.binning_x, msg.binning_y, msg.roi.y_offset = 3, 0, 7
        found = camera_info_fields(msg)
        assert (found.binning_x, found.binning_y, found.roi) == (3, 1, (0, 7, 0, 0))

    @pytest.mark.parametrize('name', ['r', 'p'])
    def test_every_matrix_is_counted(self, name):
        with pytest.raises(MessageError, match=f'field {name} has 8 numbers'):
            CameraInfoFields(**{**vars(camera_fields()), name: (1.0,) * 8})

    def test_everything_survives_a_bag(self):
        make = BagMessages()
        header = make.header(STAMP, 'camera')
        for msg in (
            make.image(np.ones((2, 3), np.uint8), 'mono8', header),
            make.compressed_image(b'abc', 'jpeg', header),
            make.camera_info(camera_fields(), header),
            make.label_info(['a', 'b'], header),
            make.point_cloud(np.zeros((2, 3), [('x', 'f4')]), header),
            make.tf_message([(STAMP, 'a', 'b', (1, 2, 3), (0, 0, 0, 1))]),
            make.string('hello'),
        ):
            raw = make.serialize(msg)
            back = make.store.deserialize_cdr(raw, msg.__msgtype__)
            assert bytes(make.serialize(back)) == bytes(raw)


def make_info():
    make = BagMessages()
    return make.camera_info(camera_fields(), make.header(STAMP, 'camera'))
