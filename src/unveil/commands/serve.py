"""`unveil serve`: a web page and an HTTP interface on this machine."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from unveil.commands import arguments
from unveil.commands.batch import INTERRUPTED
from unveil.commands.extras import needs_extra
from unveil.commands.terminal import Terminal, examples

EXAMPLES = examples(
    "unveil serve                                  the page, at http://127.0.0.1:8000/",
    "unveil serve --port 9000 --timeout 60         another port, and a limit on each picture's time",
    "UNVEIL_TOKEN=... unveil serve --host 0.0.0.0  for the machines around, who must know the token",
    "curl -F file=@photo.jpg -o better.jpg http://127.0.0.1:8000/v1/restore",
)


def command(
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen on; others than this machine's own loopback are open to the network.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 8000,
    model: arguments.ModelName = None,
    threads: arguments.Threads = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token", metavar="T", envvar="UNVEIL_TOKEN", help="What callers must know; better given as UNVEIL_TOKEN."
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Host name by which the server may be called; repeatable."),
    ] = None,
    max_upload: Annotated[
        float, typer.Option("--max-upload", metavar="MB", min=0.001, help="Refuse larger files.")
    ] = 64.0,
    pixel_limit: arguments.PixelLimit = 64.0,
    queue: Annotated[
        int, typer.Option("--queue", metavar="N", min=0, help="Pictures that may wait while one is worked on.")
    ] = 8,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="S", min=0.1, help="Seconds that receiving, working and answering may take, each."
        ),
    ] = 120.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write no journal.")] = False,
) -> None:
    """Serve a web page and an HTTP interface, on this machine only unless --host says otherwise.

    Nothing is written to disk and nothing is kept. Ctrl-C finishes what is in hand; a second one leaves at once. The
    journal on stderr is one JSON object a line, without names or contents of pictures.
    """
    terminal = Terminal()
    with needs_extra("'unveil serve'", "serve"):
        from unveil import server

    settings = server.Settings(
        host=host,
        port=port,
        token=token,
        hosts=tuple(names or ()),
        max_upload=round(max_upload * 1e6),
        pixel_limit=arguments.pixels(pixel_limit),
        queue=queue,
        timeout=timeout,
    )
    from unveil import models
    from unveil.restoration import Restorer
    from unveil.server.serving import listen, log_to_stderr

    with listen(settings) as listener:
        # Weights turned by hand rarely come again: one session for the part in view, one for the whole picture.
        restorer = Restorer(models.read(models.find(model or models.DEFAULT)), threads=threads, sessions=2)
        if not settings.is_loopback:
            open_to = "whoever knows the token" if token else "everybody, as there is no --token"
            terminal.note(f"warning: {host} is reachable from other machines, unencrypted; it is open to {open_to}")
        if not quiet:
            log_to_stderr()
        finished = server.serve(
            restorer,
            settings,
            listener=listener,
            ready=lambda address: terminal.note(f"{restorer.name} is served at {address}  (Ctrl-C stops)"),
        )
    if not finished:
        # The worker is still inside native code, which would crash when the interpreter is taken down around it.
        os._exit(INTERRUPTED)
