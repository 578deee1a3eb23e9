// Functions that read and change a model, which is the JSON of a pricing.json. Models are immutable: each function
// returns a new one, which shares the unchanged parts.

import { Num, parse, print } from './json.mjs'

/**
 * @typedef {import('./json.mjs').Json} Json
 * @typedef {Array<string | number>} Path
 * @typedef {'fixed' | 'usage' | 'none'} Kind
 */

/** @type {() => any} */
export const emptyModel = () => parse('{"plans":{}}')

/** @param {unknown} value @returns {value is { [key: string]: any }} */
export const isObject = value =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Num)

/**
 * @param {any} value
 * @param {Path} path
 * @returns {any}
 */
export const get = (value, path) => path.reduce((inner, step) => inner?.[step], value)

/**
 * Returns `value` with `to` at `path`, or without that entry if `to` is undefined. A value on the way that is no
 * object, such as a number instead of the plans, is replaced.
 *
 * @param {any} value
 * @param {Path} path
 * @param {any} to
 * @returns {any}
 */
export const set = (value, path, to) => {
  const [step, ...rest] = path
  if (step === undefined) return to
  const inner = set(value?.[step], rest, to)
  if (Array.isArray(value) && typeof step === 'number') {
    const copy = value.slice()
    if (inner === undefined) copy.splice(step, 1)
    else copy[step] = inner
    return copy
  }
  const copy = Object.assign(Object.create(null), isObject(value) ? value : {})
  if (inner === undefined) delete copy[step]
  else copy[step] = inner
  return copy
}

/**
 * Returns `value` with the entry `from` of the object at `path` renamed to `to`. Its position stays.
 *
 * @param {any} value
 * @param {Path} path
 * @param {string} from
 * @param {string} to
 */
export const rename = (value, path, from, to) => {
  const renamed = Object.create(null)
  const object = get(value, path)
  for (const key of Object.keys(object)) renamed[key === from ? to : key] = object[key]
  return set(value, path, renamed)
}

/** @param {any} model @returns {Array<[string, any]>} */
export const plans = model => (isObject(model?.plans) ? Object.entries(model.plans) : [])

/** @param {any} plan @returns {Array<[string, any]>} */
export const features = plan => (isObject(plan?.features) ? Object.entries(plan.features) : [])

/**
 * The names of all features, each once.
 *
 * @param {any} model
 * @param {Array<string>} [more]
 */
export const featureNames = (model, more = []) => {
  const named = plans(model).flatMap(([, plan]) => features(plan).map(([name]) => name))
  return [...new Set([...named, ...more])]
}

/** @param {any} feature @returns {Kind} */
export const kind = feature => {
  if (!Array.isArray(feature?.tiers)) return 'fixed'
  return feature.tiers.length === 0 ? 'none' : 'usage'
}

/**
 * Converts a feature to another kind. Fields that both kinds have stay.
 *
 * @param {any} feature
 * @param {Kind} to
 */
export const ofKind = (feature, to) => {
  const title = feature?.title
  const made = Object.assign(Object.create(null), title === undefined ? {} : { title })
  if (to === 'fixed') return feature?.divide === undefined ? made : { ...made, divide: feature.divide }
  made.tiers = to === 'none' ? [] : [Object.create(null)]
  return made
}

/**
 * The name and the version of a plan.
 *
 * @param {string} id
 */
export const nameAndVersion = id => {
  const [name = '', version = ''] = id.replace(/^plan:/, '').split('@')
  return { name, version }
}

/**
 * The id of the next version of a plan: a whole number above its versions in all of the models.
 *
 * @param {string} id
 * @param {...any} models
 */
export const nextVersion = (id, ...models) => {
  const { name } = nameAndVersion(id)
  const versions = models
    .flatMap(model => plans(model).map(([other]) => nameAndVersion(other)))
    .filter(other => other.name === name && /^[0-9]{1,15}$/.test(other.version))
    .map(other => Number(other.version))
  return `plan:${name}@${Math.max(0, ...versions) + 1}`
}

/**
 * Returns the model with a copy of a plan right after it.
 *
 * @param {any} model
 * @param {string} from
 * @param {string} to
 */
export const copyPlan = (model, from, to) => {
  const copied = Object.create(null)
  for (const [id, plan] of plans(model)) {
    copied[id] = plan
    if (id === from) copied[to] = plan
  }
  return set(model, ['plans'], copied)
}

/**
 * Returns the model with a feature renamed in every plan for which `mayChange` is true.
 *
 * @param {any} model
 * @param {string} from
 * @param {string} to
 * @param {(id: string) => boolean} mayChange
 */
export const renameFeature = (model, from, to, mayChange) =>
  plans(model)
    .filter(([id, plan]) => mayChange(id) && plan?.features?.[from] !== undefined)
    .reduce((changed, [id]) => rename(changed, ['plans', id, 'features'], from, to), model)

/**
 * Whether two values are the same JSON.
 *
 * @param {any} one
 * @param {any} other
 */
export const isSame = (one, other) => print(one ?? null) === print(other ?? null)
