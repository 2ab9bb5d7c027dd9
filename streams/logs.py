"""How workers log: one event name and its fields a line, for people or for machines.

Faust, mode and aiokafka log through the standard library; they are heard from "warning" on, and a
message that repeats is written once in ten seconds (a broker that is down gives thousands).
"""

import logging
import sys
from time import monotonic

import structlog

_LIBRARIES = ("faust", "mode", "aiokafka", "httpx", "kafka", "asyncio", "streams.faust_layer")
# Faust's consumer and producer log under the module of their subclass, which is ours.
_REPEAT_SECONDS = 10.0


class OncePerWhile(logging.Filter):
    """Lets a message of a place in the code through once in a while."""

    def __init__(self, seconds: float = _REPEAT_SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is the first of its place for a while."""
        if not record.name.startswith(_LIBRARIES):
            return True
        place, now = (record.pathname, record.lineno), monotonic()
        if now - self._last.get(place, -self._seconds) < self._seconds:
            return False
        self._last[place] = now
        return True


def configure(log_format: str, level: str) -> None:
    """Set structlog and the standard library up, both to standard error."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(OncePerWhile())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _renderer(log_format),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


def _renderer(log_format: str) -> structlog.types.Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
