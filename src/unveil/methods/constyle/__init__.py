"""ConStyle v1 (arXiv 2402.15784) and v2 (arXiv 2406.18242): an encoder that looks at the damage guides a U-Net.

Where the papers and the authors' code differ, the code is followed, so that released weights fit.
"""
