// Counts the pieces of a password that an attacker must guess: a repetition, a run, a keyboard walk or a date counts
// little. Linear in the length, because it runs on the main thread for input of strangers.

const DIGITS = '1234567890';
/** The rows of each keyboard, from the top. Each row is half a key to the right of the row above. */
const LAYOUTS: string[][] = [
  [`${DIGITS}-=`, 'qwertyuiop[]', "asdfghjkl;'", 'zxcvbnm,./'],
  ['!@#$%^&*()_+', 'qwertyuiop{}', 'asdfghjkl:"', 'zxcvbnm<>?'],
  [`${DIGITS}ß´`, 'qwertzuiopü+', 'asdfghjklöä', 'yxcvbnm,.-'],
  ['!"§$%&/()=?`', 'qwertzuiopü*', 'asdfghjklöä', 'yxcvbnm;:_'],
  ['&é"\'(-è_çà)=', 'azertyuiop^$', 'qsdfghjklmù', 'wxcvbn,;:!'],
  [`${DIGITS}°+`, 'azertyuiop¨£', 'qsdfghjklm%', 'wxcvbn?./§'],
  [`${DIGITS}-=`, 'йцукенгшщзхъ', 'фывапролджэ', 'ячсмитьбю'],
];

const ROW = 1_000;
/** The position of each key is one number of row and column, so that a direction is a difference. */
const KEYBOARDS = LAYOUTS.map(
  (rows) => new Map(rows.flatMap((keys, row) => [...keys].map((key, column) => [key, row * ROW + column] as const))),
);
const [RIGHT, BELOW, BELOW_LEFT] = [1, ROW, ROW - 1];
const NOWHERE = Number.NaN;

const UNITS = [1, 2, 3, 4];
const PATTERN_PIECES = 2;
const MIN_PATTERN = 3;
const YEAR = /(?:19|20)\d\d/y;
const DATE =
  /(?:(?:19|20)\d\d[-./]?(?:0\d|1[0-2])[-./]?[0-3]\d|[0-3]\d[-./]?(?:0\d|1[0-2])[-./]?(?:19|20)\d\d|(?:0\d|1[0-2])[-./]?[0-3]\d[-./]?(?:19|20)\d\d)/y;

/** Each character alone and each year is a piece. A walk, a run, a repetition or a date has two. */
export function countPieces(text: string): number {
  const characters = [...text];
  const length = characters.length;
  const points = characters.map((character) => character.codePointAt(0) ?? 0);
  const keyboards = KEYBOARDS.map((keys) => characters.map((character) => keys.get(character) ?? NOWHERE));
  const walks = walkLengths(keyboards);
  const repetitions = UNITS.map((unit) => repetitionLengths(points, keyboards, unit));
  const offsets = offsetsOf(characters);
  const pieces = new Array<number>(length + 1).fill(0);
  const after = (index: number) => pieces[Math.min(index, length)] ?? 0;
  for (let i = length - 1; i >= 0; i -= 1) {
    let least = 1 + after(i + 1);
    const take = (cost: number, taken: number) => {
      if (taken > 0) least = Math.min(least, cost + after(i + taken));
    };
    const walk = walks[i] ?? 0;
    if (walk >= MIN_PATTERN) take(PATTERN_PIECES, walk);
    for (const [index, unit] of UNITS.entries()) {
      const cost = walk >= unit ? PATTERN_PIECES : Math.max(PATTERN_PIECES, unit);
      const taken = repetitions[index]?.[i] ?? 0;
      if (taken >= Math.max(2 * unit, MIN_PATTERN)) take(cost, taken);
    }
    take(1, matchLength(YEAR, text, offsets[i] ?? 0));
    take(2, matchLength(DATE, text, offsets[i] ?? 0));
    pieces[i] = least;
  }
  return pieces[0] ?? 0;
}

/** The shortest unit that the whole text repeats at least twice, the last time perhaps in part. */
export function repeatedUnit(text: string): string | null {
  const characters = [...text];
  const borders = [0];
  for (let i = 1, border = 0; i < characters.length; i += 1) {
    while (border > 0 && characters[i] !== characters[border]) border = borders[border - 1] ?? 0;
    if (characters[i] === characters[border]) border += 1;
    borders.push(border);
  }
  const unit = characters.length - (borders.at(-1) ?? 0);
  return 2 * unit <= characters.length ? characters.slice(0, unit).join('') : null;
}

/** For each character, the length of the walk that begins there. */
function walkLengths(keyboards: number[][]): number[] {
  const longest = new Array<number>(keyboards[0]?.length ?? 0).fill(1);
  for (const keys of keyboards) {
    let length = 1;
    for (let i = keys.length - 2; i >= 0; i -= 1) {
      const step = Math.abs((keys[i + 1] as number) - (keys[i] as number));
      length = step === RIGHT || step === BELOW || step === BELOW_LEFT ? length + 1 : 1;
      if (length > (longest[i] as number)) longest[i] = length;
    }
  }
  return longest;
}

/** For each character, how far a unit repeats from there, moved in the same way each time. */
function repetitionLengths(points: number[], keyboards: number[][], unit: number): number[] {
  const longest = new Array<number>(points.length).fill(0);
  const follow = (values: number[], move: number) => {
    let length = 0;
    for (let i = values.length - unit - 1; i >= 0; i -= 1) {
      length = (values[i + unit] as number) - (values[i] as number) === move ? length + 1 : 0;
      if (length > 0 && length + unit > (longest[i] as number)) longest[i] = length + unit;
    }
  };
  for (const move of [0, 1, -1]) follow(points, move);
  for (const keys of keyboards) for (const move of [RIGHT, -RIGHT, BELOW, -BELOW]) follow(keys, move);
  return longest;
}

/** In UTF-16 units. */
function offsetsOf(characters: string[]): number[] {
  let offset = 0;
  return characters.map((character) => {
    offset += character.length;
    return offset - character.length;
  });
}

function matchLength(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}
