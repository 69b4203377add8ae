// A plug-in of Stryker: the texts of errors are written for people, and no test repeats them.
import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin';

const ERRORS = new Set(['InvalidValue', 'invalid', 'Error', 'report']);

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'error-texts', {
    shouldIgnore(path) {
      const isText = path.isStringLiteral() || path.isTemplateLiteral();
      const call = path.parent;
      const isArgument = call?.type === 'NewExpression' || call?.type === 'CallExpression';
      return isText && isArgument && ERRORS.has(call.callee.name) ? 'the text of an error' : undefined;
    },
  }),
];
