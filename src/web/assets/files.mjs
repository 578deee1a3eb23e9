// Opens, downloads and stores the model: from files, as a file, and in this browser.

import { parse } from './json.mjs'
import { emptyModel } from './model.mjs'

/** @typedef {import('./builder.mjs').Builder} Builder */

const KEY = 'tier-builder'

/** @typedef {{ title: string, model: any, text: string | null }} Kept */

/**
 * Stores the model in this browser.
 *
 * @param {{ title: string, text: string }} model
 */
export const keep = model => {
  try {
    localStorage.setItem(KEY, JSON.stringify(model))
  } catch {
    // Some browsers store nothing. Then there is no copy, and everything else works.
  }
}

/** The stored model, or an empty one. @returns {Kept} */
export const kept = () => {
  try {
    const { title, text } = JSON.parse(localStorage.getItem(KEY) ?? '')
    return { title: String(title), model: parse(text), text: String(text) }
  } catch {
    return { title: '', model: emptyModel(), text: null }
  }
}

/** Calls `tell` with each model that another window of this browser stores from now on. @param {(model: Kept) => void} tell */
export const whenKeptElsewhere = tell =>
  addEventListener('storage', event => {
    if (event.key === KEY) tell(kept())
  })

/** @param {Builder} builder @param {File} file */
const open = async (builder, file) => {
  const fault = builder.read(await file.text())
  builder.notify(fault === null ? '' : `${file.name}: ${fault}`)
  builder.reopen()
}

/** @param {Builder} builder @param {DragEvent} event */
export const dropped = (builder, event) => {
  event.preventDefault()
  const [file] = event.dataTransfer?.files ?? []
  if (file !== undefined) open(builder, file)
}

/** @param {Builder} builder */
export const choose = builder => {
  const input = document.createElement('input')
  Object.assign(input, { type: 'file', accept: '.json,application/json' })
  input.onchange = () => {
    const [file] = input.files ?? []
    if (file !== undefined) open(builder, file)
  }
  input.click()
}

/** @param {Builder} builder */
export const download = builder => {
  const url = URL.createObjectURL(new Blob([builder.text()], { type: 'application/json' }))
  const link = document.createElement('a')
  Object.assign(link, { href: url, download: 'pricing.json' })
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
