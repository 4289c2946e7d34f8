"""The method, written a second time: plain PyTorch from the formulas, on torchvision's own VGG-19.

Nothing here comes from the engine, so that the engine can be held against it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

# Positions of the convolutions in torchvision's vgg19().features.
INDEX = {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7, "conv3_1": 10, "conv3_2": 12, "conv3_3": 14}
INDEX |= {"conv3_4": 16, "conv4_1": 19, "conv4_2": 21, "conv4_3": 23, "conv4_4": 25, "conv5_1": 28}
STYLE = [0, 5, 10, 19, 28]
CONTENT = 21


def reference_network(convolutions: Mapping[str, tuple[Tensor, Tensor]]) -> nn.Sequential:
    """torchvision's features up to conv5_1 with the given weights and average pooling."""
    features = torchvision.models.vgg19(weights=None).features[:29]
    for name, (weight, bias) in convolutions.items():
        features[INDEX[name]].weight.data, features[INDEX[name]].bias.data = weight.clone(), bias.clone()
    for place, layer in enumerate(features):
        if isinstance(layer, nn.MaxPool2d):
            features[place] = nn.AvgPool2d(2, 2)
        elif isinstance(layer, nn.ReLU):
            features[place] = nn.ReLU(inplace=False)
    return features.requires_grad_(False)


def to_batch(picture: NDArray[np.uint8]) -> Tensor:
    return torch.tensor(picture / 255.0, dtype=torch.float32).permute(2, 0, 1)[None].contiguous()


def activations(network: nn.Sequential, image: Tensor) -> dict[int, Tensor]:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (image - mean[:, None, None]) / std[:, None, None]
    taps = {}
    for place, layer in enumerate(network):
        x = layer(x)
        taps[place] = x
    return taps


def gram(features: Tensor) -> Tensor:
    _, c, h, w = features.shape
    return torch.einsum("ihw,jhw->ij", features[0], features[0]) / (c * h * w)


Taps = dict[int, Tensor]


def reference_losses(network: nn.Sequential, image: Tensor, photo: Taps, style: Taps) -> Sequence[Tensor]:
    """Total, style, content and total variation with the classic weights; of photo and style, the activations."""
    taps = activations(network, image)
    style_loss = sum(((gram(taps[i]) - gram(style[i])) ** 2).mean() for i in STYLE)
    content_loss = ((taps[CONTENT] - photo[CONTENT]) ** 2).mean()
    tv = torch.abs(image[:, :, :, 1:] - image[:, :, :, :-1]).sum()
    tv = tv + torch.abs(image[:, :, 1:, :] - image[:, :, :-1, :]).sum()
    total = 1e6 * style_loss + 1.0 * content_loss + 1e-6 * tv
    return total, 1e6 * style_loss, content_loss, 1e-6 * tv


def reference_curve(network: nn.Sequential, photo: Tensor, style: Tensor, steps: int) -> list[list[float]]:
    """The losses of each of the first ``steps`` evaluations of L-BFGS with lr 0.03, from the photo."""
    photo_taps, style_taps = activations(network, photo), activations(network, style)
    image = photo.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS([image], lr=0.03)
    curve: list[list[float]] = []

    def closure() -> Tensor:
        optimiser.zero_grad()
        losses = reference_losses(network, image, photo_taps, style_taps)
        losses[0].backward()
        curve.append([loss.item() for loss in losses])
        return losses[0].detach()

    while len(curve) < steps:
        optimiser.step(closure)
    return curve[:steps]
