"""Arrays -> messages: one way of building, two worlds of message classes.

:class:`RosMessages` makes ROS's messages (for the node), :class:`BagMessages` the bag library's
(for replay, without ROS). Both have the same methods, and both write little-endian data without
row padding.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from dsn_core.labels import UNLABELLED
from dsn_ros.camera_info import CameraInfoFields
from dsn_ros.messages import PIXEL_FORMATS

__all__ = ['BagMessages', 'Messages', 'RosMessages']

# vision_msgs is not among the bag library's own types; these are its public definitions.
VISION_MSGS = {
    'vision_msgs/msg/VisionClass': 'uint16 class_id\nstring class_name\n',
    'vision_msgs/msg/LabelInfo': (
        'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n'
    ),
}

# sensor_msgs/PointField's datatype, by numpy type code.
POINT_TYPES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}

Transform = tuple[int, str, str, Sequence[float], Sequence[float]]
"""(stamp in ns, parent frame, child frame, xyz in metres, quaternion x y z w)."""


class Messages(ABC):
    """Builds messages; a subclass says of which world."""

    @abstractmethod
    def _make(self, type_name: str, payload: NDArray[Any] | None = None, /, **fields: Any) -> Any:
        """Make a message of ``type_name``; the bytes of ``payload`` go into ``data``."""

    @abstractmethod
    def _numbers(self, values: Sequence[float]) -> Any:
        """Return float64 values as this world's messages hold them."""

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Make a ``std_msgs/Header``; ``stamp_ns`` in nanoseconds."""
        return self._make('std_msgs/msg/Header', stamp=self._time(stamp_ns), frame_id=frame_id)

    def image(self, array: NDArray[Any], encoding: str, header: Any) -> Any:
        """Make a ``sensor_msgs/Image`` of ``array`` (H, W) or (H, W, C).

        ``encoding`` is one that :func:`dsn_ros.messages.image_view` takes (32FC1 metres, mono8,
        rgb8, 16UC1 millimetres, ...); the data is little-endian without row padding.

        Raises:
            ValueError: the array's type or shape is not the encoding's.

        """
        form = PIXEL_FORMATS.get(encoding)
        if form is None:
            raise ValueError(f'no encoding {encoding!r}: choose from {", ".join(PIXEL_FORMATS)}')
        dtype = form.dtype()
        tail = () if form.channels == 1 else (form.channels,)
        if array.ndim < 2 or array.shape[2:] != tail or array.dtype.newbyteorder('<') != dtype:
            raise ValueError(
                f'encoding {encoding} wants {dtype} of shape {("H", "W", *tail)}, '
                f'got {array.dtype} of {array.shape}'
            )
        return self._make(
            'sensor_msgs/msg/Image',
            array.astype(dtype, copy=False),
            header=header,
            height=array.shape[0],
            width=array.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=array.shape[1] * form.channels * dtype.itemsize,
        )

    def compressed_image(self, data: bytes, image_format: str, header: Any) -> Any:
        """Make a ``sensor_msgs/CompressedImage`` of the bytes of a 'jpeg' or 'png' file."""
        raw = np.frombuffer(data, np.uint8)
        return self._make(
            'sensor_msgs/msg/CompressedImage', raw, header=header, format=image_format
        )

    def camera_info(self, fields: CameraInfoFields, header: Any) -> Any:
        """Make a ``sensor_msgs/CameraInfo``."""
        x, y, height, width = fields.roi or (0, 0, 0, 0)
        roi = self._make(
            'sensor_msgs/msg/RegionOfInterest',
            x_offset=x,
            y_offset=y,
            height=height,
            width=width,
            do_rectify=False,
        )
        return self._make(
            'sensor_msgs/msg/CameraInfo',
            header=header,
            height=fields.height,
            width=fields.width,
            distortion_model=fields.distortion_model,
            d=self._numbers(fields.d),
            k=self._numbers(fields.k),
            r=self._numbers(fields.r),
            p=self._numbers(fields.p),
            binning_x=fields.binning_x,
            binning_y=fields.binning_y,
            roi=roi,
        )

    def label_info(self, names: Sequence[str], header: Any, threshold: float = 0.5) -> Any:
        """Make a ``vision_msgs/LabelInfo``: class ids 0 to n - 1 by name, and 255 'unlabelled'."""
        classes = [*enumerate(names), (UNLABELLED, 'unlabelled')]
        return self._make(
            'vision_msgs/msg/LabelInfo',
            header=header,
            class_map=[
                self._make('vision_msgs/msg/VisionClass', class_id=i, class_name=name)
                for i, name in classes
            ],
            threshold=threshold,
        )

    def point_cloud(self, points: NDArray[Any], header: Any) -> Any:
        """Make an organised ``sensor_msgs/PointCloud2`` of ``points`` (H, W), a structured array.

        One PointField for each of the array's fields, no padding, ``is_dense`` False (invalid
        points are NaN). Not through sensor_msgs_py: Jazzy's ``create_cloud`` takes the first
        axis for the width, which transposes the H and W that Nav2 reads.

        Raises:
            ValueError: not a packed structured (H, W) array of plain number fields.

        """
        fields = points.dtype.fields
        if points.ndim != 2 or fields is None:
            raise ValueError(f'want a structured (H, W) array, got {points.dtype} {points.shape}')
        point_fields, offset = [], 0
        for name in points.dtype.names or ():
            dtype, at = fields[name][:2]
            if at != offset or dtype.str[1:] not in POINT_TYPES or dtype.str[0] == '>':
                raise ValueError(f'field {name} ({dtype} at byte {at}) is padded or no number')
            offset += dtype.itemsize
            point_fields.append(
                self._make(
                    'sensor_msgs/msg/PointField',
                    name=name,
                    offset=at,
                    datatype=POINT_TYPES[dtype.str[1:]],
                    count=1,
                )
            )
        if offset != points.dtype.itemsize:
            raise ValueError(f'points are padded: {points.dtype.itemsize} bytes for {offset}')
        return self._make(
            'sensor_msgs/msg/PointCloud2',
            points,
            header=header,
            height=points.shape[0],
            width=points.shape[1],
            fields=point_fields,
            is_bigendian=False,
            point_step=offset,
            row_step=offset * points.shape[1],
            is_dense=False,
        )

    def tf_message(self, transforms: Sequence[Transform]) -> Any:
        """Make a ``tf2_msgs/TFMessage``: child frames as seen from their parents."""
        stamped = []
        for stamp_ns, parent, child, xyz, quaternion in transforms:
            x, y, z = (float(v) for v in xyz)
            qx, qy, qz, qw = (float(v) for v in quaternion)
            transform = self._make(
                'geometry_msgs/msg/Transform',
                translation=self._make('geometry_msgs/msg/Vector3', x=x, y=y, z=z),
                rotation=self._make('geometry_msgs/msg/Quaternion', x=qx, y=qy, z=qz, w=qw),
            )
            stamped.append(
                self._make(
                    'geometry_msgs/msg/TransformStamped',
                    header=self.header(stamp_ns, parent),
                    child_frame_id=child,
                    transform=transform,
                )
            )
        return self._make('tf2_msgs/msg/TFMessage', transforms=stamped)

    def string(self, text: str) -> Any:
        """Make a ``std_msgs/String``."""
        return self._make('std_msgs/msg/String', data=text)

    def _time(self, stamp_ns: int) -> Any:
        sec, nanosec = divmod(int(stamp_ns), 10**9)
        return self._make('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec)


class RosMessages(Messages):
    """Builds ROS's messages; their packages are imported when the first one is made."""

    def __init__(self) -> None:
        self._types: dict[str, Any] = {}

    def _make(self, type_name: str, payload: NDArray[Any] | None = None, /, **fields: Any) -> Any:
        if type_name not in self._types:
            package, _, name = type_name.split('/')
            self._types[type_name] = getattr(import_module(f'{package}.msg'), name)
        message = self._types[type_name](**fields)
        if payload is not None and payload.size:  # an empty view cannot be cast
            # The fast way on every distribution: assigning bytes takes 390 ms for a 720p depth
            # image on Humble, this 0.1 ms. It appends, so the message must be fresh.
            message.data.frombytes(np.ascontiguousarray(payload).data.cast('B'))
        return message

    def _numbers(self, values: Sequence[float]) -> list[float]:
        return [float(v) for v in values]


class BagMessages(Messages):
    """Builds the bag library's messages, as ``typestore`` defines them (default: Jazzy's).

    Their ``data`` is the array that they are made of, not a copy: serialize before it changes.
    """

    def __init__(self, typestore: Typestore | None = None) -> None:
        self.store = typestore or self.typestore()

    @staticmethod
    def typestore() -> Typestore:
        """Return a new store of Jazzy's message types and vision_msgs' LabelInfo."""
        store = get_typestore(Stores.ROS2_JAZZY)
        for name, text in VISION_MSGS.items():
            store.register(get_types_from_msg(text, name))
        return store

    def serialize(self, message: Any) -> memoryview:
        """CDR bytes of one of these messages, as a bag holds them."""
        return self.store.serialize_cdr(message, message.__msgtype__)

    def _make(self, type_name: str, payload: NDArray[Any] | None = None, /, **fields: Any) -> Any:
        if payload is not None:
            fields['data'] = np.ascontiguousarray(payload).reshape(-1).view(np.uint8)
        return self.store.types[type_name](**fields)

    def _numbers(self, values: Sequence[float]) -> NDArray[np.float64]:
        return np.array(values, dtype=np.float64)
