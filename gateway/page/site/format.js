// How values are said: numbers, spans of time, bytes.

const grouped = new Intl.NumberFormat('en')

// count is a whole number. 64-bit numbers come as strings.
export const count = (n) => grouped.format(Number(n ?? 0))

// rate is a number a second.
export function rate(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–'
  if (n > 0 && n < 10) return n.toFixed(1)
  return grouped.format(Math.round(n))
}

// span is a duration in milliseconds, in the unit that fits.
export function span(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '–'
  const n = Math.max(0, Number(ms))
  if (n < 10 && !Number.isInteger(n)) return `${n.toFixed(1)} ms`
  if (n < 1000) return `${Math.round(n)} ms`
  const s = n / 1000
  if (s < 10) return `${s.toFixed(1)} s`
  if (s < 120) return `${Math.round(s)} s`
  if (s < 7200) return `${Math.round(s / 60)} min`
  if (s < 172800) return `${Math.round(s / 3600)} h`
  return `${Math.round(s / 86400)} days`
}

const two = (n) => String(n).padStart(2, '0')

// time is a moment of today as a clock shows it, and of another day with its date.
export function time(ms) {
  const n = Number(ms)
  if (!n) return '–'
  const d = new Date(n)
  const clock = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
  if (d.toDateString() === new Date().toDateString()) return clock
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock}`
}

// plural says how many there are of something.
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${Number(n) === 1 ? one : many}`

// word is the last part of a value of an enum: LANE_STATE_RUNNING of LANE_STATE_ is "running".
export function word(value, prefix) {
  const w = String(value ?? '').replace(prefix, '').toLowerCase().replaceAll('_', ' ')
  return w === '' || w === 'unspecified' ? 'unknown' : w
}

// sentence ends a text with a full stop.
export const sentence = (text) => (!text ? '' : /[.!?]$/.test(text) ? text : `${text}.`)

// id is a stream ID.
export const id = (v) => (v ? `${v.ms ?? 0}-${v.seq ?? 0}` : '0-0')

const utf8 = new TextDecoder('utf-8', { fatal: true })

// text is bytes, which come as base64, as text; bytes that are no UTF-8 are shown as \xNN.
export function text(base64) {
  if (!base64) return ''
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  try {
    return utf8.decode(bytes)
  } catch {
    return Array.from(bytes, (b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : `\\x${b.toString(16).padStart(2, '0')}`)).join('')
  }
}

// pretty breaks JSON text into lines. Its tokens stay as they are: a number that JavaScript could not hold is not rounded.
// What is no JSON stays as it is.
export function pretty(json) {
  try {
    JSON.parse(json)
  } catch {
    return json
  }
  let out = ''
  let depth = 0
  const line = () => `\n${'  '.repeat(depth)}`
  for (const token of json.match(/"(?:[^"\\]|\\.)*"?|[[\]{},:]|[^\s"[\]{},:]+/gs) ?? []) {
    switch (token) {
      case '{': case '[':
        depth++
        out += token + line()
        break
      case '}': case ']':
        depth = Math.max(0, depth - 1)
        out = /[{[]\s*$/.test(out) ? out.trimEnd() + token : out + line() + token
        break
      case ',':
        out += token + line()
        break
      case ':':
        out += ': '
        break
      default:
        out += token
    }
  }
  return out
}

// compare aligns the lines of two texts: [{mark: '', '+' or '-', line}]. Commas at the end of lines do not count.
export function compare(before, after) {
  const a = before.split('\n')
  const b = after.split('\n')
  if (a.length * b.length > 250000) return b.map((line) => ({ mark: '', line }))
  const same = (i, j) => a[i].replace(/,$/, '') === b[j].replace(/,$/, '')
  const longest = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1))
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i][j] = same(i, j) ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1])
    }
  }
  const out = []
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && same(i, j)) {
      out.push({ mark: '', line: b[j] })
      i++
      j++
    } else if (j >= b.length || (i < a.length && longest[i + 1][j] >= longest[i][j + 1])) {
      out.push({ mark: '-', line: a[i++] })
    } else {
      out.push({ mark: '+', line: b[j++] })
    }
  }
  return out
}
