# A worker of any role; `docker-compose.yml` says which. Kafka and Letta run beside it.
FROM python:3.11.14-slim-bookworm

RUN useradd --create-home --uid 10001 rollcall \
    && install --directory --owner=rollcall /var/lib/rollcall
WORKDIR /app
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY topics topics
COPY streams streams
COPY ops ops
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
USER rollcall
VOLUME /var/lib/rollcall
ENTRYPOINT ["rollcall"]
CMD ["worker"]
