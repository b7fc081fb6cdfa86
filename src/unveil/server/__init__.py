"""`unveil serve`: an HTTP interface and a web page for one model on one machine (extra `serve`).

A request walks journal -> guard -> admission -> route -> line -> work, and nothing of it is kept once it is answered.
"""

from unveil.server.application import create_application
from unveil.server.serving import serve
from unveil.server.settings import Settings

__all__ = ["Settings", "create_application", "serve"]
