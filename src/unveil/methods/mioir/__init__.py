"""MiOIR: sequential learning and prompts for multiple-in-one restoration (Kong, Dong, Zhang; arXiv 2401.03379).

A prompt, fixed noise for each task (explicit) or the degraded picture itself (adaptive), steers a plain network: it is
summarised (`prompting`), and scales and shifts features at several depths (`prompted` has the published networks).
The `classifier` names the task, and so the explicit prompt, of a picture.
"""
