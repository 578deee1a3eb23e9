// A server with a sandbox, and a browser that notes what it asks for.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import axe from 'axe-core'
import { chromium } from 'playwright-core'

const at = path => fileURLToPath(new URL(path, import.meta.url))
const shots = at('screenshots')

// Long enough for whatever has to happen, on a machine that does ten other things.
export const PATIENCE = 120_000

/** Runs `tier` to its end, and returns what it prints. */
export const tier = async (args, environment = {}) => {
  const run = spawn(process.env.TIER_BIN, args, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, error] = ['', '']
  run.stdout.on('data', chunk => (out += chunk))
  run.stderr.on('data', chunk => (error += chunk))
  const [code] = await once(run, 'close')
  assert.equal(code, 0, error)
  return out
}

/** Starts a server with a sandbox of its own. */
export const serve = (...args) => start(['serve', '--sandbox', '--addr', '127.0.0.1:0', '--sandbox-addr', '127.0.0.1:0', ...args])

/** The servers that run. Those that a test has left behind when it failed would keep this process alive. */
const running = new Set()
after(() => Promise.all([...running].map(stop => stop())))

/** Starts a server, with variables besides those of this process. */
export const start = async (args, environment = {}) => {
  const server = spawn(process.env.TIER_BIN, args, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const url = await new Promise((resolve, reject) => {
    const read = chunk => {
      output += chunk
      const found = /listening on (\S+)\n/.exec(output)
      if (found) resolve(`http://${found[1]}`)
    }
    server.stdout.on('data', read)
    server.stderr.on('data', read)
    server.once('exit', () => reject(new Error(output)))
  })
  const stop = async () => {
    if (!running.delete(stop)) return
    const exited = once(server, 'exit')
    server.kill('SIGTERM')
    await exited
  }
  running.add(stop)
  /** Makes it read its files again, and waits until it says so. */
  const reload = async said => {
    output = ''
    const read = new Promise(resolve => server.stderr.on('data', () => output.includes(said) && resolve()))
    server.kill('SIGHUP')
    await read
  }
  return { url, stop, reload }
}

export const launch = async () => {
  await mkdir(shots, { recursive: true })
  return chromium.launch({
    timeout: PATIENCE,
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

/** Opens a page. Whatever it asks of other hosts, refuses by its policy or fails at is noted in `strange`. */
export const open = async (browser, hosts, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE)
  const strange = []
  page.on('request', request => {
    const url = new URL(request.url())
    if (!['blob:', 'data:'].includes(url.protocol) && !hosts.includes(url.origin)) strange.push(request.url())
  })
  page.on('pageerror', error => strange.push(error.message))
  page.on('console', message => message.type() === 'error' && !/status of 4/.test(message.text()) && strange.push(message.text()))
  return { page, strange, close: () => context.close() }
}

/** At 360 px and wide, by day and by night: axe finds nothing, and nothing is wider than the screen. */
export const isAccessible = async (page, name) => {
  const size = page.viewportSize()
  for (const [width, colorScheme] of [[360, 'light'], [360, 'dark'], [1200, 'light'], [1200, 'dark']]) {
    await page.setViewportSize({ width, height: 800 })
    await page.emulateMedia({ colorScheme })
    // The page's policy allows no other script, and this is not one of the page's.
    await page.evaluate(axe.source)
    const { violations } = await page.evaluate(() => globalThis.axe.run())
    const findings = violations.map(({ id, nodes }) => [id, ...nodes.map(node => node.html)])
    assert.deepEqual(findings, [], `${name}, ${width} px, ${colorScheme}`)
    const wide = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(wide <= width, `${name} is ${wide} px wide, of ${width}`)
    await page.screenshot({ path: `${shots}/${name}-${width}-${colorScheme}.png`, fullPage: true })
  }
  await page.emulateMedia({ colorScheme: null })
  await page.setViewportSize(size)
}
