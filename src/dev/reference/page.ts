/** One generated file. */
export type Page = {
  /** Below docs/reference. */
  path: string;
  text: string;
};
