# The image of agent, controller and command line: the bundles, Node, nothing else that runs. Base images are arguments, so that a
# registry mirror or locally made ones serve as well; pin them by digest where you build for others.
ARG BUILD_IMAGE=docker.io/library/node:26-bookworm-slim
ARG RUNTIME_IMAGE=docker.io/library/node:26-bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY proto proto
COPY deploy/helm/vfio-operator/crds deploy/helm/vfio-operator/crds
COPY src src
RUN node_modules/.bin/node scripts/build.mjs

FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="vfio-operator" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /build/package.json ./
COPY --from=build /build/dist dist
# The agent's heap is small and steady: a small young generation keeps it so. UV_THREADPOOL_SIZE stays at its default, since nothing
# that can block in the kernel runs on the thread pool.
ENV NODE_ENV=production
ENTRYPOINT ["node", "--max-semi-space-size=1", "--optimize-for-size", "dist/main.mjs"]
