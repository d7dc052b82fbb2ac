"""Whatever message comes: one named error, or outputs that are its own. Nothing crashes or hangs.

``python test/long_runs.py messages`` is the long run of the same.
"""

import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bag_factory import StandIn, camera_fields, jpeg, picture, png
from support.fuzz_oracle import Oracle, fuzz, real_pictures
from support.message_fuzzer import MessageFuzzer
from support.one_line import one_line
from support.stand_in_engine import StandInEngine

from dsn_ros.camera import Camera
from dsn_ros.diagnostics import Statistics
from dsn_ros.errors import MessageError
from dsn_ros.message_builders import BagMessages, RosMessages
from dsn_ros.messages import (
    CONVERTED_ENCODINGS,
    PIXEL_FORMATS,
    CameraInfoFields,
    bag_converter,
    camera_info_fields,
    compressed_to_rgb,
    image_to_rgb,
    stamp_ns,
)
from dsn_ros.pipeline import Pipeline, PipelineOptions
from dsn_ros.view import view_of
from dsn_ros.worker import Channel, Settings, Worker

FULL_P = (49.0, 0.0, 31.0, 0.0, 0.0, 50.0, 23.0, 0.0, 0.0, 0.0, 1.0, 0.0)
NAN = float('nan')


@pytest.fixture(scope='module')
def one_cv_thread():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


@pytest.fixture(params=['bag library', 'ROS'])
def world(request):
    if request.param == 'bag library':
        return BagMessages()
    for package in ('sensor_msgs.msg', 'std_msgs.msg', 'builtin_interfaces.msg'):
        pytest.importorskip(package, reason=f"{package}: ROS's message packages are not sourced")
    return RosMessages()


class TestFuzz:
    def test_bent_messages_are_refused_by_name_or_seen_as_they_are(
        self, tmp_path, world, one_cv_thread
    ):
        oracle = Oracle(tmp_path)
        (*_, count) = fuzz(oracle, 0, 2000, [world], real_pictures())
        assert count == oracle.verdicts.total() == 2000
        kinds = {kind for kind, verdict in oracle.verdicts if verdict == 'accepted'}
        assert len(kinds) == 4  # of every type some get through
        assert len(oracle.verdicts) > 30

    def test_the_node_s_worker_drops_each_by_name(self, one_cv_thread):
        """Through decode, pipeline and engine: nothing 'failed', nothing unaccounted for."""
        reasons = []

        class Noted(Statistics):
            def dropped(self, reason, text=''):
                reasons.append(reason)
                super().dropped(reason, text)

        build, statistics, out = BagMessages(), Noted(), []
        camera = [None]
        sink = SimpleNamespace(any_wanted=lambda: True, publish=out.append)
        engine = StandInEngine()
        channel = Channel(
            Pipeline(engine),
            sink,
            lambda m: image_to_rgb(m, bag_converter),
            lambda: Settings(PipelineOptions('camera'), 0.0, camera[0]),
            statistics,
            lambda *_: None,
        )
        worker = Worker(engine, {'': channel}, lambda: 1_700_000_000 * 10**9)
        for seed in range(300):
            fuzzer = MessageFuzzer(seed, build)
            message = fuzzer.image()
            try:
                info = camera_info_fields(fuzzer.camera_info(message.height, message.width))
                camera[0] = Camera.from_info(info)
            except MessageError:
                camera[0] = None
            worker.put('', message)
            _settle(statistics)
        worker.stop(10.0)
        came, published, dropped = statistics.totals()
        assert (came, published, dropped) == (300, len(out), 300 - len(out))
        assert 20 < published < 280
        assert len(reasons) == dropped
        assert {reason.split()[0] for reason in reasons} == {'unreadable'}  # never 'failed'


def _settle(statistics):
    for _ in range(2000):
        came, out, dropped = statistics.totals()
        if came == out + dropped:
            return
        time.sleep(0.002)
    raise AssertionError('the worker hangs')


# As far as the wire goes, and a little beyond what makes sense.
UINT32 = st.integers(0, 70) | st.integers(0, 2**32 - 1)
FLOATS = st.floats(-2000, 2000) | st.floats()


class TestProperties:
    @given(
        height=UINT32,
        width=UINT32,
        step=UINT32,
        encoding=st.sampled_from([*PIXEL_FORMATS, *CONVERTED_ENCODINGS]) | st.text(max_size=9),
        is_bigendian=st.integers(0, 255),
        data=st.binary(max_size=2000),
    )
    @settings(max_examples=300, deadline=None)
    def test_an_image_is_of_its_size_or_refused(self, **fields):
        message = StandIn(**fields)
        try:
            rgb = image_to_rgb(message, bag_converter)
        except MessageError as error:
            one_line(error)
        else:
            assert rgb.shape == (fields['height'], fields['width'], 3)
            assert rgb.dtype == np.uint8

    @given(sec=st.integers(-(2**31), 2**32 - 1), nanosec=UINT32)
    def test_a_stamp_comes_back_or_is_refused(self, sec, nanosec):
        header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))
        try:
            found = stamp_ns(header)
        except MessageError:
            assert sec < 0 or sec >= 2**31 or nanosec >= 10**9
        else:
            written = BagMessages().header(found, '').stamp
            assert (written.sec, written.nanosec) == (sec, nanosec)

    @given(
        k=st.tuples(*[FLOATS] * 9),
        p=st.tuples(*[FLOATS] * 12) | st.just(FULL_P),
        r=st.tuples(*[FLOATS] * 9) | st.just(camera_fields().r),
        d=st.lists(FLOATS, max_size=14).map(tuple),
        model=st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant', 'other', '']),
        ours=st.booleans(),
    )
    @settings(max_examples=200, deadline=None)
    def test_a_calibration_gives_rays_or_is_refused(self, k, p, r, d, model, ours):
        k = camera_fields().k if ours else k
        fields = CameraInfoFields(48, 64, model, d, k, r, p)
        try:
            camera = Camera.from_info(fields)
            if not camera.calibrated:
                return
            view = view_of(48, 64, camera, True, 'stretch', 1.5)
            view.picture(picture(), 64, 96)
        except MessageError as error:
            one_line(error)
            return
        assert not np.isinf(view.camera.resized(64, 96).rays()).any()


class TestStamps:
    @pytest.mark.parametrize(
        ('sec', 'nanosec'), [(-1, 0), (-(2**31), 5), (2**31, 0), (5, 10**9), (5, 2**32 - 1)]
    )
    def test_what_no_output_could_carry_is_refused(self, sec, nanosec):
        header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))
        with pytest.raises(MessageError, match=f'header.stamp of {sec} s and {nanosec} ns'):
            stamp_ns(header)

    def test_zero_and_the_last_are_times(self):
        for sec, nanosec in ((0, 0), (2**31 - 1, 10**9 - 1)):
            header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))
            assert stamp_ns(header) == sec * 10**9 + nanosec


class TestPictureFiles:
    def refusal(self, data):
        started = time.process_time()
        with pytest.raises(MessageError, match=r'^[^\n]+$') as caught:
            compressed_to_rgb(SimpleNamespace(format='jpeg', data=data))
        assert time.process_time() - started < 1  # before anything is decoded
        return str(caught.value)

    def progressive(self, side, scans):
        """A progressive JPEG whose last scan is repeated: sixty bytes cost a walk through all."""
        blank = np.zeros((side, side, 3), np.uint8)
        data = cv2.imencode('.jpg', blank, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
        last = data[data.rindex(b'\xff\xda') : -2]
        return data[:-2] + last * (scans - data.count(b'\xff\xda')) + b'\xff\xd9'

    def test_scans_without_end_are_not_decoded(self):
        bomb = self.progressive(4000, 400)
        assert len(bomb) < 200_000
        assert '400 scans' in self.refusal(bomb)

    def test_an_ordinary_progressive_jpeg_is(self):
        found = compressed_to_rgb(SimpleNamespace(format='jpeg', data=self.progressive(256, 10)))
        assert found.shape == (256, 256, 3)

    @pytest.mark.parametrize('make', [jpeg, png])
    def test_a_few_bytes_are_no_large_picture(self, make):
        data = bytearray(make(picture()))
        at, width = (data.index(b'\xff\xc0') + 5, 2) if make is jpeg else (16, 4)
        data[at : at + 2 * width] = (7000).to_bytes(width, 'big') * 2
        assert '7000 x 7000 pixels in' in self.refusal(bytes(data))

    @pytest.mark.parametrize('extension', ['.jpg', '.png'])
    def test_a_black_picture_is_one(self, extension):
        black = np.zeros((1080, 1920), np.uint8)
        best = [cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_PNG_COMPRESSION, 9]
        data = cv2.imencode(extension, black, best)[1]
        assert compressed_to_rgb(SimpleNamespace(format='', data=data)).shape == (1080, 1920, 3)


class TestCalibrations:
    def fields(self, **changes):
        return CameraInfoFields(**{**vars(camera_fields()), **changes})

    @pytest.mark.parametrize(
        ('changes', 'said'),
        [
            ({'distortion_model': 'spiral'}, "distortion model 'spiral' is not known"),
            ({'d': (0.1,) * 3}, 'has 3 coefficients, not 4 or 5'),
            ({'distortion_model': 'equidistant', 'd': (0.1, 0.1)}, 'has 2 coefficients, not 4'),
            ({'r': (NAN,) * 9}, 'field r is no rotation'),
            ({'r': (1e200,) * 9}, 'field r is no rotation'),
            ({'r': (2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0)}, 'field r is no rotation'),
            ({'k': (50.0, 0.0, 31.5, 0.0, 51.0, 23.5, 0.0, 0.0, 0.0)}, 'k ends in'),
            (
                {'k': (1e-9, 0.0, 31.5, 0.0, 1e-9, 23.5, 0.0, 0.0, 1.0)},
                'k has focal lengths of 1e-',
            ),
            (
                {'k': (50.0, 0.0, 1e30, 0.0, 51.0, 23.5, 0.0, 0.0, 1.0)},
                'k has its centre at 1e+30',
            ),
            ({'p': (1e9, *FULL_P[1:])}, 'p has focal lengths of 1e+09'),
        ],
    )
    def test_what_no_camera_has_is_named(self, changes, said):
        """Each of these bent pictures silently or failed in OpenCV, frame after frame."""
        with pytest.raises(MessageError, match=r'^[^\n]+$') as caught:
            Camera.from_info(self.fields(**changes))
        assert said in str(caught.value)

    @pytest.mark.parametrize(
        'changes',
        [
            {'r': (0.0,) * 9},
            {'distortion_model': 'equidistant', 'd': (0.1, 0.0, 0.0, 0.0, 0.0)},
            {'height': 0, 'width': 0},
            {'distortion_model': 'spiral', 'd': (0.0,) * 5},
            {'k': (0.0,) * 9, 'r': (NAN,) * 9},
        ],
        ids=['not turned', 'filled up', 'of any size', 'no lens', 'uncalibrated'],
    )
    def test_what_careless_drivers_send_is_taken(self, changes):
        Camera.from_info(self.fields(**changes))

    def test_a_rectified_topic_has_no_lens_to_be_wrong(self):
        fields = self.fields(distortion_model='spiral', r=(NAN,) * 9)
        assert not Camera.from_info(fields, '/camera/image_rect').distorted

    def test_that_no_picture_fits_is_found_once(self):
        """It took seconds, for every frame anew."""
        camera = Camera.from_info(self.fields(d=(1e6, 1e9, 1e5, 1.0, 1.0), p=(0.0,) * 12))
        for _ in range(2):
            started = time.process_time()
            with pytest.raises(MessageError, match='calibrate the camera again'):
                view_of(48, 64, camera, True, 'stretch', 1.5)
            took = time.process_time() - started
        assert took < 0.01

    def test_rays_that_run_off_to_infinity_are_not_known(self):
        d = (-1.6467, 3.8, 1e6, 1e6, 1e6)
        camera = Camera.from_info(self.fields(d=d))
        rays = camera.rays()
        assert not np.isinf(rays).any()


def test_names_from_outside_do_not_flood_the_log():
    for encoding in ('x' * 10_000, 'a\nb', '\x1b]0;title\x07'):
        with pytest.raises(MessageError) as caught:
            image_to_rgb(StandIn(2, 2, encoding, 0, 6, bytes(12)), bag_converter)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600
