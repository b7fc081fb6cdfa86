"""ABAIR: Adaptive Blind All-in-One Image Restoration (Serrano-Lozano et al., arXiv 2411.18412).

Phase I  `pretraining`  one base network, Degradation CutMix (`cutmix`), an auxiliary segmentation head
Phase II `adaptation`   one low-rank adapter (`adapters`) per degradation on the frozen base
Phase III `estimation`  a small `estimator` of what is wrong, which selects or blends the adapters

The authors published no code. What their texts leave open is ours and says so where it stands.
"""
