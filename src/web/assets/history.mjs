// Undo and redo.

/** How many steps can be undone. */
const MOST = 500

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
   * Goes on to a state. Steps one after the other with the same name are undone as one: the letters of a word.
   *
   * @param {T} state
   * @param {string} [name]
   */
  push(state, name = '') {
    if (name === '' || name !== this.merges) this.past.push(this.state)
    if (this.past.length > MOST) this.past.shift()
    this.merges = name
    this.future = []
    this.state = state
  }

  /** Lets the next step be one of its own. */
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
