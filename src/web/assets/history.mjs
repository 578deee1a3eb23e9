// Undo and redo.

/** How many steps can be undone. */
const MAX_STEPS = 500

/**
 * @template T
 */
export class History {
  /** @param {T} state */
  constructor(state) {
    this.state = state
    /** @type {Array<T>} */
    this.past = []
    /** @type {Array<T>} */
    this.future = []
    this.merges = ''
  }

  /**
   * Adds a state. Consecutive steps with the same name, such as the letters of a word, are undone as one.
   *
   * @param {T} state
   * @param {string} [name]
   */
  push(state, name = '') {
    if (name === '' || name !== this.merges) this.past.push(this.state)
    if (this.past.length > MAX_STEPS) this.past.shift()
    this.merges = name
    this.future = []
    this.state = state
  }

  /** Ends the current step, so that the next one is undone separately. */
  pause() {
    this.merges = ''
  }

  undo() {
    this.#move(this.past, this.future)
  }

  redo() {
    this.#move(this.future, this.past)
  }

  /**
   * @param {Array<T>} from
   * @param {Array<T>} to
   */
  #move(from, to) {
    const state = from.pop()
    if (state === undefined) return
    to.push(this.state)
    this.state = state
    this.merges = ''
  }
}
