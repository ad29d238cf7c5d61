# Soundstage in a container; docs/docker.md has the commands.
#   docker build -t soundstage .                                  # CPU
#   docker build -t soundstage:cuda --build-arg TORCH_INDEX= .    # GPU: torch's default wheels bring CUDA's libraries
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=toy,bpe,serve

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 GOMP_SPINCOUNT=1000
WORKDIR /soundstage

# first what changes seldom, so that a change of the code does not install torch again
RUN python -m pip install ${TORCH_INDEX:+--index-url ${TORCH_INDEX}} 'torch>=2.11,<2.12' 'torchaudio>=2.11,<2.12'
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY dataset dataset
COPY nn nn
COPY problems problems
COPY soundstage soundstage
COPY tasks tasks
RUN python -m pip install --editable ".[${EXTRAS}]"

# not root, so that what is written to mounted folders belongs to the caller: docker run --user $(id -u):$(id -g)
RUN useradd --create-home --uid 1000 user && mkdir /work && chown user /work
USER user
ENV HOME=/work
WORKDIR /work

ENTRYPOINT ["soundstage"]
CMD ["--help"]
