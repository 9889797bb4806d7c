# One image per service, each with that service's dependencies only:
#   docker build --target fetcher -t halftone-fetcher .        (transcoder, uploader, api, halftone)
# `halftone` holds everything: the command line for operators, and the whole system in one container.
# PYTHON_IMAGE and the PIP_* arguments let a build use a mirror; TRACING=1 adds what OpenTelemetry's traces take.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv --without-pip /opt/halftone && python3 -m venv /opt/pip
COPY deploy/install-packages /usr/local/bin/

FROM packages AS fetcher-packages
COPY requirements-fetcher.txt requirements-tracing.txt ./
ARG TRACING
RUN install-packages requirements-fetcher.txt ${TRACING:+requirements-tracing.txt}

FROM packages AS transcoder-packages
COPY requirements-transcoder.txt requirements-tracing.txt ./
ARG TRACING
RUN install-packages requirements-transcoder.txt ${TRACING:+requirements-tracing.txt}

FROM packages AS uploader-packages
COPY requirements-uploader.txt requirements-tracing.txt ./
ARG TRACING
RUN install-packages requirements-uploader.txt ${TRACING:+requirements-tracing.txt}

FROM packages AS api-packages
COPY requirements-api.txt requirements-tracing.txt ./
ARG TRACING
RUN install-packages requirements-api.txt ${TRACING:+requirements-tracing.txt}

FROM packages AS halftone-packages
COPY requirements.txt requirements-tracing.txt ./
ARG TRACING
RUN install-packages requirements.txt ${TRACING:+requirements-tracing.txt}

FROM ${PYTHON_IMAGE} AS runtime
# tini reaps the sandbox's children and passes SIGTERM on; libseccomp2 is what confines them.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends tini libseccomp2 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && useradd --system --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin halftone \
 && install -d -o halftone -g halftone /data
ARG REVISION=
ENV PATH=/opt/halftone/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HALFTONE_DATA=/data \
    HALFTONE_OPS_HOST=0.0.0.0 \
    HALFTONE_OPS_PORT=9100 \
    HALFTONE_REVISION=${REVISION}
WORKDIR /app
USER 10001:10001
EXPOSE 9100
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=6 \
  CMD ["python3", "-S", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9100, timeout=2); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["tini", "--"]
COPY pyproject.toml ./
COPY shared shared
COPY services/__init__.py services/

FROM runtime AS fetcher
COPY --from=fetcher-packages /opt/halftone /opt/halftone
COPY services/fetcher services/fetcher
CMD ["python3", "-m", "services.fetcher"]

FROM runtime AS transcoder
COPY --from=transcoder-packages /opt/halftone /opt/halftone
COPY services/transcoder services/transcoder
CMD ["python3", "-m", "services.transcoder"]

FROM runtime AS uploader
COPY --from=uploader-packages /opt/halftone /opt/halftone
COPY services/uploader services/uploader
VOLUME /data
CMD ["python3", "-m", "services.uploader"]

FROM runtime AS api
COPY --from=api-packages /opt/halftone /opt/halftone
COPY services/api services/api
ENV HALFTONE_HTTP_HOST=0.0.0.0
EXPOSE 8080
VOLUME /data
CMD ["python3", "-m", "services.api"]

FROM runtime AS halftone
COPY --from=halftone-packages /opt/halftone /opt/halftone
COPY services services
VOLUME /data
HEALTHCHECK NONE
ENTRYPOINT ["tini", "--", "python3", "-m", "services.standalone"]
