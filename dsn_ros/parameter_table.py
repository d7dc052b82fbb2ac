"""The parameters of the node, one row each. Pure Python."""

from dsn_ros.parameter import Parameter

__all__ = ['PARAMETERS']

_CHECKS = ('black', 'white', 'covered', 'frozen', 'depth', 'labels', 'scale')

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        'model',
        '',
        'Path of the deploy graph (ONNX, as dsn export writes it), or lite2: weights that come '
        'with the package as well, and judge distances better in a fifth more time; none given: '
        'lite.',
    ),
    Parameter(
        'engine',
        'auto',
        'What runs the network, :cpu or :cuda behind it to name the device; auto takes the best '
        'that this machine has (dsn engine --list).',
        choices=(
            'auto',
            'openvino',
            'onnxruntime',
            'onnxruntime:cpu',
            'onnxruntime:cuda',
            'torch',
            'torch:cpu',
            'torch:cuda',
            'tensorrt',
        ),
    ),
    Parameter(
        'precision',
        'auto',
        'Arithmetic of the engine; auto takes the fastest that passes the golden-frame check.',
        choices=('auto', 'fp32', 'bf16', 'fp16', 'int8'),
    ),
    Parameter(
        'threads',
        0,
        'CPU threads of the engine; 0 leaves the number to it.',
        minimum=0,
        maximum=256,
    ),
    Parameter(
        'engine_timeout',
        5.0,
        'An engine that has not answered after this time is given up and replaced by a fresh one; '
        '0: it is waited for, whatever happens.',
        unit='s',
        minimum=0.0,
        maximum=600.0,
        live=True,
    ),
    Parameter(
        'cameras',
        ('',),
        'Names of several cameras that share the engine, such as [front, left, right]; the topics '
        "of each begin with its name (front/image, front/depth/image). ['']: one, without a name.",
        pattern='[A-Za-z][A-Za-z0-9_]*',
    ),
    Parameter(
        'image_transport',
        'raw',
        'raw subscribes to image (sensor_msgs/Image), compressed to image/compressed '
        '(sensor_msgs/CompressedImage, jpeg or png).',
        choices=('raw', 'compressed'),
    ),
    Parameter(
        'rectify',
        True,
        "Take the lens out of pictures whose camera_info has distortion, as image_proc's "
        'image_rect; all outputs are then of the rectified picture. Pictures of a topic named '
        'image_rect* are taken as rectified already.',
        live=True,
    ),
    Parameter(
        'fit',
        'stretch',
        "How a picture comes into the nearest of the model's shapes: stretch shows all of it, "
        'crop its middle unstretched; all outputs are of what is shown.',
        choices=('stretch', 'crop'),
        live=True,
    ),
    Parameter(
        'output_size',
        'model',
        "Size of all outputs: that which the model is shown, or the camera's.",
        choices=('model', 'camera'),
        live=True,
    ),
    Parameter(
        'min_confidence',
        0.0,
        'Pixels whose class is less probable than this get label 255 and depth NaN.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    ),
    Parameter(
        'camera.fov_degrees',
        0.0,
        'Horizontal field of view of a camera whose camera_info is missing or uncalibrated (its '
        'lens is then taken to be without distortion); 0: unknown.',
        unit='degrees',
        minimum=0.0,
        maximum=179.0,
        live=True,
    ),
    Parameter(
        'scale.mode',
        'none',
        'How depth becomes metric: none leaves it as the model gives it (metres if the model is '
        'metric and camera_info is known), fixed multiplies it with scale.factor, ground measures '
        "by the camera's height above the road, odometry by how far the robot went.",
        choices=('none', 'fixed', 'ground', 'odometry'),
        live=True,
    ),
    Parameter(
        'scale.factor',
        1.0,
        "Metres per unit of the network's depth, used where scale.mode is fixed.",
        minimum=1e-6,
        maximum=1e6,
        live=True,
    ),
    Parameter(
        'scale.camera_height',
        0.0,
        'Height of the camera above the road, used where scale.mode is ground; 0: as tf says, '
        'from frames.ground.',
        unit='m',
        minimum=0.0,
        maximum=100.0,
        live=True,
    ),
    Parameter(
        'scale.window',
        5.0,
        'The factor is the median of what was measured in this time.',
        unit='s',
        minimum=0.1,
        maximum=600.0,
        live=True,
    ),
    Parameter(
        'scale.hold',
        10.0,
        'For so long a factor holds without a new measure; then depth is called relative.',
        unit='s',
        minimum=0.1,
        maximum=3600.0,
        live=True,
    ),
    Parameter(
        'frames.ground',
        'base_footprint',
        'tf frame whose z = 0 is the ground (REP 120), for scale.mode ground.',
    ),
    Parameter(
        'frames.odom',
        'odom',
        'tf frame in which the world stands still, for scale.mode odometry.',
    ),
    Parameter(
        'lighting.hold',
        2.0,
        'For so long frames must look different before the state changes between day, dusk and '
        'night.',
        unit='s',
        minimum=0.0,
        maximum=600.0,
        live=True,
    ),
    Parameter(
        'sanity.checks',
        _CHECKS,
        'What makes a frame give out nothing: a picture that is black, white (overexposed), '
        'covered (shows nothing) or frozen, depth or labels that are all the same, a scale that '
        "jumps. ['']: nothing does.",
        pattern='|'.join(_CHECKS),
        live=True,
    ),
    Parameter(
        'sanity.frozen_after',
        1.0,
        'For so long the picture must not have changed in a bit, while its stamps went on, to '
        'count as frozen.',
        unit='s',
        minimum=0.1,
        maximum=3600.0,
        live=True,
    ),
    Parameter(
        'sanity.scale_jump',
        1.5,
        'So many times larger or smaller than before, a metric scale has jumped; it is believed '
        'again once it has held for two seconds.',
        minimum=1.01,
        maximum=100.0,
        live=True,
    ),
    Parameter(
        'obstacles.max_range',
        20.0,
        'Distance from the camera up to which the topic obstacles has points.',
        unit='m',
        minimum=0.1,
        maximum=1000.0,
        live=True,
    ),
    Parameter(
        'obstacles.min_confidence',
        0.0,
        'Obstacle pixels whose class is less probable than this are left out of obstacles.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    ),
    Parameter(
        'obstacles.voxel',
        0.1,
        'Width of the boxes, four times as high, of which each keeps one obstacle point.',
        unit='m',
        minimum=0.01,
        maximum=10.0,
        live=True,
    ),
    Parameter(
        'obstacles.max_points',
        5000,
        'Obstacle points of a frame at most; the nearest stay.',
        minimum=1,
        maximum=1000000,
        live=True,
    ),
    Parameter(
        'max_age',
        0.0,
        'Frames older than this when their turn comes are dropped, and counted; 0 drops none. '
        'With a bag, set use_sim_time as well, or every frame is too old.',
        unit='s',
        minimum=0.0,
        maximum=3600.0,
        live=True,
    ),
    Parameter(
        'diagnostics_period',
        1.0,
        'Time between two messages on /diagnostics.',
        unit='s',
        minimum=0.1,
        maximum=60.0,
        live=True,
    ),
    Parameter(
        'save_folder',
        '~/.ros/dsn_ros',
        'Where the service ~/save_frame writes to.',
        live=True,
    ),
)
