"""`complyq simulator`."""

import json
import socket
import sys
from typing import Annotated

import typer

from complyq_simulator.server import Origins, bind, run
from complyq_simulator.settings import Contract, Settings

app = typer.Typer(add_completion=False)
_DEFAULTS = Settings()
_ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where clients reach a server on all addresses


@app.command()
def simulator(  # noqa: PLR0913, PLR0917 - options
    port: Annotated[int, typer.Option(help="Port of the API; 0 takes a free one.")] = 8180,
    storage_port: Annotated[int, typer.Option(help="Port of the storage; 0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    public_host: Annotated[str, typer.Option(help="Host in the URLs handed out; by default --host.")] = "",
    contract: Annotated[Contract, typer.Option(help="How the bytes travel.")] = _DEFAULTS.contract,
    processing_seconds: Annotated[float, typer.Option(min=0, help="From upload to final.")] = 5.0,
    flagged_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of IDs that are flagged.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Chooses which IDs are flagged, and how.")] = _DEFAULTS.seed,
    rate_limit: Annotated[int, typer.Option(min=1, help="Requests of each kind in 15 minutes.")] = 150,
    token: Annotated[str, typer.Option(help="The bearer token to accept.")] = _DEFAULTS.token,
    api_key: Annotated[str, typer.Option(help="Exchanged, with the secret, for the token.")] = _DEFAULTS.api_key,
    api_secret: Annotated[str, typer.Option(help="See --api-key.")] = _DEFAULTS.api_secret,
    max_upload_bytes: Annotated[int, typer.Option(help="Largest direct upload.")] = _DEFAULTS.max_upload_bytes,
    *,
    allow_concurrent_jobs: Annotated[bool, typer.Option(help="Never answer 409 to a create.")] = False,
    direct_accepts_resumable: Annotated[bool, typer.Option(help="Do not refuse `resumable` when direct.")] = False,
    still_clock: Annotated[bool, typer.Option(help="Time goes on by POST /_simulator/clock only.")] = False,
) -> None:
    """Run a local stand-in for X's batch compliance API and for Cloud Storage, until interrupted.

    It refuses what the real services refuse. What to export for workers and producers it says when it starts.

    [dim]complyq simulator --port 8180 --storage-port 8181 --contract direct --processing-seconds 2[/]
    """
    origins = _bind(host, port, storage_port, public_host)
    settings = Settings(
        contract=contract,
        processing_seconds=processing_seconds,
        flagged_rate=flagged_rate,
        seed=seed,
        rate_limit=rate_limit,
        token=token,
        api_key=api_key,
        api_secret=api_secret,
        allow_concurrent_jobs=allow_concurrent_jobs,
        direct_accepts_resumable=direct_accepts_resumable,
        max_upload_bytes=max_upload_bytes,
        still_clock=still_clock,
    )
    _announce(origins, settings)
    run(settings, origins)


def _bind(host: str, port: int, storage_port: int, public_host: str) -> Origins:
    api = _bind_or_exit(host, port, "--port")
    storage = _bind_or_exit(host, storage_port, "--storage-port")
    return Origins(api, storage, public_host or _ANY_HOST.get(host, host))


def _bind_or_exit(host: str, port: int, option: str) -> socket.socket:
    try:
        return bind(host, port)
    except OSError as error:
        message = f"Cannot listen on {host}:{port}: {error}. Choose another {option}; 0 takes a free one."
        typer.echo(message, err=True)
        raise typer.Exit(1) from error


def _announce(origins: Origins, settings: Settings) -> None:
    """Tell programs on standard output and people on standard error."""
    urls = {"api_url": origins.api_url, "storage_url": origins.storage_url}
    typer.echo(json.dumps(urls))
    sys.stdout.flush()
    typer.echo(
        f"Simulating X at {origins.api_url} and Cloud Storage at {origins.storage_url} ({settings.contract}). To use it:\n"
        f"  export COMPLYQ_API_URL={origins.api_url}\n"
        f"  export COMPLYQ_BEARER_TOKEN={settings.token}\n"
        f"  export COMPLYQ_ALLOWED_ORIGINS={origins.storage_url}\n"
        "Stop it with Ctrl-C.",
        err=True,
    )
