// The form of a command. src/cli owns the command line: the table of commands, its parsing, its help and the commands
// for operators. It must not construct the service: src/main.ts passes the programs that do.

export type Option = {
  /** The placeholder of its value in the help, such as `time`. A flag has none. */
  value?: string;
  isRequired?: boolean;
  help: string;
};
export type Options = Record<string, Option>;
/** The help of each argument by its name, in their order. All are required. */
export type Arguments = Record<string, string>;

/** A missing value is empty, and a missing flag is false. */
export type OptionValues<O extends Options> = {
  [name in keyof O]: O[name] extends { value: string } ? string : boolean;
};
export type ArgumentValues<A extends Arguments> = { [name in keyof A]: string };

export type Programs = {
  serve(workers: string): Promise<void>;
  worker(): Promise<void>;
  dev(): Promise<void>;
  mails(): Promise<void>;
};

type Input<A extends Arguments, O extends Options> = {
  args: ArgumentValues<A>;
  options: OptionValues<O>;
  programs: Programs;
};

export type CommandSpec<A extends Arguments, O extends Options> = {
  path: string;
  summary: string;
  details?: string;
  arguments?: A;
  options?: O;
  /** The command that runs when its group is given alone. */
  isDefault?: boolean;
};

export type Command = Required<Omit<CommandSpec<Arguments, Options>, 'isDefault' | 'details'>> & {
  details: string;
  isDefault: boolean;
  run(input: {
    args: Record<string, string>;
    options: Record<string, string | boolean>;
    programs: Programs;
  }): Promise<void>;
};

export function defineCommand<
  const A extends Arguments = Record<never, never>,
  const O extends Options = Record<never, never>,
>(spec: CommandSpec<A, O> & { run(input: Input<A, O>): Promise<void> }): Command {
  const { details = '', arguments: args = {}, options = {}, isDefault = false, ...rest } = spec;
  // The cast is safe because the parser passes exactly the arguments and options of the table.
  return { ...rest, details, arguments: args, options, isDefault } as unknown as Command;
}
