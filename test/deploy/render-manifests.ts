// `npm run render:manifests` renders the chart into deploy/kubernetes/latchkey.yaml.
import { writeFileSync } from 'node:fs';
import { buildDeployTools, MANIFESTS, renderManifests } from './helm.ts';

writeFileSync(MANIFESTS, await renderManifests(await buildDeployTools()));
