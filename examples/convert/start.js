// Starts everything: the server with its sandbox, the pricing, and the app. Ctrl-C or SIGTERM ends it all.
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Tier } from 'tier'

const at = path => fileURLToPath(new URL(path, import.meta.url))
const children = []
let stopping = false

// Runs a program, and resolves with what `ready` finds in its output.
const start = (name, command, args, env, ready) =>
  new Promise(resolve => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    child.once('error', error => stop(1, `cannot start ${command}: ${error.message}`))
    child.once('exit', code => stop(code ?? 1, `${name} has ended`))
    let output = ''
    child.stdout.on('data', chunk => {
      process.stdout.write(chunk)
      output += chunk
      const found = ready.exec(output)
      if (found) resolve(found[1])
    })
  })

const stop = async (code, reason) => {
  if (stopping) return
  stopping = true
  if (reason) console.error(`start: ${reason}`)
  for (const child of children.reverse()) {
    if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit')
  }
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop(0))

// Ports of our own, so that nothing else that runs here is in the way; PORT is the app's.
const serve = ['serve', '--sandbox', '--addr', '127.0.0.1:0', '--sandbox-addr', '127.0.0.1:0']
const [command, args] = process.env.TIER_BIN
  ? [process.env.TIER_BIN, serve]
  : ['cargo', ['run', '--release', '--manifest-path', at('../../Cargo.toml'), '--', ...serve]]
const { TIER_API_KEY, TIER_BASE_URL, ...env } = process.env

const address = await start('tier', command, args, env, /listening on (\S+)\n/)
const baseURL = `http://${address}`
const pushed = await new Tier({ baseURL }).push(JSON.parse(await readFile(at('pricing.json'), 'utf8')))
for (const { feature, status, reason } of pushed.results) {
  if (status !== 'ok') await stop(1, `${feature}: ${reason}`)
}
await start('app', process.execPath, [at('app.js')], { ...env, TIER_BASE_URL: baseURL, CONVERT_SANDBOX: '1' }, /convert: (\S+)\n/)
