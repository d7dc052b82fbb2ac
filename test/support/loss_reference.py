"""Float64 NumPy versions of the losses' parts, written from the formulas, and a known scene."""

import numpy as np
import torch


def images(seed, *shape):
    """Random float64 numbers in [0, 1]."""
    return np.random.default_rng(seed).random(shape)


def tensors(*arrays):
    return [torch.from_numpy(a) for a in arrays]


def ssim_by_windows(x, y):
    """SSIM map of (B, C, H, W) arrays: for each pixel the moments of its 3x3 window."""
    height, width = x.shape[2:]
    rows, columns = _reflected(height), _reflected(width)
    out = np.empty_like(x)
    for v in range(height):
        for u in range(width):
            window = np.ix_(range(x.shape[0]), range(x.shape[1]), rows[v], columns[u])
            a = x[window].reshape(*x.shape[:2], 9)
            b = y[window].reshape(*x.shape[:2], 9)
            mean_a, mean_b = a.mean(-1), b.mean(-1)
            covariance = ((a - mean_a[..., None]) * (b - mean_b[..., None])).mean(-1)
            luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
            structure = (2 * covariance + 0.03**2) / (a.var(-1) + b.var(-1) + 0.03**2)
            out[:, :, v, u] = luminance * structure
    return out


def _reflected(size):
    """The three neighbours of each index; beyond an end, the one on the other side."""
    return [[abs(i - 1), i, i + 1 if i + 1 < size else size - 2] for i in range(size)]


def dissimilarity(x, y):
    return np.clip((1 - ssim_by_windows(x, y)) / 2, 0, 1)


def photometric(target, warped, alpha=0.85):
    both = alpha * dissimilarity(target, warped) + (1 - alpha) * np.abs(target - warped)
    return both.mean(axis=1, keepdims=True)


class SlantedPlane:
    """A textured plane before two cameras, drawn by intersecting rays: no picture is warped.

    The plane is n · X = 4 in the target camera's coordinates, its texture a smooth function of X.
    """

    height, width = 32, 48
    normal = np.array([0.25, -0.2, 1.0])
    distance = 4.0
    intrinsics = np.array([[40.0, 0.0, 22.5], [0.0, 38.0, 16.25], [0.0, 0.0, 1.0]])

    def transform(self, axis_angle=(0.01, -0.03, 0.02), translation=(0.25, -0.1, 0.3)):
        """T_{t→s} (4, 4), its rotation by the exponential series."""
        x, y, z = axis_angle
        generator = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        rotation, power = np.eye(3), np.eye(3)
        for k in range(1, 20):
            power = power @ generator / k
            rotation = rotation + power
        out = np.eye(4)
        out[:3, :3], out[:3, 3] = rotation, translation
        return out

    def render(self, transform):
        """Picture (3, H, W) in [0, 1] and depth (H, W) of the camera ``transform`` leads to."""
        rotation, translation = transform[:3, :3], transform[:3, 3]
        u, v = np.meshgrid(np.arange(self.width), np.arange(self.height))
        pixels = np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
        rays = np.linalg.inv(self.intrinsics) @ pixels  # z = 1, this camera's coordinates
        # n · R^T (z ray - t) = distance, for z:
        toward = rotation @ self.normal
        depth = (self.distance + toward @ translation) / (toward @ rays)
        points = rotation.T @ (depth * rays - translation[:, None])
        waves = [(1.3, 0.4, 0.0), (-0.5, 1.7, 1.0), (0.9, -1.1, 2.0)]
        picture = [0.5 + 0.45 * np.sin(a * points[0] + b * points[1] + c) for a, b, c in waves]
        shape = (self.height, self.width)
        return np.stack(picture).reshape(3, *shape), depth.reshape(shape)

    def tensors(self):
        """(1, 3, H, W) target and source, (1, 1, H, W) depth, (3, 3) K, (1, 4, 4) T_{t→s}."""
        transform = self.transform()
        target, depth = self.render(np.eye(4))
        source, _ = self.render(transform)
        arrays = (target[None], source[None], depth[None, None], self.intrinsics, transform[None])
        return tensors(*(np.ascontiguousarray(a) for a in arrays))
