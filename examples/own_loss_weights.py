"""The paper's loss with weights of your own: python examples/own_loss_weights.py   (needs torch).

Only the segmentation teacher's term, by day (Eq 16): what weighs zero is not computed, and its
inputs may be missing. For a whole training the same fields are written into the configuration:
dsn train CONFIG weights.consistency=0.5 weights.speed=1
"""

import torch

from dsn_core.losses import (
    LossInputs,
    LossOptions,
    LossWeights,
    PseudoLabels,
    TotalLoss,
    View,
    required_inputs,
)
from dsn_core.models import DepthSegNet

STEPS = 8


def main() -> None:
    """Train a fresh network on one made picture for a few steps and print the terms."""
    torch.manual_seed(0)
    weights = LossWeights(
        **{'light': 0, 'self_supervision': 0, 'consistency': 0, 'depth_distillation': 0},
        **{'segmentation_synthetic_night': 0, 'segmentation_night': 0},
    )
    print('needs:', ', '.join(sorted(required_inputs(weights))))
    loss = TotalLoss(weights, LossOptions(confidence_threshold=0.0))

    network = DepthSegNet()
    optimiser = torch.optim.Adam(network.parameters(), lr=2.5e-4)
    image = torch.rand(2, 3, 64, 96)
    labels = torch.zeros(2, 64, 96, dtype=torch.long)  # road below,
    labels[:, :32] = 10  # sky above
    for step in range(STEPS):
        inputs = LossInputs(day=View(image, network(image)), day_labels=PseudoLabels(labels))
        terms = loss(inputs)
        optimiser.zero_grad()
        terms['total'].backward()
        optimiser.step()
        said = ', '.join(f'{name} {value.item():.4f}' for name, value in terms.items())
        print(f'step {step}: {said}')


if __name__ == '__main__':
    main()
