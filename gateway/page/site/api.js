// The calls of the gateway, over HTTP with JSON.

// Refused is an answer that is an error: what the gateway said, and the HTTP status. A status of 0: there was no answer.
export class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

// pipeline is the one that is shown: "default", or the one that the address of the page names (?pipeline=…).
export const pipeline = new URLSearchParams(location.search).get('pipeline') || 'default'

const base = `/v1/pipelines/${encodeURIComponent(pipeline)}`
const kept = 'slipstream-token'

// The token lives as long as the tab.
export const token = () => sessionStorage.getItem(kept) ?? ''
export const setToken = (value) => (value ? sessionStorage.setItem(kept, value) : sessionStorage.removeItem(kept))

// mayShowToken: a token is never sent in the clear beyond this machine.
export const mayShowToken = () => window.isSecureContext

async function ask(path, options = {}) {
  const headers = { ...options.headers }
  if (token() && mayShowToken()) headers.Authorization = `Bearer ${token()}`
  let answer
  try {
    answer = await fetch(path, { ...options, headers, cache: 'no-store', credentials: 'same-origin', redirect: 'error' })
  } catch (cause) {
    if (options.signal?.aborted) throw cause
    throw new Refused(0, 'the gateway does not answer')
  }
  if (answer.ok) return answer
  let message = `${answer.status} ${answer.statusText}`
  try {
    const body = await answer.json()
    message = body.error?.message || body.message || message // of a stream it is a line
  } catch {
    // it is no answer of the gateway's own
  }
  throw new Refused(answer.status, message)
}

// get asks for something.
export const get = async (path, signal) => (await ask(base + path, { signal })).json()

// deployed lists the pipelines that there are.
export const deployed = async () => (await (await ask('/v1/pipelines')).json()).pipelines ?? []

// post asks for something to be done.
export const post = async (path, body) =>
  (await ask(base + path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })).json()

// stream gives the answers of a call that streams, one object a line.
export async function* stream(path, signal) {
  const answer = await ask(base + path, { signal })
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      rest += value
      const lines = rest.split('\n')
      rest = lines.pop()
      for (const line of lines) {
        if (line.trim() === '') continue
        const one = JSON.parse(line)
        if (one.error) throw new Refused(one.error.http_code || 500, one.error.message || 'the stream failed')
        yield one.result
      }
    }
  } catch (cause) {
    if (signal?.aborted || cause instanceof Refused) throw cause
    throw new Refused(0, 'the gateway does not answer')
  } finally {
    reader.cancel().catch(() => {})
  }
}
