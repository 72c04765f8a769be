"""`thriftune serve`: trained classifiers as a small HTTP service."""

from __future__ import annotations

from typing import Annotated

import typer

from thriftune.errors import readable

EXAMPLES = [
    "thriftune serve results",
    "thriftune serve results:lora --port 9000",
    "thriftune serve topic=results-topic tone=results-tone:lora",
]


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL [NAME=MODEL]...",
            help="Classifiers, each as predict takes one; a name for each where there are several. The first one "
            "answers requests that name none.",
        ),
    ],
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Address to listen on. The default is reached from this machine alone.")
    ] = "127.0.0.1",
    max_wait: Annotated[
        float, typer.Option(help="Milliseconds that a batch waits for more requests, where several come at once.")
    ] = 5.0,
    max_batch: Annotated[int, typer.Option(help="Tokens (about) that are computed together.")] = 2_048,
    max_texts: Annotated[int, typer.Option(help="Texts in one request.")] = 256,
    max_characters: Annotated[int, typer.Option(help="Characters of one text.")] = 20_000,
    max_bytes: Annotated[int, typer.Option(help="Bytes of a request.")] = 2_000_000,
    max_queue: Annotated[int, typer.Option(help="Requests at once; further ones are told to try again.")] = 1_000,
    timeout: Annotated[float, typer.Option(help="Seconds within which a request is answered.")] = 60.0,
    no_calibration: Annotated[
        bool,
        typer.Option("--no-calibration", help="Leave confidences as trained, not scaled by the run's temperature."),
    ] = False,
    engine: Annotated[
        str,
        typer.Option(
            help="Who computes: own; onnx (onnxruntime, by the extra onnx); auto: onnxruntime the few and short texts "
            "of which it is faster, as measured at the start, our own engine the rest."
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Of torch; by default one for each usable processor.", show_default=False)
    ] = None,
) -> None:
    """Answer POST /predict over HTTP; requests that come together are computed together.

    GET /health, /models, /metrics (Prometheus) and /docs tell the rest. Ctrl-C or SIGTERM answers what was accepted and
    ends.
    """
    import signal

    from thriftune.engine.stored.onnx.choice import engine_of
    from thriftune.serve.limits import Limits
    from thriftune.serve.server import check_installed, is_loopback, listen, url_of

    limits = Limits(
        bytes=max_bytes,
        texts=max_texts,
        characters=max_characters,
        queue=max_queue,
        wait=max_wait / 1000,
        batch=max_batch,
        timeout=timeout,
    )
    limits.check()
    chosen = engine_of(engine)
    check_installed()
    with listen(host, port) as listening:
        url = url_of(listening)
        if not is_loopback(listening):
            _say(f"Listening on {host}: every machine that reaches it may ask; there is no password.")
        from thriftune.serve.models import load, named
        from thriftune.serve.server import serve as run

        sources = named(models)
        loaded = load(sources, calibrate=not no_calibration, device=device, threads=threads, say=_say, engine=chosen)

        def ready() -> None:
            two = next(iter(loaded.served.values())).model.count == 2
            example = '{"texts": [["a text", "another text"]]}' if two else '{"texts": ["a text"]}'
            names = ", ".join(loaded.served)
            typer.echo(readable(f"Serving {names} at {url} (Ctrl-C ends it). Try:"))
            typer.echo(f"  curl {url}/predict -H 'Content-Type: application/json' -d '{example}'")

        ended = run(loaded, listening, limits, ready)
    _say("Stopped.")
    raise typer.Exit(0 if ended in (None, signal.SIGTERM) else 130)


def _say(text: str) -> None:
    typer.echo(readable(text), err=True)
