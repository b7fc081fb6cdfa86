"""The published prompted networks: where the layers of each backbone are found, and which extractor steers which site.

EP stands for the explicit form, AP for the adaptive one, as in the paper's tables. Both forms of a backbone have the
same tree but for the channels that their extractors read. Arguments and size multiples are those of the backbone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from torch import nn

from unveil.methods.mioir.prompting import AdaptiveNetwork, ExplicitNetwork, PromptedNetwork, official_names
from unveil.networks.base import Shapes
from unveil.networks.restormer import Restormer
from unveil.networks.srresnet import SRResNet
from unveil.networks.swinir import SwinIR
from unveil.networks.uformer import Uformer
from unveil.networks.windows import initialise


class PromptedSRResNet(PromptedNetwork):
    """SRResNet under one extractor. Outside the body, convolutions start as PyTorch has it, unlike the plain ones."""

    backbone = SRResNet
    naming = official_names(
        {"hr": "hr", "output": "out"},
        # The official forms count blocks from 1, and the plain network from 0.
        (r"^trunk\.body\.(\d+)\.", lambda found: f"body{int(found[1]) + 1}.0."),
        (r"^(scale|shift)\.body_(\d+)\.", lambda found: f"prompt_{found[1]}{int(found[2]) + 1}."),
        numbered=False,
    )

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        blocks = {re.sub(r"^body(\d+)\.0\.", r"body.\1.", name): shape for name, shape in shapes.items()}
        return super().read_sizes(blocks)

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        for name in ("conv_first", "conv_hr", "conv_last"):
            cast("nn.Conv2d", self.trunk.get_submodule(name)).reset_parameters()


class SRResNetEP(PromptedSRResNet, ExplicitNetwork):
    """SRResNet under explicit prompts."""


class SRResNetAP(PromptedSRResNet, AdaptiveNetwork):
    """SRResNet under adaptive prompts."""


class PromptedSwinIR(PromptedNetwork):
    """SwinIR under one extractor."""

    backbone = SwinIR
    naming = official_names(
        {"after_body": "_after_body", "before_upsample": "_before_upsample", "output": "_last"},
        (r"^(scale|shift)\.layers_(\d+)\.", r"layers.\2.prompt_\1."),
        numbered=False,
    )

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        initialise(self)


class SwinIREP(PromptedSwinIR, ExplicitNetwork):
    """SwinIR under explicit prompts."""


class SwinIRAP(PromptedSwinIR, AdaptiveNetwork):
    """SwinIR under adaptive prompts."""


class PromptedRestormer(PromptedNetwork):
    """Restormer under four extractors: for the latent level, decoder level 3, all that follows, and the output."""

    backbone = Restormer
    wiring: ClassVar[Mapping[str, int]] = {
        "latent": 0,
        "decoder_level3": 1,
        "decoder_level2": 2,
        "decoder_level1": 2,
        "refinement": 2,
        "output": 3,
    }
    naming = official_names(dict(zip(wiring, ("1", "2", "3", "4", "5", "out"), strict=True)), numbered=True)


class RestormerEP(PromptedRestormer, ExplicitNetwork):
    """Restormer under explicit prompts."""


class RestormerAP(PromptedRestormer, AdaptiveNetwork):
    """Restormer under adaptive prompts."""


class PromptedUformer(PromptedNetwork):
    """Uformer under five extractors: the bottleneck and the lowest level of the decoder share the first."""

    backbone = Uformer
    wiring: ClassVar[Mapping[str, int]] = {
        "conv": 0,
        "decoderlayer_0": 0,
        "decoderlayer_1": 1,
        "decoderlayer_2": 2,
        "decoderlayer_3": 3,
        "output": 4,
    }
    naming = official_names(dict(zip(wiring, "012345", strict=True)), numbered=True)

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        initialise(self)


class UformerEP(PromptedUformer, ExplicitNetwork):
    """Uformer under explicit prompts."""


class UformerAP(PromptedUformer, AdaptiveNetwork):
    """Uformer under adaptive prompts."""
