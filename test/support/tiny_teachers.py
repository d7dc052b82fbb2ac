"""Tiny random models of the transformers library, and pictures to show them."""

from pathlib import Path

import numpy as np

from dsn_core.labels import CITYSCAPES


def pictures(count=2, height=64, width=96, seed=0):
    """Coloured noise over a step of brightness, (N, H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 156, (count, height, width, 3), dtype=np.uint8)
    drawn[:, : height // 2] += 100
    drawn[:, :, width // 2 :, :2] //= 3
    return drawn


def enlarged(maps, height, width):
    """Maps (..., h, w) by bilinear interpolation between pixel centres, the edge repeated."""

    def weights(old, new):
        places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        return np.maximum(0, 1 - abs(places[:, None] - np.arange(old)))  # (new, old)

    h, w = maps.shape[-2:]
    return weights(h, height) @ np.asarray(maps, np.float64) @ weights(w, width).T


def softmax(x, axis):
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def save_mask2former(folder: Path, classes=CITYSCAPES.names) -> Path:
    """A Mask2Former with a Swin backbone, all of whose weights are random."""
    import torch
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    backbone = SwinConfig(
        image_size=64,
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[2, 2, 2, 2],
        window_size=4,
        out_features=['stage1', 'stage2', 'stage3', 'stage4'],
    )
    config = Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=6,
        id2label=dict(enumerate(classes)),
        label2id={name: i for i, name in enumerate(classes)},
    )
    torch.manual_seed(1)
    network = Mask2FormerForUniversalSegmentation(config)
    with torch.no_grad():
        # As initialised, all queries say the same, and nothing.
        queries = network.model.transformer_module
        queries.queries_features.weight.normal_(0, 3)
        queries.queries_embedder.weight.normal_(0, 1)
        network.class_predictor.weight.normal_(0, 1)
        for name, parameter in network.named_parameters():
            if ('mask_embedder' in name or 'mask_projection' in name) and parameter.ndim > 1:
                parameter *= 4
    network.save_pretrained(folder)
    return folder


def save_depth_anything(folder: Path, kind: str = 'relative') -> Path:
    """A Depth Anything with a DINOv2 backbone, all of whose weights are random."""
    import torch
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=56,
        patch_size=14,
        out_features=['stage1', 'stage2', 'stage3', 'stage4'],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=8,
        depth_estimation_type=kind,
        max_depth=80 if kind == 'metric' else 1,
    )
    torch.manual_seed(2)
    network = DepthAnythingForDepthEstimation(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter *= 10  # or the answer would be the same everywhere
    network.save_pretrained(folder)
    return folder


def spy_on(monkeypatch, model):
    """A list that every picture batch's shape is added to which class ``model`` is shown."""
    forward, shapes = model.forward, []

    def spying(self, pixel_values, **others):
        shapes.append(tuple(pixel_values.shape))
        return forward(self, pixel_values=pixel_values, **others)

    monkeypatch.setattr(model, 'forward', spying)
    return shapes
