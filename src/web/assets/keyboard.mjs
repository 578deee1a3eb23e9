// The keys that work everywhere in the builder.

/**
 * @param {import('./builder.mjs').Builder} builder
 * @param {KeyboardEvent} event
 */
export const pressed = (builder, event) => {
  const { target } = event
  // Text fields have their own undo.
  const isText = target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && target.type !== 'checkbox')
  const command = event.ctrlKey || event.metaKey
  const key = event.key.toLowerCase()
  if (event.key === 'Escape' && builder.isOpen()) builder.close()
  else if (command && key === 'z' && !isText) event.shiftKey ? builder.redo() : builder.undo()
  else if (command && key === 'y' && !isText) builder.redo()
  else return
  event.preventDefault()
}
