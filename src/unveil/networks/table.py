"""The one table of networks: what they are called, where they are, and how a file of their weights is told."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Literal, TypeAlias, cast

from unveil.networks.base import Published

Form: TypeAlias = Literal["plain", "explicit", "adaptive", "guided", "encoder", "classifier"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table.

    Attributes:
        location: module and class.
        marks: official tensor names that all states of this network have, and that together tell it from others.
        size_multiple: of the published build; a built network's own attribute is what counts.
        paper: where it was published.
        purpose: what it is for.
        form: `plain`, `explicit` and `adaptive` (MiOIR's prompts), `guided` (ConStyle), `encoder`, `classifier`.
    """

    location: str
    marks: tuple[str, ...]
    size_multiple: int
    paper: str
    purpose: str
    form: Form = "plain"

    @property
    def restores(self) -> bool:
        """Whether the network gives pictures."""
        return self.form not in ("encoder", "classifier")

    def load(self) -> type[Published]:
        module, name = self.location.split(":")
        return cast("type[Published]", getattr(import_module(module), name))


NETWORKS: dict[str, Entry] = {
    "fastnaf": Entry(
        "unveil.networks.fastnaf:FastNAF",
        ("intro.weight", "ending.weight", "middle_blks.0.conv1.weight"),
        16,
        "ours, after NAFNet (ECCV 2022)",
        "the shipped base: fast on CPUs",
    ),
    "abair": Entry(
        "unveil.networks.abair:ABAIRBaseline",
        ("patch_embed.proj.weight", "prompt3.prompt.prompt_param", "prompt3.fusion.channel_attn.temperature"),
        64,
        "ABAIR (arXiv 2411.18412)",
        "the paper's baseline, in four presets",
    ),
    "restormer": Entry(
        "unveil.networks.restormer:Restormer",
        ("patch_embed.proj.weight", "latent.0.attn.temperature", "output.weight"),
        8,
        "Restormer (CVPR 2022)",
        "the common Transformer baseline; backbone of MiOIR, plain network of ConStyle",
    ),
    "constyle": Entry(
        "unveil.methods.constyle.encoder:ConStyle",
        ("encoder_q.stage4.1.0.weight", "encoder_q.mlp2.0.weight"),
        8,
        "ConStyle (arXiv 2402.15784)",
        "the encoder that guides a U-Net",
        "encoder",
    ),
    "constyle-v2": Entry(
        "unveil.methods.constyle.encoder:ConStyleV2",
        ("encoder_q.stage4.1.0.weight", "encoder_q.classifier.3.weight"),
        8,
        "ConStyle v2 (arXiv 2406.18242)",
        "the encoder as it is pre-trained, with its class head",
        "encoder",
    ),
    "srresnet": Entry(
        "unveil.networks.srresnet:SRResNet",
        ("conv_first.weight", "body.0.conv1.weight", "conv_hr.weight", "conv_last.weight"),
        1,
        "SRResNet (CVPR 2017) at scale 1, as MiOIR has it (arXiv 2401.03379)",
        "the smallest backbone of MiOIR",
    ),
    "promptir": Entry(
        "unveil.networks.promptir:PromptIR",
        ("patch_embed.proj.weight", "prompt3.prompt_param", "noise_level3.attn.temperature"),
        8,
        "PromptIR (NeurIPS 2023)",
        "Restormer with learned prompts; a baseline of MiOIR and ABAIR",
    ),
    "xrestormer": Entry(
        "unveil.networks.xrestormer:XRestormer",
        ("patch_embed.proj.weight", "latent.0.spatial_attn.rel_pos_emb.rel_height", "output.weight"),
        64,
        "X-Restormer (ECCV 2024)",
        "Restormer with spatial attention; the shape of ABAIR's baseline",
    ),
    "swinir": Entry(
        "unveil.networks.swinir:SwinIR",
        (
            "conv_first.weight",
            "layers.0.residual_group.blocks.0.attn.relative_position_bias_table",
            "conv_before_upsample.0.weight",
        ),
        8,
        "SwinIR (ICCV 2021 workshops) at scale 1, as MiOIR has it (arXiv 2401.03379)",
        "attention in windows at full resolution; backbone of MiOIR",
    ),
    "nafnet": Entry(
        "unveil.networks.nafnet:NAFNet",
        ("intro.weight", "ending.weight", "encoders.0.0.sca.1.weight"),
        16,
        "NAFNet (ECCV 2022)",
        "a strong network without attention over pixels; plain network of ConStyle",
    ),
    "conv": Entry(
        "unveil.networks.conv:Conv",
        ("Preprocess_Module.1.weight", "Process_Module_l1.0.0.weight", "down1.0.weight"),
        8,
        "ConStyle v2 (arXiv 2406.18242)",
        "a vanilla CNN; plain network of ConStyle",
    ),
    "constyle-conv": Entry(
        "unveil.methods.constyle.backbones:ConStyleConv",
        ("ConStyle.encoder_q.mlp2.0.weight", "Process_Module_l1.0.1.weight", "UC3.down.weight"),
        8,
        "ConStyle v2 (arXiv 2406.18242)",
        "the vanilla CNN, guided by ConStyle",
        "guided",
    ),
    "constyle-restormer": Entry(
        "unveil.methods.constyle.backbones:ConStyleRestormer",
        ("ConStyle.encoder_q.mlp2.0.weight", "Process_Module_l1.0.attn.temperature", "UC3.down.weight"),
        8,
        "ConStyle (arXiv 2402.15784)",
        "Restormer, guided by ConStyle",
        "guided",
    ),
    "constyle-nafnet": Entry(
        "unveil.methods.constyle.backbones:ConStyleNAFNet",
        ("ConStyle.encoder_q.mlp2.0.weight", "Process_Module_l1.0.sca.1.weight", "UC3.down.weight"),
        8,
        "ConStyle (arXiv 2402.15784)",
        "NAFNet, guided by ConStyle",
        "guided",
    ),
    "maxim": Entry(
        "unveil.networks.maxim:Maxim",
        ("stage_0_input_conv_0.weight", "stage_0_global_block_0.input_proj.weight", "stage_0_output_conv_0.weight"),
        64,
        "MAXIM (CVPR 2022), with one stage",
        "gated MLPs along blocks and grids; plain network of ConStyle",
    ),
    "constyle-maxim": Entry(
        "unveil.methods.constyle.maxim:ConStyleMaxim",
        ("ConStyle.encoder_q.mlp2.0.weight", "Process_Module_bottom.0.input_proj.weight", "UC3.up.0.weight"),
        64,
        "ConStyle (arXiv 2402.15784)",
        "MAXIM-1S, guided by ConStyle",
        "guided",
    ),
    "guided": Entry(
        "unveil.methods.constyle.guiding:GuidedAny",
        ("encoder.stage4.1.0.weight", "joins.0.mix.weight", "gate.gate.weight"),
        8,
        "ours, after ConStyle v2 (arXiv 2406.18242)",
        "any U-Net of this table, guided by ConStyle",
        "guided",
    ),
    "uformer": Entry(
        "unveil.networks.uformer:Uformer",
        ("input_proj.proj.0.weight", "conv.blocks.0.attn.qkv.to_q.weight", "dowsample_0.conv.0.weight"),
        128,
        "Uformer (CVPR 2022)",
        "attention in windows in a U-Net; backbone of MiOIR, plain network of ConStyle",
    ),
    "srresnet-ep": Entry(
        "unveil.methods.mioir.prompted:SRResNetEP",
        ("F_ext_net.conv1.weight", "body1.0.conv1.weight", "prompt_scalehr.weight"),
        1,
        "MiOIR (arXiv 2401.03379)",
        "SRResNet under explicit prompts",
        "explicit",
    ),
    "srresnet-ap": Entry(
        "unveil.methods.mioir.prompted:SRResNetAP",
        ("F_ext_net.conv1.weight", "body1.0.conv1.weight", "prompt_scalehr.weight"),
        1,
        "MiOIR (arXiv 2401.03379)",
        "SRResNet under adaptive prompts",
        "adaptive",
    ),
    "swinir-ep": Entry(
        "unveil.methods.mioir.prompted:SwinIREP",
        ("F_ext_net.conv1.weight", "layers.0.prompt_scale.weight", "prompt_scale_last.weight"),
        8,
        "MiOIR (arXiv 2401.03379)",
        "SwinIR under explicit prompts",
        "explicit",
    ),
    "swinir-ap": Entry(
        "unveil.methods.mioir.prompted:SwinIRAP",
        ("F_ext_net.conv1.weight", "layers.0.prompt_scale.weight", "prompt_scale_last.weight"),
        8,
        "MiOIR (arXiv 2401.03379)",
        "SwinIR under adaptive prompts",
        "adaptive",
    ),
    "restormer-ep": Entry(
        "unveil.methods.mioir.prompted:RestormerEP",
        ("F_ext_net4.conv1.weight", "latent.0.attn.temperature", "prompt_scaleout.weight"),
        8,
        "MiOIR (arXiv 2401.03379)",
        "Restormer under explicit prompts",
        "explicit",
    ),
    "restormer-ap": Entry(
        "unveil.methods.mioir.prompted:RestormerAP",
        ("F_ext_net4.conv1.weight", "latent.0.attn.temperature", "prompt_scaleout.weight"),
        8,
        "MiOIR (arXiv 2401.03379)",
        "Restormer under adaptive prompts",
        "adaptive",
    ),
    "uformer-ep": Entry(
        "unveil.methods.mioir.prompted:UformerEP",
        ("F_ext_net5.conv1.weight", "input_proj.proj.0.weight", "prompt_scale5.weight"),
        128,
        "MiOIR (arXiv 2401.03379)",
        "Uformer under explicit prompts",
        "explicit",
    ),
    "uformer-ap": Entry(
        "unveil.methods.mioir.prompted:UformerAP",
        ("F_ext_net5.conv1.weight", "input_proj.proj.0.weight", "prompt_scale5.weight"),
        128,
        "MiOIR (arXiv 2401.03379)",
        "Uformer under adaptive prompts",
        "adaptive",
    ),
    "mioir-classifier": Entry(
        "unveil.methods.mioir.classifier:Classifier",
        ("CondNet.0.weight", "lastOut.weight"),
        1,
        "MiOIR (arXiv 2401.03379)",
        "tells the seven tasks of MiOIR, and so the prompt, of a picture",
        "classifier",
    ),
}
