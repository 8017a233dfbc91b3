# The image in which Kubeflow's pods run: docs/kubeflow.md says how to build it and what of it was tried.
#
#   docker build --tag registry.example.org/tinytimbre:0.1.0 .
#   docker run --rm registry.example.org/tinytimbre:0.1.0 smoke
FROM debian:12.12-slim@sha256:d5d3f9c23164ea16f31852f95bd5959aad1c5e854332fe00f7b3a20fcc9f635c AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates g++ make python3.11-dev python3.11-venv \
 && rm -rf /var/lib/apt/lists/*
ENV REQUIREMENTS=requirements/runtime.txt
WORKDIR /opt/tinytimbre
# What changes seldom comes first: an edit of the program installs no dependency again.
COPY Makefile ./
COPY requirements/bootstrap.txt requirements/runtime.txt requirements/
COPY web/package.json web/package-lock.json web/
RUN make dependencies
COPY LICENSE README.md pyproject.toml setup.py ./
COPY web/index.html web/
COPY web/page web/page
COPY web/src web/src
COPY web/tools web/tools
COPY web/validation web/validation
COPY configs configs
COPY tinytimbre tinytimbre
COPY components components
COPY pipelines pipelines
# C++ headers, compilers of the web runtime and installers: nothing of it is used at run time.
RUN make product \
 && rm -rf .venv/lib/python3.11/site-packages/tensorflow/include \
      web/node_modules/@typescript web/node_modules/assemblyscript web/node_modules/binaryen web/node_modules/typescript \
 && .venv/bin/uv pip uninstall --quiet --python .venv/bin/python uv pip

FROM debian:12.12-slim@sha256:d5d3f9c23164ea16f31852f95bd5959aad1c5e854332fe00f7b3a20fcc9f635c
# libgomp1 is for libsvm, which was compiled above.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates chromium libgomp1 python3.11 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home tinytimbre
COPY --from=build /opt/tinytimbre /opt/tinytimbre
# The program's folder belongs to root; what Numba compiles for the processor at hand goes elsewhere.
# A container gives Chromium no namespaces to build its sandbox from; it opens nothing but this program's own pages.
ENV PATH=/opt/tinytimbre/.venv/bin:$PATH \
    CHROMIUM_NO_SANDBOX=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    TF_USE_LEGACY_KERAS=1
WORKDIR /home/tinytimbre
USER 10001
ENTRYPOINT ["tinytimbre"]
CMD ["--help"]
