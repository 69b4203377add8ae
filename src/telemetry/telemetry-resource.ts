import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { ATTR_SERVICE_INSTANCE_ID, ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from '@opentelemetry/semantic-conventions';
import { commitOf } from '../process/commit.ts';
import { RELEASE } from '../process/release.ts';

export const SERVICE_NAME = 'latchkey';

/** From semantic conventions that are not stable yet. The package of all of them is too large for one name. */
const ATTR_VCS_REF_HEAD_REVISION = 'vcs.ref.head.revision';

/**
 * OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME override these attributes. Other detectors of the SDK would report the
 * user and the command line.
 */
export function telemetryResource(instanceId: string, configuredCommit: string | undefined): Resource {
  const commit = commitOf(configuredCommit);
  const own = {
    [ATTR_SERVICE_NAME]: SERVICE_NAME,
    [ATTR_SERVICE_VERSION]: RELEASE,
    [ATTR_SERVICE_INSTANCE_ID]: instanceId,
    ...(commit !== null && { [ATTR_VCS_REF_HEAD_REVISION]: commit }),
  };
  return defaultResource()
    .merge(resourceFromAttributes(own))
    .merge(detectResources({ detectors: [envDetector] }));
}
