"""Pictures in which there is something to be seen, so that they are not withheld as covered."""

import numpy as np


def striped(height, width, green=200, red=None):
    """(height, width, 3) uint8 RGB: 24 blue stripes; red is as green unless given."""
    image = np.full((height, width, 3), green, np.uint8)
    image[..., 0] = green if red is None else red
    image[..., 2] = 255 * (np.arange(width) * 24 // width % 2)
    return image
