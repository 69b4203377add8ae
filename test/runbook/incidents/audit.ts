import { eventually } from '../../support/eventually.ts';
import { registered } from '../../support/people.ts';
import type { Incidents } from '../incident.ts';
import type { Scene } from '../scene.ts';

export const AUDIT_INCIDENTS: Incidents = {
  'The audit trail was changed': {
    settings: { AUDIT_ANCHOR_SECONDS: '1' },
    async make(scene) {
      const { userId } = await registered(scene.call);
      const place = await eventually(async () => {
        const { rows } = await scene.owner.query('SELECT seq FROM audit_events WHERE user_id = $1', [userId]);
        return rows[0]?.seq as string | undefined;
      });
      await write(scene, place, 'role_granted');
      const owner = new URL(scene.environment.MIGRATION_DATABASE_URL as string).username;
      return { place, owner };
    },
    afterDo: (scene, { place = '' }) => write(scene, place, 'registered'),
  },
};

async function write({ owner }: Scene, place: string, type: string): Promise<void> {
  await owner.query('UPDATE audit_events SET type = $2 WHERE seq = $1', [place, type]);
}
