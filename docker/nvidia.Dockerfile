# The node on a desktop's or server's NVIDIA GPU, by TensorRT:
#   docker build -f docker/cpu.Dockerfile -t dsn_ros:cpu .
#   docker build -f docker/nvidia.Dockerfile -t dsn_ros:nvidia .
#   docker run --rm --gpus all --network host --ipc host dsn_ros:nvidia image:=/camera/image_raw
# The host needs its driver and the NVIDIA Container Toolkit.
# NOT BUILT by its makers: written to the vendor's documentation. See README.md.
FROM dsn_ros:cpu

# TensorRT and what it needs of CUDA come as wheels from the vendor; the driver from the host.
# 10.13 is the release whose bindings the engine was written against.
RUN /venv/bin/python -m pip install --no-cache-dir 'tensorrt-cu12==10.13.*'
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
