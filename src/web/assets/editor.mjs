// The part of the builder that changes the model.

import { History } from './history.mjs'
import { compact, parse, print } from './json.mjs'
import { copyPlan, emptyModel, featureNames, isObject, nextVersion, plans, set } from './model.mjs'

/**
 * @typedef {import('./model.mjs').Path} Path
 *
 * The model, features that are in no plan yet, and the text that the model was read from, unless it has changed since.
 * @typedef {{ title: string, model: any, rows: Array<string>, text: string | null }} State
 *
 * Which panel is open, and for what.
 * @typedef {{ kind: 'plan', plan: string } | { kind: 'feature', plan: string, feature: string }
 *   | { kind: 'row', feature: string } | { kind: 'new feature', plan?: string | undefined }
 *   | { kind: 'json' } | { kind: 'stripe' } | { kind: 'share' }} Opened
 */

export class Editor extends HTMLElement {
  history = new History(/** @type {State} */ ({ title: '', model: emptyModel(), rows: [], text: null }))
  isReadOnly = false
  /** The model in Stripe, once it is known. @type {any} */
  stripe = null

  /** Shows the model after it has changed. */
  changed() {}

  /** Opens a panel. @param {Opened} _opened */
  open(_opened) {}

  /** Closes the panel. */
  close() {}

  /** Renders the open panel again, after its subject has changed. */
  reopen() {}

  get state() {
    return this.history.state
  }

  get model() {
    return this.state.model
  }

  get rows() {
    return this.state.rows
  }

  /** The model as JSON: the text that it was read from, or if it has changed since, printed. */
  text() {
    return this.state.text ?? `${print(this.model)}\n`
  }

  /** The model as compact JSON for the server, which limits the number of bytes. */
  body() {
    return compact(this.text())
  }

  /** @param {string} plan */
  isPushed(plan) {
    return this.stripe?.plans?.[plan] !== undefined
  }

  featureNames() {
    return featureNames(this.model, this.rows)
  }

  /**
   * Replaces the model. Consecutive changes with the same name are undone as one.
   *
   * @param {any} model
   * @param {string} [name]
   */
  change(model, name = '') {
    this.#go({ ...this.state, model, text: null }, name)
  }

  /** Replaces the model by one from elsewhere. @param {any} model */
  replace(model) {
    this.#go({ ...this.state, model, rows: [], text: null })
  }

  /** @param {State} state @param {string} [name] */
  #go(state, name = '') {
    if (this.isReadOnly) return
    this.history.push(state, name)
    this.changed()
  }

  /** @param {string} title */
  setTitle(title) {
    this.#go({ ...this.state, title }, 'type title')
  }

  /**
   * Replaces the model by one in JSON. Returns an error message if the text is invalid.
   *
   * @param {string} text
   * @param {string} [name]
   * @returns {string | null}
   */
  read(text, name) {
    try {
      const model = text.trim() === '' ? emptyModel() : parse(text)
      if (!isObject(model)) return 'A model is an object with plans.'
      this.#go({ ...this.state, model, text }, name)
      return null
    } catch (error) {
      return /** @type {Error} */ (error).message
    }
  }

  undo() {
    this.history.undo()
    this.changed()
    this.reopen()
  }

  redo() {
    this.history.redo()
    this.changed()
    this.reopen()
  }

  addPlan() {
    const names = plans(this.model).map(([id]) => id)
    const free = ['free', 'basic', 'pro', 'team'].find(name => !names.some(id => id.startsWith(`plan:${name}@`))) ?? 'new'
    const id = nextVersion(`plan:${free}@1`, this.model, this.stripe)
    const plan = Object.assign(Object.create(null), { title: free[0]?.toUpperCase() + free.slice(1), features: Object.create(null) })
    this.change(set(this.model, ['plans', id], plan))
    this.open({ kind: 'plan', plan: id })
  }

  /** @param {string} plan @param {string} [feature] */
  newVersion(plan, feature) {
    const id = nextVersion(plan, this.model, this.stripe)
    this.change(copyPlan(this.model, plan, id))
    this.open(feature === undefined ? { kind: 'plan', plan: id } : { kind: 'feature', plan: id, feature })
  }

  /** @param {string} plan @param {string} feature */
  addToPlan(plan, feature) {
    this.change(set(this.model, ['plans', plan, 'features', feature], Object.create(null)))
    this.open({ kind: 'feature', plan, feature })
  }

  /** @param {string} feature @param {string} [plan] */
  addRow(feature, plan) {
    if (plan !== undefined) return this.addToPlan(plan, feature)
    this.#go({ ...this.state, rows: [...this.rows.filter(row => row !== feature), feature] })
    this.open({ kind: 'row', feature })
  }

  /** @param {string} from @param {string} to @param {any} model @param {string} name */
  renameRow(from, to, model, name) {
    const rows = this.rows.map(row => (row === from ? to : row))
    this.#go({ ...this.state, model, rows, text: null }, name)
  }

  /** @param {string} feature */
  removeRow(feature) {
    const having = plans(this.model).filter(([, plan]) => plan?.features?.[feature] !== undefined)
    const model = having.reduce((changed, [id]) => set(changed, ['plans', id, 'features', feature], undefined), this.model)
    this.#go({ ...this.state, model, rows: this.rows.filter(row => row !== feature), text: null })
    this.close()
  }

  /** @param {Path} path */
  removeAt(path) {
    // A feature stays in the grid, for another plan.
    const feature = path[2] === 'features' ? [String(path[3])] : []
    const rows = [...new Set([...this.rows, ...feature])]
    this.#go({ ...this.state, model: set(this.model, path, undefined), rows, text: null })
    this.close()
  }
}
