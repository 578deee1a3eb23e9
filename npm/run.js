#!/usr/bin/env node
// Runs the binary for this machine. It gets the terminal, the signals and the arguments, and its exit status is ours.
'use strict'

const { spawn } = require('node:child_process')
const { existsSync } = require('node:fs')
const { join } = require('node:path')
const os = require('node:os')

const binary = join(__dirname, 'bin', `${process.platform}-${process.arch}`, 'tier')
if (!existsSync(binary)) {
  console.error(`tier: this package has no binary for ${process.platform} on ${process.arch}; build it with cargo instead`)
  process.exit(1)
}

const child = spawn(binary, process.argv.slice(2), { stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => child.kill(signal))
}
child.on('error', (error) => {
  console.error(`tier: ${binary} cannot be run: ${error.message}`)
  process.exit(1)
})
child.on('exit', (code, signal) => {
  process.exit(code ?? 128 + os.constants.signals[signal])
})
