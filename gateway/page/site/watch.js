// The status of the pipeline, again and again, across losses of the connection.

import { stream, Refused } from './api.js'

const first = 500
const longest = 8000
const silence = 8000 // a gateway that says nothing for so long is taken for lost

// watch calls on.status with each status, and on.lost(refused, waiting) when there is none, and tries again after waiting
// milliseconds. It asks nothing while the page cannot be seen. The function it gives tries at once.
export function watch(on) {
  let wake = () => {}
  let control = null
  let wait = first

  async function once() {
    control = new AbortController()
    let timer = setTimeout(() => control.abort('silent'), silence)
    try {
      for await (const one of stream('/status/watch?interval_ms=1000', control.signal)) {
        clearTimeout(timer)
        timer = setTimeout(() => control.abort('silent'), silence)
        wait = first
        on.status(one.status)
      }
      return new Refused(0, 'the gateway ended the stream')
    } catch (cause) {
      if (cause instanceof Refused) return cause
      return new Refused(0, control.signal.reason === 'again' ? '' : 'the gateway does not answer')
    } finally {
      clearTimeout(timer)
    }
  }

  async function run() {
    for (;;) {
      if (document.hidden) await new Promise((go) => document.addEventListener('visibilitychange', go, { once: true }))
      const refused = await once()
      if (refused.message === '' || document.hidden) continue // it was asked to try again, or nobody looks
      const now = wait
      wait = Math.min(longest, wait * 2)
      on.lost(refused, now)
      await new Promise((go) => {
        wake = go
        setTimeout(go, now)
      })
    }
  }
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) control?.abort('hidden')
  })
  run()
  return () => {
    wait = first
    control?.abort('again')
    wake()
  }
}
