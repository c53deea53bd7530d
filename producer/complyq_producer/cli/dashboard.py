"""`complyq dashboard`."""

from __future__ import annotations

from typing import Annotated

import typer

from complyq_producer.cli.extras import require_extras
from complyq_producer.cli.output import say
from complyq_producer.cli.session import begin

app = typer.Typer(add_completion=False)


@app.command()
def dashboard(
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own asks for COMPLYQ_DASHBOARD_TOKEN.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="TCP port; 0 takes a free one.")] = 8190,
) -> None:
    """Serve a web page that shows what is going on, until interrupted.

    Slots, jobs, queue, batches, the last results and the request budget at X, kept up to date while somebody looks. It
    reads only. Needs COMPLYQ_STORE_URL and COMPLYQ_REDIS_URL, and no credential of X. Reading an S3 store costs
    requests: a few each second at most, however many browsers look, and none while nobody does.

    With COMPLYQ_DASHBOARD_TOKEN the page asks for that word. Without it only this machine is answered.

    [dim]complyq dashboard[/]

    [dim]COMPLYQ_DASHBOARD_TOKEN=$(openssl rand -hex 16) complyq dashboard --host 0.0.0.0[/]
    """
    require_extras("dashboard")
    from complyq_producer.dashboard.server import bind, serve  # noqa: PLC0415 - what the extra brings

    settings = begin(log_from="WARNING")
    bound = bind(settings, host, port)
    say(f"What is going on: {bound.url}   Stop it with Ctrl-C.")
    serve(settings, bound)
