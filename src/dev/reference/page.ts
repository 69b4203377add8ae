export type Page = {
  path: string;
  text: string;
};
