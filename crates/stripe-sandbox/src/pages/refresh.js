// Shows the page anew every two seconds, unless somebody is reading or using it at that place.
const EVERY = 2000

const isInUse = main =>
  document.hidden ||
  main.contains(document.activeElement) ||
  main.querySelector('details[open]') !== null ||
  !document.getSelection().isCollapsed

const refresh = async () => {
  const main = document.querySelector('main')
  if (isInUse(main)) return
  const answer = await fetch(location.href, { headers: { accept: 'text/html' } })
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
  const next = page.querySelector('main')
  if (next && next.innerHTML !== main.innerHTML && !isInUse(main)) main.replaceWith(next)
}

// A page that changes by itself can be told not to.
const label = document.createElement('label')
const box = document.createElement('input')
box.type = 'checkbox'
box.checked = true
label.append(box, ' Refresh')
document.querySelector('header').append(label)

const repeat = async () => {
  // The sandbox may be stopped; the page stays as it was.
  if (box.checked) await refresh().catch(() => {})
  setTimeout(repeat, EVERY)
}
setTimeout(repeat, EVERY)
