/** One generated file. */
export type Page = {
  /** From the folder of package.json. */
  path: string;
  text: string;
};
