"""From a degraded picture to a restored one: diagnosis, blend, tiles."""

from unveil.restoration.diagnosis import Diagnosis
from unveil.restoration.loading import diagnose, load, restore
from unveil.restoration.restorer import Restorer
from unveil.restoration.result import Restoration

__all__ = ["Diagnosis", "Restoration", "Restorer", "diagnose", "load", "restore"]
