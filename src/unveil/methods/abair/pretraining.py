"""Phase I: the base network learns all degradations at once, region by region (ABAIR, section on pre-training)."""

from __future__ import annotations

from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from unveil.methods.abair.cutmix import DegradationCutMix
from unveil.methods.phase import Phase, to_unit
from unveil.networks import Network


class SegmentationHead(nn.Conv2d):
    """Says which degradation each pixel has, from the features that feed the output convolution.

    A 3x3 convolution with bias (ours; the paper only shows where it branches off): `B C h w` -> `B classes h w`. It is
    trained beside the base and left out of the restoring graph.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(features, classes, 3, padding=1)

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy against the map of classes `B H W`, taken at the resolution of the features."""
        stride = labels.shape[-1] // features.shape[-1]
        return F.cross_entropy(self(features).float(), labels[:, ::stride, ::stride])


class BaseTraining(Phase):
    """Trains the base: L1 to the clean picture plus `head_weight` times the head's cross entropy.

    Args:
        network: the base, any network of `unveil.networks`.
        classes: what the head tells apart.
        head_weight: lambda of the loss; 0 trains without the head (a row of the paper's ablation).
        optimisation: arguments of `Phase`.
    """

    def __init__(self, network: nn.Module, *, classes: int, head_weight: float = 0.01, **optimisation: Any) -> None:
        super().__init__(**optimisation)
        self.network = network
        self.head_weight = head_weight
        self.head = SegmentationHead(cast("Network", network).features, classes)
        # Without its loss the head learns nothing, and several processes would wait for its gradients.
        self.head.requires_grad_(head_weight > 0)

    def loss(self, degraded: Tensor, clean: Tensor, labels: Tensor) -> Tensor:
        """The loss of pictures `B 3 H W` whose pixels have the classes `labels`, `B H W`."""
        network = cast("Network", self.network)
        features = network.encode(degraded)
        restoration = F.l1_loss(network.decode(features, degraded).float(), clean)
        self.log("l1", restoration, prog_bar=True)
        if self.head_weight == 0:
            return restoration
        segmentation = self.head.loss(features, labels)
        self.log("cross_entropy", segmentation, prog_bar=True)
        return restoration + self.head_weight * segmentation


class Pretraining(BaseTraining):
    """Phase I: `cutmix` makes degraded pictures and their maps from clean ones."""

    def __init__(self, network: nn.Module, cutmix: DegradationCutMix, **settings: Any) -> None:
        super().__init__(network, classes=len(cutmix.classes), **settings)
        self.cutmix = cutmix

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        clean = to_unit(batch)
        degraded, labels = self.cutmix(clean, self.draw())
        return self.loss(degraded, clean, labels)


class PairPretraining(BaseTraining):
    """Phase I on ready pairs, each of one degradation alone: no CutMix, the head sees one class a picture.

    A batch is (degraded, clean, labels): `B 3 P P` uint8 twice, and `B` int64.
    """

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        degraded, clean, labels = batch
        degraded, clean = to_unit(degraded), to_unit(clean)
        return self.loss(degraded, clean, labels[:, None, None].expand(-1, *clean.shape[2:]))
