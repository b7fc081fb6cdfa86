"""What v2 does to the pictures that its encoder is pre-trained on: contrast and snow, or two rounds of camera and file.

Both are written anew from the formulas and the numbers of the published options: no ImageMagick is needed.
"""

from unveil.methods.constyle.degradations.rounds import TwoRounds
from unveil.methods.constyle.degradations.weather import contrast, snow, snowed

__all__ = ["TwoRounds", "contrast", "snow", "snowed"]
