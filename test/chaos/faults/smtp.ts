// Faults of the mail server.
import type { Fault, FaultContext } from '../fault.ts';
import type { Mood } from '../mail-sink.ts';
import { runCommand } from '../operator.ts';

function mood(name: Mood): Pick<Fault, 'inject' | 'heal'> {
  return {
    inject: async ({ deployment, afterwards }) => {
      deployment.mailSink.mood = name;
      afterwards(async () => {
        deployment.mailSink.mood = 'accepting';
      });
    },
    heal: async ({ deployment }) => {
      deployment.mailSink.mood = 'accepting';
      // A client may wait for minutes for a response that a hanging server never sends.
      if (name === 'hanging') deployment.mailSink.dropConnections();
    },
  };
}

function setCables(mode: 'open' | 'silent' | 'cut') {
  return async ({ deployment }: FaultContext) => {
    for (const { cables } of deployment.workers) {
      cables.smtp.mode = mode;
      if (mode === 'cut') cables.smtp.cutAll();
    }
  };
}

export const smtpFaults: Fault[] = [
  {
    name: 'smtp-down',
    does: 'the mail server accepts no connection',
    inject: setCables('cut'),
    heal: setCables('open'),
  },
  {
    name: 'smtp-hanging',
    does: 'the mail server accepts connections and sends no greeting',
    ...mood('hanging'),
  },
  {
    name: 'smtp-slow',
    does: 'the mail server takes two seconds to accept each message',
    ...mood('slow'),
  },
  {
    name: 'smtp-4xx',
    does: 'the mail server rejects every recipient for now (451)',
    ...mood('4xx'),
  },
  {
    name: 'smtp-5xx',
    does: 'the mail server rejects every recipient for good (550), and an operator retries the dead letters',
    inject: mood('5xx').inject,
    heal: async (context) => {
      await mood('5xx').heal(context);
      context.note(
        `"outbox retry all": ${(await runCommand(context.deployment, 'outbox', 'retry', 'all')).length} lines`,
      );
    },
  },
  {
    name: 'smtp-dropping',
    does: 'the mail server receives each message and ends the connection in place of an answer',
    ...mood('dropping'),
  },
  {
    name: 'smtp-silent',
    does: 'the network swallows what is sent to the mail server, and resets the connections when it is back',
    inject: setCables('silent'),
    heal: async (context) => {
      await setCables('open')(context);
      for (const { cables } of context.deployment.workers) cables.smtp.cutAll();
    },
  },
];
