# The image of agent, controller and command line: the bundles, the pinned Node, the few Debian programs that the agent starts, and their
# libraries. No shell, no package manager. Both architectures are built from the same lines: linux/amd64 and linux/arm64.
#
# Any Debian with Node 20 or later and npm serves as BUILD_IMAGE. Pin it by digest where you build for others:
#   --build-arg BUILD_IMAGE=docker.io/library/node:26.10.0-bookworm-slim@sha256:…
ARG BUILD_IMAGE=docker.io/library/node:26.10.0-bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json LICENSE ./
COPY scripts scripts
COPY proto proto
COPY deploy/helm/vfio-operator/crds deploy/helm/vfio-operator/crds
COPY src src
RUN node_modules/.bin/node scripts/build.mjs && node_modules/.bin/node scripts/image-root.mjs /image

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vfio-operator" \
      org.opencontainers.image.description="Puts the devices a policy names on the right VFIO driver, and offers them to kubelet" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /
ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin \
    NODE_ENV=production
WORKDIR /app
# The agent's heap is small and steady: a small young generation keeps it so. Its work is system calls: the two optimising compilers would
# cost more memory than they save time. The chart starts the controller without the last two flags. UV_THREADPOOL_SIZE stays at its
# default, since nothing that can block in the kernel runs on the thread pool.
ENTRYPOINT ["/usr/local/bin/node", "--max-semi-space-size=1", "--optimize-for-size", "--no-opt", "--no-maglev", "/app/dist/main.mjs"]
