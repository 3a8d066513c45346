# docker build -t siyu-live .                      the server
# docker build -t siyu-live-load --target load .   Locust with this project's users

FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/siyu
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY stream stream
COPY chat chat
COPY commerce commerce
COPY gateway gateway
COPY loadtest loadtest
RUN /opt/siyu/bin/pip install --no-cache-dir -c constraints.txt '.[redis,postgres]'

FROM build AS load-build
RUN /opt/siyu/bin/pip install --no-cache-dir -c constraints.txt '.[load]'

FROM python:3.11-slim AS load
RUN useradd --system --uid 10001 --create-home siyu
COPY --from=load-build /opt/siyu /opt/siyu
COPY loadtest /opt/loadtest
USER 10001
EXPOSE 8089
ENTRYPOINT ["/opt/siyu/bin/locust", "-f", "/opt/loadtest/locustfile.py"]

# The last stage is what `docker build` makes when none is named.
FROM python:3.11-slim AS server
RUN useradd --system --uid 10001 --create-home siyu && install -d -o siyu -g siyu /data
COPY --from=build /opt/siyu /opt/siyu
ENV PATH=/opt/siyu/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SIYU_DATA=/data
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000 1935 8189/udp 8189/tcp
# The image has no curl. Python takes a good part of a second to start on a busy machine: hence the time-out.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["siyu"]
CMD ["serve", "--host", "0.0.0.0"]
