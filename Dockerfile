# docker build -t fermedia .
# docker run --rm --user "$(id -u):$(id -g)" -v /my/recordings:/in:ro -v /my/results:/out fermedia analyze /in --out /out
FROM python:3.13-slim
COPY . /src
RUN pip install --no-cache-dir "/src[plots,parquet]" && rm -r /src
WORKDIR /out
ENTRYPOINT ["fermedia"]
