// Set-up of the project `unit`: a test that opens a connection, listens or starts a process fails with an error.
import { ChildProcess } from 'node:child_process';
import { Server, Socket } from 'node:net';

/** The error of every such attempt, with the remedy. */
export const NOT_A_UNIT_TEST =
  'a unit test connects to nothing and starts nothing: name the file *.test.ts without `.unit`, and it is an integration test';

function forbid(): never {
  throw new Error(NOT_A_UNIT_TEST);
}

Socket.prototype.connect = forbid;
Server.prototype.listen = forbid;
Reflect.set(ChildProcess.prototype, 'spawn', forbid);
