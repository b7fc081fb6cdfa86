# The restoring half and the server, with the shipped model inside:
#   docker build -t unveil .
#   docker run --rm --network none -v "$PWD:/pictures" unveil restore holiday/ -o better/
# docs/how-to/container.md has more.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN python -m venv /opt/unveil && /opt/unveil/bin/pip install --no-cache-dir '.[serve,hub]'

FROM python:3.13-slim
COPY --from=build /opt/unveil /opt/unveil
RUN useradd --create-home --uid 1000 unveil && mkdir /pictures /data && chown unveil /pictures /data
ENV PATH=/opt/unveil/bin:$PATH \
    UNVEIL_HOME=/data \
    PYTHONDONTWRITEBYTECODE=1
USER unveil
WORKDIR /pictures
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["unveil"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
