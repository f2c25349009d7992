// Gaps, in which changes may have been missed, and the sweeps that read keys again.

import { h, patch, pill } from './view.js'
import { count, plural, sentence, span, time } from './format.js'

export function showGaps(box, status) {
  const gaps = status.gaps ?? []
  if (gaps.length === 0) {
    patch(box, h('p', { class: 'none' }, 'No gap is known.'))
    return
  }
  patch(box, h('ul', { class: 'sweeps' }, gaps.map((g) => {
    const repaired = Number(g.repaired_ms)
    return h('li', { key: g.id },
      h('div', { class: 'head' }, h('strong', { class: 'name' }, `${g.cause}: ${g.job || 'all jobs'}`), pill(repaired ? 'ok' : 'warn', repaired ? 'repaired' : 'open')),
      h('p', { class: 'muted' }, `from ${time(g.began_ms)} to ${time(g.ended_ms)}${repaired ? `, repaired at ${time(repaired)}` : ''}`),
      g.detail && h('p', { class: 'muted' }, g.detail))
  })))
}

export function showSweeps(box, status) {
  const sweeps = status.sweeps ?? []
  if (sweeps.length === 0) {
    patch(box, h('p', { class: 'none' }, 'No sweep has run.'))
    return
  }
  patch(box, h('ul', { class: 'sweeps' }, sweeps.map((s) => {
    const runs = !Number(s.ended_ms)
    const settled = Number(s.settled_ms)
    const queued = runs && !Number(s.started_ms)
    const state = queued ? 'queued' : runs ? (s.waits ? 'waits' : 'reads') : settled ? 'settled' : 'settles'
    const done = settled ? `in ${span(settled - Number(s.started_ms))}` : `since ${time(s.started_ms)}`
    return h('li', { key: s.id },
      h('div', { class: 'head' }, h('strong', { class: 'name' }, `${s.job}: ${s.cause.replace('_', ' ')}`), pill(settled ? 'ok' : queued ? 'idle' : 'warn', state)),
      runs && !queued && h('progress', { max: Math.max(1, Number(s.total)), value: Number(s.scanned), 'aria-label': `Keys read by the sweep of ${s.job}` }),
      h('p', { class: 'muted' }, queued ? (s.waits ? sentence(s.waits) : 'It begins when those before it have read their keys.')
        : `${count(s.matched)} of ${plural(s.scanned, 'key')} read belong to it; ${done}`),
      !queued && runs && s.waits && h('p', { class: 'muted' }, sentence(s.waits)))
  })))
}
