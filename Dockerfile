# The digest gives every build the same image: docs/guides/releasing.md describes how to update it. Node itself is the release of
# .node-version, verified by npm, because the 24.19.0 of this image is too old for the service.
FROM node:24-slim@sha256:cd84903a12dbd26b46f1f3b8144a2568c41c5d37ddd0c7a80a34c7a19786b35f AS node
WORKDIR /node
COPY src/dev/node ./
RUN npm ci --ignore-scripts --no-audit --no-fund && cp node_modules/node-linux-*/bin/node /usr/local/bin/node

FROM node AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Native parts are prebuilt in their packages, so no install script is necessary.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim@sha256:cd84903a12dbd26b46f1f3b8144a2568c41c5d37ddd0c7a80a34c7a19786b35f
WORKDIR /app
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY gen gen
COPY proto/latchkey.binpb proto/latchkey.binpb
COPY src src
# `latchkey --version` prints it. It comes last, so that a new commit does not rebuild the layers above.
ARG LATCHKEY_COMMIT=
# Young objects in 24 MB instead of 48: docs/guides/production.md.
ENV NODE_ENV=production NODE_OPTIONS=--max-semi-space-size=8 LATCHKEY_COMMIT=$LATCHKEY_COMMIT
USER node
EXPOSE 8080
ENTRYPOINT ["node", "src/main.ts"]
CMD ["serve"]
