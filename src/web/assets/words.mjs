// The words of pricing.json, and their labels. The first is the default.

/** @type {Array<[string, string]>} */
export const INTERVALS = [
  ['@monthly', 'Monthly'],
  ['@daily', 'Daily'],
  ['@weekly', 'Weekly'],
  ['@quarterly', 'Quarterly'],
  ['@yearly', 'Yearly'],
]

/** @type {Array<[string, string]>} */
export const MODES = [
  ['graduated', 'Graduated: each unit has the price of its own tier'],
  ['volume', 'Volume: all units have the price of the last tier reached'],
]

/** @type {Array<[string, string]>} */
export const AGGREGATES = [
  ['sum', 'The sum of all reports'],
  ['max', 'The highest report'],
  ['last', 'The last report'],
  ['perpetual', 'The last report, also in later periods'],
]

/** @type {Array<[string, string]>} */
export const ROUNDINGS = [
  ['down', 'A package that is not full is free'],
  ['up', 'A package that is not full is charged'],
]
