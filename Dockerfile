# By digest, so that every build has the same image; docs/guides/releasing.md says how to take a newer one. Node itself is the
# release of .node-version, as npm has verified it: this image has 24.19.0, which the service refuses.
FROM node:24-slim@sha256:cd84903a12dbd26b46f1f3b8144a2568c41c5d37ddd0c7a80a34c7a19786b35f AS node
WORKDIR /node
COPY src/dev/node ./
RUN npm ci --ignore-scripts --no-audit --no-fund && cp node_modules/node-linux-*/bin/node /usr/local/bin/node

FROM node AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The native parts come built with their packages; no install script has to run.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim@sha256:cd84903a12dbd26b46f1f3b8144a2568c41c5d37ddd0c7a80a34c7a19786b35f
ENV NODE_ENV=production
WORKDIR /app
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY gen gen
COPY src src
USER node
EXPOSE 8080
ENTRYPOINT ["node", "src/main.ts"]
CMD ["serve"]
