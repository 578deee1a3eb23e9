// Templates that escape whatever is put into them, unless it is itself a template's result.

class Html {
  constructor(text) {
    this.text = text
  }

  toString() {
    return this.text
  }
}

const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const render = value => {
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(render).join('')
  if (value === undefined || value === null || value === false) return ''
  return String(value).replace(/[&<>"']/g, character => entities[character])
}

export const html = (strings, ...values) =>
  new Html(strings.reduce((text, string, i) => text + render(values[i - 1]) + string))
